"""The list of training documents, and what the evaluation has in common with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.errors import DataError, InputError
from nla_release.evidence.training_documents import (
    text_digest,
    training_overlap,
    write_training_documents,
)
from nla_release.io.files import sha256_file

EVALUATED = {"ids": ["r0", "r1", "r2"], "documents": ["a", "a", "b"]}


@given(st.text(), st.text(st.characters(max_codepoint=127)))
def test_case_and_spacing_do_not_make_another_text(text, ascii_text):
    assert text_digest(f" {text}\n") == text_digest(text)
    assert text_digest(ascii_text.upper()) == text_digest(ascii_text)


def test_the_width_of_characters_does_not_make_another_text():
    assert text_digest("Ａ ﬁsh   stood") == text_digest("a fish stood")
    assert text_digest("a fish stood") != text_digest("a fish stood.")


def test_documents_of_the_same_id_or_text_are_found(tmp_path):
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    write_training_documents(one, [("b", "something else"), ("c", "The text.")])
    write_training_documents(two, [("d", "more")])
    digests = [text_digest("the  TEXT."), None, text_digest("another")]
    found = training_overlap([one, two], **EVALUATED, digests=digests)

    assert (found.documents, found.ids_overlapping) == (3, ["b"])
    assert (found.texts_overlapping, found.texts_compared) == (["r0"], 2)
    alone = training_overlap([one], **EVALUATED, digests=digests)
    assert alone.sha256 == sha256_file(one) != found.sha256


def test_an_id_may_hold_any_character_that_json_can_write(tmp_path):
    """Also those at which Python, and not JSON Lines, begins a new line."""
    path = tmp_path / "list.jsonl"
    write_training_documents(path, [("a\u2028b\x85c", "text"), ("d", "other")])

    found = training_overlap([path], **EVALUATED, digests=[None] * 3)
    assert found.documents == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no training documents are listed"),
        ("{", "line 1 is not valid JSON"),
        ("[" * 100_000, "line 1 is not valid JSON"),
        ("[]", "line 1"),
        ('{"id": "a"}', "sha256 is missing"),
        ('{"id": "a", "sha256": "no"}', "sha256"),
    ],
)
def test_a_damaged_list_is_named(tmp_path, text, words):
    path = tmp_path / "list.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        training_overlap([path], **EVALUATED, digests=[None] * 3)
    assert str(path) in caught.value.message


def test_a_missing_list_is_named(tmp_path):
    with pytest.raises(InputError, match=r"list\.jsonl does not exist"):
        training_overlap([tmp_path / "list.jsonl"], **EVALUATED, digests=[None] * 3)
