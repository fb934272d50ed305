"""Statistics as the blocks of a report, all at the report's bootstrap and level."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from nla_release.calibration.blocks import (
    BOOTSTRAP,
    AgainstChance,
    Control,
    Inconclusive,
    Permutation,
    Ranking,
    Ratio,
)
from nla_release.calibration.enough import MIN_DOCUMENTS_OF_INTERVAL
from nla_release.calibration.statistics import (
    Floats,
    Interval,
    bootstrap_ratio,
    clustered_bootstrap,
    first_alone,
    permutation_p,
    permuted_hits,
    ranks,
    wilson,
)

_Name = TypeVar("_Name", bound=str)

UNEQUAL = Inconclusive(
    inconclusive="no two documents have equally many candidates, so none can change places"
)


def intervals(values: Floats, documents: Sequence[str]) -> list[Interval | None]:
    """Of the means of K statistics [K, N], resampling documents; None with few documents."""
    if len(set(documents)) < MIN_DOCUMENTS_OF_INTERVAL:
        return [None] * len(values)
    return clustered_bootstrap(
        values, documents, draws=BOOTSTRAP.draws, seed=BOOTSTRAP.seed, level=BOOTSTRAP.level
    )


def ratio_intervals(
    numerators: Floats, denominator: Floats, documents: Sequence[str]
) -> list[Interval | None]:
    """Of K ratios of means, [K, N] over [N], resampling documents; None with few documents."""
    if len(set(documents)) < MIN_DOCUMENTS_OF_INTERVAL:
        return [None] * len(numerators)
    return bootstrap_ratio(
        numerators,
        denominator,
        documents,
        draws=BOOTSTRAP.draws,
        seed=BOOTSTRAP.seed,
        level=BOOTSTRAP.level,
    )


def controls(
    real: Floats,
    others: Mapping[_Name, Floats],
    documents: Sequence[str],
    failed: Mapping[_Name, int],
) -> dict[_Name, Control]:
    """Each control's cosines [N] against the real ones [N]; mostly failed, it decides nothing."""
    if not others:
        return {}
    differences = np.stack([real - other for other in others.values()])
    found = {}
    for (name, other), difference, interval in zip(
        others.items(), differences, intervals(differences, documents), strict=True
    ):
        found[name] = Control(
            mean=other.mean(),
            difference=difference.mean(),
            interval=interval,
            n=len(other),
            failed=failed[name],
        )
        if 2 * failed[name] > len(other):
            reason = f"{failed[name]} of its {len(other)} texts failed"
            found[name] = found[name].model_copy(update={"interval": None, "inconclusive": reason})
    return found


def ratio(hits: int, n: int) -> Ratio:
    """A share with its Wilson interval."""
    return Ratio(hits=hits, n=n, share=hits / n, interval=wilson(hits, n, level=BOOTSTRAP.level))


def against_chance(
    values: Floats, chance: float | Floats, documents: Sequence[str]
) -> AgainstChance:
    """The mean of [N] beside what guessing gives: everywhere the same, or [N]."""
    differences = values - chance
    (interval,) = intervals(differences[np.newaxis], documents)
    return AgainstChance(
        mean=values.mean(),
        chance=float(np.mean(chance)),
        difference=differences.mean(),
        interval=interval,
        n=len(values),
    )


def ranking(
    scores: Floats,
    own: npt.NDArray[np.intp],
    documents: Sequence[str],
    candidate_documents: Sequence[str],
) -> Ranking:
    """How well scores [N, M] find each row's own candidate, `own` [N], among M of at least two.

    A row of zeros found nothing: it is a miss and ranks last. Ties count against the own one.

    Args:
        scores: [N, M].
        own: [N] the candidate that each row should find.
        documents: [N] of the rows, for the intervals.
        candidate_documents: [M], for the permutation.
    """
    n, candidates = scores.shape
    rank = ranks(scores, own)
    hits = int((rank == 1).sum())
    return Ranking(
        hits=hits,
        n=n,
        candidates=candidates,
        top1=hits / n,
        interval=wilson(hits, n, level=BOOTSTRAP.level),
        chance=1 / candidates,
        permutation=_permutation(scores, own, candidate_documents, hits),
        mrr=against_chance(1 / rank, float(np.mean(1 / np.arange(1, candidates + 1))), documents),
        percentile=against_chance((candidates - rank) / (candidates - 1), 0.5, documents),
    )


def _permutation(
    scores: Floats, own: npt.NDArray[np.intp], documents: Sequence[str], hits: int
) -> Permutation | Inconclusive:
    sizes = Counter(documents).values()
    if len(set(sizes)) == len(sizes):
        return UNEQUAL
    draws = BOOTSTRAP.draws
    null = permuted_hits(first_alone(scores), own, documents, draws=draws, seed=BOOTSTRAP.seed)
    if null.min() == null.max():
        return Inconclusive(
            inconclusive=f"every chance assignment gives the same {int(null[0])} hits, so that hits"
            " decide nothing"
        )
    return Permutation(p=permutation_p(null, hits), floor=1 / (draws + 1), draws=draws)
