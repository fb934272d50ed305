"""Rows to show on a card: best, median and worst, so that nobody picks the nice ones."""

from dataclasses import dataclass

from nla_release.calibration.evidence_folder import Evidence
from nla_release.contract.explanation import Status
from nla_release.evidence.controls import cosines
from nla_release.evidence.records import Row

# The activation is taken at the end of its text; this much of it lets a reader judge.
TEXT_END = 240


@dataclass(frozen=True)
class Example:
    """One row of the evidence as a card shows it.

    `said` is the explanation, or the AV's raw output when it is none. `control` is the cosine that
    another row's explanation reaches for the same activation.
    """

    rank: str
    id: str
    text: str | None
    said: str
    status: Status
    cosine: float
    control: float


def examples(evidence: Evidence) -> list[Example]:
    """Best, median and worst row by cosine, ties in the order of the rows, no row twice."""
    own, others = cosines(evidence, "real"), cosines(evidence, "shuffled")
    order = sorted(range(len(own)), key=lambda position: -own[position])
    ranks = {order[len(order) // 2]: "median", order[-1]: "worst", order[0]: "best"}
    return [
        _example(rank, evidence.rows[position], float(own[position]), float(others[position]))
        for position in order
        if (rank := ranks.get(position))
    ]


def _example(rank: str, row: Row, cosine: float, control: float) -> Example:
    said = row.explanation if row.status == "ok" else row.raw
    return Example(rank, row.id, _end_of(row.text), said, row.status, cosine, control)


def _end_of(text: str | None) -> str | None:
    if text is None or len(text) <= TEXT_END:
        return text
    return f"… {text[-TEXT_END:]}"
