import pytest

from nla_release.calibration.blocks import Inconclusive
from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.contamination import contamination
from nla_release.calibration.evidence import write_evidence
from nla_release.calibration.records import TrainingOverlap
from nla_release.errors import EvidenceError
from tests.builders import evidence_parts, make_evidence


@pytest.fixture
def overlapping(tmp_path):
    """Evidence of 40 rows in 10 documents, of which some were trained on."""

    def measure(ids=(), texts=(), compared=None, without_text=0):
        rows, vectors, run = evidence_parts()
        for index in range(without_text):
            rows[index] = rows[index].model_copy(update={"text": None})
        overlap = TrainingOverlap(
            sha256="7" * 64,
            documents=300,
            ids_overlapping=[*ids],
            texts_overlapping=[*texts],
            texts_compared=compared,
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
    # All four rows of d3, and all four of d4, of which one was found: they share their text.
    assert found.clean.n == 40 - 4 - 4
    assert found.clean.mean != calibrate(evidence).cosine.mean


def test_when_everything_overlaps_nothing_is_left(overlapping):
    found = contamination(overlapping(ids=[f"d{i}" for i in range(10)]))

    assert (found.clean.mean, found.clean.n) == (None, 0)


def test_texts_are_counted_over_the_rows_whose_text_was_compared(overlapping):
    assert contamination(overlapping(texts=["r3"], compared=25)).texts.n == 25
    assert contamination(overlapping(texts=["r3"], without_text=10)).texts.n == 31


@pytest.mark.parametrize("texts", [{"compared": 0}, {"without_text": 40}])
def test_nothing_found_where_nothing_was_compared_is_no_clean_bill(overlapping, texts):
    found = contamination(overlapping(**texts))

    assert isinstance(found.texts, Inconclusive)
    assert (found.documents.hits, found.documents.n) == (0, 10)


@pytest.mark.parametrize("compared", [1, 41])
def test_more_texts_compared_than_there_are_or_fewer_than_were_found_is_refused(
    overlapping, compared
):
    with pytest.raises(EvidenceError, match=f"texts_compared is {compared}"):
        overlapping(texts=["r3", "r4"], compared=compared)
