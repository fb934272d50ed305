"""Whether the AV has more than a few things to say.

Beginnings at several lengths show a template that only its end varies; the largest cluster shows
how many rows share the most common one. A text that is said of several documents is not about any
of them, unless the labels do the same: where the data has labels, they are counted beside it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal, get_args

from pydantic import Field, NonNegativeInt, PositiveInt

from nla_release.calibration.blocks import Inconclusive, Ratio
from nla_release.calibration.enough import too_few
from nla_release.calibration.measures import FORMAT_3, Measures
from nla_release.calibration.parts import Evidence
from nla_release.calibration.row import Row, share_row
from nla_release.diagnostics.model import Diagnostic
from nla_release.schema import Strict
from nla_release.text.numbers import count

# The lengths at which SolshineCode/nla-gemma-4-e2b counts beginnings, up to twice its tripwire's.
Length = Literal["40", "60", "80", "120"]


class Beginnings(Strict):
    """Explanations grouped by their first characters."""

    distinct: PositiveInt = Field(description="different beginnings")
    largest: PositiveInt = Field(description="explanations with the most common one")


class Templates(Strict):
    """How often explanations repeat each other."""

    n: PositiveInt = Field(description="rows with an explanation")
    failed: NonNegativeInt = Field(description="rows without one, left out")
    beginnings: dict[Length, Beginnings] = Field(description="by number of characters")
    duplicates: Ratio = Field(
        description="explanations that are said word for word of another document too"
    )
    gold_duplicates: Ratio | None = Field(
        description="the same of the labels of these rows; null unless all have one"
    )


def report(evidence: Evidence, measures: Measures = FORMAT_3) -> Templates | Inconclusive:
    """Over rows with an explanation."""
    explained = [row for row in evidence.rows if row.status == "ok"]
    documents = [row.document for row in explained]
    if few := too_few(documents, "explanations"):
        return few
    texts = [row.explanation for row in explained]
    labels = [row.gold for row in explained if row.gold is not None]
    lengths: tuple[Length, ...] = get_args(Length)
    return Templates(
        n=len(texts),
        failed=len(evidence.rows) - len(texts),
        beginnings={length: _beginnings(texts, int(length)) for length in lengths},
        duplicates=_duplicates(texts, documents, measures),
        gold_duplicates=_duplicates(labels, documents, measures)
        if len(labels) == len(texts)
        else None,
    )


def _beginnings(texts: Sequence[str], length: int) -> Beginnings:
    counts = Counter(text[:length] for text in texts)
    return Beginnings(distinct=len(counts), largest=max(counts.values()))


def _duplicates(texts: Sequence[str], documents: Sequence[str], measures: Measures) -> Ratio:
    said_of = defaultdict(set)
    for text, document in zip(texts, documents, strict=True):
        said_of[text].add(document)
    return measures.ratio([len(said_of[text]) > 1 for text in texts], documents)


def _rows(found: Templates) -> Iterator[Row]:
    labels = found.gold_duplicates
    yield share_row(
        "Explanation said of another document too",
        found.duplicates,
        labels.share if labels else None,
        "of the labels" if labels else "",
    )


def _sentences(found: Templates) -> Iterator[str]:
    """How many ways there are to begin."""
    ways = ", ".join(
        f"{each.distinct} at {length} characters (the most common {count(each.largest, 'time')})"
        for length in get_args(Length)
        if (each := found.beginnings.get(length))
    )
    failed = f"; {found.failed} failed and are left out" if found.failed else ""
    yield f"Different beginnings of the {count(found.n, 'explanation')}: {ways}{failed}."


DIAGNOSTIC = Diagnostic(
    name="templates",
    title="templates",
    meaning="how often explanations repeat each other",
    records=Templates,
    report=report,
    rows=_rows,
    sentences=_sentences,
    metrics={"": ("diversity",)},
    mentioned=(
        r"beginnings?\b|begin\b|prefix|templates?\b|duplicate|word\sfor\sword|said\sof\sanother"
    ),
)
