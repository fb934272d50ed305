"""What the AV said is read as an explanation or as one named failure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.contract.explanation import read_explanation, wrap


@pytest.mark.parametrize(
    ("raw", "ended", "status", "text"),
    [
        ("<explanation>a word</explanation>", True, "ok", "a word"),
        ("<explanation>a word</explanation>", False, "ok", "a word"),
        ("noise <explanation> a word </explanation> more", True, "ok", "a word"),
        ("<explanation></explanation>", True, "empty", ""),
        ("<explanation>  </explanation>", True, "empty", ""),
        ("", True, "empty", ""),
        (" \n", True, "empty", ""),
        ("<explanation>a word", False, "truncated", ""),
        ("", False, "truncated", ""),
        ("<explanation>a word", True, "unparsed", ""),
        ("a word", True, "unparsed", ""),
        ("a word</explanation>", True, "unparsed", ""),
        ("</explanation><explanation>", True, "unparsed", ""),
    ],
)
def test_every_output_has_one_status(raw, ended, status, text):
    found = read_explanation(raw, ended=ended)

    assert (found.status, found.text, found.raw) == (status, text, raw)


@given(st.text(st.characters(exclude_characters="<>")))
def test_what_was_wrapped_is_read_again(text):
    found = read_explanation(wrap(text), ended=True)

    assert found.text == text.strip()
    assert found.status == ("ok" if text.strip() else "empty")


@given(st.text(), st.booleans())
def test_only_an_explained_vector_is_ok(raw, ended):
    found = read_explanation(raw, ended=ended)

    assert (found.status == "ok") == bool(found.text)
