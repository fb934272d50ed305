"""Limitations follow from the numbers: each is said when it holds, and only then."""

from pathlib import Path
from typing import Any

import pytest

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.label import clauses
from nla_release.calibration.report import CurrentCalibration
from nla_release.cards.sentences import ALWAYS, limitations, shown
from tests.builders import make_evidence

WELL_MEASURED = {"rows": 120, "documents": 40}


def said(folder: Path, **evidence: Any) -> str:
    return "\n".join(limitations(calibrate(make_evidence(folder / "evidence", **evidence))))


def changed(calibration: CurrentCalibration, control: str, **values: Any) -> CurrentCalibration:
    controls = dict(calibration.controls)
    controls[control] = controls[control].model_copy(update=values)
    return calibration.model_copy(update={"controls": controls})


def contrasted(
    calibration: CurrentCalibration, name: str, interval: tuple[float, float]
) -> CurrentCalibration:
    pairs = calibration.contrasts
    found = getattr(pairs, name).model_copy(update={"interval": interval})
    return calibration.model_copy(update={"contrasts": pairs.model_copy(update={name: found})})


@pytest.fixture
def good(tmp_path: Path) -> CurrentCalibration:
    return calibrate(make_evidence(tmp_path / "evidence", **WELL_MEASURED))


def test_every_release_says_that_explanations_may_be_wrong(good: CurrentCalibration) -> None:
    assert ALWAYS == "NLAs can produce unexpected or incorrect explanations."
    assert limitations(good)[0] == ALWAYS


def test_a_good_pair_is_not_accused_of_what_it_does_not_do(good: CurrentCalibration) -> None:
    text = "\n".join(limitations(good))

    assert [sentence.split("**")[1] for sentence in limitations(good)[1:]] == [
        "Do not compare plain cosines.",
        "Explanations follow one template.",
        "Not compared with the training texts.",
    ]
    assert "Small sample" not in text


@pytest.mark.parametrize(
    "interval", [(-0.01, 0.02), (0.0, 0.02), (-0.2, -0.1)], ids=["around 0", "from 0", "below 0"]
)
def test_format_only_is_said_when_texts_of_other_documents_may_do_as_well(
    good: CurrentCalibration, interval: tuple[float, float]
) -> None:
    text = "\n".join(limitations(contrasted(good, "above_others", interval)))

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
    good: CurrentCalibration,
    difference: float,
    interval: tuple[float, float] | None,
    words: str,
) -> None:
    worse = changed(good, "predict_mean", difference=difference, interval=interval)

    assert words in "\n".join(limitations(worse))


def test_a_pair_that_beats_the_direction_of_the_mean_and_not_the_mean_does_not_beat_it(
    good: CurrentCalibration,
) -> None:
    """The mean as it is has less error than its direction: card and label agree."""
    fve = good.fve.model_copy(update={"above_mean": 0.01, "above_mean_interval": (-0.02, 0.04)})
    worse = good.model_copy(update={"fve": fve})

    assert clauses(worse)[0].head == "Does not beat the mean."
    assert good.controls["predict_mean"].interval[0] > 0
    text = "\n".join(limitations(worse))
    assert "**Not shown to be better than predicting the mean.** FVE is" in text
    assert "beats predicting the mean" in " ".join(shown(good).shows)
    assert "beats predicting the mean" not in " ".join(shown(worse).shows)


def test_failures_are_counted_and_the_survivors_are_not_the_headline(tmp_path: Path) -> None:
    text = said(tmp_path, **WELL_MEASURED, failed={0: "empty", 1: "truncated", 2: "unparsed"})

    assert (
        "**3 of 120 activations got no explanation** (1 empty, 1 truncated, 1 without tags)" in text
    )
    assert "For reference only, without them: plain cosine" in text


def test_when_nothing_was_said_nothing_is_said_of_survivors(tmp_path: Path) -> None:
    text = said(tmp_path, rows=30, documents=6, failed=dict.fromkeys(range(30), "empty"))

    assert "**30 of 30 activations got no explanation**" in text
    assert "without them" not in text


@pytest.mark.parametrize(("rows", "documents"), [(99, 40), (120, 19)])
def test_a_small_sample_is_called_small(tmp_path: Path, rows: int, documents: int) -> None:
    text = said(tmp_path, rows=rows, documents=documents)

    assert f"**Small sample.** Measured on {rows} activations from {documents} documents." in text


def test_an_injection_that_changes_nothing_is_named(good: CurrentCalibration) -> None:
    words = "**The injected activation made no measurable difference.**"
    centred = good.centred.controls
    random = centred["random_vector"].model_copy(update={"interval": (-0.01, 0.02)})
    controls = {**centred, "random_vector": random}
    by_cosine = good.model_copy(
        update={"centred": good.centred.model_copy(update={"controls": controls})}
    )
    counts = good.injection.model_copy(update={"random_vector_same_text": 60})
    by_text = good.model_copy(update={"injection": counts})

    assert words in "\n".join(limitations(by_cosine))
    assert words in "\n".join(limitations(by_text))
    assert "word for word the same explanation in 60 of 120 rows" in "\n".join(limitations(by_text))


def test_retrieval_must_beat_knowing_the_document(good: CurrentCalibration) -> None:
    """40 documents of 120 rows: naming the document alone is right in a third of the rows."""
    found = good.retrieval.model_copy(update={"above_document_interval": (-0.01, 0.2)})
    text = "\n".join(limitations(good.model_copy(update={"retrieval": found})))

    assert "**Explanations do not identify their activation among all.**" in text
    assert "knowing the document alone would give 0.333" in text


def test_with_one_row_per_document_nothing_false_is_said_of_documents(tmp_path: Path) -> None:
    """59 of 60 retrieved is no failure to single out, and 1.000 no rate of knowing a document."""
    text = said(tmp_path, rows=60, documents=60)

    assert "**Rows of one document were not told apart.** With one row per document" in text
    assert "identify their activation" not in text
    assert "knowing the document" not in text


def test_a_difference_that_brings_nothing_nearer_is_no_content_either(
    good: CurrentCalibration,
) -> None:
    """Another document's text does not serve as well there, and yet no content is shown."""
    near = good.retrieval.percentile.model_copy(update={"interval": (-0.02, 0.1)})
    found = good.retrieval.model_copy(update={"percentile": near})
    changed = good.model_copy(update={"retrieval": found})

    assert changed.contrasts.above_others.interval[0] > 0
    assert "**The explanations are not shown to carry content.**" in "\n".join(limitations(changed))
    assert "not shown to be nearer to its own activation" in " ".join(shown(changed).does_not_show)


def test_a_collapsed_pair_is_told_that_it_repeats_itself(tmp_path: Path) -> None:
    text = said(tmp_path, **WELL_MEASURED, collapsed=True)

    assert "**Explanations repeat.** 120 explanations: 1 different text." in text


def test_where_one_dimension_holds_most_energy_plain_cosines_are_not_to_be_compared(
    good: CurrentCalibration,
) -> None:
    first = good.energy.dimensions[0].model_copy(update={"dimension": 163, "energy": 0.786})
    energy = good.energy.model_copy(update={"dominated": True, "dimensions": [first]})
    text = "\n".join(limitations(good.model_copy(update={"energy": energy})))

    assert "**Plain cosines say little here.** Dimension 163 holds 79% of the energy" in text
    assert "Compare differences" not in text
    along = energy.model_copy(update={"dimensions": good.energy.dimensions, "mean_direction": 0.6})
    text = "\n".join(limitations(good.model_copy(update={"energy": along})))
    assert "The direction of the mean holds 60% of the energy of these activations." in text


def test_a_format_only_pair_has_the_numbers_that_decide_it(tmp_path: Path) -> None:
    found = calibrate(make_evidence(tmp_path, **WELL_MEASURED, collapsed=True))
    others = found.contrasts.above_others

    assert others.difference == 0
    assert "(difference 0.000, no 95% CI, n = 120)" in limitations(found)[1].replace("+", "")
