import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest, mannwhitneyu

from nla_release.statistics.formulas import (
    area_under_curve,
    bootstrap_area,
    bootstrap_ratio,
    clustered_bootstrap,
    cosine_rows,
    normalised_mse,
    permutation_p,
    permuted_hits,
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


def ratios(numerators, denominator, clusters):
    return bootstrap_ratio(np.atleast_2d(numerators), denominator, clusters, draws=2000, seed=0)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_a_fixed_share_has_an_interval_of_no_width(seed, share):
    whole = np.random.default_rng(seed).uniform(0.5, 1, size=30)
    clusters = [f"d{i % 6}" for i in range(30)]

    assert ratios(share * whole, whole, clusters) == [pytest.approx((share, share))]


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_a_ratio_does_not_depend_on_the_order_of_rows_or_the_unit(seed):
    random = np.random.default_rng(seed)
    part, whole = random.normal(size=30), random.uniform(1, 2, size=30)
    clusters = np.array([f"d{i}" for i in random.integers(6, size=30)])
    shuffle = random.permutation(30)

    expected = ratios(part, whole, clusters)
    np.testing.assert_allclose(ratios(part[shuffle], whole[shuffle], clusters[shuffle]), expected)
    np.testing.assert_allclose(ratios(7 * part, 7 * whole, clusters), expected)


def test_a_ratio_over_ones_is_the_mean():
    values, clusters = np.random.default_rng(0).normal(size=24), [f"d{i % 6}" for i in range(24)]

    assert ratios(values, np.ones(24), clusters) == [pytest.approx(bootstrap(values, clusters)[0])]


def test_a_ratio_over_what_may_be_nothing_has_no_interval():
    clusters = [f"d{i}" for i in range(6)]

    assert ratios(np.ones(6), np.array([1, 1, 1, -1, -1, -0.5]), clusters) == [None]
    assert ratios(np.ones(6), np.ones(6), ["d"] * 6) == [None]


def test_a_ratio_covers_the_true_one_about_as_often_as_said():
    """400 replications of 40 documents, five rows each."""
    clusters, covered = [f"d{i // 5}" for i in range(200)], 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        whole = 1 + np.repeat(0.3 * random.normal(size=40), 5) + 0.1 * random.normal(size=200)
        part = 0.4 * whole + 0.1 * random.normal(size=200)
        ((low, high),) = ratios(part, whole, clusters)
        covered += low <= 0.4 <= high

    assert 0.90 < covered / 400 < 0.98


scores = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=12).map(np.array)


@given(scores, scores)
def test_area_under_the_curve_is_mann_and_whitneys_u(positive, negative):
    u = mannwhitneyu(positive, negative).statistic

    assert area_under_curve(positive, negative) == pytest.approx(u / positive.size / negative.size)


@given(scores)
def test_a_score_that_does_not_tell_apart_has_half_of_the_area(both):
    assert area_under_curve(both, both) == 0.5


def test_the_interval_of_an_area_holds_it_and_is_pinned():
    random = np.random.default_rng(0)
    positive, negative = random.normal(1, 1, size=40), random.normal(0, 1, size=40)
    low, high = bootstrap_area(positive, negative, draws=2000, seed=0)

    assert low < area_under_curve(positive, negative) < high
    assert 0.1 < high - low < 0.3
    assert bootstrap_area(positive, negative, draws=2000, seed=0) == (low, high)
    assert bootstrap_area(positive[:1], negative[:1], draws=2000, seed=0) is None


def test_chance_hits_as_often_as_there_are_rows_per_candidate():
    found = np.arange(50) % 10
    documents = [f"d{i}" for i in range(10)]
    null = permuted_hits(found, found, documents, draws=2000, seed=0)

    assert null.mean() == pytest.approx(5, abs=0.3)
    assert set(null % 5) == {0}  # the rows of a candidate move together
    assert null.tolist() == permuted_hits(found, found, documents, draws=2000, seed=0).tolist()


def test_candidates_of_a_document_change_places_with_as_many_of_another():
    documents = ["a", "b", "b", "c", "c", "d", "d", "d"]
    own = np.arange(8)
    null = permuted_hits(own, own, documents, draws=2000, seed=0)

    # a and d are alone in their size and stay; b and c change places half of the time, whole.
    assert set(null) == {4, 8}
    assert np.mean(null == 8) == pytest.approx(0.5, abs=0.05)


def test_rows_that_hit_together_are_significant_no_more_often_than_the_level():
    """Each document's rows find those of one document at random: a null of whole documents."""
    random = np.random.default_rng(0)
    documents = [f"{row // 5:02}" for row in range(60)]
    own = np.arange(60)
    p = []
    for _ in range(300):
        found = np.arange(60).reshape(12, 5)[random.permutation(12)].ravel()
        null = permuted_hits(found, own, documents, draws=200, seed=0)
        p.append(permutation_p(null, int(np.sum(found == own))))

    assert np.mean(np.array(p) <= 0.05) < 0.08


def test_p_is_never_below_its_floor_and_never_above_one():
    null = np.zeros(1999)

    assert permutation_p(null, 1) == 1 / 2000
    assert permutation_p(null, 0) == 1


def test_p_is_below_a_level_no_more_often_than_that():
    """Of exchangeable data: 1,000 replications."""
    random = np.random.default_rng(0)
    draws = random.normal(size=(1000, 200))
    p = np.array([permutation_p(null[1:], null[0]) for null in draws])

    for level in (0.01, 0.05, 0.2):
        assert np.mean(p <= level) < level + 0.02
