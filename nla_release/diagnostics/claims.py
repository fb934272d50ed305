"""Whether each statement of an explanation contributes to the reconstruction.

The statements are joined to one text, one is left out, and the error should rise. There are two
controls. An unrelated statement of another document is inserted and removed again, which should not
raise the error. And the same texts are compared with another document's activation, where leaving
the statement out should not matter. An AR that reacts to any change of its text, or prefers long
texts, reacts there too.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeInt, PositiveInt

from nla_release.diagnostics.model import (
    Diagnostic,
    DiagnosticEvidence,
    DiagnosticInputs,
    Plan,
    Texts,
)
from nla_release.diagnostics.texts import (
    join_claims,
    split_claims,
    with_unrelated,
    without_claim,
)
from nla_release.evidence.parts import Evidence
from nla_release.evidence.records import EvidenceRow
from nla_release.io.schema import Strict, holds
from nla_release.statistics.blocks import (
    NO_VARIANCE,
    Difference,
    Inconclusive,
    Interval,
    Number,
    Ratio,
    too_few,
)
from nla_release.statistics.formulas import TIE, Floats, cosine_rows
from nla_release.statistics.measures import FORMAT_3, Measures
from nla_release.statistics.row import Row, difference_row
from nla_release.text.numbers import count, interval, signed

ClaimControlName = Literal["unrelated_claim", "other_activation"]

_WORDS: dict[ClaimControlName, str] = {
    "unrelated_claim": "a claim of another document, inserted and removed again",
    "other_activation": "the same claim, left out for another document's activation",
}

# [K, d] each, over the claims of rows with two or more: without the claim, and with an unrelated
# one after it. [rows, d]: all claims of those rows, joined.
_WITHOUT, _ADDED, _JOINED = "claims_without", "claims_with_unrelated", "claims_joined"


class ClaimControl(Difference):
    """The change of the error where the claim should not matter, paired claim by claim."""

    mean: Number = Field(description="mean change of the error")
    fve: Number | None = Field(description="difference / Var(u(v)); null when that does not vary")


class Claims(Strict):
    """Change of the mean squared error, 2 (1 - cos), when a statement is left out."""

    rows: PositiveInt = Field(description="explanations of two or more claims")
    too_short: NonNegativeInt = Field(description="explanations of fewer, not measured")
    failed: NonNegativeInt = Field(description="rows without an explanation, not measured")
    n: PositiveInt = Field(description="claims left out, one at a time")
    change: Number = Field(description="mean change of the error; above 0 the claim was useful")
    interval: Interval = Field(description="of the change")
    fve: Number | None = Field(
        description="change / Var(u(v)), the fraction of variance that a claim explains; null when"
        " the reference set does not vary"
    )
    positive: Ratio = Field(description="claims whose loss raises the error")
    controls: Annotated[
        dict[ClaimControlName, ClaimControl], holds(*get_args(ClaimControlName))
    ] = Field(
        description="an unrelated claim, inserted and removed again; and the same texts compared"
        " with another document's activation"
    )


def report(evidence: Evidence, measures: Measures = FORMAT_3) -> Claims | Inconclusive | None:
    """Claim by claim, clustered by document."""
    if _WITHOUT not in evidence.vectors:
        return None
    claims = [len(row.probed_claims) for row in evidence.rows]
    probed = [document for document, n in zip(evidence.documents, claims, strict=True) if n]
    if few := too_few(probed, "explanations of two or more claims"):
        return few
    if _JOINED not in evidence.vectors and any(map(_claims_differ, evidence.rows)):
        return Inconclusive(
            inconclusive="the claims of some row, joined, are not its explanation, and what the AR"
            " makes of them was not kept; measure it again"
        )
    own, others = changes(evidence)
    documents = np.repeat(evidence.documents, claims).tolist()
    interval, *apart = measures.intervals(
        np.stack([own, *(own - other for other in others.values())]), documents
    )
    variance = evidence.run.reference.variance
    varies = variance >= NO_VARIANCE
    failed = int(evidence.failed("real").sum())
    return Claims(
        rows=len(probed),
        too_short=len(claims) - len(probed) - failed,
        failed=failed,
        n=len(own),
        change=own.mean(),
        interval=interval,
        fve=own.mean() / variance if varies else None,
        positive=measures.ratio(own > TIE, documents),
        controls={
            name: ClaimControl(
                mean=other.mean(),
                difference=(own - other).mean(),
                interval=difference_interval,
                fve=(own - other).mean() / variance if varies else None,
                n=len(own),
            )
            for (name, other), difference_interval in zip(others.items(), apart, strict=True)
        },
    )


def changes(evidence: Evidence) -> tuple[Floats, dict[ClaimControlName, Floats]]:
    """[K] changes of the error when a claim is left out: of the row, and of each control.

    In the order of the rows, and in each row with two claims or more in the order of its claims.
    """
    claims = [len(row.probed_claims) for row in evidence.rows]
    position = {row.id: index for index, row in enumerate(evidence.rows)}
    source = [position[row.shuffled_from] for row in evidence.rows]
    gold = evidence.vectors["gold"]
    own, other = (np.repeat(vectors, claims, axis=0) for vectors in (gold, gold[source]))
    full = np.repeat(_joined(evidence), [n for n in claims if n], axis=0)
    without, added = (evidence.vectors[name] for name in (_WITHOUT, _ADDED))
    return 2 * (cosine_rows(own, full) - cosine_rows(own, without)), {
        "unrelated_claim": 2 * (cosine_rows(own, added) - cosine_rows(own, full)),
        "other_activation": 2 * (cosine_rows(other, full) - cosine_rows(other, without)),
    }


def _joined(evidence: Evidence) -> npt.NDArray[np.float32]:
    """[rows, d] reconstructions of the joined claims of each row with two claims or more.

    Claims that the data gives are in other words than the explanation. Compared with it, leaving
    one out would also cost what the rewording costs.
    """
    if _JOINED in evidence.vectors:
        return evidence.vectors[_JOINED]
    probed = [bool(row.probed_claims) for row in evidence.rows]
    return evidence.vectors["real"][probed]


def _claims_differ(row: EvidenceRow) -> bool:
    """Whether the joined claims are another text than the explanation, beyond white space."""
    return bool(row.probed_claims) and join_claims(row.claims).split() != row.explanation.split()


def _rows(found: Claims) -> Iterator[Row]:
    name = "Error 2 (1 - cos), a claim left out"
    yield Row(
        name,
        found.change,
        found.n,
        control="nothing left out",
        baseline=0.0,
        difference=found.change,
        interval=found.interval,
    )
    for control, words in _WORDS.items():
        missed = found.controls[control]
        yield difference_row(name, found.change, words, missed.mean, missed)


def missed_by_its_own(found: Claims) -> bool:
    """Whether leaving a claim out costs more with the own activation than with another."""
    control = found.controls["other_activation"]
    return control.interval is not None and control.interval[0] > 0


def _sentences(found: Claims) -> Iterator[str]:
    """Whether claims matter for their own activation, which the second control decides."""
    control = found.controls["other_activation"]
    verdict = (
        "a claim is missed more by its own activation than by another's. A disturbance that shrinks"
        " every cosine alike would cost the larger one more, so a small difference is no proof"
        if missed_by_its_own(found)
        else "a claim is not shown to be missed more by its own activation than by another's. The"
        " AR may be disturbed by any shorter text"
    )
    asked = f"{count(found.rows, 'explanation')} of two or more claims"
    if found.too_short or found.failed:
        asked += f" ({found.too_short} shorter and {found.failed} failed were left out)"
    yield (
        f"In {asked}, leaving a claim out raised the error {found.positive.hits} times of"
        f" {found.positive.n}. Read the control of another activation: the error rises by"
        f" {signed(found.change)} against {signed(control.mean)} there (difference"
        f" {signed(control.difference)}, 95% interval {interval(control.interval)}): {verdict}."
    )


def ask(inputs: DiagnosticInputs) -> Plan:
    """The AR reads each explanation without each of its claims, and with an unrelated one."""
    given = [_stripped(claims) for claims in inputs.data.claims]
    explained = [text for _, text in inputs.rows()]
    claims = [
        (mine or split_claims(text)) if text else []
        for text, mine in zip(explained, given, strict=True)
    ]
    joined: Texts = []
    without: Texts = []
    unrelated: Texts = []
    for row, mine in enumerate(claims):
        if len(mine) < 2:
            continue
        others = _unrelated_claims(inputs, claims, row)
        if not others:
            return Plan(skipped="no row has a claim that is unrelated to another row's")
        joined.append(join_claims(mine))
        for k in range(len(mine)):
            without.append(without_claim(mine, k))
            unrelated.append(with_unrelated(mine, k, others[k % len(others)]))
    return Plan(
        {
            "rows": sum(len(mine) > 1 for mine in claims),
            "rows_of_one_claim": sum(len(mine) == 1 for mine in claims),
            "given_in_the_data": sum(
                bool(mine and text) for mine, text in zip(given, explained, strict=True)
            ),
        },
        texts={_JOINED: joined, _WITHOUT: without, _ADDED: unrelated},
        claims=claims,
    )


def _stripped(claims: list[str] | None) -> list[str]:
    return [claim.strip() for claim in claims or [] if claim and claim.strip()]


def _unrelated_claims(inputs: DiagnosticInputs, claims: Sequence[list[str]], row: int) -> list[str]:
    """Claims of another row that this row does not make.

    The first row that has any, starting at the row of its shuffled control, in the order of the
    data and with rows of other documents first.
    """
    documents, total = inputs.data.documents, len(claims)
    turn = [(inputs.other_rows[row] + step) % total for step in range(total)]
    for other in sorted(turn, key=lambda other: documents[other] == documents[row]):
        if unrelated := [claim for claim in claims[other] if claim not in claims[row]]:
            return unrelated
    return []


def _claims_left_out(rows: Sequence[EvidenceRow]) -> int:
    return sum(len(row.probed_claims) for row in rows)


def _misfit(rows: Sequence[EvidenceRow], tensors: Collection[str]) -> str | None:
    if _WITHOUT not in tensors and any(row.claims for row in rows):
        return f"has no tensor {_WITHOUT}, but rows have claims"
    return None


DIAGNOSTIC = Diagnostic(
    name="claims",
    title="claims",
    meaning="what each statement of an explanation carries",
    records=Claims,
    report=report,
    rows=_rows,
    sentences=_sentences,
    ask=ask,
    recorded=DiagnosticEvidence(
        tensors={_WITHOUT: _claims_left_out, _ADDED: _claims_left_out},
        sometimes={_JOINED: lambda rows: sum(bool(row.probed_claims) for row in rows)},
        misfit=_misfit,
    ),
)
