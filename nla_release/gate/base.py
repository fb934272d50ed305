"""NLA105 and NLA106: the sidecar against the base model that it names."""

import math
from collections.abc import Iterator
from pathlib import Path

from nla_release.base_model.facts import BaseFacts
from nla_release.contract.sidecar import Norms, Sidecar
from nla_release.gate.base_facts import AdapterOnBase
from nla_release.gate.findings import Problem, Skip
from nla_release.gate.model import MEASUREMENTS, ON_BASE, rule
from nla_release.io.layout import SIDECAR_FILE

# Differences of a mean norm that precision explains: bfloat16 weights, and a sample of rows.
NORM_TOLERANCE = 0.05
NORM_ERRORS = 4.0
# A sample with a larger error decides nothing.
MAX_NORM_TOLERANCE = 0.2

# Held-out activations are other rows than those of which the norm was recorded.
ACTIVATION_BAND = (0.8, 1.25)
# Texts of another kind do not double a mean norm; a mistake does.
FAR_FROM_MEASURED = 2.0


@rule("NLA105", "error", "the recorded norms match the measured norms", each=ON_BASE)
def norms_measured(on_base: AdapterOnBase) -> Iterator[Problem | Skip]:
    """Both recorded means, each against its measurement.

    Checks: norms.embedding_mean is within 5% of the mean embedding norm in the base's facts, or
        within four standard errors of that sample if these are larger, but never more than 20% off.
        norms.activation_median is compared with the median norm of the held-out activations in the
        evidence: outside of 0.8 to 1.25 times is a warning, outside of 0.5 to 2 times an error.
        Without a recorded median, norms.activation_mean is compared with their mean, with and
        without the rows of more than ten times the median; the finding counts those rows. It is a
        warning if norms.embedding_mean is exactly the square root of d_model and no measurement
        confirms it.
    Why: Four numbers are easily confused: the mean activation norm, the mean embedding norm, the
        scale used for training and the scale used for evaluation. The audit and the HISTORY of
        SolshineCode/nla-gemma-4-e2b print `sqrt(d_model) = 39.25`. In fact 39.25 is the measured
        embedding norm, and sqrt(1536) is 39.19. A formula instead of a measurement is right only by
        luck.
    Fix: Run `nla-release base` and record the norm that it measures. Take the activation norm from
        the training activations, at raw norm and from the layer that is recorded; `nla-release
        train av` records both.
    Example: norms.embedding_mean is 80, the base's embeddings measure 39.25 ± 0.02
    Waive: The warnings may stand if the held-out activations come from other texts than the
        training activations, or if the base's embeddings really have that norm.
    """
    path, sidecar = on_base.adapter.folder / SIDECAR_FILE, on_base.adapter.sidecar
    facts = on_base.facts
    if isinstance(facts, Skip):
        yield facts
    yield from _embedding_norm(path, sidecar, facts)
    yield from _activation_norm(path, sidecar.nla_release.norms, on_base)


@rule("NLA106", "error", "layers, widths and token ids fit the base", each=ON_BASE)
def base_fits(on_base: AdapterOnBase) -> Iterator[Problem | Skip]:
    """The facts' own identity, then the sidecar's numbers against them.

    Checks: base.json is complete, names the base and commit of the sidecar, and is identical next
        to release.yaml and in both repositories. It matches a measurement of the base at base_path.
        d_model is the base's hidden_size, the activations come from a block before the last, the AR
        keeps no more blocks than the base has, and every token id is in the base's vocabulary.
    Why: hidden_states of transformers ends with the last block's output after the final norm, so
        readers never see that block's own output. Projects count blocks in three ways: kitft's
        README calls hidden_states[20] block 20, which is block 19, and Nano-NLA stores a depth of
        K+1 under a key that means K elsewhere. None of these fails at load time.
    Fix: Run `nla-release base` and render again. If the numbers still differ, the sidecar belongs
        to another base: release the adapter with the base that it was trained on.
    Example: extraction_layer_index is 34, the base has blocks 0 to 34, and the last is excluded:
        readers see it through the final norm
    Waive: Never: the pair and the base do not fit.
    """
    if on_base.found is None:
        yield on_base.absent
        return
    (path, facts), base = on_base.found, on_base.adapter.sidecar.nla_release.base
    if (facts.id, facts.revision) != (base.id, base.revision):
        yield Problem(
            path,
            f"describes {facts.id} at {facts.revision}, the {on_base.adapter.role.upper()} was"
            f" trained on {base.id} at {base.revision}",
        )
        return
    yield from _same_everywhere(path, facts, on_base)
    yield from _as_measured(path, facts, on_base)
    for sentence in _misfits(on_base.adapter.sidecar, facts):
        yield Problem(on_base.adapter.folder / SIDECAR_FILE, sentence)


def _embedding_norm(path: Path, sidecar: Sidecar, facts: BaseFacts | Skip) -> Iterator[Problem]:
    recorded, root = sidecar.nla_release.norms.embedding_mean, math.sqrt(sidecar.d_model)
    measured = None if isinstance(facts, Skip) else facts.embedding
    sampling = 0.0
    if measured:
        sampling = min(NORM_ERRORS * measured.norm_error, MAX_NORM_TOLERANCE * measured.norm_mean)
    distance = abs(recorded - measured.norm_mean) if measured else math.inf
    if measured and distance > max(NORM_TOLERANCE * measured.norm_mean, sampling):
        yield Problem(
            path,
            f"norms.embedding_mean is {recorded:g}, the base's embeddings measure"
            f" {measured.norm_mean:g} ± {measured.norm_error:.2g}",
        )
    elif (
        recorded in {root, *(round(root, digits) for digits in range(1, 7))} and distance > sampling
    ):
        found = f"the base's embeddings measure {measured.norm_mean:g}" if measured else ""
        yield Problem(
            path,
            f"norms.embedding_mean is {recorded:g}, which is sqrt(d_model), a formula and not a"
            f" measurement{found and f'; {found}'}",
            severity="warning",
        )


def _activation_norm(path: Path, norms: Norms, on_base: AdapterOnBase) -> Iterator[Problem | Skip]:
    """The recorded norm against the evidence's: the medians where both are known.

    A mean is compared with the evidence's mean with and without outliers: a few tokens of a hundred
    times the usual norm may be in one sample only.
    """
    if (measured := on_base.activation_norms) is None:
        yield Skip(MEASUREMENTS.absent)
        return
    if norms.activation_median is not None:
        name, recorded, found = "median", norms.activation_median, [measured.median]
    else:
        name, recorded, found = "mean", norms.activation_mean, [measured.mean, measured.typical]
    ratios = [recorded / norm for norm in found if norm > 0]
    if any(_within(ratio, ACTIVATION_BAND) for ratio in ratios):
        return
    near = any(_within(ratio, (1 / FAR_FROM_MEASURED, FAR_FROM_MEASURED)) for ratio in ratios)
    apart = f"; {measured.sentence}" if measured.sentence else ""
    yield Problem(
        path,
        f"norms.activation_{name} is {recorded:g}, the held-out activations have a {name} norm of"
        f" {found[0]:.4g}{apart}",
        severity="warning" if near else "error",
    )


def _within(ratio: float, band: tuple[float, float]) -> bool:
    low, high = band
    return low <= ratio <= high


def _same_everywhere(path: Path, facts: BaseFacts, on_base: AdapterOnBase) -> Iterator[Problem]:
    """An adapter's own copy against the release's."""
    subject = on_base.subject
    first = subject.base_facts or AdapterOnBase(subject.adapters[0], subject).found
    if first is None or not (differing := facts.differing(first[1])):
        return
    yield Problem(path, f"differs from {first[0]} in {', '.join(differing)}")


def _as_measured(path: Path, facts: BaseFacts, on_base: AdapterOnBase) -> Iterator[Problem]:
    """base.json against the base at base_path, if there is one."""
    if (local := on_base.subject.local_base) is None or local[0] == path:
        return
    folder, measured = local
    if measured.license is None:  # a copy of the weights alone
        measured = measured.model_copy(update={"license": facts.license})
    if differing := facts.differing(measured):
        yield Problem(path, f"differs from the base in {folder} in {', '.join(differing)}")


def _misfits(sidecar: Sidecar, facts: BaseFacts) -> Iterator[str]:
    layer, layers = sidecar.extraction_layer_index, facts.num_hidden_layers
    if sidecar.d_model != facts.hidden_size:
        yield f"d_model is {sidecar.d_model}, the base's hidden_size is {facts.hidden_size}"
    if layer > layers - 2:
        out = ", and the last is excluded: readers see it through the final norm"
        yield (
            f"extraction_layer_index is {layer}, the base has blocks 0 to {layers - 1}"
            f"{out if layer == layers - 1 else ''}"
        )
    if sidecar.role == "ar" and sidecar.head.blocks > layers:
        yield f"ar_head.blocks is {sidecar.head.blocks}, the base has {layers}"
    for name, ids in _token_ids(sidecar).items():
        if (largest := max(ids, default=0)) >= facts.vocab_size:
            yield f"{name} is {largest}, the base's vocabulary has ids 0 to {facts.vocab_size - 1}"


def _token_ids(sidecar: Sidecar) -> dict[str, list[int]]:
    tokens, injection = sidecar.tokens, sidecar.nla_release.injection
    return {
        "tokens.injection_token_id": [tokens.injection_token_id],
        "tokens.injection_left_neighbor_id": [tokens.injection_left_neighbor_id],
        "tokens.injection_right_neighbor_id": [tokens.injection_right_neighbor_id],
        "an id of tokens.critic_suffix_ids": tokens.critic_suffix_ids or [],
        "an id of prompt_token_ids": injection.prompt_token_ids if injection else [],
    }
