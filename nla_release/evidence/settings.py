"""The settings that a measurement depends on, and which of them differ between releases."""

import re
from collections.abc import Sequence

from pydantic import Field

from nla_release.evidence.records import Run
from nla_release.io.schema import Strict

Settings = dict[str, str]

_PARTS = {
    "adapter_model.safetensors": "adapter",
    "adapter_config.json": "adapter configuration",
    "value_head.safetensors": "head",
    "nla_meta.yaml": "sidecar",
}


_KINDS = {
    "base": "base",
    "base revision": "base revision",
    "layer": "layer",
    "quantization": "precision",
    "dtype": "precision",
    "reference set": "training",
    "evaluation data": "activations",
}
_ORDER = ("base", "base revision", "layer", "precision", "training", "activations")
_WITH_VALUES = frozenset({"base", "layer", "precision"})
_TRAINING = re.compile(r"A[VR] (?:training:|adapter$|head$)")


class Differing(Strict):
    """One setting that differs between releases."""

    setting: str = Field(description="its name")
    values: list[str | None] = Field(description="one per release; null where it is not recorded")


def run_settings(run: Run) -> Settings:
    """The recorded settings that can change a run's numbers, by name; hashes are sha256."""
    return {
        "base": run.base.id,
        "base revision": run.base.revision or "none",
        **({} if run.layer is None else {"layer": str(run.layer)}),
        **{f"base {name}": digest for name, digest in sorted(run.base.local_files.items())},
        "tokenizer": run.tokenizer_sha256,
        "quantization": run.precision.quantization or "none",
        "dtype": run.precision.dtype,
        "injection": f"{run.injection.op} at the {run.injection.site}",
        "injection scale": f"{run.injection.scale:g}",
        **{_part(name): digest for name, digest in sorted(run.files.items())},
        "evaluation data": run.evaluation.sha256,
        "rows": str(run.evaluation.rows),
        "documents": str(run.evaluation.documents),
        "reference set": run.reference.sha256,
        "decoding": "greedy" if run.decoding.greedy else "sampled",
        "max new tokens": str(run.decoding.max_new_tokens),
        "batch size": str(run.decoding.batch_size),
        "seed": str(run.seed),
        "device": run.device,
        "tool version": run.tool_version,
        **dict(sorted(run.libraries.items())),
    }


def differing(settings: Sequence[Settings]) -> list[Differing]:
    """The settings with different recorded values, in the order of their first occurrence."""
    names = dict.fromkeys(name for each in settings for name in each)
    rows = {name: [each.get(name) for each in settings] for name in names}
    return [
        Differing(setting=name, values=values)
        for name, values in rows.items()
        if len(set(values) - {None}) > 1
    ]


def what_differs(settings: Sequence[Differing], at: int) -> str:
    """How the release `at` differs from the first, in a few words.

    Base, layer and precision are given with their values. Shown next to a figure, they
    warn against comparing figures of different things.
    """
    kinds: dict[str, list[str]] = {}
    for each in settings:
        first, value = each.values[0], each.values[at]
        if value in (None, first) or first is None:
            continue
        kind = "training" if _TRAINING.match(each.setting) else _KINDS.get(each.setting)
        if kind:
            kinds.setdefault(kind, []).extend([value] if kind in _WITH_VALUES else [])
    words = [" ".join([kind, *kinds[kind]]) for kind in _ORDER if kind in kinds]
    return ", ".join(words) or "nothing recorded"


def _part(name: str) -> str:
    """The name of a file: `av/adapter_model.safetensors` is "AV adapter"."""
    role, _, file = name.partition("/")
    return f"{role.upper()} {_PARTS.get(file, file)}"
