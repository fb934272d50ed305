"""Intervals that take documents whole: what `statistics/clustered.py` promises.

How often they hold the true value is measured by `python -m benchmarks.coverage`.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nla_release.statistics.clustered import (
    best_as_ties,
    effective_documents,
    lower,
    mean_intervals,
    ratio_intervals_of_means,
    share_interval,
    sign_flip_p,
)
from nla_release.statistics.formulas import wilson


def test_equal_documents_count_as_many_and_a_giant_counts_for_little_more_than_one() -> None:
    assert effective_documents(["a", "a", "b", "b", "c", "c"]) == 3
    assert effective_documents(["a"] * 50 + ["b"]) == pytest.approx(51**2 / (50**2 + 1))


def test_with_one_row_per_document_the_mean_has_the_ordinary_t_interval() -> None:
    values = np.random.default_rng(0).standard_normal(12)
    (interval,) = mean_intervals(values[np.newaxis], [str(at) for at in range(12)])
    expected = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
    assert interval == pytest.approx(expected)


def test_rows_that_repeat_their_document_say_no_more_than_one_row_of_each() -> None:
    values = np.random.default_rng(1).standard_normal(12)
    (once,) = mean_intervals(values[np.newaxis], [str(at) for at in range(12)])
    (often,) = mean_intervals(np.repeat(values, 7)[np.newaxis], [str(at // 7) for at in range(84)])
    assert often == pytest.approx(once)


def test_one_document_has_no_interval() -> None:
    assert mean_intervals(np.ones((2, 4)), ["a"] * 4) == [None, None]


def test_the_ratio_of_a_value_to_itself_is_one_without_doubt() -> None:
    values = 2 + np.random.default_rng(2).random(30)
    (interval,) = ratio_intervals_of_means(
        values[np.newaxis], values, [str(at // 3) for at in range(30)]
    )
    assert interval == pytest.approx((1, 1))


def test_a_ratio_over_what_may_be_zero_has_no_interval() -> None:
    values = np.random.default_rng(3).standard_normal(30)
    documents = [str(at // 3) for at in range(30)]
    assert ratio_intervals_of_means(values[np.newaxis], values - values.mean(), documents) == [None]


def test_a_share_of_many_independent_rows_has_wilsons_interval() -> None:
    """With the normal quantile, which t's is with as many documents."""
    hits = np.arange(5000) % 4 == 0
    # Alternating hits vary less than independent ones: the design effect is held at 1.
    low, high = share_interval(hits, [str(at) for at in range(5000)])
    assert (low, high) == pytest.approx(wilson(1250, 5000), abs=1e-4)


def test_rows_that_agree_within_documents_count_as_documents() -> None:
    documents = [str(at // 10) for at in range(200)]
    agreeing = np.array([int(document) % 2 == 0 for document in documents])
    low, high = share_interval(agreeing, documents)
    rows_low, rows_high = wilson(100, 200)
    assert high - low > 2.5 * (rows_high - rows_low)


@pytest.mark.parametrize("hit", [True, False])
def test_all_or_none_is_as_sure_as_the_documents_are_many(hit: bool) -> None:
    low, high = share_interval(np.full(100, hit), [str(at // 10) for at in range(100)])
    z = stats.t.ppf(0.975, 9)
    width = z**2 / (10 + z**2)
    assert (low, high) == pytest.approx((1 - width, 1.0) if hit else (0.0, width))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=40))
def test_the_interval_of_a_share_holds_the_share(rows: list[tuple[bool, int]]) -> None:
    hits = np.array([hit for hit, _ in rows])
    low, high = share_interval(hits, [str(document) for _, document in rows])
    assert 0 <= low <= hits.mean() <= high <= 1
    assert high > low


def test_sign_flips_of_few_documents_are_counted_one_by_one() -> None:
    differences = np.array([1.0, 1, 2, 3, 4])
    documents = ["a", "a", "b", "c", "d"]
    # Of the 16 ways to flip sums 2, 2, 3 and 4, only all and none are as far from 0.
    assert sign_flip_p(differences, documents, draws=2000, seed=0) == pytest.approx(2 / 16)


def test_sign_flips_see_rows_of_a_document_as_one() -> None:
    """A difference that one document has in all of its rows is no evidence."""
    differences = np.array([1.0] * 50 + [0.0] * 50)
    assert sign_flip_p(differences, ["a"] * 50 + ["b"] * 50, draws=2000, seed=0) is None
    independent = [str(at) for at in range(100)]
    assert sign_flip_p(differences, independent, draws=2000, seed=0) == pytest.approx(1 / 2001)


def test_flips_are_the_same_on_every_machine() -> None:
    values = np.random.default_rng(5).standard_normal(40) + 0.4
    documents = [str(at // 2) for at in range(40)]
    first = sign_flip_p(values, documents, draws=500, seed=0)
    assert first == sign_flip_p(values, documents, draws=500, seed=0)
    assert math.isclose(first * 501, round(first * 501))


def test_as_many_of_the_best_rows_as_failed_are_ties() -> None:
    differences = np.array([0.5, -1.0, 2.0, 0.1, -0.2, 0.3])
    failed = np.array([False, False, False, True, False, True])
    assert best_as_ties(differences, failed).tolist() == [0, 1, 0, 0, 1, 0]
    assert best_as_ties(-abs(differences), failed).tolist() == [1, 1, 1, 0, 1, 0]
    assert best_as_ties(differences, ~failed).tolist() == [0, 0, 0, 0, 0, 0]
    assert best_as_ties(differences, failed & False).tolist() == [1] * 6


def test_rows_that_are_equally_good_share_what_is_taken() -> None:
    failed = np.array([True, False, False, False])
    assert best_as_ties(np.array([0.0, 1.0, 1.0, 0.5]), failed).tolist() == [0, 0.5, 0.5, 1]


def test_an_interval_reaches_down_as_far_as_any_other() -> None:
    assert lower([(0.1, 0.5), (-0.1, 0.9)]) == (-0.1, 0.5)
    assert lower([(0.1, 0.5), None]) is None
