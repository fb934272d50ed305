import pytest

from nla_release.calibration.multiplicity import multiplicity

REPORT = {
    "cosine": {"mean": 0.5, "interval": [0.4, 0.6]},
    "probes": {"claims": {"interval": None, "positive": {"interval": [0, 1]}}},
    "paraphrase": {"share_interval": [0, 1], "sentence": "an interval"},
    "permutation": {"p": 0.04, "floor": 0.0005},
}


@pytest.mark.parametrize(
    ("attempts", "told"),
    [
        (None, "is not recorded (release.yaml, evaluation.attempts)"),
        (1, "Nothing was tried before"),
        (14, "one of 14 that were tried"),
    ],
)
def test_what_was_tried_is_told(attempts, told):
    found = multiplicity(attempts, REPORT, 0.95)

    assert found.attempts == attempts
    assert told in found.note


def test_every_interval_and_every_p_counts_and_what_has_none_does_not():
    assert multiplicity(None, REPORT, 0.95).metrics == 4


def test_how_many_miss_by_chance_follows():
    report = {str(number): {"interval": [0, 1]} for number in range(40)}

    note = multiplicity(1, report, 0.95).note
    assert "of as many at 95% confidence about 2 mislead by chance" in note
