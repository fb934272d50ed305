import pytest

from nla_release.diagnostics.injection import report
from nla_release.statistics.blocks import Inconclusive


def saying(outputs):
    """The AV's whole outputs, in turn."""

    def change(parts):
        for index, row in enumerate(parts.rows):
            raw = outputs[index % len(outputs)]
            parts.rows[index] = row.model_copy(update={"raw": raw})

    return change


def test_random_and_zero_are_in_all_evidence(measured):
    assert set(report(measured()).same_text) == {"random_vector", "zero_vector"}


def test_other_scales_are_there_when_the_probe_ran(measured):
    found = report(measured(probes=["injection"]))

    assert set(found.same_text) == {"random_vector", "zero_vector", "half_scale", "double_scale"}
    assert set(found.cjk) == {"real", "random_vector", "half_scale", "double_scale", "source"}


def test_a_collapsed_av_says_the_same_of_everything(measured):
    found = report(measured(collapsed=True)).same_text

    assert {(ratio.hits, ratio.n) for ratio in found.values()} == {(60, 60)}


def test_the_same_text_is_counted_over_rows_with_an_explanation(measured):
    found = report(measured(collapsed=True, failed={0: "empty", 1: "unparsed"})).same_text

    assert (found["random_vector"].hits, found["random_vector"].n) == (58, 58)


def test_without_any_explanation_nothing_is_the_same(measured):
    assert report(measured(failed=dict.fromkeys(range(60), "empty"))).same_text == {}


@pytest.mark.parametrize(
    "character", ["\u8fd9", "\u30ab", "\u3042", "\ud55c", "\uff76", "\U00020000"]
)
def test_chinese_japanese_and_korean_are_counted_once_per_output(measured, character):
    found = report(measured(saying(["plain", f"a {character}{character}", "plain", "é ㊗"])))

    assert (found.cjk["real"].hits, found.cjk["real"].n) == (15, 60)
    assert found.cjk["source"].hits == found.cjk["random_vector"].hits == 0


@pytest.mark.parametrize(
    ("output", "described"),
    [
        ("the ㊗ sign", True),
        ("An unusual  character", False),
        ("an Unusual character", True),
        ("Special symbols", True),
        ("the text in <concept> tags", True),
        ("a placeholder token", True),
        ("a marker pen and a Chinese vase", False),
        ("the main character of a play", False),
    ],
)
def test_an_output_that_describes_the_marker_is_told(measured, output, described):
    assert report(measured(saying([output]))).marker["real"].hits == 60 * described


def test_a_failed_output_counts_too(measured):
    found = report(measured(saying(["㊗ \u8fd9"]), failed=dict.fromkeys(range(60), "unparsed")))

    assert found.cjk["real"].hits == found.marker["real"].hits == 60


def test_the_zero_vector_is_one_output(measured):
    def leak(parts):
        zero = parts.run.zero_vector.model_copy(update={"raw": "<explanation>\u8fd9</explanation>"})
        object.__setattr__(parts.run, "zero_vector", zero)

    assert report(measured(leak)).zero_vector.model_dump() == {
        "status": "ok",
        "cjk": True,
        "marker": False,
    }


def test_too_little_gives_a_reason_and_no_number(measured):
    assert isinstance(report(measured(rows=5, documents=5)), Inconclusive)
