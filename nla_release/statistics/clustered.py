"""Intervals clustered by document, of means, ratios and shares; and a sign-flip test.

Rows of one document resemble each other, so N rows hold fewer than N independent observations. Each
function sums by document, and takes its degrees of freedom from the effective number of documents,
which is smaller than their number when their sizes differ. `clusters` [N] is the document of each
row, and `level` that of the intervals.

No interval here is random. `benchmarks/coverage.py` measures how often each covers the true value.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from nla_release.statistics.formulas import DRAWS, LEVEL, SEED, Floats, Interval


def effective_documents(clusters: Sequence[str]) -> float:
    """`D / (1 + CV^2)`: D documents of equal sizes count D, of unequal sizes fewer.

    CV is the coefficient of variation of the documents' numbers of rows. This is the simplest form
    of the effective number of clusters, for a mean and rows that are alike within a document.

    Source: Carter, Schnepel and Steigerwald, Review of Economics and Statistics 99 (2017).
    """
    return effective_number(np.unique(np.asarray(clusters), return_counts=True)[1])


def effective_number(sizes: npt.NDArray[Any]) -> float:
    """The same for the sizes [D] of any groups."""
    return float(sizes.sum() ** 2 / np.sum(sizes.astype(np.float64) ** 2))


def mean_intervals(
    values: Floats, clusters: Sequence[str], *, level: float = LEVEL
) -> list[Interval | None]:
    """Intervals by t of the means of K statistics [K, N], with a variance clustered by document.

    The variance is CR1: `D / (D - 1) * sum_d (sum of residuals of document d)^2 / N^2`. The degrees
    of freedom are `effective_documents - 1`. With fewer than two effective documents all are None.

    Source: Cameron and Miller, Journal of Human Resources 50 (2015), sections II and VI.
    """
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    documents = len(names)
    freedom = effective_documents(clusters) - 1
    if documents < 2 or freedom < 1:
        return [None] * len(values)
    means = values.mean(axis=1)
    residuals = _sums(values - means[:, np.newaxis], index, documents)
    variance = documents / (documents - 1) * np.sum(residuals**2, axis=1) / values.shape[1] ** 2
    margin = t_quantile(freedom, level) * np.sqrt(variance)
    return [(float(m - w), float(m + w)) for m, w in zip(means, margin, strict=True)]


def ratio_intervals_of_means(
    numerators: Floats, denominator: Floats, clusters: Sequence[str], *, level: float = LEVEL
) -> list[Interval | None]:
    """Intervals by t of K ratios of means, [K, N] over [N], by the jackknife over documents.

    All are None with fewer than two effective documents, and where the interval of the denominator
    contains 0: the ratio then has no finite interval.

    Source: Efron and Stein, Annals of Statistics 9 (1981).
    """
    (of_denominator,) = mean_intervals(denominator[np.newaxis], clusters, level=level)
    if of_denominator is None or of_denominator[0] <= 0 <= of_denominator[1]:
        return [None] * len(numerators)
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    above = _sums(numerators, index, len(names))
    below = _sums(denominator[np.newaxis], index, len(names))
    ratios = above.sum(axis=1) / below.sum()
    without = (above.sum(axis=1, keepdims=True) - above) / (below.sum() - below)
    freedom = effective_documents(clusters) - 1
    return [
        jackknife_interval(float(ratio), others, freedom, level=level)
        for ratio, others in zip(ratios, without, strict=True)
    ]


def share_interval(
    hits: npt.NDArray[np.bool_], clusters: Sequence[str], *, level: float = LEVEL
) -> Interval:
    """Wilson's score interval of the share of hits [N] at the effective number of rows.

    That number is `N / design effect`. The design effect is the clustered variance of the share
    divided by the binomial one, at least 1. The quantile is that of t, with at least 1 and up to
    `effective_documents - 1` degrees of freedom. Where all rows hit or all miss, no design effect
    can be measured, and the effective number of documents is used. The interval is within [0, 1].

    Source: Wilson (1927); the effective number of rows as in Kish, Survey Sampling (1965), section
    8.2, and Dean and Pagano, Journal of Survey Statistics and Methodology 3 (2015).
    """
    values = hits.astype(np.float64)
    n, share = len(values), float(values.mean())
    documents = effective_documents(clusters)
    if share in (0.0, 1.0):
        size = documents
    else:
        names, index = np.unique(np.asarray(clusters), return_inverse=True)
        residuals = _sums((values - share)[np.newaxis], index, len(names))[0]
        clustered = len(names) / max(1, len(names) - 1) * np.sum(residuals**2) / n**2
        size = n / max(1.0, clustered / (share * (1 - share) / n))
    z = t_quantile(max(1.0, documents - 1), level)
    width = size + z**2
    centre = (size * share + z**2 / 2) / width
    margin = z / width * math.sqrt(size * share * (1 - share) + z**2 / 4)
    low = max(0.0, centre - margin) if share > 0 else 0.0
    high = min(1.0, centre + margin) if share < 1 else 1.0
    return low, high


def best_as_ties(differences: Floats, failed: npt.NDArray[np.bool_]) -> Floats:
    """[N] weights of differences [N]: 0 for a failed row, and for as many of the best rows.

    The rows that failed may be those that would have scored worst, which makes the mean of the
    others too high. Counting as many of the best rows as ties compensates for that. Only
    differences above 0 are removed. Equal differences share the weights, so the order of the rows
    does not matter.
    """
    weights: Floats = np.where(failed, 0.0, 1.0)
    values = np.where(failed, -np.inf, np.round(differences, 9))
    left = int(failed.sum())
    for value, count in zip(*np.unique(-values, return_counts=True), strict=True):
        if not left or value >= 0:
            break
        taken = min(left, int(count))
        weights[values == -value] = 1 - taken / count
        left -= taken
    return weights


def lower(intervals: Sequence[Interval | None]) -> Interval | None:
    """The first interval with the lowest lower end of all; None where one is missing."""
    known = [each for each in intervals if each is not None]
    if len(known) < len(intervals):
        return None
    return min(low for low, _ in known), known[0][1]


def jackknife_interval(
    value: float, without: Floats, freedom: float, *, level: float = LEVEL
) -> Interval | None:
    """Interval by t of a statistic from its values without one document each, `without` [D]."""
    if len(without) < 2 or freedom < 1:
        return None
    margin = t_quantile(freedom, level) * math.sqrt(jackknife_variance(without))
    return value - margin, value + margin


def jackknife_variance(without: Floats) -> float:
    """`(D - 1) / D * sum_d (value without d - their mean)^2`.

    Source: Efron and Stein, Annals of Statistics 9 (1981).
    """
    count = len(without)
    return float((count - 1) / count * np.sum((without - without.mean()) ** 2))


def sign_flip_p(
    differences: Floats, clusters: Sequence[str], *, draws: int = DRAWS, seed: int = SEED
) -> float | None:
    """Two-sided p of a mean of paired differences, flipping the signs of whole documents.

    The differences are [N]. All `2^D` flips are used where they are no more than `draws`. None with
    fewer than two documents that differ.

    Source: Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9 (2010);
    sign flips as in Winkler et al., NeuroImage 92 (2014), with documents as exchangeability blocks.
    """
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    sums = _sums(differences[np.newaxis], index, len(names))[0]
    sums = sums[np.abs(sums) > _SAME * len(differences)]
    if len(sums) < 2:
        return None
    observed = abs(sums.sum()) * (1 - _SAME)
    if 2 ** len(sums) <= draws:
        codes = np.arange(2 ** len(sums))[:, np.newaxis] >> np.arange(len(sums)) & 1
        return float(np.mean(np.abs((1 - 2 * codes) @ sums) >= observed))
    flips = 1 - 2 * np.random.RandomState(seed).randint(2, size=(draws, len(sums)))
    return float((np.sum(np.abs(flips @ sums) >= observed) + 1) / (draws + 1))


# Of float32 inputs: differences below this are rounding.
_SAME = 1e-9


def _sums(values: Floats, index: npt.NDArray[np.intp], groups: int) -> Floats:
    """[K, groups] sums of [K, N] by group."""
    return np.stack([np.bincount(index, weights=row, minlength=groups) for row in values])


@lru_cache(maxsize=64)
def t_quantile(freedom: float, level: float) -> float:
    """The two-sided quantile of Student's t."""
    from scipy.special import stdtrit  # takes a while to import, and `--help` needs none of it

    return float(stdtrit(freedom, (1 + level) / 2))
