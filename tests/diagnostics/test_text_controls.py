import numpy as np
import pytest

from nla_release.diagnostics.text_controls import report
from nla_release.statistics.blocks import Inconclusive


def test_a_probe_that_did_not_run_has_no_report(measured):
    assert report(measured()) is None


def test_each_text_stands_beside_the_explanation(measured):
    found = report(measured(probes=["text-controls"], failed={3: "empty", 9: "truncated"}))

    assert set(found.controls) == {"gibberish", "word_shuffled", "source_text"}
    for control in found.controls.values():
        assert control.difference == pytest.approx(found.real - control.mean, abs=2e-6)
        assert control.interval[0] <= control.difference <= control.interval[1]
        assert control.n == 60
    assert found.controls["gibberish"].failed == found.controls["word_shuffled"].failed == 2
    assert found.controls["source_text"].failed == 0


def test_an_ar_that_ignores_its_text_scores_the_same_of_gibberish(measured):
    def ignore(parts):
        parts.vectors["gibberish"] = parts.vectors["real"].copy()

    gibberish = report(measured(ignore, probes=["text-controls"])).controls["gibberish"]

    assert (gibberish.difference, gibberish.interval) == (0, (0, 0))


@pytest.mark.parametrize("size", [{"rows": 19, "documents": 19}, {"rows": 60, "documents": 4}])
def test_too_little_gives_a_reason_and_no_number(measured, size):
    found = report(measured(probes=["text-controls"], **size))

    assert isinstance(found, Inconclusive)
    assert f"{size['rows']} rows of {size['documents']} documents" in found.inconclusive


def test_the_order_of_rows_does_not_matter(reordered):
    one, two = reordered(probes=["text-controls"])

    assert not np.array_equal(one.vectors["gold"], two.vectors["gold"])
    assert report(one) == report(two)
