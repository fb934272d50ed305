"""What no honest evidence contradicts, and what forged evidence does."""

import numpy as np
import pytest

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.consistency import (
    copies,
    documents_checked,
    look_alike,
    looks,
    misfit_of_reference,
    more_hits_than_texts,
    read_differently,
    unlike_documents,
)
from nla_release.calibration.evidence_folder import write_evidence
from tests.builders import evidence_parts

ROWS = {"rows": 60, "documents": 12}


@pytest.fixture
def measured(tmp_path):
    def measure(change=lambda parts: None):
        parts = evidence_parts(**ROWS)
        parts = change(parts) or parts
        return write_evidence(tmp_path / "evidence", *parts)

    return measure


def test_honest_evidence_contradicts_nothing(measured):
    evidence = measured()

    assert documents_checked(evidence).checked
    assert unlike_documents(evidence) == []
    assert read_differently(evidence) == []
    assert look_alike(evidence) == []
    assert more_hits_than_texts(evidence) == []
    assert misfit(evidence) is None


def test_activations_and_noise_in_place_of_reconstructions_are_found(measured):
    """Every explanation is said of three rows, and each of them is retrieved."""

    def forge(parts):
        random = np.random.default_rng(0)
        gold = parts.vectors["gold"]
        parts.vectors["real"] = (gold + random.normal(size=gold.shape)).astype(np.float32)
        for index, row in enumerate(parts.rows):
            said = {"explanation": f"word {index % 20} of some text"}
            parts.rows[index] = row.model_copy(update=said)

    evidence = measured(forge)

    assert ("real", "r20") in read_differently(evidence)
    assert ("real", 60, 20) in more_hits_than_texts(evidence)


@pytest.mark.parametrize("hidden", ["\u200b", " ", "\u2060", "\ufe0f", "\u00ad", "\n"])
def test_a_suffix_that_nobody_sees_makes_no_other_text(measured, hidden):
    def forge(parts):
        random = np.random.default_rng(0)
        gold = parts.vectors["gold"]
        parts.vectors["real"] = (gold + random.normal(size=gold.shape)).astype(np.float32)
        for index, row in enumerate(parts.rows):
            said = {"explanation": f"word {index % 20} of some text{hidden * (index // 20)}"}
            parts.rows[index] = row.model_copy(update=said)

    evidence = measured(forge)

    assert ("real", "r20") in look_alike(evidence)
    assert ("real", 60, 20) in more_hits_than_texts(evidence)


def test_texts_that_a_reader_tells_apart_look_different():
    assert len({looks(each) for each in ("a b", "ab", "A b", "a b.", "a, b", "a c", "à b")}) == 7


def test_a_withheld_text_makes_documents_the_authors_word(measured):
    def withhold(parts):
        parts.rows[:] = [row.model_copy(update={"text": None}) for row in parts.rows]

    found = documents_checked(measured(withhold))

    assert not found.checked
    assert found.reason == "the source texts of 60 of 60 rows are withheld"


@pytest.mark.parametrize("text", ["", " \n"])
def test_a_blank_text_is_a_withheld_one(measured, text):
    def blank(parts):
        parts.rows[0] = parts.rows[0].model_copy(update={"text": text})

    evidence = measured(blank)

    assert documents_checked(evidence).reason == "the source texts of 1 of 60 rows are withheld"
    assert calibrate(evidence).contrasts.above_token is None


def test_a_document_that_is_split_in_two_is_not_told_by_a_changed_letter(measured):
    """Texts of one document begin alike; in every second row the first letter is another case."""

    def documents(parts, split):
        for index, row in enumerate(parts.rows):
            half = index // 12 % 2
            words = [f"word{row.document}x{at}" for at in range(20 + index // 12)]
            text = " ".join(["The" if half and split else "the", *words])
            named = {"document": f"{row.document}.{half}"} if split else {}
            parts.rows[index] = row.model_copy(update={"text": text, **named})
        return {row.document: row.text for row in parts.rows}

    assert copies(documents(evidence_parts(**ROWS), split=False)) == 0
    assert copies(documents(evidence_parts(**ROWS), split=True)) == 24


def test_texts_that_are_too_short_to_tell_documents_apart_show_no_documents(measured):
    """Texts of one word contradict no name of a document, so they confirm none either."""

    def shorten(parts):
        parts.rows[:] = [row.model_copy(update={"text": "The"}) for row in parts.rows]

    evidence = measured(shorten)
    sentence = calibrate(evidence).label.sentence

    assert unlike_documents(evidence) == []
    assert not documents_checked(evidence).checked
    assert "Documents are the author's word. The source texts of 11 of 12 documents are" in sentence


def test_a_token_that_ends_inside_a_character_is_a_beginning_still(measured):
    def cut(parts):
        parts.rows[0] = parts.rows[0].model_copy(update={"text": parts.rows[0].text + "\ufffd"})

    assert unlike_documents(measured(cut)) == []


@pytest.mark.parametrize(("length", "fits"), [(1, True), (0.97, True), (0.8, False), (0.02, False)])
def test_a_shorter_reference_mean_does_not_fit(measured, length, fits):
    def shorten(parts):
        mean = (parts.vectors["reference_mean"] * length).astype(np.float32)
        parts.vectors["reference_mean"] = mean
        variance = 1 - float(mean.astype(np.float64) @ mean.astype(np.float64))
        reference = parts.run.reference.model_copy(update={"variance": variance})
        return parts._replace(run=parts.run.model_copy(update={"reference": reference}))

    assert (misfit(measured(shorten)) is None) == fits


def misfit(evidence):
    others = calibrate(evidence).reference.other_documents
    return misfit_of_reference(evidence, others)
