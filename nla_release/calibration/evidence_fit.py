"""What the parts of one run's evidence promise each other.

Rows, vectors and run are three files. Here what one says of another is so: the tensors are those
that the rows ask for, N rows of width d; a diagnostic's are there when it ran, and only then.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from nla_release.adapter.weights import Tensor, read_header
from nla_release.diagnostics import registered
from nla_release.errors import EvidenceError
from nla_release.evidence.parts import ROWS_NAME, RUN_NAME, VECTORS_NAME, Evidence
from nla_release.evidence.records import Row, TextCondition
from nla_release.evidence.shuffle import check_shuffle
from nla_release.evidence.vectors import Condition, Vectors, row_name

_VARIANCE_TOLERANCE = 1e-5  # float32 means of unit vectors agree with float64 ones to about 1e-7

# Labels of the held-out rows and of the training rows are optional.
_LABELS = {"gold_text", "lookup_table"}
_BASE = {"gold", "reference_mean", *get_args(Condition)} - _LABELS


def read_vectors(path: Path, rows: Sequence[Row]) -> Vectors:
    """The tensors, each of its shape, float32 and finite.

    Raises:
        EvidenceError: one is missing, unknown, or not as the rows ask; the message names it.
    """
    header = read_header(path)
    if missing := sorted(_BASE - set(header)):
        raise EvidenceError(f"{path} has no tensor {', '.join(missing)}")
    known = (_BASE | _LABELS).union(*(each.leaves.names for each in registered()))
    if foreign := sorted(set(header) - known):
        raise EvidenceError(f"{path} holds an unknown tensor {', '.join(foreign)}")
    _check_texts(path, rows, header)
    _check_shapes(path, rows, header)
    vectors: Vectors = safetensors.numpy.load_file(path)
    for name, values in vectors.items():
        if not np.isfinite(values).all():
            raise EvidenceError(
                f"{path} tensor {name} holds NaN or infinity{_place(rows, ~np.isfinite(values))}"
            )
    return vectors


def check_parts_fit(folder: Path, evidence: Evidence) -> None:
    """Hold the parts of evidence against each other.

    Args:
        folder: where they were read, for messages.
        evidence: each part valid by itself.

    Raises:
        EvidenceError: two of them disagree; says where.
    """
    _check_parts(folder / ROWS_NAME, evidence)
    _check_diagnostics(folder / RUN_NAME, evidence)
    check_shuffle(folder / ROWS_NAME, evidence.rows, evidence.run)
    _check_controls(folder / VECTORS_NAME, evidence)
    _check_failures_hold_zeros(folder / VECTORS_NAME, evidence)
    _check_run(folder / RUN_NAME, evidence)


def _check_parts(path: Path, evidence: Evidence) -> None:
    """Format 1 has no parts of diagnostics; in format 2 every row has the same ones."""
    first = evidence.rows[0]
    for number, row in enumerate(evidence.rows, start=1):
        where = f"{path} line {number}"
        if evidence.run.schema_ == 1 and (unknown := row.parts_of_format_2):
            raise EvidenceError(f"{where}: {RUN_NAME} says schema 1, without {', '.join(unknown)}")
        if row.texts.keys() != first.texts.keys():
            raise EvidenceError(
                f"{where}: texts holds {_keys(row.texts)}, not {_keys(first.texts)}"
            )
        if row.spoken.keys() != first.spoken.keys():
            raise EvidenceError(
                f"{where}: spoken holds {_keys(row.spoken)}, not {_keys(first.spoken)}"
            )


def _check_diagnostics(path: Path, evidence: Evidence) -> None:
    """A diagnostic left its parts when it ran, and only then."""
    found = {*evidence.vectors, *evidence.rows[0].spoken}
    for each in registered():
        if each.name in evidence.run.probed:
            if missing := sorted(each.leaves.always - found):
                raise EvidenceError(
                    f"{path}: diagnostic {each.name} ran, but left no {', '.join(missing)}"
                )
        elif unasked := sorted(each.leaves.names & found):
            raise EvidenceError(
                f"{path}: diagnostic {each.name} did not run, but there is {', '.join(unasked)}"
            )


def _keys(parts: Iterable[str]) -> str:
    return ", ".join(sorted(parts)) or "nothing"


def _check_controls(path: Path, evidence: Evidence) -> None:
    """Since the rule of the shuffle is frozen, a text that is read twice has one reconstruction."""
    if evidence.run.shuffle is None:
        return
    position = {row.id: index for index, row in enumerate(evidence.rows)}
    sources = [position[row.shuffled_from] for row in evidence.rows]
    same = {name: [0] * len(evidence.rows) for name in ("empty", "zero_vector")}
    for name, rows in {"shuffled": sources, **same}.items():
        read = evidence.vectors["real" if name == "shuffled" else name][rows]
        wrong = (evidence.vectors[name] != read).any(axis=1)
        if wrong.any():
            raise EvidenceError(
                f"{path} tensor {name} is not, in {row_name(evidence.rows, wrong)}, what the AR"
                " made of the same text elsewhere"
            )


def _check_failures_hold_zeros(path: Path, evidence: Evidence) -> None:
    conditions = (*get_args(Condition), *get_args(TextCondition), "encoder_explanation")
    failed = {name: evidence.failed(name) for name in conditions}
    for name in failed.keys() & evidence.vectors.keys():
        wrong = evidence.vectors[name].any(axis=1) & failed[name]
        if wrong.any():
            raise EvidenceError(
                f"{path} tensor {name} is not zero in {row_name(evidence.rows, wrong)},"
                " whose text failed"
            )


def _check_run(path: Path, evidence: Evidence) -> None:
    if (evidence.run.lookup is None) == ("lookup_table" in evidence.vectors):
        raise EvidenceError(f"{path}: lookup and the tensor lookup_table do not go together")
    asked = evidence.run.evaluation
    found = (len(evidence.rows), len(set(evidence.documents)))
    if (asked.rows, asked.documents) != found:
        raise EvidenceError(
            f"{path}: evaluation asked {asked.rows} rows of {asked.documents} documents, but"
            f" {ROWS_NAME} holds {found[0]} rows of {found[1]}: rows must never be dropped"
        )
    if training := evidence.run.training:
        documents, ids = set(evidence.documents), {row.id for row in evidence.rows}
        foreign = {*training.ids_overlapping} - documents | {*training.texts_overlapping} - ids
        if foreign:
            raise EvidenceError(
                f"{path}: training overlaps with {min(foreign)!r}, which {ROWS_NAME} lacks"
            )
        overlapping, compared = len(training.texts_overlapping), training.texts_compared
        if compared is not None and not overlapping <= compared <= len(evidence.rows):
            raise EvidenceError(
                f"{path}: training.texts_compared is {compared}, of {len(evidence.rows)} rows and"
                f" with {overlapping} that overlap"
            )
    mean = evidence.vectors["reference_mean"].astype(np.float64)
    if not mean.any():
        raise EvidenceError(f"{path}: reference_mean is zero, which no activations have for a mean")
    variance = 1 - float(mean @ mean)
    if abs(variance - evidence.run.reference.variance) > _VARIANCE_TOLERANCE:
        raise EvidenceError(
            f"{path}: reference.variance is {evidence.run.reference.variance}, but reference_mean"
            f" gives 1 - ||mean||^2 = {variance:.6f}"
        )


def _place(rows: Sequence[Row], marked: npt.NDArray[np.bool_]) -> str:
    over_rows = marked.ndim == 2 and len(marked) == len(rows)
    return f" in {row_name(rows, marked)}" if over_rows else ""


def _check_texts(path: Path, rows: Sequence[Row], header: Mapping[str, Tensor]) -> None:
    """Every tensor has its texts in the rows, and the texts their tensor."""
    if "gold_text" in header and (bare := [row.id for row in rows if row.gold is None]):
        raise EvidenceError(f"{path} holds gold_text, but row {bare[0]!r} has no gold explanation")
    read = set(header) & set(get_args(TextCondition))
    if different := sorted(read ^ set(rows[0].texts)):
        raise EvidenceError(f"{path} and the rows' texts disagree about {', '.join(different)}")
    for leaves in (each.leaves for each in registered()):
        if len(leaves.tensors.keys() & header.keys()) not in (0, len(leaves.tensors)):
            raise EvidenceError(
                f"{path} holds only some of the tensors {', '.join(leaves.tensors)}"
            )
        if wrong := leaves.misfit(rows, header):
            raise EvidenceError(f"{path} {wrong}")


def _check_shapes(path: Path, rows: Sequence[Row], header: Mapping[str, Tensor]) -> None:
    gold = header["gold"].shape
    if len(gold) != 2 or gold[0] != len(rows) or gold[1] == 0:
        raise EvidenceError(
            f"{path} tensor gold has shape {list(gold)}, expected [{len(rows)}, d] for the"
            f" {len(rows)} rows of rows.jsonl"
        )
    expected = {"reference_mean": gold[1:], **_expected_of_diagnostics(rows, header)}
    for name, tensor in header.items():
        wanted = expected.get(name, gold)
        if tensor.shape != wanted or (len(wanted) != 2 and name != "reference_mean"):
            raise EvidenceError(
                f"{path} tensor {name} has shape {list(tensor.shape)}, expected {list(wanted)}"
            )
        if tensor.dtype != "F32":
            raise EvidenceError(f"{path} tensor {name} has dtype {tensor.dtype}, expected F32")


def _expected_of_diagnostics(
    rows: Sequence[Row], header: Mapping[str, Tensor]
) -> dict[str, tuple[int, ...]]:
    """The shapes of tensors that diagnostics leave."""
    expected: dict[str, tuple[int, ...]] = {}
    for leaves in (each.leaves for each in registered()):
        counts = {**leaves.tensors, **leaves.sometimes}
        first = next((header[name] for name in counts if name in header), header["gold"])
        width = first.shape[1:] if leaves.free_width else header["gold"].shape[1:]
        expected |= {name: (count(rows), *width) for name, count in counts.items()}
    return expected
