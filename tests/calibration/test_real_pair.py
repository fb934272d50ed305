"""A pair on a real model is calibrated as what it is: it reads rows, poorly, and says so."""

from pathlib import Path

import numpy as np
import pytest

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import write_evidence
from nla_release.calibration.label import clauses
from nla_release.calibration.questions import questions
from nla_release.calibration.report import CurrentCalibration
from nla_release.calibration.tables import calibration_table
from nla_release.cards.sentences import limitations, shown
from tests.calibration.real_pair import real_parts


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> CurrentCalibration:
    return calibrate(write_evidence(tmp_path_factory.mktemp("real") / "evidence", *real_parts()))


def test_it_reads_rows_and_does_not_beat_the_mean_which_comes_first(
    real: CurrentCalibration,
) -> None:
    """Plain cosines called it format-only: 0.857 with the own text, 0.858 with another row's."""
    assert real.label.name == "row-level"
    assert [each.head for each in clauses(real)] == [
        "Does not beat the mean.",
        "Row-level.",
        "Some explanations fail.",
    ]
    assert real.label.sentence.startswith("Does not beat the mean. ")
    assert real.label.grades.model_dump() == {
        "reads_text": "partly",
        "tells_rows_apart": "yes",
        "readable": "yes",
    }


def test_centred_cosines_lead_and_plain_ones_are_called_what_they_are(
    real: CurrentCalibration,
) -> None:
    largest = real.energy.dimensions[0]
    assert real.energy.dominated
    assert (largest.dimension, largest.energy) == (163, pytest.approx(0.786, abs=5e-4))
    assert "**Plain cosines say little here.** Dimension 163 holds 79%" in "\n".join(
        limitations(real)
    )
    within, plain = real.contrasts.within, real.plain_contrasts.within
    assert within.first > 2 * within.second - 0.001
    assert plain.second / plain.first > 0.97


def test_ten_explanations_that_failed_stay_in_every_denominator(real: CurrentCalibration) -> None:
    assert (real.failures.hits, real.failures.n) == (10, 270)
    assert "Some explanations fail. 10 of 270 (3.7%, 95% CI" in real.label.sentence
    assert real.cosine.n == real.retrieval.n == real.contrasts.above_others.n == 270
    assert "Explanations that fail" in calibration_table(real)


def test_retrieval_is_shown_beside_chance_and_beside_knowing_the_document(
    real: CurrentCalibration,
) -> None:
    found = real.retrieval
    assert 46 <= found.hits <= 50  # of which 1 by chance; by plain cosines 23
    assert found.document_alone == pytest.approx(90 / 270, abs=1e-6)
    assert found.in_document.mean == pytest.approx(0.696, abs=0.01)
    assert found.in_document.interval[0] > 0.2
    line = next(line for line in calibration_table(real).splitlines() if "nearest of all" in line)
    assert "0.333: knowing the document (chance 0.0037, 1 in 270)" in line


def test_an_earlier_version_published_it_as_format_only_which_can_be_recomputed(
    tmp_path: Path,
) -> None:
    """What a release has published is not made wrong by a later version of the tool."""
    published = calibrate(write_evidence(tmp_path / "evidence", *real_parts()), 2)

    assert (published.schema_, published.label.name) == (2, "format-only")
    low, high = published.controls["shuffled"].interval
    assert (low, high) == pytest.approx((-0.028, 0.021), abs=1e-3)


def test_failing_more_often_moves_no_contrast_to_another_sign(
    real: CurrentCalibration, tmp_path: Path
) -> None:
    """27 rows more without an explanation are ties, not wins or losses of any arm."""
    rows, vectors, run = real_parts()
    failing = np.arange(0, len(rows), 10)
    gone = {rows[at].id for at in failing}
    for at in failing:
        cut = {"explanation": "", "status": "truncated", "raw": "<explanation>cut"}
        rows[at] = rows[at].model_copy(update=cut)
    for at, row in enumerate(rows):
        if row.shuffled_from in gone:
            rows[at] = row.model_copy(update={"shuffled_status": "truncated"})
            vectors["shuffled"][at] = 0
    vectors["real"][failing] = 0
    worse = calibrate(write_evidence(tmp_path / "evidence", rows, vectors, run))

    assert worse.label.name == real.label.name == "row-level"
    assert worse.failures.hits > 30
    for name in ("within", "between", "above_others", "above_token"):
        before, after = getattr(real.contrasts, name), getattr(worse.contrasts, name)
        assert after.n == before.n
        assert 0 < after.interval[0] < after.difference < before.difference + 0.02


def test_failures_do_not_hide_that_the_injected_activation_matters(
    real: CurrentCalibration,
) -> None:
    """10 rows of cosine 0 outweigh it in plain cosines, where all else is near 0.87."""
    assert real.controls["random_vector"].interval[0] < 0
    assert real.centred.controls["random_vector"].interval[0] > 0.15
    assert "made no measurable difference" not in "\n".join(limitations(real))
    assert "The injected activation matters" in "\n".join(shown(real).shows)
    (row,) = [
        row
        for question in questions(real)
        for row in question.rows
        if "random direction" in row.control
    ]
    assert row.difference == real.centred.controls["random_vector"].difference
