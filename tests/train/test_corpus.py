"""Which side a document is on, and which corpora cannot be split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.errors import DataError, NothingCheckedError
from nla_release.evidence.training_documents import text_digest
from nla_release.training.corpus import read_document, side_of, survey
from nla_release.training.recipe import Split
from tests.train.chain import LENS, ROSE

SHARES = Split(av=0.4, ar=0.3, eval=0.2, rl=0.1)
TOGETHER = Split(av=0.9, ar="av", eval=0.1)


def look(*documents, shares=TOGETHER):
    return survey((read_document(it, "x") for it in documents), "c.jsonl", shares)


@given(st.text(min_size=1), st.sampled_from([None, "train", "eval"]))
def test_copies_of_a_text_are_on_the_same_side(text, said):
    copy = f"  {text.replace(' ', '   ')} "

    assert side_of(text_digest(text), said, SHARES) == side_of(text_digest(copy), said, SHARES)


@given(st.text(), st.sampled_from([SHARES, TOGETHER]))
def test_what_the_corpus_says_is_obeyed(text, shares):
    assert side_of(text_digest(text), "eval", shares) == "eval"
    assert side_of(text_digest(text), "train", shares) != "eval"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, {"av": 0.4, "ar": 0.3, "eval": 0.2, "rl": 0.1}),
        ("train", {"av": 0.5, "ar": 0.375, "rl": 0.125}),
    ],
)
def test_sides_get_their_shares(said, expected):
    found = [side_of(text_digest(f"text {number}"), said, SHARES) for number in range(4000)]

    assert {side: found.count(side) / 4000 for side in expected} == pytest.approx(
        expected, abs=0.03
    )
    assert set(found) == set(expected)


def test_an_ar_that_learns_from_the_avs_rows_has_no_documents_of_its_own():
    sides = {side_of(text_digest(f"text {number}"), None, TOGETHER) for number in range(200)}

    assert sides == {"av", "eval"}


def test_a_survey_counts_what_is_read_and_what_is_left_out():
    found = look(LENS, ROSE, {**LENS, "id": "z", "split": "base"})

    assert (found.documents, found.left_out) == (2, 1)


@pytest.mark.parametrize(
    ("documents", "error", "words"),
    [
        ([], NothingCheckedError, "has no documents"),
        ([{**LENS, "split": "base"}], NothingCheckedError, "all 1 are in splits other than train"),
        ([LENS, LENS], DataError, "'a' occurs more than once"),
        (
            [LENS, {**LENS, "id": "c", "split": "eval"}],
            DataError,
            "texts are in both train and eval",
        ),
        (
            [LENS, {**LENS, "id": "c", "split": "eval", "text": LENS["text"].upper()}],
            DataError,
            "1 texts are in both train and eval",
        ),
        ([LENS], NothingCheckedError, "no eval documents: all 1 are on other sides"),
        ([ROSE], NothingCheckedError, "no av documents: all 1 are on other sides"),
    ],
)
def test_a_corpus_that_would_mislead_is_refused(documents, error, words):
    with pytest.raises(error, match=words):
        look(*documents)


@pytest.mark.parametrize(("start", "end"), [(3, 3), (5, 4), (50, 57)])
def test_a_label_must_stand_in_its_text(start, end):
    label = {"start": start, "end": end, "explanation": "x"}
    with pytest.raises(
        DataError, match=f"a label covers characters {start} to {end} of a text of 56"
    ):
        look({**LENS, "labels": [label]}, ROSE)


def test_a_side_that_would_stay_empty_is_found_before_anything_expensive():
    with pytest.raises(NothingCheckedError, match="no ar documents"):
        look(LENS, ROSE, shares=Split(av=0.89, ar=0.01, eval=0.1))
