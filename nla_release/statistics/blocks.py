"""The blocks that reports are built of, and how much evidence a block needs.

Numbers are rounded to six decimals when they enter a report, so that the last bits, in which linear
algebra libraries differ, do not change its bytes. What cannot be computed is null, never NaN.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, FiniteFloat, NonNegativeInt, PositiveInt

from nla_release.errors import NothingCheckedError
from nla_release.io.schema import Strict
from nla_release.statistics.formulas import DRAWS, LEVEL, SEED
from nla_release.text.numbers import count


def _rounded(value: float) -> float:
    return round(float(value), 6) + 0.0  # the sum turns -0.0 into 0.0


Number = Annotated[FiniteFloat, AfterValidator(_rounded)]
Cosine = Annotated[Number, Field(ge=-1, le=1)]
Proportion = Annotated[Number, Field(ge=0, le=1)]
Interval = Annotated[
    tuple[Number, Number] | None,
    Field(description="[low, high], by documents; null with fewer than 5 documents"),
]
Rows = Annotated[PositiveInt, Field(description="rows it was computed over, failures included")]


class Bootstrap(Strict):
    """Random draws: for permutations, sign flips and areas; before format 3 also for means."""

    draws: PositiveInt = Field(description="how many")
    seed: NonNegativeInt = Field(description="of the draws")
    cluster: Literal["document"] = Field(
        description="what is drawn with all of its rows; every interval is clustered by it"
    )
    level: Proportion = Field(description="of every interval in this report")


BOOTSTRAP = Bootstrap(draws=DRAWS, seed=SEED, cluster="document", level=LEVEL)


class Inconclusive(Strict):
    """Why there is no number."""

    inconclusive: str = Field(description="the reason")


class Difference(Strict):
    """The mean of paired differences over n rows."""

    difference: Number = Field(description="mean of value - control")
    interval: Interval = Field(description="of the difference")
    n: Rows


class Control(Difference):
    """The cosine of a control, compared with the real one row by row."""

    mean: Cosine = Field(description="cosine of the control over all rows")
    failed: NonNegativeInt = Field(
        description="rows where the control had no text: the empty text replaces another row's text"
        " and the explanation of another vector; a text made from the row's own explanation counts"
        " 0, as the explanation does"
    )
    inconclusive: str | None = Field(
        default=None, description="why the control decides nothing; absent when it does"
    )


class Ratio(Strict):
    """How many of how many."""

    hits: NonNegativeInt = Field(description="how many")
    n: PositiveInt = Field(description="of how many")
    share: Proportion = Field(description="hits / n")
    interval: tuple[Proportion, Proportion] = Field(
        description="Wilson, of the share, at the effective number of rows; before format 3 at"
        " their number"
    )


class AgainstChance(Difference):
    """A mean compared with chance."""

    mean: Number = Field(description="over all n")
    chance: Number = Field(description="mean of chance over all n")
    document_alone: Number | None = Field(
        default=None,
        description="the same of a text that names its document and nothing more; absent before"
        " format 3, and where documents are not known",
    )
    above_document_interval: Interval = Field(
        default=None, description="of mean - document_alone; absent before format 3"
    )


class Permutation(Strict):
    """Permutation test of documents: p = (#{null >= observed} + 1) / (draws + 1).

    Documents with equally many candidates are exchanged, each with all of its candidates.
    """

    p: Proportion = Field(description="one-sided")
    floor: Proportion = Field(description="1 / (draws + 1), below which p cannot fall")
    draws: PositiveInt = Field(description="permutations of the documents")


class TopOne(Strict):
    """How often the own candidate is the first among all of them."""

    hits: NonNegativeInt = Field(description="own candidate first; failures and ties are misses")
    n: Rows
    candidates: PositiveInt = Field(description="to choose from")
    top1: Proportion = Field(description="hits / n")
    interval: tuple[Proportion, Proportion] = Field(description="Wilson, of top1, as in a ratio")
    chance: Proportion = Field(description="of top1: 1 / candidates")
    document_alone: Proportion | None = Field(
        default=None,
        description="top1 of a text that names its document and nothing more; absent before"
        " format 3",
    )


class Ranking(TopOne):
    """The rank of the own candidate among all of them."""

    permutation: Permutation | Inconclusive = Field(description="of the hits")
    mrr: AgainstChance = Field(description="mean of 1 / rank; a failure ranks last")
    percentile: AgainstChance = Field(
        description="mean share of the other candidates that are farther: 1 is best, 0.5 is chance"
    )


# The minimum for a label and a diagnostic. A Wilson interval of 20 rows is up to 0.4 wide. The t
# quantile of 10 equal documents makes an interval 1.15 times as wide as that of many, of 5
# documents 1.42 times. Documents of unequal sizes count as fewer.
MIN_ROWS = 20
MIN_DOCUMENTS = 10

# With fewer documents there is no interval: its coverage was not measured.
MIN_DOCUMENTS_OF_INTERVAL = 5

# FVE divides by a variance, which is 0 when all training activations have one direction. Six
# decimals are published.
NO_VARIANCE = 1e-6


def too_few(documents: Sequence[str], what: str = "rows") -> Inconclusive | None:
    """Why observations of these documents [n] are too few; None when they are enough.

    `what` names the observations.
    """
    found = len(set(documents))
    if len(documents) >= MIN_ROWS and found >= MIN_DOCUMENTS:
        return None
    return Inconclusive(
        inconclusive=f"{len(documents)} {what} of {found} documents are too few to tell;"
        f" it takes {MIN_ROWS} of {MIN_DOCUMENTS}"
    )


def refuse_single(documents: Sequence[str]) -> None:
    """Refuse rows of these documents [N] that have no spread, or no text of another document.

    Raises:
        NothingCheckedError: there are fewer than two rows or documents.
    """
    rows, found = len(documents), len(set(documents))
    if rows < 2 or found < 2:
        raise NothingCheckedError(
            f"{count(rows, 'row')} of {count(found, 'document')}: a calibration needs two or more"
            " of each",
            hint="hold out activations of more documents, and run `nla-release roundtrip`",
        )
