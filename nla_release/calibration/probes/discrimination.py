"""Whether the AR tells texts apart that it was not trained to write: facts from gibberish.

Held-out source texts go through the AR, and so does gibberish of equal length, one per document.
This is L1 and L2 of SolshineCode/nla-gemma-4-e2b, with intervals: the gap of the mean cosines to
the document's activation, how often a factual text outscores a gibberish one, and whether its
reconstruction is nearest to its own document's activation among those of all documents.
"""

import numpy as np
from pydantic import Field, PositiveInt

from nla_release.calibration.blocks import (
    BOOTSTRAP,
    Cosine,
    Inconclusive,
    Interval,
    Number,
    Proportion,
    Ranking,
)
from nla_release.calibration.enough import MIN_ROWS
from nla_release.calibration.evidence import Evidence
from nla_release.calibration.measures import FORMAT_3, Measures
from nla_release.calibration.statistics import (
    area_under_curve,
    bootstrap_area,
    cosine_rows,
    unit_rows,
)
from nla_release.schema import Strict


class Discrimination(Strict):
    """Factual texts against gibberish of the same length, one of each per document."""

    factual: Cosine = Field(description="mean cosine of factual texts to their activation")
    gibberish: Cosine = Field(description="mean cosine of gibberish to the same activation")
    difference: Number = Field(description="factual - gibberish")
    interval: Interval = Field(description="of the difference")
    n: PositiveInt = Field(description="documents with a source text, one pair of texts each")
    auc: Proportion = Field(description="how often a factual text outscores a gibberish one")
    auc_interval: Interval = Field(description="of auc; 0.5 is chance")
    cross_row: Ranking = Field(description="factual texts to activations, among all documents")


def report(
    evidence: Evidence, measures: Measures = FORMAT_3
) -> Discrimination | Inconclusive | None:
    """Documents are the observations, so plain resampling is resampling by document."""
    if "discrimination_factual" not in evidence.vectors:
        return None
    rows = evidence.discriminated
    if len(rows) < MIN_ROWS:
        return Inconclusive(
            inconclusive=f"{len(rows)} documents with a source text are too few to tell; it takes"
            f" {MIN_ROWS}"
        )
    order = sorted(range(len(rows)), key=lambda i: evidence.documents[rows[i]])
    documents = [evidence.documents[rows[i]] for i in order]
    gold = evidence.vectors["gold"][rows][order]
    read = evidence.vectors["discrimination_factual"][order]
    factual = cosine_rows(gold, read)
    gibberish = cosine_rows(gold, evidence.vectors["discrimination_gibberish"][order])
    (interval,) = measures.intervals((factual - gibberish)[np.newaxis], documents)
    return Discrimination(
        factual=factual.mean(),
        gibberish=gibberish.mean(),
        difference=(factual - gibberish).mean(),
        interval=interval,
        n=len(rows),
        auc=area_under_curve(factual, gibberish),
        auc_interval=bootstrap_area(
            factual,
            gibberish,
            draws=BOOTSTRAP.draws,
            seed=BOOTSTRAP.seed,
            level=BOOTSTRAP.level,
        ),
        cross_row=measures.ranking(
            unit_rows(read) @ unit_rows(gold).T, np.arange(len(rows)), documents, documents
        ),
    )
