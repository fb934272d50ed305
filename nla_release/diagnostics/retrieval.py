"""Whether a reconstruction retrieves its own activation among others, and by what margin.

Ten candidates are too few: chance is then one in ten. So all rows are candidates once, and then 50
at a time in several draws, of which the worst is shown.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt

from nla_release.diagnostics.model import Diagnostic, mean_row, permutation_sentence, ranking_rows
from nla_release.evidence.controls import all_places, centre
from nla_release.evidence.parts import Evidence
from nla_release.io.schema import Strict
from nla_release.statistics.blocks import BOOTSTRAP, AgainstChance, Inconclusive, Ranking, too_few
from nla_release.statistics.formulas import unit_rows
from nla_release.statistics.measures import FORMAT_3, Measures
from nla_release.statistics.places import Places, own_places
from nla_release.statistics.row import Row
from nla_release.text.numbers import count

# With 50 candidates, three hits in 50 rows are above chance. The same number for all pairs makes
# them comparable. With few rows it is half of them, so that draws differ. SolshineCode/gpu-poor-nla
# reported the worst of four draws.
CANDIDATES = 50
DRAWS = 4

_FOUND = "Own activation is the nearest of all (top-1)"
_MARGIN = "Centred cosine to the own activation above that to the nearest other"


class ActivationRetrieval(Strict):
    """Reconstructions to activations, by centred cosine; by plain cosine before format 3."""

    all: Ranking = Field(description="among the activations of all rows")
    drawn: Ranking = Field(description="among the rows of one draw: the worst of all draws")
    draws: PositiveInt = Field(description="draws of rows, each of half of them at most")
    margin: AgainstChance | None = Field(
        description="mean of centred cosine to the own activation - to the nearest other, over rows"
        " with an explanation; above 0 the own one is the nearest. Chance is the same of an"
        " activation at random in place of the own one; null when no row has an explanation"
    )


def report(evidence: Evidence, measures: Measures = FORMAT_3) -> ActivationRetrieval | Inconclusive:
    """Identity retrieval, over rows in the order of their ids, so that draws follow from them."""
    if few := too_few(evidence.documents):
        return few
    order = np.array(sorted(range(len(evidence.rows)), key=lambda row: evidence.rows[row].id))
    found = all_places(evidence, measures).in_order(order)
    documents = _at(evidence.documents, order)
    drawn = _rows_drawn(documents) if measures.clustered else _rows_drawn_singly(len(order))
    return ActivationRetrieval(
        all=measures.ranking(found, documents, documents),
        drawn=min(
            (_among(evidence, order[rows], measures) for rows in drawn),
            key=lambda ranking: (ranking.hits, ranking.mrr.mean),
        ),
        draws=DRAWS,
        margin=_margin(evidence, found, order, measures),
    )


def _rows_drawn(documents: Sequence[str]) -> list[npt.NDArray[np.intp]]:
    """Rows of whole documents, until the next document would make them more than the number.

    Drawn one by one, most rows would be the only ones of their document, and a text that says the
    document alone would find them.
    """
    random = np.random.RandomState(BOOTSTRAP.seed)
    names, index, sizes = np.unique(documents, return_inverse=True, return_counts=True)
    most = max(min(CANDIDATES, len(documents) // 2), int(sizes.max()), 2)
    drawn = []
    for _ in range(DRAWS):
        order = random.permutation(len(names))
        fitting = order[np.cumsum(sizes[order]) <= most]
        if sizes[fitting].sum() < 2:  # the first one is as large as may be, or alone
            fitting = order[:2]
        drawn.append(np.flatnonzero(np.isin(index, fitting)))
    return drawn


def _rows_drawn_singly(rows: int) -> list[npt.NDArray[np.intp]]:
    """As formats 1 and 2 drew them."""
    random = np.random.RandomState(BOOTSTRAP.seed)
    size = min(CANDIDATES, rows // 2)
    return [np.sort(random.permutation(rows)[:size]) for _ in range(DRAWS)]


def _among(evidence: Evidence, rows: npt.NDArray[np.intp], measures: Measures) -> Ranking:
    """Of some rows, among themselves."""
    real, gold = (evidence.vectors[name][rows] for name in ("real", "gold"))
    documents, mean = _at(evidence.documents, rows), centre(evidence, measures)
    return measures.ranking(own_places(real, gold, mean), documents, documents)


def _margin(
    evidence: Evidence, found: Places, order: npt.NDArray[np.intp], measures: Measures
) -> AgainstChance | None:
    failed, less = evidence.failed("real")[order], centre(evidence, measures)
    if failed.all():
        return None
    gold, real = (unit_rows(evidence.vectors[name], less) for name in ("gold", "real"))
    # The best candidate is ahead of the second, every other one behind the best.
    behind = (found.highest - found.second) / found.candidates
    chance = (real @ gold.mean(axis=0))[order] - found.highest + behind
    own, documents = found.score - found.nearest_other, _at(evidence.documents, order)
    explained = np.flatnonzero(~failed)
    return measures.against_chance(own[explained], chance[explained], _at(documents, explained))


def _at(documents: Sequence[str], rows: npt.NDArray[np.intp]) -> list[str]:
    return [documents[row] for row in rows]


def _rankings(found: ActivationRetrieval) -> dict[str, Ranking]:
    shown = {_FOUND: found.all}
    if found.drawn.candidates < found.all.candidates:
        subset = f"a random subset of {count(found.drawn.candidates, 'row')}"
        shown[f"Own activation is the nearest in {subset}, lowest of {found.draws} draws"] = (
            found.drawn
        )
    return shown


def _rows(found: ActivationRetrieval) -> Iterator[Row]:
    for name, ranking in _rankings(found).items():
        yield from ranking_rows(name, ranking)
    if found.margin:
        yield mean_row(_MARGIN, found.margin)


def _sentences(found: ActivationRetrieval) -> Iterator[str]:
    for name, ranking in _rankings(found).items():
        yield permutation_sentence(name, ranking)


DIAGNOSTIC = Diagnostic(
    name="retrieval",
    title="retrieval",
    meaning="reconstructions to activations",
    records=ActivationRetrieval,
    report=report,
    rows=_rows,
    sentences=_sentences,
    rankings=lambda found: {_FOUND: found.all},
)
