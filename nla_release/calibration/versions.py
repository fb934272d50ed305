"""Several releases side by side, each on its own rows: figures to look at, nothing subtracted.

Between releases on other activations a difference means nothing: neither cosine nor FVE carries
over from one base, layer or reference set to another. What was measured on the same rows is
compared in `nla_release.calibration.compare`.
"""

from collections.abc import Iterable

from pydantic import Field

from nla_release.calibration.report import (
    Calibration,
    CosineSummary,
    CurrentCalibration,
    Fve,
    LabelName,
    PairContrast,
    Retrieval,
)
from nla_release.io.schema import Strict
from nla_release.statistics.blocks import Control, Cosine


class Version(Strict):
    """What one release measured, as its calibration has it: every figure with n and interval."""

    name: str = Field(description="how the reader knows it")
    rows: int = Field(description="activations asked", gt=0)
    documents: int = Field(description="documents that they come from", gt=0)
    cosine: CosineSummary
    predict_mean: Cosine = Field(description="what the mean training activation scores")
    shuffled: Control
    fve: Fve
    retrieval: Retrieval
    label: LabelName = Field(description="the verdict in a word")
    within: PairContrast | None = Field(
        default=None,
        description="own text - texts of the same document, centred cosines; absent before format 3"
        " of calibration.json, null with one row per document",
    )
    above_others: PairContrast | None = Field(
        default=None,
        description="own text - texts of other documents, centred cosines; absent before format 3"
        " of calibration.json",
    )


def side_by_side(calibrations: Iterable[tuple[str, Calibration]]) -> list[Version]:
    """The figures of every named calibration, in the given order."""
    return [
        Version(
            name=name,
            rows=each.denominators.rows,
            documents=each.denominators.documents,
            cosine=each.cosine,
            predict_mean=each.controls["predict_mean"].mean,
            shuffled=each.controls["shuffled"],
            fve=each.fve,
            retrieval=each.retrieval,
            label=each.label.name,
            **_contrasts(each),
        )
        for name, each in calibrations
    ]


def _contrasts(calibration: Calibration) -> dict[str, PairContrast | None]:
    """What the label rests on; nothing before format 3."""
    if not isinstance(calibration, CurrentCalibration):
        return {}
    found = calibration.contrasts
    return {"within": found.within, "above_others": found.above_others}
