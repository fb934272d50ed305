"""Whether the AR distinguishes ordinary text, which no AV wrote, from gibberish.

The AR reads one held-out source text per document, and gibberish of equal length. This is L1 and L2
of SolshineCode/nla-gemma-4-e2b, with intervals: the difference of the mean cosines with the
document's activation, how often a source text scores above gibberish, and whether its
reconstruction is nearest to its own document's activation among those of all documents.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import Field, PositiveInt

from nla_release.diagnostics.model import (
    Diagnostic,
    DiagnosticEvidence,
    DiagnosticInputs,
    Plan,
    Texts,
    permutation_sentence,
    ranking_rows,
)
from nla_release.diagnostics.texts import gibberish as gibberish_like
from nla_release.evidence.controls import CONTROLS, between, centre
from nla_release.evidence.parts import Evidence, first_with_text
from nla_release.evidence.records import EvidenceRow
from nla_release.statistics.blocks import (
    MIN_ROWS,
    Cosine,
    Difference,
    Inconclusive,
    Interval,
    Proportion,
    Ranking,
)
from nla_release.statistics.formulas import (
    area_under_curve,
    bootstrap_area,
)
from nla_release.statistics.measures import FORMAT_3, Measures
from nla_release.statistics.places import own_places
from nla_release.statistics.row import Row, difference_row
from nla_release.text.numbers import number, unsigned

# [documents, d] each.
_FACTUAL, _GIBBERISH = "discrimination_factual", "discrimination_gibberish"
_FIRST = "Source text leads to its activation"


class Discrimination(Difference):
    """Factual texts against gibberish of the same length, one of each per document."""

    factual: Cosine = Field(description="mean cosine of factual texts to their activation")
    gibberish: Cosine = Field(description="mean cosine of gibberish to the same activation")
    n: PositiveInt = Field(description="documents with a source text, one pair of texts each")
    auc: Proportion = Field(description="how often a factual text outscores a gibberish one")
    auc_interval: Interval = Field(description="of auc; 0.5 is chance")
    cross_row: Ranking = Field(description="factual texts to activations, among all documents")


def report(
    evidence: Evidence, measures: Measures = FORMAT_3
) -> Discrimination | Inconclusive | None:
    """Documents are the observations, so plain resampling is resampling by document."""
    if _FACTUAL not in evidence.vectors:
        return None
    rows = first_with_text(evidence.rows)
    if len(rows) < MIN_ROWS:
        return Inconclusive(
            inconclusive=f"{len(rows)} documents with a source text are too few to tell; it takes"
            f" {MIN_ROWS}"
        )
    order = sorted(range(len(rows)), key=lambda i: evidence.documents[rows[i]])
    documents = [evidence.documents[rows[i]] for i in order]
    gold = evidence.vectors["gold"][rows][order]
    read = evidence.vectors[_FACTUAL][order]
    factual = between(evidence, gold, read, measures)
    gibberish = between(evidence, gold, evidence.vectors[_GIBBERISH][order], measures)
    (interval,) = measures.intervals((factual - gibberish)[np.newaxis], documents)
    return Discrimination(
        factual=factual.mean(),
        gibberish=gibberish.mean(),
        difference=(factual - gibberish).mean(),
        interval=interval,
        n=len(rows),
        auc=area_under_curve(factual, gibberish),
        auc_interval=bootstrap_area(factual, gibberish),
        cross_row=measures.ranking(
            own_places(read, gold, centre(evidence, measures)), documents, documents
        ),
    )


def _rows(found: Discrimination) -> Iterator[Row]:
    name = "Centred cosine of a source text, one per document"
    words = CONTROLS["gibberish"].words
    yield difference_row(name, found.factual, words, found.gibberish, found)
    yield from ranking_rows(_FIRST, found.cross_row)


def _sentences(found: Discrimination) -> Iterator[str]:
    """Whether the AR reads text that no AV wrote."""
    told = found.auc_interval is not None and found.auc_interval[0] > 0.5
    bounds = f"95% interval {unsigned(found.auc_interval)}" if found.auc_interval else "no interval"
    yield (
        f"A source text scores above gibberish of equal length in {number(found.auc)} of all pairs"
        f" ({bounds}, chance {number(0.5)}, n = {found.n}): the AR"
        f" {'tells' if told else 'is not shown to tell'} ordinary text from gibberish."
    )
    yield permutation_sentence(_FIRST, found.cross_row)


def ask(inputs: DiagnosticInputs) -> Plan:
    """The AR reads the first source text of each document, and gibberish of its length."""
    data, first = inputs.data, dict[str, tuple[str, str]]()
    for document, id_, text in zip(data.documents, data.ids, data.texts, strict=True):
        if text is not None:
            first.setdefault(document, (id_, text))
    if not first:
        return Plan(skipped="the data has no source texts")
    factual: Texts = [text for _, text in first.values()]
    gibberish: Texts = [gibberish_like(text, id_, inputs.seed) for id_, text in first.values()]
    return Plan(
        {"seed": inputs.seed, "documents": len(first)},
        texts={_FACTUAL: factual, _GIBBERISH: gibberish},
    )


def _documents_with_text(rows: Sequence[EvidenceRow]) -> int:
    return len(first_with_text(rows))


DIAGNOSTIC = Diagnostic(
    name="discrimination",
    title="discrimination",
    meaning="ordinary text from gibberish",
    records=Discrimination,
    report=report,
    rows=_rows,
    sentences=_sentences,
    ask=ask,
    recorded=DiagnosticEvidence({_FACTUAL: _documents_with_text, _GIBBERISH: _documents_with_text}),
    rankings=lambda found: {_FIRST: found.cross_row},
)
