import pytest

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.contamination import contamination
from nla_release.calibration.evidence import write_evidence
from nla_release.calibration.records import TrainingOverlap
from tests.builders import evidence_parts, make_evidence


@pytest.fixture
def overlapping(tmp_path):
    """Evidence of 40 rows in 10 documents, of which some were trained on."""

    def measure(ids=(), texts=()):
        rows, vectors, run = evidence_parts()
        overlap = TrainingOverlap(
            sha256="7" * 64, documents=300, ids_overlapping=[*ids], texts_overlapping=[*texts]
        )
        run = run.model_copy(update={"training": overlap})
        return write_evidence(tmp_path / "evidence", rows, vectors, run)

    return measure


def test_nothing_compared_is_null(tmp_path):
    evidence = make_evidence(tmp_path / "evidence")

    assert contamination(evidence) is None
    assert calibrate(evidence).contamination is None


def test_a_clean_evaluation_is_counted(overlapping):
    found = contamination(overlapping())

    assert (found.documents.hits, found.documents.n) == (0, 10)
    assert (found.texts.hits, found.texts.n) == (0, 40)
    assert found.training_documents == 300
    assert found.clean.n == 40


def test_the_cosine_without_what_overlaps_stands_beside_it(overlapping):
    evidence = overlapping(ids=["d3"], texts=["r3", "r4"])
    found = contamination(evidence)

    assert (found.documents.hits, found.texts.hits) == (1, 2)
    assert found.clean.n == 40 - 4 - 1
    assert found.clean.mean != calibrate(evidence).cosine.mean


def test_when_everything_overlaps_nothing_is_left(overlapping):
    found = contamination(overlapping(ids=[f"d{i}" for i in range(10)]))

    assert (found.clean.mean, found.clean.n) == (None, 0)
