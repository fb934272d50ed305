import numpy as np
import pytest

from nla_release.calibration.blocks import Inconclusive
from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.probes.retrieval import report


def test_perfect_reconstructions_are_first_everywhere(measured):
    found = report(measured(noise=0))

    for ranking in (found.all, found.drawn):
        assert (ranking.hits, ranking.mrr.mean, ranking.percentile.mean) == (60, 1, 1)
        assert (
            ranking.permutation.p == ranking.permutation.floor == pytest.approx(1 / 2001, abs=1e-6)
        )
    assert found.margin.mean > 0


def test_top_1_of_all_rows_is_the_headline(measured):
    evidence = measured(noise=1)
    found, headline = report(evidence).all, calibrate(evidence).retrieval

    for name in ("hits", "n", "candidates", "top1", "interval", "chance"):
        assert getattr(found, name) == getattr(headline, name)


def test_chance_is_what_random_reconstructions_get(measured):
    def guess(parts):
        random = np.random.default_rng(0)
        for name in ("gold", "real"):
            parts.vectors[name] = random.normal(size=parts.vectors[name].shape).astype(np.float32)

    found = report(measured(guess, rows=300, width=64)).all

    for measure in (found.mrr, found.percentile):
        assert measure.interval[0] < 0 < measure.interval[1]
    assert found.permutation.p > 0.05


def test_a_failure_is_a_miss_and_ranks_last(measured):
    found = report(measured(noise=0, failed=dict.fromkeys(range(15), "empty")))

    assert (found.all.hits, found.all.n) == (45, 60)
    assert found.all.percentile.mean == 0.75
    assert found.all.mrr.mean == pytest.approx((45 + 15 / 60) / 60, abs=1e-6)
    assert found.margin.n == 45


def test_the_worst_draw_of_a_hundred_rows_is_shown(measured):
    found = report(measured(rows=400, documents=40, noise=2))

    assert found.drawn.n == found.drawn.candidates == 100
    assert found.drawn.chance == 0.01
    assert found.all.candidates == 400


def test_draws_of_few_rows_hold_them_all(measured):
    found = report(measured(noise=2))

    assert found.drawn.model_copy(update={"mrr": found.all.mrr}) == found.all


def test_a_collapsed_pair_retrieves_one_whatever_the_assignment(measured):
    found = report(measured(collapsed=True)).all

    assert found.hits == 1
    assert isinstance(found.permutation, Inconclusive)
    assert "the same 1 hits" in found.permutation.inconclusive


def test_without_any_explanation_there_is_no_margin(measured):
    assert report(measured(failed=dict.fromkeys(range(60), "empty"))).margin is None


def test_the_order_of_rows_does_not_matter(reordered):
    one, two = reordered(rows=150, noise=2)

    assert report(one) == report(two)


def test_too_little_gives_a_reason_and_no_number(measured):
    assert isinstance(report(measured(rows=1, documents=1)), Inconclusive)
