import pytest

from nla_release.calibration.evidence_folder import write_evidence
from nla_release.calibration.multiplicity import multiplicity
from tests.builders import evidence_parts

REPORT = {
    "cosine": {"mean": 0.5, "interval": [0.4, 0.6]},
    "probes": {"claims": {"interval": None, "positive": {"interval": [0, 1]}}},
    "paraphrase": {"share_interval": [0, 1], "sentence": "an interval"},
    "permutation": {"p": 0.04, "floor": 0.0005},
}


def evidence_with(folder, attempts):
    rows, vectors, run = evidence_parts()
    run = run.model_copy(update={"attempts": attempts})
    return write_evidence(folder / "e", rows, vectors, run)


@pytest.mark.parametrize(
    ("attempts", "words"),
    [
        (None, "The author does not declare how many checkpoints or settings were tried before"),
        (1, "The author declares that nothing was tried before"),
        (14, "The author declares that this pair is one of 14 that were tried"),
    ],
)
def test_what_was_tried_is_what_the_author_declares(tmp_path, attempts, words):
    found = multiplicity(evidence_with(tmp_path, attempts), REPORT, 3)

    assert found.attempts == attempts
    assert found.note.startswith(words)
    assert (found.rows.asked, found.documents.asked, found.runs) == (40, 10, None)


@pytest.mark.parametrize(
    ("attempts", "words"),
    [
        (None, "is not recorded (release.yaml, evaluation.attempts)"),
        (1, "Nothing was tried before"),
        (14, "one of 14 that were tried"),
    ],
)
def test_what_format_2_says_is_what_it_said(tmp_path, attempts, words):
    found = multiplicity(evidence_with(tmp_path, attempts), REPORT, 2)

    assert words in found.note
    assert found.model_fields_set == {"attempts", "metrics", "note"}


def test_every_interval_and_every_p_counts_and_what_has_none_does_not(tmp_path):
    assert multiplicity(evidence_with(tmp_path, None), REPORT, 3).metrics == 4


def test_how_many_miss_by_chance_follows(tmp_path):
    report = {str(number): {"interval": [0, 1]} for number in range(40)}

    note = multiplicity(evidence_with(tmp_path, 1), report, 3).note
    assert "of as many at 95% confidence about 2 mislead by chance" in note
