"""Whose text the shuffled control takes is a rule, and evidence that says so is held to it."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.calibration.evidence_folder import write_evidence
from nla_release.errors import EvidenceError
from nla_release.evidence.controls import other_rows
from tests.builders import evidence_parts


@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=40), st.integers(0, 2**32 - 1))
def test_every_row_gets_one_of_another_document(documents, seed):
    source = other_rows(documents, seed)

    assert source == other_rows(documents, seed)
    if len(set(documents)) > 1:
        assert all(documents[row] != documents[at] for row, at in enumerate(source))
    if 2 * max(Counter(documents).values()) <= len(documents):
        assert sorted(source) == list(range(len(documents)))


def test_the_rule_is_frozen():
    """Another numpy must give the same rows, or evidence could not be held to them."""
    documents = [f"d{row % 4}" for row in range(10)]

    assert other_rows(documents, 0) == [1, 3, 0, 4, 9, 2, 8, 6, 5, 7]


def ruled(*, failed=None):
    """Evidence that follows the rule."""
    parts = evidence_parts(rows=30, documents=10, failed=failed)
    source = other_rows([row.document for row in parts.rows], parts.run.seed)
    for index, row in enumerate(parts.rows):
        other = parts.rows[source[index]]
        parts.rows[index] = row.model_copy(
            update={"shuffled_from": other.id, "shuffled_status": other.status}
        )
    parts.vectors["shuffled"] = parts.vectors["real"][source]
    return parts._replace(run=parts.run.model_copy(update={"shuffle": "v2"}))


def test_evidence_that_follows_the_rule_is_read(tmp_path):
    evidence = write_evidence(tmp_path / "evidence", *ruled(failed={3: "empty"}))

    assert evidence.run.shuffle == "v2"


def test_another_row_than_the_rule_gives_is_refused(tmp_path):
    parts = ruled()
    chosen = parts.rows[7].model_copy(update={"shuffled_from": "r0"})
    assert parts.rows[7].shuffled_from != "r0"
    parts.rows[7] = chosen

    with pytest.raises(EvidenceError, match=r"line 8: shuffled_from is 'r0', but documents and"):
        write_evidence(tmp_path / "evidence", *parts)


def test_older_evidence_names_no_rule_and_is_read_as_it_is(tmp_path):
    parts = ruled()
    parts.rows[7] = parts.rows[7].model_copy(update={"shuffled_from": "r0"})
    run = parts.run.model_copy(update={"shuffle": None})

    assert write_evidence(tmp_path / "evidence", parts.rows, parts.vectors, run).run.shuffle is None


@pytest.mark.parametrize("tensor", ["empty", "zero_vector", "shuffled"])
def test_one_text_has_one_reconstruction(tmp_path, tensor):
    parts = ruled()
    parts.vectors[tensor] = parts.vectors[tensor].copy()
    parts.vectors[tensor][4] = np.ones(16)

    with pytest.raises(EvidenceError, match=rf"tensor {tensor} differs, in row 5 \(id 'r4'\)"):
        write_evidence(tmp_path / "evidence", *parts)
