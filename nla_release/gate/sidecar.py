"""NLA101 to NLA103 and NLA108: the sidecar by itself."""

import re
from collections.abc import Iterable, Iterator

from nla_release.contract.prompt import literal_escapes
from nla_release.gate.adapter_folder import AdapterFolder
from nla_release.gate.base_facts import AdapterOnBase
from nla_release.gate.findings import Problem, Skip
from nla_release.gate.model import ADAPTERS, AVS_ON_BASE, rule
from nla_release.io.layout import ADAPTER_CONFIG_FILE, SIDECAR_FILE

# The band that SolshineCode/nla-gemma-4-e2b adopted after its retraction (HISTORY.md).
SCALE_BAND = (0.5, 3.0)

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@rule("NLA101", "error", "the sidecar is present, complete and consistent", each=ADAPTERS)
def sidecar_complete(adapter: AdapterFolder) -> Iterable[Problem]:
    """Reading the sidecar, down to what evidence records of it, finds everything.

    Checks: nla_meta.yaml is next to the adapter, names the adapter's role, and has every key of the
        contract. It does not contradict itself: one injection scale, a square head, and one block
        more than the block that is read.
    Why: Readers cannot guess a missing value. Neuronpedia's loader refuses a pair without
        extraction.injection_scale, and the reference's own documents name three different defaults
        for it (kitft/natural_language_autoencoders).
    Fix: Add the missing keys from the training configuration. `nla-release train av` and
        `nla-release train ar` write complete sidecars. An AR's injection_scale is null.
    Example: extraction.injection_scale is missing
    Waive: Never: without its sidecar nobody can run the adapter.
    """
    adapter.digest(SIDECAR_FILE)
    return ()


@rule("NLA102", "error", "the injection scale fits the base", each=AVS_ON_BASE)
def scale_fits(on_base: AdapterOnBase) -> Iterator[Problem]:
    """The scale against both norms, and against the scale used for evaluation.

    Checks: The injection scale is 0.5 to 3.0 times the mean embedding norm of the base. The norm
        comes from the base's facts, or from the sidecar if there are none. Outside of that range, a
        scale of 0.5 to 3.0 times the mean activation norm is a warning. That norm comes from the
        evidence, or from the sidecar if there is none. The scale used for evaluation is the scale
        used for training.
    Why: SolshineCode/nla-gemma-4-e2b used scales of 20000 to 80000 from other bases on a base with
        an embedding norm of 39.25. The loss fell cleanly, and eight days of training were
        retracted. Its scripts then evaluated at yet another scale. The reference
        (kitft/natural_language_autoencoders) uses a round number slightly above the mean activation
        norm: 150 for Qwen2.5-7B, where that mean is about 125.
    Fix: Measure the mean norm of the base's input embeddings (`nla-release base`), train the AV
        with a scale near it, and evaluate with the same one. Never copy a scale from another base.
    Example: injection scale 80000 is 2038 times the mean embedding norm 39.25 and 1928 times the
        mean activation norm 41.5
    Waive: The warning may stand if the scale was chosen from the activation norm on purpose and the
        evidence shows that the AV reads the injected vector (NLA607). The error never.
    """
    path, sidecar = on_base.adapter.folder / SIDECAR_FILE, on_base.adapter.sidecar
    scale, norms, facts = sidecar.injection.scale, sidecar.nla_release.norms, on_base.facts
    embedding = norms.embedding_mean if isinstance(facts, Skip) else facts.embedding.norm_mean
    shown = on_base.activation_norms
    activations = [shown.mean, shown.typical] if shown else [norms.activation_mean]
    usual = activations[-1]
    low, high = SCALE_BAND
    if not low <= scale / embedding <= high:
        as_activations = any(low <= scale / activation <= high for activation in activations)
        yield Problem(
            path,
            f"extraction.injection_scale {scale:g} is {scale / embedding:.4g} times the mean"
            f" embedding norm {embedding:g} and {scale / usual:.4g} times the mean activation"
            f" norm {usual:.4g}; it must be {low} to {high} times the first"
            f"{', and fits only the second' if as_activations else ''}",
            severity="warning" if as_activations else "error",
        )
    if norms.scale_evaluated is not None and norms.scale_evaluated != scale:
        yield Problem(
            path, f"trained with scale {scale:g} but evaluated with {norms.scale_evaluated:g}"
        )


@rule("NLA103", "error", "the base is a Hub id, pinned to a commit", each=ADAPTERS)
def base_pinned(adapter: AdapterFolder) -> Iterator[Problem]:
    """The sidecar's base, and PEFT's.

    Checks: nla_release.base names a repository on the Hub and one of its commits.
        adapter_config.json names the same base.
    Why: PEFT writes the local path of the base into adapter_config.json and from there into cards
        (huggingface/peft#2124, huggingface/transformers#33922). A branch can move, and the adapter
        then runs on another base.
    Fix: Write the base's `namespace/name` and the full hash of the commit that it was loaded from
        into nla_meta.yaml. Write the same id into base_model_name_or_path.
    Example: base_model_name_or_path is '/content/base', the sidecar says 'google/gemma-4-E2B'
    Waive: Never: nobody else can load a path on your disk.
    """
    path, base = adapter.folder / SIDECAR_FILE, adapter.sidecar.nla_release.base
    if not _HUB_ID.fullmatch(base.id):
        yield Problem(path, f"base id {base.id!r} is not a Hub id (namespace/name)")
    if base.revision is None or not _COMMIT.fullmatch(base.revision):
        yield Problem(
            path, f"base revision {base.revision!r} is not the full hash of a commit (40 digits)"
        )
    path, config = adapter.folder / ADAPTER_CONFIG_FILE, adapter.config
    if config.base_model_name_or_path != base.id:
        yield Problem(
            path,
            f"base_model_name_or_path is {config.base_model_name_or_path!r}, the sidecar says"
            f" {base.id!r}",
        )
    if config.revision not in (None, base.revision):
        yield Problem(
            path, f"revision is {config.revision!r}, the sidecar's base is at {base.revision!r}"
        )


@rule("NLA108", "warning", "the prompt has no escape sequence written as characters", each=ADAPTERS)
def prompt_without_escapes(adapter: AdapterFolder) -> Iterator[Problem]:
    r"""The adapter's own template; AV and AR share both.

    Checks: The template that the adapter reads (prompt_templates.av or prompt_templates.ar)
        contains no \n, \r, \t, \x.., \u.... or \U........ as a backslash followed by letters.
    Why: A shell, and YAML without double quotes, keep a backslash and an n as two characters. A
        pair that was trained with a line break then reads another prompt: one pair scored 0.000 in
        its round trip for this reason.
    Fix: Where training had a line break, write a line break: in double quotes, or as a block after
        |. Both sidecars hold both templates, so correct both, and prompt_token_ids with them; then
        measure again. `nla-release init` reads a template from a file: --answer template_av=@FILE.
    Example: prompt_templates.av holds \n as 2 characters
    Waive: If the pair was trained with exactly these characters, for example in a prompt about code
        or LaTeX.
    """
    template = getattr(adapter.sidecar.prompt_templates, adapter.role)
    if found := literal_escapes(template):
        yield Problem(
            adapter.folder / SIDECAR_FILE,
            f"prompt_templates.{adapter.role} holds {found[0]} as {len(found[0])} characters",
        )
