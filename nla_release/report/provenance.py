"""What a run depended on and its hashes, and any block of a calibration, as names and values."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from nla_release import __version__
from nla_release.calibration.report import Calibration
from nla_release.contract.sidecar import Role
from nla_release.contract.training_chain import TrainingChain
from nla_release.evidence.parts import Evidence
from nla_release.evidence.records import ProbeRecord
from nla_release.text.numbers import count, number

NamedValue = dict[str, str]


def environment(evidence: Evidence, chains: Mapping[Role, TrainingChain]) -> list[tuple[str, str]]:
    """What the run depended on, and how long each adapter was trained, by role."""
    run = evidence.run
    precision = run.precision
    decoding = run.decoding
    return [
        ("base", f"{run.base.id} at {run.base.revision or 'no revision'}"),
        ("layer", "not recorded" if run.layer is None else f"output of block {run.layer}"),
        ("device", run.device),
        ("weights", f"{precision.quantization or 'not quantized'}, {precision.dtype}"),
        ("injection", f"{run.injection.op} at {run.injection.site}, scale {run.injection.scale:g}"),
        ("decoding", "greedy" if decoding.greedy else "sampled"),
        ("maximum tokens", str(decoding.max_new_tokens)),
        ("batch size", str(decoding.batch_size)),
        ("seed", str(run.seed)),
        *sorted(run.libraries.items()),
        *((f"diagnostic {each.name}", _cost(each)) for each in run.probes),
        *(line for role, chain in chains.items() for line in _trained(role, chain)),
    ]


def _trained(role: Role, chain: TrainingChain) -> Iterator[tuple[str, str]]:
    """Steps and seconds of each run and in total, and what the last run continued from."""
    name = f"{role.upper()} training"
    yield f"{name} steps", chain.steps_in_words
    yield f"{name} seconds", chain.seconds_in_words
    if len(chain.runs) > 1:
        yield f"{name} continued from", chain.runs[-1].continued_from or "not recorded"


def _cost(record: ProbeRecord) -> str:
    if record.skipped:
        return f"skipped: {record.skipped}"
    settings = "; ".join(
        f"{key.replace('_', ' ')} {shown(value)}" for key, value in record.settings.items()
    )
    cost = f"{count(record.av_vectors, 'vector')} and {count(record.ar_texts, 'text')} more"
    return f"{cost}; {settings}" if settings else cost


def provenance(
    folder: str, evidence: Evidence | None, calibration: Calibration | None
) -> list[tuple[str, str]]:
    """Hashes of all that the numbers were made of.

    Args:
        folder: name of what was judged.
        evidence: when there is some.
        calibration: when it can be trusted.
    """
    lines = [("report", f"nla-release {__version__}, nla-release report {folder}")]
    if calibration:
        lines += [
            ("calibration.json", f"computed by nla-release {calibration.tool_version}"),
            *((f"calibration.json: {name}", digest) for name, digest in calibration.evidence),
        ]
    if evidence:
        lines += _run_hashes(evidence)
    return lines


def _run_hashes(evidence: Evidence) -> Sequence[tuple[str, str]]:
    run = evidence.run
    return [
        ("measured", f"{run.started_at} to {run.finished_at}, nla-release {run.tool_version}"),
        ("evidence/rows.jsonl", run.rows_sha256),
        ("evidence/vectors.safetensors", run.vectors_sha256),
        ("evidence/run.json", evidence.run_sha256),
        ("evaluation data", run.evaluation.sha256),
        ("training activations", run.reference.sha256),
        ("tokenizer", run.tokenizer_sha256),
        *sorted(run.files.items()),
        *((f"base: {name}", digest) for name, digest in sorted(run.base.local_files.items())),
    ]


def described(block: BaseModel) -> list[NamedValue]:
    """Every value in a block, in order, under names such as `controls, shuffled, mean`."""
    return list(_of_fields(block, ()))


def shown(value: Any) -> str:
    """A value in words."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return number(value)
        case (int() | float() as low, int() | float() as high):
            return f"{shown(low)} to {shown(high)}"
        case list() | tuple():
            return ", ".join(map(shown, value)) or "none"
        case _:
            return str(value)


def _of_fields(block: BaseModel, names: tuple[str, ...]) -> Iterator[NamedValue]:
    for name, field in type(block).model_fields.items():
        value = getattr(block, name)
        yield from _of_value(value, (*names, name), field.description or "")


def _of_value(value: Any, names: tuple[str, ...], meaning: str) -> Iterator[NamedValue]:
    if isinstance(value, BaseModel):
        yield from _of_fields(value, names)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _of_value(inner, (*names, str(key)), meaning)
    else:
        name = ", ".join(each.replace("_", " ") for each in names)
        yield {"name": name, "value": shown(value), "meaning": meaning}
