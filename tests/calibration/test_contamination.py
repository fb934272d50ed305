import pytest

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.contamination import (
    contamination,
    contamination_sentence,
)
from nla_release.calibration.evidence_folder import read_evidence, write_evidence
from nla_release.errors import EvidenceError
from nla_release.evidence.records import TrainingOverlap
from nla_release.statistics.blocks import Inconclusive
from tests.builders import evidence_parts, make_evidence, source_text, training_shingles


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


def test_nothing_compared_is_said_with_the_reason(tmp_path):
    evidence = make_evidence(tmp_path / "evidence")

    found = contamination(evidence)
    assert isinstance(found.documents, Inconclusive)
    assert isinstance(found.texts, Inconclusive)
    assert isinstance(found.shingles, Inconclusive)
    assert "The rows' own texts were not compared" in contamination_sentence(found)
    assert calibrate(evidence).contamination == found
    assert calibrate(evidence, 2).contamination is None


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


@pytest.fixture
def measured(tmp_path):
    """Evidence of 40 rows in 10 documents whose pair was trained on these texts."""

    def measure(*trained, texts=None, labels=("a label",), said=None):
        rows, vectors, run = evidence_parts()
        for index, text in (texts or {}).items():
            rows[index] = rows[index].model_copy(update={"text": text})
        for index, text in (said or {}).items():
            rows[index] = rows[index].model_copy(update={"explanation": text})
        sample = training_shingles(*trained, labels=labels)
        return write_evidence(tmp_path / "evidence", rows, vectors, run, shingles=sample)

    return measure


def test_a_training_row_is_found_without_any_id_or_digest(measured):
    """Replacing ids and digests of documents hides nothing: the text itself is compared."""
    found = contamination(measured(source_text(3), source_text(14)))

    # Texts of one document are beginnings of each other: r3 is the shortest of d3, r14 is not.
    assert (found.shingles.exact.hits, found.shingles.near.hits) == (3, 8)
    assert found.shingles.near.n == 40
    # They are all rows of two documents: rows that were independent would give 0.105 to 0.348.
    assert found.shingles.near.interval[1] > 0.5
    assert found.shingles.contaminated
    assert found.clean.n == 40 - 4 - 4, "the documents of both rows"
    assert "8 of 40 rows share at least half of theirs, 3 share all" in contamination_sentence(
        found
    )
    assert "Without these documents the cosine is" in contamination_sentence(found)


@pytest.mark.parametrize(("kept", "near"), [(18, 1), (14, 1), (10, 0)])
def test_a_text_is_near_when_half_of_its_word_sequences_are_a_training_texts(measured, kept, near):
    """Of 18 words 11 sequences of 8 can be made; 14 in common leave 7 of them, 10 leave 3."""
    words = [f"training{at}" for at in range(18)]
    changed = " ".join([*words[:kept], *(f"other{at}" for at in range(18 - kept))])
    found = contamination(measured(" ".join(words), texts={3: changed}))

    assert found.shingles.near.hits == near
    assert found.shingles.exact.hits == (kept == 18)


def test_case_and_punctuation_do_not_hide_a_training_text(measured):
    trained = " ".join(f"training{at}" for at in range(18))
    shouted = ", ".join(trained.upper().split()) + "!"
    found = contamination(measured(trained, texts={3: shouted}))

    assert found.shingles.exact.hits == 1


def test_what_is_not_compared_is_counted(measured):
    short = dict.fromkeys(range(0, 40, 10), "only a few words")
    found = contamination(measured(texts=short | {1: None})).shingles

    assert (found.withheld, found.too_short, found.near.n) == (1, 4, 35)
    assert found.uncompared_documents == 1, "of document 0 every row is too short"


def test_withheld_texts_are_no_clean_bill(measured):
    found = contamination(measured(texts=dict.fromkeys(range(40))))

    assert isinstance(found.shingles.near, Inconclusive)
    assert (found.shingles.withheld, found.shingles.uncompared_documents) == (40, 10)
    assert "No row could be compared" in contamination_sentence(found)
    assert "40 rows without a text" in contamination_sentence(found)


def test_labels_that_are_repeated_word_for_word_are_counted(measured):
    labels = ["Gold 7.", evidence_parts().rows[3].explanation, "unused"]
    found = contamination(measured(labels=labels, said={5: "Unused!"})).repeated

    assert (found.explanations.hits, found.explanations.n) == (2, 40)
    assert (found.labels.hits, found.labels.n) == (1, 40)


def test_a_sample_of_a_large_corpus_finds_wholesale_reuse(measured, monkeypatch):
    """Each row is too short for the sample by itself, all of them together are not."""
    monkeypatch.setattr("nla_release.evidence.training_documents.MAX_SHINGLES", 60)
    found = contamination(measured(*map(source_text, range(40)))).shingles

    assert found.one_in > 1
    assert isinstance(found.near, Inconclusive)
    assert found.shared == 1
    assert found.contaminated


def test_a_sample_that_run_json_does_not_name_is_refused(measured, tmp_path):
    measured()
    path = tmp_path / "evidence" / "training_shingles.safetensors"
    content = path.read_bytes()
    path.write_bytes(training_shingles(source_text(3)).dump())
    with pytest.raises(EvidenceError, match="belongs to another run"):
        read_evidence(tmp_path / "evidence")
    path.unlink()
    with pytest.raises(EvidenceError, match="does not exist"):
        read_evidence(tmp_path / "evidence")
    make_evidence(tmp_path / "evidence")
    path.write_bytes(content)
    with pytest.raises(EvidenceError, match=r"run.json does not name it"):
        read_evidence(tmp_path / "evidence")
