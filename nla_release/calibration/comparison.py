"""The format of comparison.json: releases on their common rows, and each on its own rows.

Figures on different rows are only listed next to each other. Their differences mean nothing: cosine
and FVE do not carry over to another base, layer or reference set.
"""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, FiniteFloat, NonNegativeInt, PositiveInt

from nla_release.calibration.report import (
    Calibration,
    CosineSummary,
    CurrentCalibration,
    EvidenceHashes,
    Fve,
    LabelName,
    PairContrast,
    Retrieval,
)
from nla_release.evidence.settings import Differing
from nla_release.io.files import dump_json
from nla_release.io.schema import Strict
from nla_release.statistics.blocks import Bootstrap, Control, Cosine, Difference, Interval, Number


class ReleaseFigures(Strict):
    """The main figures of one release, from its calibration, with n and interval."""

    name: str = Field(description="of the release")
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


def side_by_side(calibrations: Iterable[tuple[str, Calibration]]) -> list[ReleaseFigures]:
    """The main figures of each named calibration, in the given order."""
    return [
        ReleaseFigures(
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
    """The contrasts that decide the label; none before format 3."""
    if not isinstance(calibration, CurrentCalibration):
        return {}
    found = calibration.contrasts
    return {"within": found.within, "above_others": found.above_others}


Relation = Literal[
    "the same evidence",
    "the same pair, measured again",
    "the same texts, another AR",
    "another AV, the same AR",
    "another pair on the same activations",
]


# 2 is written; 1 is read, and recomputed for published releases.
ComparisonFormat = Literal[1, 2]

# Decided on the interval of the first figure: centred cosines, or plain ones where the releases
# name other reference sets, and in format 1.
PairedVerdict = Literal["better", "worse", "no difference shown", "inconclusive"]


# Three digits that count: six decimals would turn a small one into an impossible 0.
PValue = Annotated[
    FiniteFloat, Field(ge=0, le=1), AfterValidator(lambda value: float(f"{value:.3g}"))
]


class PairedFigure(Difference):
    """One figure of both releases over the common rows, and the mean paired difference."""

    name: str = Field(description="what is averaged")
    first: Number = Field(description="mean of the first release")
    second: Number = Field(description="mean of the second release")
    difference: Number = Field(description="second - first")
    n: PositiveInt = Field(
        description="common rows, failures included; for a claim left out, their claims, and for"
        " source texts, their documents"
    )


class PairedRetrieval(Strict):
    """Top-1 retrieval among the activations of the common rows, compared row by row."""

    first_hits: NonNegativeInt = Field(description="rows that the first release retrieves")
    second_hits: NonNegativeInt = Field(description="rows that the second release retrieves")
    only_first: NonNegativeInt = Field(description="rows that the first alone retrieves")
    only_second: NonNegativeInt = Field(description="rows that the second alone retrieves")
    n: PositiveInt = Field(description="common rows, which are the candidates too")
    p: PValue = Field(
        description="two-sided, flipping the signs of whole documents; of format 1 an exact McNemar"
        " test, which takes rows as independent"
    )


class Paired(Strict):
    """Two releases on their common rows."""

    first: str = Field(description="name of the first release")
    second: str = Field(description="name of the second release")
    relation: Relation = Field(description="what the second is to the first")
    rows: PositiveInt = Field(description="common rows")
    documents: PositiveInt = Field(description="documents of the common rows")
    only_first: NonNegativeInt = Field(description="rows of the first that the second lacks")
    only_second: NonNegativeInt = Field(description="rows of the second that the first lacks")
    first_failed: NonNegativeInt = Field(description="common rows without an explanation, first")
    second_failed: NonNegativeInt = Field(description="common rows without an explanation, second")
    figures: list[PairedFigure] = Field(description="means; the first decides the verdict")
    left_out: list[str] = Field(description="figures that cannot be compared, and why")
    retrieval: PairedRetrieval
    verdict: PairedVerdict = Field(description="of the second: what the first figure shows")


class ClaimsRead(Strict):
    """How one release's AR reacts to leaving out one claim of an explanation."""

    rows: PositiveInt = Field(description="explanations of two or more claims")
    n: PositiveInt = Field(description="claims left out, one at a time")
    mse: Number = Field(description="mean change of the error 2 (1 - cos)")
    mse_interval: Interval = Field(description="of mse, clustered by document")
    fve: Number | None = Field(
        description="mse / Var(u(v)); null when the reference set does not vary"
    )
    fve_interval: Interval = Field(description="of fve")
    above_other: Number = Field(
        description="mse - the same change held against another document's activation"
    )
    above_other_interval: Interval = Field(description="of above_other")


class Unpaired(Strict):
    """Two releases without a common row, which are not compared."""

    first: str = Field(description="name of the first release")
    second: str = Field(description="name of the second release")
    reason: str = Field(description="why no row is common")


class Comparison(Strict):
    """Several releases compared with the first, with the settings that differ."""

    schema_: ComparisonFormat = Field(alias="schema", description="version of this format")
    tool_version: str = Field(description="of nla_release")
    bootstrap: Bootstrap
    evidence: list[EvidenceHashes] = Field(description="what was compared, in order")
    releases: list[ReleaseFigures] = Field(description="each on its own rows, in order")
    claims: list[ClaimsRead | None] = Field(
        default=[],
        description="each release's AR on explanations without one of their claims, in order;"
        " absent where no release has it, and in format 1",
    )
    differing: list[Differing] = Field(description="settings that are not the same everywhere")
    against_first: list[Paired | Unpaired] = Field(
        description="each release but the first, in order, against the first"
    )
    multiplicity: str = Field(description="how many comparisons were made")

    def dump(self) -> str:
        """Its JSON text, the same for the same evidence."""
        left_out = set() if self.claims else {"claims"}
        return dump_json(self.model_dump(by_alias=True, mode="json", exclude=left_out))

    @property
    def paired(self) -> list[Paired]:
        """The releases that have rows in common with the first."""
        return [each for each in self.against_first if isinstance(each, Paired)]
