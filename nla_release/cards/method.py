"""How the pair was made: the parts of the method that it follows, its training data, works to cite.

The method is that of kitft/natural_language_autoencoders and its paper. All facts are read from the
sidecars, release.yaml, the run and the calibration; what none of them records is not claimed.

`nla_release.training` of a sidecar may hold `corpus`, `labeler` and `data_license`, each a text,
and `datasets`: a list of names, or of `{name, license, rows, labeler}`. All are optional.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from nla_release.calibration.report import Calibration
from nla_release.contract.sidecar import Role, Sidecar
from nla_release.errors import ConfigError
from nla_release.evidence.records import RunFacts
from nla_release.io.files import read_text
from nla_release.statistics.blocks import Inconclusive
from nla_release.text.bibtex import BibtexEntry, read_entries
from nla_release.text.markdown import code_cell, inline
from nla_release.text.numbers import count
from nla_release.text.sandbox import TEMPLATES

Status = Literal["implemented", "adapted", "extension", "out of scope", "not recorded"]

# Words by which sidecars name a stage: `rl`, `grpo-step60`; `sl`, `av_sft`.
_BY_REINFORCEMENT = {"rl", "rlhf", "grpo", "ppo", "rloo", "reinforce", "reinforcement"}

_SUPERVISED = {"sl", "sft", "supervised"}

_FACTS = {
    "corpus": "Corpus",
    "labeler": "Explanations written by",
    "data_license": "Licence of the training data",
    "hardware": "Hardware",
}


@dataclass(frozen=True)
class Component:
    """One part of the method: what was done about it here, in Markdown."""

    name: str
    status: Status
    notes: str


def alignment(
    sidecars: dict[Role, Sidecar],
    adapted: dict[Role, str],
    run: RunFacts,
    calibration: Calibration,
) -> list[Component]:
    """Every component of the method, in its order: training, reading, measuring.

    Args:
        sidecars: of both adapters.
        adapted: rank and number of modules of each, in words.
        run: the measurement.
        calibration: the numbers, which show what was measured.
    """
    return [
        *_trained(sidecars, adapted),
        *_read(sidecars),
        *_measured(run, calibration),
    ]


def _trained(sidecars: dict[Role, Sidecar], adapted: dict[Role, str]) -> Iterator[Component]:
    head = sidecars["ar"].head
    yield Component(
        "Verbalizer (AV): the whole model, fine-tuned", "adapted", f"LoRA, {adapted['av']}"
    )
    yield Component(
        "Reconstructor (AR): the first blocks and a linear head, fine-tuned",
        "adapted",
        f"{count(head.blocks, 'block')} with LoRA, {adapted['ar']}, and a linear head"
        f" {'with' if head.bias else 'without'} bias",
    )
    yield from _precision(sidecars)
    for role, sidecar in sidecars.items():
        warm, reinforced = _stages(sidecar.stage)
        stage = code_cell(sidecar.stage)
        last = (
            f"supervised only ({stage})"
            if (warm, reinforced) == ("implemented", "out of scope")
            else f"last stage of training: {stage}"
        )
        yield Component(f"Supervised warm start of the {role.upper()}", warm, last)
        yield Component(
            f"Reinforcement learning of the {role.upper()} on reconstruction", reinforced, last
        )


def _precision(sidecars: dict[Role, Sidecar]) -> Iterator[Component]:
    """One component where both adapters were trained on a base of the same precision."""
    bases = {role.upper(): sidecar.nla_release.base for role, sidecar in sidecars.items()}
    if len({(base.quantization, base.dtype) for base in bases.values()}) == 1:
        bases = {"AV and the AR": bases["AV"]}
    for whose, base in bases.items():
        yield Component(
            f"Base of the {whose} in training: bfloat16",
            "implemented" if (base.quantization, base.dtype) == (None, "bfloat16") else "adapted",
            f"NF4 (4 bits), computing in {base.dtype}" if base.quantization else base.dtype,
        )


def _stages(last: str) -> tuple[Status, Status]:
    """Status of the warm start and of reinforcement learning, by the name of the last stage."""
    words = set(re.findall("[a-z]+", last.casefold()))
    if words & _BY_REINFORCEMENT:
        return "implemented" if words & _SUPERVISED else "not recorded", "implemented"
    if words & _SUPERVISED:
        return "implemented", "out of scope"
    return "not recorded", "not recorded"


def _read(sidecars: dict[Role, Sidecar]) -> Iterator[Component]:
    injection = sidecars["av"].injection
    yield Component(
        "Injection: replaces the marker's embedding, rescaled",
        "implemented",
        f"{injection.op} at the {injection.site}, L2 norm {injection.scale}",
    )
    raw = injection.prompt_encoding == "raw"
    yield Component(
        "AV prompt: one turn of a chat",
        "adapted" if raw else "implemented",
        "encoded as plain text with its special tokens" if raw else "by the base's chat template",
    )


def _measured(run: RunFacts, calibration: Calibration) -> Iterator[Component]:
    reference = count(calibration.reference.rows, "training activation")
    yield Component(
        "Variance explained, against the variance of training activations",
        "implemented",
        f"statistics of {reference}; both denominators, each under its name",
    )
    yield Component(
        "Failed explanations count against the pair",
        "implemented",
        "as cosine 0 in every mean",
    )
    yield Component(
        "Precision and decoding of the measurement",
        "extension",
        "recorded with hashes of every file: "
        f"{'NF4, ' if run.precision.quantization else ''}{run.precision.dtype},"
        f" {'greedy' if run.decoding.greedy else 'sampled'}",
    )
    yield Component(
        "Controls: another row's text, no text, a random direction, the mean direction",
        "extension",
        f"paired by row, intervals clustered by {calibration.bootstrap.cluster}",
    )
    yield Component(
        "Retrieval of the own activation among all", "extension", "with Wilson interval and chance"
    )
    yield _diagnostic(
        "Contribution of single claims", calibration, "claims", "split by rules, not by a model"
    )
    yield _diagnostic(
        "Paraphrase and sentence order, against hidden codes",
        calibration,
        "paraphrase",
        "reworded by rules or as the data gives it, not by a model",
    )
    for name in (
        "Truth of single claims, judged by a model",
        "Steering by edited explanations",
        "Prediction of behaviour from explanations",
    ):
        yield Component(name, "out of scope", "not measured for this release")


def _diagnostic(name: str, calibration: Calibration, key: str, how: str) -> Component:
    report = getattr(calibration.probes, key)
    if report is None:
        return Component(name, "out of scope", "the diagnostic was not run")
    if isinstance(report, Inconclusive):
        return Component(name, "adapted", f"{how}; too few rows")
    return Component(name, "adapted", how)


def dataset_facts(
    training: Mapping[str, Any],
    stated: Mapping[str, str | None] = MappingProxyType({}),
    languages: Sequence[str] = (),
) -> list[tuple[str, str]]:
    """Rows of a table on the training data: the name of a fact, and the fact in Markdown.

    Args:
        training: what the sidecar records.
        stated: what release.yaml says, by the same keys; where the two differ, both are shown.
        languages: of the texts, as release.yaml says.
    """
    facts = [
        (words, fact)
        for key, words in _FACTS.items()
        if (fact := _fact(training.get(key), stated.get(key)))
    ]
    if languages:
        facts.append(("Languages", inline(", ".join(languages))))
    datasets = training.get("datasets")
    if isinstance(datasets, list) and datasets:
        facts.append(("Datasets", "; ".join(map(_dataset, datasets))))
    return facts


def _fact(recorded: Any, stated: str | None) -> str:
    """What release.yaml states, and also what the sidecar records if it differs."""
    known = inline(recorded) if isinstance(recorded, str | int | float) else ""
    if stated is None or inline(stated) == known:
        return known
    return f"{inline(stated)} (recorded in training: {known})" if known else inline(stated)


def _dataset(dataset: Any) -> str:
    if not isinstance(dataset, Mapping):
        return inline(dataset)
    rows, labeler = dataset.get("rows"), dataset.get("labeler")
    details = [
        dataset.get("license"),
        f"{rows} rows" if rows is not None else None,
        f"labelled by {labeler}" if labeler else None,
    ]
    known = ", ".join(inline(each) for each in details if each)
    name = inline(dataset.get("name", "unnamed"))
    return f"{name} ({known})" if known else name


@cache
def known_citations() -> dict[str, BibtexEntry]:
    """The entries of `model_cards/citations.bib` by key."""
    return {entry.key: entry for entry in read_entries(read_text(TEMPLATES / "citations.bib"))}


def citations(keys: list[str]) -> list[str]:
    """The BibTeX entries of `model_cards/citations.bib` with these keys.

    Raises:
        ConfigError: there is no such entry; the known keys are named.
    """
    known = known_citations()
    if unknown := [key for key in keys if key not in known]:
        raise ConfigError(
            f"release.yaml cites {', '.join(unknown)}; known: {', '.join(known)}",
            hint="add the entry to model_cards/citations.bib",
        )
    return [known[key].source for key in keys]
