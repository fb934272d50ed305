"""Whether the statements of an explanation carry the reconstruction, one by one.

The statements are joined to one text, one is left out, and the error should rise. Two controls
stand beside it. An unrelated statement, of another document, is put in and left out again: its loss
should lower the error if anything. And the very same texts are held against another document's
activation, where the statement should not be missed: an AR that any change of its text disturbs, or
that likes long texts, is disturbed there too.
"""

from typing import Annotated, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeInt, PositiveInt

from nla_release.calibration.blocks import Inconclusive, Interval, Number, Ratio
from nla_release.calibration.enough import NO_VARIANCE, too_few
from nla_release.calibration.evidence import Evidence
from nla_release.calibration.measures import FORMAT_3, Measures
from nla_release.calibration.records import Row
from nla_release.calibration.statistics import TIE, Floats, cosine_rows
from nla_release.calibration.texts import join_claims
from nla_release.calibration.vectors import CLAIM_TENSORS, JOINED_CLAIMS
from nla_release.schema import Strict, holds

ClaimControlName = Literal["unrelated_claim", "other_activation"]


class ClaimControl(Strict):
    """The same where the statement should not be missed, paired claim by claim."""

    mean: Number = Field(description="mean change of the error")
    difference: Number = Field(description="own change - this one")
    interval: Interval = Field(description="of the difference")
    fve: Number | None = Field(description="difference / Var(u(v)); null when that does not vary")
    n: PositiveInt = Field(description="claims left out, one at a time")


class Claims(Strict):
    """Change of the mean squared error, 2 (1 - cos), when a statement is left out."""

    rows: PositiveInt = Field(description="explanations of two or more claims")
    too_short: NonNegativeInt = Field(description="explanations of fewer, not probed")
    failed: NonNegativeInt = Field(description="rows without an explanation, not probed")
    n: PositiveInt = Field(description="claims left out, one at a time")
    change: Number = Field(description="mean change of the error; above 0 the claim was of use")
    interval: Interval = Field(description="of the change")
    fve: Number | None = Field(
        description="change / Var(u(v)), the fraction of variance that a claim explains; null when"
        " the reference set does not vary"
    )
    positive: Ratio = Field(description="claims whose loss raises the error")
    controls: Annotated[
        dict[ClaimControlName, ClaimControl], holds(*get_args(ClaimControlName))
    ] = Field(
        description="an unrelated claim, put in and left out again; and the same texts held against"
        " another document's activation"
    )


def report(evidence: Evidence, measures: Measures = FORMAT_3) -> Claims | Inconclusive | None:
    """Claim by claim, resampled by document."""
    if "claims_without" not in evidence.vectors:
        return None
    claims = [len(row.probed_claims) for row in evidence.rows]
    probed = [document for document, n in zip(evidence.documents, claims, strict=True) if n]
    if few := too_few(probed, "explanations of two or more claims"):
        return few
    if JOINED_CLAIMS not in evidence.vectors and any(map(_claims_differ, evidence.rows)):
        return Inconclusive(
            inconclusive="the claims of some row, joined, are not its explanation, and what the AR"
            " makes of them was not kept; measure it again"
        )
    own, others = _changes(evidence, claims)
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


def _changes(
    evidence: Evidence, claims: list[int]
) -> tuple[Floats, dict[ClaimControlName, Floats]]:
    """[K] changes of the error when a claim is left out: of the row, and of each control."""
    position = {row.id: index for index, row in enumerate(evidence.rows)}
    source = [position[row.shuffled_from] for row in evidence.rows]
    gold = evidence.vectors["gold"]
    own, other = (np.repeat(vectors, claims, axis=0) for vectors in (gold, gold[source]))
    full = np.repeat(_joined(evidence), [n for n in claims if n], axis=0)
    without, added = (evidence.vectors[name] for name in CLAIM_TENSORS)
    return 2 * (cosine_rows(own, full) - cosine_rows(own, without)), {
        "unrelated_claim": 2 * (cosine_rows(own, added) - cosine_rows(own, full)),
        "other_activation": 2 * (cosine_rows(other, full) - cosine_rows(other, without)),
    }


def _joined(evidence: Evidence) -> npt.NDArray[np.float32]:
    """[rows, d] what the AR makes of the joined claims of each probed row.

    Claims that the data gives are other words than the explanation: against that, leaving one out
    would cost what the rewording costs.
    """
    if JOINED_CLAIMS in evidence.vectors:
        return evidence.vectors[JOINED_CLAIMS]
    probed = [bool(row.probed_claims) for row in evidence.rows]
    return evidence.vectors["real"][probed]


def _claims_differ(row: Row) -> bool:
    """Whether the joined claims are another text than the explanation, beyond white space."""
    return bool(row.probed_claims) and join_claims(row.claims).split() != row.explanation.split()
