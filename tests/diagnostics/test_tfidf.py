import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.diagnostics.text_retrieval import tfidf_blocks


def tfidf_cosines(queries, documents):
    """[Q, D] cosines."""
    return np.concatenate(list(tfidf_blocks(queries, documents)))


words = st.sampled_from(["moon", "sun", "Sun", "of", "a", "über", "x1"])
texts = st.lists(st.lists(words, max_size=6).map(" ".join), min_size=1, max_size=6)


def test_the_numbers_are_those_of_the_formula():
    """Two documents; "moon" in both weighs 1, "sun" in one of them ln(3/2) + 1."""
    rare = math.log(3 / 2) + 1
    first = np.array([2, rare]) / math.hypot(2, rare)

    found = tfidf_cosines(["moon", "the sun"], ["Moon moon, sun!", "moon"])

    assert found.tolist() == [pytest.approx([first[0], 1]), pytest.approx([first[1], 0])]


@given(texts, texts)
def test_cosines_are_cosines(queries, documents):
    found = tfidf_cosines(queries, documents)

    assert found.shape == (len(queries), len(documents))
    assert np.all((found >= 0) & (found <= 1 + 1e-12))


@given(texts)
def test_a_text_is_most_like_itself(documents):
    found = tfidf_cosines(documents, documents)

    np.testing.assert_allclose(found, found.T, atol=1e-12)
    for row, own in zip(found, found.diagonal(), strict=True):
        assert own == pytest.approx(row.max())
        assert own == pytest.approx(1) or row.max() == 0


def test_a_query_of_unknown_words_is_like_nothing():
    assert tfidf_cosines(["neither", "", "a b c"], ["moon", "sun"]).tolist() == [[0, 0]] * 3
