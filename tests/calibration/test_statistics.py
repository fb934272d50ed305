import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest

from nla_release.calibration.statistics import (
    clustered_bootstrap,
    cosine_rows,
    normalised_mse,
    retrieved,
    unit_rows,
    wilson,
)

finite = st.floats(-1e6, 1e6, width=32).filter(lambda x: x == 0 or abs(x) > 1e-6)
pairs = st.integers(1, 6).flatmap(
    lambda n: st.integers(1, 8).flatmap(
        lambda d: st.tuples(
            arrays(np.float32, (n, d), elements=finite), arrays(np.float32, (n, d), elements=finite)
        )
    )
)


@given(pairs)
def test_cosine_is_bounded_symmetric_and_blind_to_length(pair):
    a, b = pair
    cosines = cosine_rows(a, b)
    assert np.all(np.abs(cosines) <= 1)
    np.testing.assert_allclose(cosines, cosine_rows(b, a), atol=1e-12)
    np.testing.assert_allclose(cosines, cosine_rows(a.astype(np.float64) * 7, b), atol=1e-9)


@given(pairs)
def test_mse_of_vectors_at_norm_sqrt_d_is_two_times_one_minus_cosine(pair):
    a, b = pair
    scale = np.sqrt(a.shape[1])
    nonzero = a.any(axis=1) & b.any(axis=1)
    mse = np.mean((scale * unit_rows(a) - scale * unit_rows(b)) ** 2, axis=1)
    expected = [normalised_mse(cosine) for cosine in cosine_rows(a, b)]
    np.testing.assert_allclose(mse[nonzero], np.array(expected)[nonzero], atol=1e-9)


def test_a_zero_vector_has_cosine_zero_and_no_warning():
    assert cosine_rows(np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32)).tolist() == [0]


def test_extreme_float32_values_do_not_overflow():
    huge = np.full((1, 4), np.finfo(np.float32).max, np.float32)
    tiny = np.full((1, 4), np.finfo(np.float32).smallest_subnormal, np.float32)
    np.testing.assert_allclose(cosine_rows(huge, tiny), [1])


@given(st.integers(1, 20))
def test_perfect_reconstructions_are_all_retrieved(n):
    gold = np.random.default_rng(n).normal(size=(n, 32))
    assert retrieved(gold, gold).all()


def test_a_tie_is_a_miss():
    """The same activation twice: no reconstruction can tell which one it came from."""
    gold = np.array([[1.0, 0.1], [3.0, 0.3], [0.0, 1.0]])
    assert retrieved(gold, gold).tolist() == [False, False, True]


def test_a_zero_reconstruction_retrieves_nothing_not_even_from_one_candidate():
    assert not retrieved(np.zeros((1, 2)), np.ones((1, 2))).any()
    assert not retrieved(np.zeros((3, 2)), np.ones((3, 2))).any()


def test_one_reconstruction_for_everything_retrieves_exactly_one():
    """The chance level of a collapsed pair, whatever it says."""
    gold = np.random.default_rng(0).normal(size=(50, 8))
    same = np.tile(np.random.default_rng(1).normal(size=8), (50, 1))
    assert retrieved(same, gold).sum() == 1


def bootstrap(values, clusters, seed=0):
    return clustered_bootstrap(np.atleast_2d(values), clusters, draws=2000, seed=seed)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_interval_does_not_depend_on_the_order_of_rows(seed):
    random = np.random.default_rng(seed)
    values = random.normal(size=30)
    clusters = np.array([f"d{i}" for i in random.integers(6, size=30)])
    shuffle = random.permutation(30)
    np.testing.assert_allclose(
        bootstrap(values, clusters), bootstrap(values[shuffle], clusters[shuffle]), atol=1e-12
    )


def test_interval_is_the_same_every_time_and_with_every_numpy():
    """A pinned value: a change of the random stream would change every released calibration."""
    values, clusters = np.arange(12) / 12, [f"d{i % 4}" for i in range(12)]
    assert bootstrap(values, clusters) == [pytest.approx((0.375, 6.5 / 12), abs=1e-12)]
    assert bootstrap(values, clusters) == bootstrap(values, clusters)


def test_interval_is_wider_than_the_naive_one_when_a_document_repeats_itself():
    """Ten equal rows per document are ten documents' worth of information, not a hundred rows'."""
    values = np.repeat(np.random.default_rng(0).normal(size=10), 10)
    by_document = [f"d{i // 10}" for i in range(100)]
    each_alone = [f"r{i}" for i in range(100)]
    (clustered,), (naive,) = bootstrap(values, by_document), bootstrap(values, each_alone)
    assert clustered[1] - clustered[0] > 2 * (naive[1] - naive[0])


def test_statistics_share_their_draws():
    """So that a difference of two intervals' statistics is paired."""
    values = np.random.default_rng(0).normal(size=20)
    clusters = [f"d{i % 5}" for i in range(20)]
    one, shifted, mirrored = bootstrap(np.stack([values, values + 1, -values]), clusters)
    assert shifted == pytest.approx((one[0] + 1, one[1] + 1))
    assert mirrored == pytest.approx((-one[1], -one[0]))


def test_a_constant_has_an_interval_of_no_width_even_with_uneven_documents():
    assert bootstrap(np.full(7, 0.25), list("aaaabbc")) == [pytest.approx((0.25, 0.25))]


def test_one_document_has_no_interval():
    assert bootstrap(np.stack([np.arange(5.0)] * 2), ["d"] * 5) == [None, None]


@pytest.mark.parametrize(
    ("documents", "least", "most"), [(5, 0.81, 0.88), (10, 0.88, 0.93), (40, 0.92, 0.96)]
)
def test_interval_covers_the_true_mean_about_as_often_as_documented(documents, least, most):
    """Five rows per document that share half their variance, 2,000 replications."""
    random = np.random.default_rng(0)
    shared = np.repeat(random.normal(size=(2000, documents)), 5, axis=1)
    values = shared + random.normal(size=shared.shape)
    intervals = bootstrap(values, [f"d{i // 5}" for i in range(5 * documents)])
    assert least < np.mean([low <= 0 <= high for low, high in intervals]) < most


@pytest.mark.parametrize(
    ("hits", "n", "low", "high", "digits"),
    [(28, 100, 0.20, 0.37, 2), (1, 10, 0.02, 0.40, 2), (9, 580, 0.008, 0.029, 3)],
)
def test_wilson_gives_the_published_intervals(hits, n, low, high, digits):
    assert tuple(round(bound, digits) for bound in wilson(hits, n)) == (low, high)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_proportion_and_stays_in_bounds(counts):
    hits, n = counts
    low, high = wilson(hits, n)
    assert 0 <= low <= hits / n <= high <= 1


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_agrees_with_scipy(counts):
    hits, n = counts
    expected = binomtest(hits, n).proportion_ci(0.95, method="wilson")

    assert wilson(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-12)
