"""Limitations follow from the numbers: each is said when it holds, and only then."""

from pathlib import Path
from typing import Any

import pytest

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.report import Calibration, LabelName
from nla_release.cards.sentences import ALWAYS, limitations, verdict
from nla_release.cards.shown import shown
from nla_release.text.numbers import number
from tests.builders import make_evidence

WELL_MEASURED = {"rows": 120, "documents": 40}


def said(folder: Path, **evidence: Any) -> str:
    return "\n".join(limitations(calibrate(make_evidence(folder / "evidence", **evidence))))


def changed(calibration: Calibration, control: str, **values: Any) -> Calibration:
    controls = dict(calibration.controls)
    controls[control] = controls[control].model_copy(update=values)
    return calibration.model_copy(update={"controls": controls})


@pytest.fixture
def good(tmp_path: Path) -> Calibration:
    return calibrate(make_evidence(tmp_path / "evidence", **WELL_MEASURED))


def test_every_release_says_that_explanations_may_be_wrong(good: Calibration) -> None:
    assert ALWAYS == "NLAs can produce unexpected or incorrect explanations."
    assert limitations(good)[0] == ALWAYS


def test_a_good_pair_is_not_accused_of_what_it_does_not_do(good: Calibration) -> None:
    text = "\n".join(limitations(good))

    assert [sentence.split("**")[1] for sentence in limitations(good)[1:]] == [
        "Compare differences, not bare cosines.",
    ]
    assert "Small sample" not in text


@pytest.mark.parametrize(
    "interval", [(-0.01, 0.02), (0.0, 0.02), (-0.2, -0.1)], ids=["around 0", "from 0", "below 0"]
)
def test_format_only_is_said_when_another_rows_text_may_do_as_well(
    good: Calibration, interval: tuple[float, float]
) -> None:
    text = "\n".join(limitations(changed(good, "shuffled", interval=interval)))

    assert "**The explanations are not shown to carry content.**" in text
    assert "Do not read these explanations as statements about an activation." in text


@pytest.mark.parametrize(
    ("difference", "interval", "words"),
    [
        (-0.02, (-0.03, -0.01), "**Below predicting the mean.**"),
        (-0.02, (-0.03, 0.01), "**Below predicting the mean.**"),
        (-0.02, None, "**Below predicting the mean.**"),
        (0.01, (-0.01, 0.02), "**Not shown to be better than predicting the mean.**"),
    ],
)
def test_a_constant_that_does_as_well_is_named(
    good: Calibration,
    difference: float,
    interval: tuple[float, float] | None,
    words: str,
) -> None:
    worse = changed(good, "predict_mean", difference=difference, interval=interval)

    assert words in "\n".join(limitations(worse))


def test_failures_are_counted_and_the_survivors_are_not_the_headline(tmp_path: Path) -> None:
    text = said(tmp_path, **WELL_MEASURED, failed={0: "empty", 1: "truncated", 2: "unparsed"})

    assert (
        "**3 of 120 activations got no explanation** (1 empty, 1 truncated, 1 without tags)" in text
    )
    assert "For reference only, without them: cosine" in text


def test_when_nothing_was_said_nothing_is_said_of_survivors(tmp_path: Path) -> None:
    text = said(tmp_path, rows=30, documents=6, failed=dict.fromkeys(range(30), "empty"))

    assert "**30 of 30 activations got no explanation**" in text
    assert "without them" not in text


@pytest.mark.parametrize(("rows", "documents"), [(99, 40), (120, 19)])
def test_a_small_sample_is_called_small(tmp_path: Path, rows: int, documents: int) -> None:
    text = said(tmp_path, rows=rows, documents=documents)

    assert f"**Small sample.** Measured on {rows} activations from {documents} documents." in text


def test_an_injection_that_changes_nothing_is_named(good: Calibration) -> None:
    words = "**The injected activation made no measurable difference.**"
    by_cosine = changed(good, "random_vector", interval=(-0.01, 0.02))
    counts = good.injection.model_copy(update={"random_vector_same_text": 60})
    by_text = good.model_copy(update={"injection": counts})

    assert words in "\n".join(limitations(by_cosine))
    assert words in "\n".join(limitations(by_text))
    assert "word for word the same explanation in 60 of 120 rows" in "\n".join(limitations(by_text))


def test_retrieval_must_beat_knowing_the_document(good: Calibration) -> None:
    """40 documents of 120 rows: naming the document alone is right in a third of the rows."""
    found = good.retrieval.model_copy(update={"interval": (0.33, 0.5)})
    text = "\n".join(limitations(good.model_copy(update={"retrieval": found})))

    assert "**Explanations are not shown to identify their activation.**" in text
    assert "knowing the document alone would give 0.333" in text


def test_with_one_row_per_document_nothing_false_is_said_of_documents(tmp_path: Path) -> None:
    """43 of 60 retrieved is no failure to single out, and 1.000 no rate of knowing a document."""
    measured = calibrate(make_evidence(tmp_path, rows=60, documents=60))
    label = measured.label.model_copy(update={"name": "format-only"})
    calibration = measured.model_copy(update={"label": label})
    chance = calibration.retrieval.model_copy(update={"hits": 1, "interval": (0.003, 0.089)})
    text = "\n".join(limitations(calibration))
    lost = "\n".join(limitations(calibration.model_copy(update={"retrieval": chance})))

    assert "**Rows of one document were not told apart.**" in text
    assert "identify their activation" not in text
    assert "**Explanations are not shown to identify their activation.**" in lost
    for said in (text, lost):
        assert "knowing the document" not in said
        assert "topic, not" not in said


def test_a_difference_that_brings_nothing_nearer_has_a_limitation_of_its_own(
    good: Calibration,
) -> None:
    """Another's text does not serve as well there, and yet no content is shown."""
    label = good.label.model_copy(update={"name": "format-only"})
    text = "\n".join(limitations(good.model_copy(update={"label": label})))

    assert good.controls["shuffled"].difference > 0
    assert "**The explanations are not shown to carry content.**" in text
    assert "The reconstruction is not shown to be nearer to its own activation" in text
    assert "the form of the text" not in text


def test_a_collapsed_pair_is_told_that_it_repeats_itself(tmp_path: Path) -> None:
    text = said(tmp_path, **WELL_MEASURED, collapsed=True)

    assert "**Explanations repeat.** 120 explanations: 1 different text." in text


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("content-reading", "carry content of the activation they describe"),
        ("topic-level", "not shown to identify the single activation"),
        ("format-only", "not shown to carry content of the activation"),
        ("inconclusive", "Too little was measured"),
    ],
)
def test_each_label_is_said_in_plain_words_with_its_numbers(
    good: Calibration, label: LabelName, words: str
) -> None:
    labelled = good.label.model_copy(update={"name": label})
    found = verdict(good.model_copy(update={"label": labelled}))

    assert found.word == label.capitalize()
    assert words in found.meaning
    assert found.meaning.count(".") == 1
    assert found.numbers.endswith(".")
    if label != "inconclusive":
        assert number(good.cosine.mean) in found.numbers
        assert number(good.controls["shuffled"].mean) in found.numbers


def test_a_limitation_does_not_repeat_what_the_card_says_it_does_not_show(
    good: Calibration,
) -> None:
    found = good.retrieval.model_copy(update={"interval": (0.0, 0.1)})
    label = good.label.model_copy(update={"name": "topic-level"})
    topic = good.model_copy(update={"label": label, "retrieval": found})

    assert "distinguishes its activation" in " ".join(shown(topic).does_not_show)
    assert "identify their activation" not in "\n".join(limitations(topic))
