"""How often 95% intervals hold the true value, and how often a comparison finds what is not there.

    python -m benchmarks.coverage                  all tables, some minutes
    python -m benchmarks.coverage --samples 200    fewer samples

Rows of a document share a part of their value, `icc` of its variance. Documents have equal or
unequal numbers of rows, and values have normal, heavy or skewed tails. Each line is one way to draw
an evaluation; each number is over that many evaluations, so that the 95% interval of a coverage of
95% is 1.4 points to either side with 1,000 samples.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import NormalDist
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from nla_release.calibration.compare import mcnemar
from nla_release.statistics.clustered import (
    mean_intervals,
    ratio_intervals_of_means,
    share_interval,
    sign_flip_p,
)
from nla_release.statistics.contrasts import contrasts
from nla_release.statistics.formulas import Interval, clustered_bootstrap, wilson

Floats = npt.NDArray[np.float64]
Random = np.random.Generator

DOCUMENTS = (10, 15, 30, 60)
ROWS_EACH = 5
ICC = 0.3
_DRAWS, _SEED = 1000, 0


def equal(documents: int) -> npt.NDArray[np.int64]:
    """[documents] rows of each: the same."""
    return np.full(documents, ROWS_EACH)


def giant(documents: int) -> npt.NDArray[np.int64]:
    """One document holds half of all rows."""
    sizes = equal(documents)
    sizes[0] = ROWS_EACH * (documents - 1)
    return sizes


def zipf(documents: int) -> npt.NDArray[np.int64]:
    """The k-th document has a share of 1 / k."""
    shares = 1 / np.arange(1, documents + 1)
    sizes: npt.NDArray[np.int64] = np.round(ROWS_EACH * documents * shares / shares.sum()).astype(
        np.int64
    )
    return np.maximum(sizes, 1)


def normal(random: Random, size: int) -> Floats:
    """Mean 0, variance 1."""
    return random.standard_normal(size)


def heavy(random: Random, size: int) -> Floats:
    """Student's t with 3 degrees of freedom, at variance 1."""
    drawn: Floats = random.standard_t(3, size) / np.sqrt(3)
    return drawn


def skewed(random: Random, size: int) -> Floats:
    """Lognormal with sigma 1, at mean 0 and variance 1."""
    mean, variance = np.exp(0.5), (np.e - 1) * np.e
    drawn: Floats = (random.lognormal(size=size) - mean) / np.sqrt(variance)
    return drawn


Sizes = Callable[[int], npt.NDArray[np.int64]]
Values = Callable[[Random, int], Floats]
IntervalOf = Callable[[Any, Sequence[str]], Interval | None]

SETTINGS: dict[str, tuple[Sizes, Values]] = {
    "equal documents": (equal, normal),
    "one document is half": (giant, normal),
    "Zipf sizes": (zipf, normal),
    "t(3)": (equal, heavy),
    "lognormal": (equal, skewed),
}


def evaluation(
    random: Random, documents: int, sizes: Sizes, values: Values
) -> tuple[Floats, list[str]]:
    """[N] values of mean 0 and variance 1, and the document of each."""
    index = np.repeat(np.arange(documents), sizes(documents))
    shared = values(random, documents)[index]
    own = values(random, len(index))
    return np.sqrt(ICC) * shared + np.sqrt(1 - ICC) * own, [str(each) for each in index]


def rates(samples: int, outcome: Callable[..., Any], *settings: Any) -> Floats:
    """[documents, ...] how often each outcome of `samples` evaluations was true.

    `outcome` is given a generator, which is seeded by the number of documents, that number, and the
    settings; it gives one truth value or several.
    """
    found = []
    for documents in DOCUMENTS:
        random = np.random.default_rng(documents)
        found.append(np.mean([outcome(random, documents, *settings) for _ in range(samples)], 0))
    return np.array(found)


def means(samples: int) -> Iterator[str]:
    """Coverage of the mean, of this method and of resampling documents."""
    yield _header("mean", "documents", DOCUMENTS)
    for name, (sizes, values) in SETTINGS.items():
        for method, interval_of in (("t, clustered", _by_t), ("percentile bootstrap", _bootstrap)):
            found = rates(samples, _mean_held, sizes, values, interval_of)
            yield _row(f"{name}: {method}", found)


def _mean_held(
    random: Random, documents: int, sizes: Sizes, values: Values, interval_of: IntervalOf
) -> bool:
    drawn, clusters = evaluation(random, documents, sizes, values)
    return _holds(interval_of(drawn, clusters), 0.0)


def ratios(samples: int) -> Iterator[str]:
    """Coverage of a ratio of means, 0.3, of the values that it divides by."""
    yield _header("ratio of means", "documents", DOCUMENTS)
    for name, (sizes, values) in SETTINGS.items():
        yield _row(name, rates(samples, _ratio_held, sizes, values))


def _ratio_held(random: Random, documents: int, sizes: Sizes, values: Values) -> bool:
    drawn, clusters = evaluation(random, documents, sizes, values)
    below = 1 + 0.3 * drawn
    above = 0.3 + 0.2 * drawn + 0.2 * random.standard_normal(len(drawn))
    (interval,) = ratio_intervals_of_means(above[np.newaxis], below, clusters)
    return _holds(interval, 0.3)


def shares(samples: int) -> Iterator[str]:
    """Coverage of a share, of this method and of Wilson's over rows."""
    yield _header("share", "documents", DOCUMENTS)
    for p, icc in ((0.3, 0.0), (0.3, 0.1), (0.3, 0.3), (0.55, 0.6), (0.05, 0.3)):
        for method, interval_of in (("effective rows", share_interval), ("rows", _wilson)):
            found = rates(samples, _share_held, p, icc, interval_of)
            yield _row(f"p {p}, icc {icc}: Wilson, {method}", found)


def _share_held(
    random: Random, documents: int, p: float, icc: float, interval_of: IntervalOf
) -> bool:
    hits, clusters = _hits(random, documents, p, icc)
    return _holds(interval_of(hits, clusters), p)


def pairs(samples: int) -> Iterator[str]:
    """Coverage of own - other documents, over all pairs of rows, each document in both roles."""
    yield _header("own - other documents", "documents", DOCUMENTS)
    for name, sizes in (("equal documents", equal), ("one document is half", giant)):
        yield _row(name, rates(samples, _contrast_held, sizes))


def _contrast_held(random: Random, documents: int, sizes: Sizes) -> bool:
    index = np.repeat(np.arange(documents), sizes(documents))
    result = contrasts(
        _scores(random, index),
        np.eye(len(index)),
        [str(each) for each in index],
        [str(each) for each in range(len(index))],
        np.zeros(len(index), np.bool_),
    )
    return _holds(result.above_others.interval, 0.0)


def comparisons(samples: int) -> Iterator[str]:
    """How often two equally good releases differ at 5%, where their hits agree in documents."""
    yield _header("rejected at 5%", "documents", DOCUMENTS)
    for icc in (0.0, 0.3, 0.6):
        by_sign, by_row = rates(samples, _rejected, icc).T
        yield _row(f"icc {icc}: sign flips of documents", by_sign)
        yield _row(f"icc {icc}: exact McNemar of rows", by_row)


def _rejected(random: Random, documents: int, icc: float) -> tuple[bool, bool]:
    one, clusters = _hits(random, documents, 0.3, icc)
    other, _ = _hits(random, documents, 0.3, icc)
    p = sign_flip_p(other.astype(np.float64) - one, clusters, draws=_DRAWS, seed=_SEED)
    by_row = mcnemar(int((one & ~other).sum()), int((other & ~one).sum()))
    return p is not None and p <= 0.05, by_row <= 0.05


def _hits(
    random: Random, documents: int, p: float, icc: float
) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """Hits with probability p that agree within documents: a shared normal threshold."""
    index = np.repeat(np.arange(documents), ROWS_EACH)
    shared = np.sqrt(icc) * random.standard_normal(documents)[index]
    own = np.sqrt(1 - icc) * random.standard_normal(len(index))
    return shared + own < NormalDist().inv_cdf(p), [str(each) for each in index]


def _scores(random: Random, index: npt.NDArray[np.int64]) -> Floats:
    """[N, N] scores with effects of rows, texts and documents, and a true difference of 0."""
    documents, rows = int(index.max()) + 1, len(index)
    found: Floats = (
        0.3 * random.standard_normal(documents)[index][:, np.newaxis]
        + 0.5 * random.standard_normal(documents)[index]
        + 0.3 * random.standard_normal((documents, documents))[np.ix_(index, index)]
        + 0.5 * random.standard_normal(rows)
        + 0.5 * random.standard_normal((rows, rows))
    )
    return found


def _by_t(values: Floats, clusters: Sequence[str]) -> Interval | None:
    return mean_intervals(values[np.newaxis], clusters)[0]


def _bootstrap(values: Floats, clusters: Sequence[str]) -> Interval | None:
    return clustered_bootstrap(values[np.newaxis], clusters, draws=_DRAWS, seed=_SEED)[0]


def _wilson(hits: npt.NDArray[np.bool_], clusters: Sequence[str]) -> Interval:
    del clusters
    return wilson(int(hits.sum()), len(hits))


def _holds(interval: Interval | None, true: float) -> bool:
    """No interval claims nothing, which is never wrong."""
    return interval is None or interval[0] <= true <= interval[1]


def _header(what: str, unit: str, columns: Sequence[int]) -> str:
    names = " | ".join(f"{each} {unit}" for each in columns)
    return f"\n| {what} | {names} |\n|---|{'---|' * len(columns)}"


def _row(name: str, shares_: Iterable[float]) -> str:
    return f"| {name} | {' | '.join(f'{each:.1%}' for each in shares_)} |"


@click.command
@click.option("--samples", default=1000, show_default=True, help="Evaluations of each kind.")
def main(samples: int) -> None:
    """Print how often intervals hold the true value."""
    for part in (means, ratios, shares, pairs, comparisons):
        for line in part(samples):
            click.echo(line)


if __name__ == "__main__":
    main()
