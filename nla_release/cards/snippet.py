"""Rows of the evidence as examples, and the programs that a card shows.

The programs are the usage snippets of both cards and `examples/round_trip.py`, which both
repositories contain. Their constants come from sidecar and evidence.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from nla_release.calibration.neighbours import neighbours
from nla_release.contract.explanation import Status
from nla_release.contract.prompt import av_prompt
from nla_release.contract.sidecar import Dtype, Quantization, Role, Sidecar
from nla_release.evidence.controls import centred_cosines
from nla_release.evidence.parts import Evidence
from nla_release.evidence.records import EvidenceRow
from nla_release.text.sandbox import render_template

# Shown when the evidence has no source text, or no explanation, to start from.
_ANY_TEXT = "The captain dropped the anchor and waited for the wind to turn."

_ANY_EXPLANATION = "a ship waiting at anchor for a favourable wind"

# The activation is taken at the end of its text; this much of it lets a reader judge.
TEXT_END = 240


@dataclass(frozen=True)
class Snippet:
    """What both roles' snippets are filled with.

    `ends_left` and `begins_right` are the characters around the marker in the template: its left
    neighbour token ends in the one, its right one begins with the other. They are None where the
    template gives none. `row` is the evidence row that `text` and `explanation` come from.
    """

    prompt: str
    ends_left: str | None
    begins_right: str | None
    row: str | None
    text: str
    explanation: str
    dtype: Dtype
    quantization: Quantization | None
    max_new_tokens: int


def snippet(sidecar: Sidecar, evidence: Evidence) -> Snippet:
    """The constants for the adapter of this sidecar; the example is the first explained row."""
    left, right = sidecar.prompt_templates.av.split("{injection_char}")
    shown = next((row for row in evidence.rows if row.status == "ok"), None)
    run = evidence.run
    return Snippet(
        prompt=av_prompt(sidecar.prompt_templates.av, sidecar.tokens.injection_char)
        if sidecar.role == "av"
        else sidecar.prompt_templates.ar,
        ends_left=left[-1:] or None,
        begins_right=right[:1] or None,
        row=shown.id if shown else None,
        text=shown.text if shown and shown.text else _ANY_TEXT,
        explanation=shown.explanation if shown else _ANY_EXPLANATION,
        dtype=run.precision.dtype,
        quantization=run.precision.quantization,
        max_new_tokens=run.decoding.max_new_tokens,
    )


def round_trip(
    sidecars: Mapping[Role, Sidecar], evidence: Evidence, repos: Mapping[Role, str], tag: str
) -> str:
    """The text of `examples/round_trip.py`, the same in both repositories.

    Args:
        sidecars: of both adapters.
        evidence: whose first explained row is the example.
        repos: both repositories.
        tag: of the release.
    """
    known = snippet(sidecars["av"], evidence)
    context = {
        "sidecars": {
            role: sidecar.model_dump(mode="json", by_alias=True)
            for role, sidecar in sidecars.items()
        },
        "snippet": asdict(known),
        "av_prompt": known.prompt,
        "repos": dict(repos),
        "tag": tag,
    }
    return render_template("round_trip.py.jinja", context)


@dataclass(frozen=True)
class Example:
    """One row of the evidence as a card shows it.

    `said` is the explanation, or the AV's raw output when there is none. `cosine` is the centred
    cosine; a row without an explanation counts as 0. `others` is the mean over the explanations of
    other documents, None for a row without an explanation or when there is one document only.
    """

    rank: str
    id: str
    text: str | None
    said: str
    status: Status
    cosine: float
    others: float | None


def examples(evidence: Evidence) -> list[Example]:
    """Best, median and worst row by centred cosine, so that nobody picks the nice ones.

    Ties are in the order of the rows, and no row is shown twice.
    """
    own, others = centred_cosines(evidence, "real"), neighbours(evidence).others
    order = sorted(range(len(own)), key=lambda position: -own[position])
    ranks = {order[len(order) // 2]: "median", order[-1]: "worst", order[0]: "best"}
    return [
        _example(rank, evidence.rows[position], float(own[position]), float(others[position]))
        for position in order
        if (rank := ranks.get(position))
    ]


def _example(rank: str, row: EvidenceRow, cosine: float, others: float) -> Example:
    said = row.explanation if row.status == "ok" else row.raw
    compared = None if math.isnan(others) else others
    return Example(rank, row.id, _end_of(row.text), said, row.status, cosine, compared)


def _end_of(text: str | None) -> str | None:
    if text is None or len(text) <= TEXT_END:
        return text
    return f"… {text[-TEXT_END:]}"
