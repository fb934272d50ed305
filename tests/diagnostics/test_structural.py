import numpy as np
import pytest

from nla_release.calibration.calibrate import calibrate
from nla_release.diagnostics.structural import report
from nla_release.statistics.blocks import Inconclusive


def test_shares_are_the_controls_over_the_real_cosine(measured):
    evidence = measured()
    found, whole = report(evidence), calibrate(evidence)

    for name, share in found.shares.items():
        expected = whole.controls[name].mean / whole.cosine.mean
        assert share.share == pytest.approx(expected, abs=1e-5)
        assert share.interval[0] <= share.share <= share.interval[1]


def test_an_ar_that_ignores_its_text_gives_all_of_its_cosine_away(measured):
    def ignore(parts):
        for name in ("shuffled", "empty"):
            parts.vectors[name] = parts.vectors["real"].copy()

    found = report(measured(ignore))

    assert (found.shares["shuffled"].share, found.shares["shuffled"].interval) == (1, (1, 1))


def test_a_cosine_of_nothing_has_no_shares(measured):
    found = report(measured(lambda parts: parts.vectors.update(real=-parts.vectors["gold"])))

    assert isinstance(found, Inconclusive)
    assert "-1.000" in found.inconclusive


def test_a_cosine_around_nothing_has_shares_without_an_interval(measured):
    def around_zero(parts):
        signs = np.where(np.arange(60) % 30 < 16, 1, -1).astype(np.float32)
        parts.vectors["real"] = parts.vectors["gold"] * signs[:, np.newaxis]

    assert {share.interval for share in report(measured(around_zero)).shares.values()} == {None}
