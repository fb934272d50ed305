"""What the parts of one run's evidence promise each other.

Rows, vectors and run are three files, each of the right form by itself. Here what one says of
another is so.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import numpy as np

from nla_release.calibration.parts import ROWS_NAME, RUN_NAME, VECTORS_NAME, Evidence
from nla_release.calibration.records import TextCondition
from nla_release.calibration.shuffle import check_shuffle
from nla_release.calibration.vectors import Condition, row_name
from nla_release.diagnostics import registered
from nla_release.errors import EvidenceError

_VARIANCE_TOLERANCE = 1e-5  # float32 means of unit vectors agree with float64 ones to about 1e-7


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
