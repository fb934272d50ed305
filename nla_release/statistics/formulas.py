"""The formulas, as functions of arrays. All arithmetic is float64."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]

# Random draws where a function is not told otherwise. The same seed gives the same draws on every
# machine: numpy promises never to change the legacy generator's stream (NEP 19).
DRAWS, SEED = 2000, 0
LEVEL = 0.95  # of intervals

# Inputs are float32, whose rounding (6e-8) moves a cosine by about as much: what is closer than
# this may be the same.
TIE = 1e-7
# Numbers of an array that are held at once, 16 MB of them.
AT_ONCE = 2_000_000
# Numbers that a processor's cache holds, 1 MB of them.
_CACHED = 131_072

# A norm of as many times the median stands out; single tokens reach a hundred times in some bases.
OUTLYING = 10.0


@dataclass(frozen=True)
class NormSummary:
    """L2 norms of N vectors: their mean and median, and how many rows stand out.

    `typical` is the mean without the `outliers`, the rows with more than ten times the median;
    `largest` is the largest norm.
    """

    rows: int
    mean: float
    typical: float
    median: float
    outliers: int
    largest: float

    @property
    def sentence(self) -> str | None:
        """How many rows stand out, for a message; None when none does."""
        if not self.outliers:
            return None
        return (
            f"{self.outliers} of {self.rows} activations have more than {OUTLYING:g} times the"
            f" median norm {self.median:.4g}, the largest {self.largest / self.median:.4g} times"
        )


def norm_summary(vectors: npt.NDArray[Any]) -> NormSummary:
    """The norms of vectors `[N, d]`, N of at least one."""
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    median = float(np.median(norms))
    usual = norms[norms <= OUTLYING * median]
    return NormSummary(
        rows=len(norms),
        mean=float(norms.mean()),
        typical=float(usual.mean()),
        median=median,
        outliers=len(norms) - len(usual),
        largest=float(norms.max()),
    )


def unit_rows(
    vectors: npt.NDArray[np.floating[Any]], less: npt.NDArray[np.floating[Any]] | None = None
) -> Floats:
    """Each row of [N, d] at L2 norm 1; a zero row stays zero.

    With `less` [d], what is left of these unit rows without that vector, at norm 1 again.
    """
    units = np.empty(vectors.shape)
    for rows in row_blocks(len(vectors), vectors.shape[1]):
        block = units[rows]
        block[:] = vectors[rows]
        _normalise(block)
        if less is not None:
            block -= np.where(block.any(axis=1, keepdims=True), less, 0)
            _normalise(block)
    return units


def _normalise(block: Floats) -> None:
    """In place."""
    norms = np.sqrt(np.einsum("ij,ij->i", block, block))
    block /= np.where(norms > 0, norms, 1)[:, np.newaxis]


def cosine_rows(
    a: npt.NDArray[np.floating[Any]],
    b: npt.NDArray[np.floating[Any]],
    less: npt.NDArray[np.floating[Any]] | None = None,
) -> Floats:
    """[N] cosines of the paired rows of two [N, d]; 0 where either row is zero.

    With `less` [d], of their unit rows less that vector.
    """
    cosines = np.zeros(len(a))
    for rows in row_blocks(*a.shape):
        if less is None:
            first, second = a[rows].astype(np.float64), b[rows].astype(np.float64)
        else:
            first, second = unit_rows(a[rows]) - less, unit_rows(b[rows]) - less
        squares = np.einsum("ij,ij->i", first, first) * np.einsum("ij,ij->i", second, second)
        products = np.einsum("ij,ij->i", first, second)
        np.divide(products, np.sqrt(squares), out=cosines[rows], where=squares > 0)
    return np.clip(cosines, -1, 1)


def dots(
    a: npt.NDArray[Any],
    rows: npt.NDArray[np.intp],
    b: npt.NDArray[Any],
    others: npt.NDArray[np.intp],
) -> Floats:
    """[M] the product of a row of `a` and one of `b`, for M pairs of them."""
    found = np.empty(len(rows))
    for some in row_blocks(len(rows), a.shape[1]):
        np.einsum("ij,ij->i", a[rows[some]], b[others[some]], out=found[some])
    return found


def group_sums(
    vectors: Floats, groups: npt.NDArray[np.intp], weights: Floats | None = None
) -> Floats:
    """[G, d] sums of vectors [N, d] by group [N], from 0 to G - 1, each times its weight [N]."""
    from scipy.sparse import csr_array  # takes a while to import, and `--help` needs none of it

    rows = np.arange(len(vectors))
    times = np.ones(len(vectors)) if weights is None else weights
    found: Floats = csr_array((times, (groups, rows)), (groups.max() + 1, len(rows))) @ vectors
    return found


def row_blocks(rows: int, width: int, numbers: int = _CACHED) -> Iterator[slice]:
    """All of [rows, width] in turn, so many rows together as have that many numbers."""
    together = max(1, numbers // max(1, width))
    for start in range(0, rows, together):
        yield slice(start, min(start + together, rows))


def normalised_mse(cosine: float) -> float:
    """`2 (1 - cos)`, in [0, 4]: the mean squared error of two vectors rescaled to norm sqrt(d).

    The identity holds for means too, since it is linear.
    """
    return 2 * (1 - cosine)


def clustered_bootstrap(
    values: Floats,
    clusters: Sequence[str],
    *,
    draws: int = DRAWS,
    seed: int = SEED,
    level: float = LEVEL,
) -> list[Interval | None]:
    """Percentile intervals of the means of K statistics [K, N], resampling whole clusters [N].

    Each draw takes as many clusters as there are, with replacement, with all of their rows. All
    statistics share the draws. The order of the rows does not matter. With fewer than two clusters
    all are None. With few clusters the intervals are too narrow: measured on normal data, 95% cover
    the true mean 94% of the time with 40 clusters, 90% with 10, 84% with 5.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3; clusters as
    in Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.8.
    """
    ones = np.ones(values.shape[1])
    return bootstrap_ratio(values, ones, clusters, draws=draws, seed=seed, level=level)


def bootstrap_ratio(
    numerators: Floats,
    denominator: Floats,
    clusters: Sequence[str],
    *,
    draws: int = DRAWS,
    seed: int = SEED,
    level: float = LEVEL,
) -> list[Interval | None]:
    """Percentile intervals of K ratios of means, [K, N] over [N], as in `clustered_bootstrap`.

    Both means of a ratio are of the same draw. All are None with fewer than two clusters, and when
    any draw's denominator is not above 0: the ratio then has no finite interval.
    """
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    if len(names) < 2:
        return [None] * len(numerators)
    sums = np.stack([np.bincount(index, weights=row) for row in (*numerators, denominator)])
    drawn = _times_drawn(len(names), draws, seed) @ sums.T
    if drawn[:, -1].min() <= 0:
        return [None] * len(numerators)
    low, high = np.quantile(
        drawn[:, :-1] / drawn[:, -1:], [(1 - level) / 2, (1 + level) / 2], axis=0
    )
    return list(zip(low.tolist(), high.tolist(), strict=True))


def area_under_curve(positive: Floats, negative: Floats) -> float:
    """Probability that a positive scores above a negative, ties counting half.

    Source: Hanley and McNeil, Radiology 143 (1982): it is Mann and Whitney's U over the pairs.
    """
    return float(_wins(positive, negative).mean())


def bootstrap_area(
    positive: Floats,
    negative: Floats,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
    level: float = LEVEL,
) -> Interval | None:
    """Percentile interval of the area under the curve of [M] positives and [M] negatives.

    Positive and negative i belong together and are drawn together; None with fewer than two.
    """
    size = len(positive)
    if size < 2:
        return None
    times_drawn = _times_drawn(size, draws, seed)
    areas = np.sum((times_drawn @ _wins(positive, negative)) * times_drawn, axis=1) / size**2
    low, high = np.quantile(areas, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def permuted_hits(
    found: npt.NDArray[np.int64],
    own: npt.NDArray[np.intp],
    documents: Sequence[str],
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> npt.NDArray[np.int64]:
    """[draws] hits when documents with equally many candidates are exchanged at random.

    The candidates of a document stay together and keep their order. Exchanged one by one, similar
    rows would hit together more often than the null distribution allows for.

    Args:
        found: [N], the candidate that each row finds, or -1.
        own: [N], the candidate that it should find.
        documents: [M], the document of each candidate.
        draws: number of permutations.
        seed: of the permutations.
    """
    blocks = _blocks(documents)
    orders = _permutations(tuple(map(len, blocks)), draws, seed)
    hits = np.empty(draws, np.int64)
    at_once = max(1, AT_ONCE // len(documents))
    for start in range(0, draws, at_once):
        some = slice(start, min(start + at_once, draws))
        places = np.empty((some.stop - start, len(documents)), np.intp)
        for block, order in zip(blocks, orders, strict=True):
            places[:, block] = block[order[some]]
        hits[some] = np.sum(found == places[:, own], axis=1)
    return hits


def permutation_p(null: npt.NDArray[Any], observed: float) -> float:
    """`(#{null >= observed} + 1) / (B + 1)` over B draws of the null, at least `1 / (B + 1)`.

    Source: Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9 (2010).
    """
    return float((np.sum(null >= observed) + 1) / (len(null) + 1))


def wilson(hits: int, n: int, *, level: float = LEVEL) -> Interval:
    """Wilson score interval of the proportion `hits / n`.

    Source: Wilson (1927); written out as method 3 of Newcombe, Statistics in Medicine 17 (1998),
    without continuity correction.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, width = hits / n, n + z**2
    centre = (hits + z**2 / 2) / width
    margin = z / width * math.sqrt(n * share * (1 - share) + z**2 / 4)
    low = centre - margin if hits > 0 else 0.0
    high = centre + margin if hits < n else 1.0
    return low, high


@lru_cache(maxsize=4)
def _times_drawn(size: int, draws: int, seed: int) -> npt.NDArray[np.int64]:
    """[draws, size] how often each of `size` things is drawn in `size` draws with replacement."""
    drawn = np.random.RandomState(seed).randint(size, size=(draws, size), dtype=np.int64)
    offsets = size * np.arange(draws)[:, np.newaxis]
    times = np.bincount((drawn + offsets).ravel(), minlength=draws * size).reshape(draws, size)
    times.flags.writeable = False
    return times


@lru_cache(maxsize=8)  # a calibration has a ranking of its headline, and one of each diagnostic
def _permutations(
    sizes: tuple[int, ...], draws: int, seed: int
) -> tuple[npt.NDArray[np.int32], ...]:
    """For each size [draws, size], permutations; drawn for all sizes in turn, draw after draw."""
    random = np.random.RandomState(seed)
    found = tuple(np.empty((draws, size), np.int32) for size in sizes)
    for draw in range(draws):
        for size, orders in zip(sizes, found, strict=True):
            orders[draw] = random.permutation(size)
    return found


def _blocks(clusters: Sequence[str]) -> list[npt.NDArray[np.intp]]:
    """Positions [k, s] of the k clusters of size s, for every size."""
    _, label, sizes = np.unique(np.asarray(clusters), return_inverse=True, return_counts=True)
    order = np.argsort(label, kind="stable")
    size = sizes[label[order]]
    return [order[size == each].reshape(-1, each) for each in np.unique(size)]


def _wins(positive: Floats, negative: Floats) -> Floats:
    """[P, Q] 1 where the positive scores above the negative, 1/2 for a tie."""
    gaps = positive[:, np.newaxis] - negative[np.newaxis]
    wins: Floats = (gaps > TIE) + 0.5 * (np.abs(gaps) <= TIE)
    return wins
