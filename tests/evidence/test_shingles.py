"""The sample of training texts: what it finds, what it misses, and what it refuses to read."""

import contextlib
import json

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from nla_release.errors import DataError
from nla_release.evidence import training_documents
from nla_release.evidence.training_documents import (
    ShinglesBuilder,
    hashes_of_rows,
    label_hash,
    merged_shingles,
    read_shingles,
    shingle_hashes,
    words_of,
    write_shingles,
)
from tests.builders import training_shingles

TEXT = "The quick brown fox jumps over the lazy dog and then it sleeps until noon."


def test_case_punctuation_and_width_do_not_make_another_text():
    assert words_of("Don’t STOP—the ｆｏｘ!") == ["don", "t", "stop", "the", "fox"]
    assert words_of("漢字 word") == ["漢", "字", "word"]
    assert shingle_hashes(TEXT) == shingle_hashes(TEXT.upper().replace(".", " ?!"))
    assert len(shingle_hashes(TEXT)) == 15 - 8 + 1
    assert shingle_hashes("only seven words are in this text") == set()


@given(st.lists(st.none() | st.text(st.sampled_from("abc .,\n"), max_size=80), max_size=8))
def test_rows_together_give_what_each_gives_alone(texts):
    assert list(hashes_of_rows(texts)) == [shingle_hashes(text or "") for text in texts]


def test_a_file_reads_back_and_is_the_same_for_the_same_texts(tmp_path):
    sample = training_shingles(TEXT, "another text " * 20, labels=["A label.", "another"])
    write_shingles(tmp_path / "s.safetensors", sample)
    found = read_shingles(tmp_path / "s.safetensors")

    assert (tmp_path / "s.safetensors").read_bytes() == sample.dump() == found.dump()
    assert found.documents == 2
    assert found.labels.holds(np.array([label_hash("a LABEL")], np.uint64)).all()


def test_a_sample_stays_small_whatever_the_corpus(monkeypatch):
    monkeypatch.setattr(training_documents, "MAX_SHINGLES", 100)
    builder = ShinglesBuilder()
    for at in range(40):
        builder.add_document(" ".join(f"w{at}x{word}" for word in range(60)))
    sample = builder.build()
    every = set().union(
        *(shingle_hashes(" ".join(f"w{at}x{w}" for w in range(60))) for at in range(40))
    )

    assert sample.shingles.one_in >= 16
    assert len(sample.shingles.hashes) <= 100
    assert set(sample.shingles.hashes.tolist()) == {
        it for it in every if it % sample.shingles.one_in == 0
    }


def test_files_of_different_sampling_are_merged_to_the_coarser(tmp_path, monkeypatch):
    write_shingles(tmp_path / "a.safetensors", training_shingles(TEXT))
    with monkeypatch.context() as patch:
        patch.setattr(training_documents, "MAX_SHINGLES", 4)
        coarse = training_shingles("many other words " * 3 + TEXT[::-1], TEXT)
        write_shingles(tmp_path / "b.safetensors", coarse)
    merged = merged_shingles([tmp_path / "a.safetensors", tmp_path / "b.safetensors"])

    assert coarse.shingles.one_in > 1
    assert merged.shingles.one_in == coarse.shingles.one_in
    assert merged.documents == 3
    assert merged_shingles([]) is None


HEADER = {"schema": 1, "words": 8, "documents": 1, "shingles_one_in": 1, "labels_one_in": 1}


def stored(path, *, header=HEADER, hashes=(1, 2), labels=(3,), dtype=np.uint64, **more):
    tensors = {
        "shingles": np.array(hashes, dtype),
        "labels": np.array(labels, dtype),
        **{name: np.zeros(1, np.uint64) for name in more},
    }
    record = {"nla_release": header if isinstance(header, str) else json.dumps(header)}
    path.write_bytes(safetensors.numpy.save(tensors, metadata=record))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"header": "["}, "not valid JSON"),
        ({"header": "[" * 100_000}, "not valid JSON"),
        ({"header": HEADER | {"words": 7}}, "words"),
        ({"header": HEADER | {"documents": 0}}, "documents"),
        ({"header": HEADER | {"shingles_one_in": 3}}, "not a power of two"),
        ({"header": HEADER | {"shingles_one_in": 2**41}}, "shingles_one_in"),
        ({"header": HEADER | {"shingles_one_in": 2}}, "not a sorted sample of one hash in 2"),
        ({"header": HEADER | {"more": 1}}, "more"),
        ({"hashes": (2, 1)}, "not a sorted sample"),
        ({"hashes": (1, 1)}, "not a sorted sample"),
        ({"hashes": [[1, 2]]}, "not a list of 64-bit hashes"),
        ({"dtype": np.float32}, "not a list of 64-bit hashes"),
        ({"other": True}, "holds other tensors"),
        ({"hashes": range(training_documents.MAX_SHINGLES + 1)}, "holds 180001 hashes"),
        ({"hashes": range(270_000)}, "is larger than"),
    ],
)
def test_a_file_that_is_no_such_sample_is_refused(tmp_path, changes, words):
    path = tmp_path / "training_shingles.safetensors"
    stored(path, **changes)
    with pytest.raises(DataError, match=words):
        read_shingles(path)


def test_a_file_without_its_record_is_refused(tmp_path):
    path = tmp_path / "s.safetensors"
    tensors = {name: np.array([1], np.uint64) for name in ("shingles", "labels")}
    path.write_bytes(safetensors.numpy.save(tensors))
    with pytest.raises(DataError, match="has no metadata"):
        read_shingles(path)
    with pytest.raises(DataError, match="does not exist"):
        read_shingles(tmp_path / "none.safetensors")


@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_a_file_that_is_damaged_is_read_or_refused(tmp_path_factory, at, replaced):
    path = tmp_path_factory.mktemp("s") / "s.safetensors"
    content = bytearray(training_shingles(TEXT).dump())
    content[at : at + len(replaced)] = replaced
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        assert read_shingles(path).documents >= 1


@pytest.mark.parametrize(("replaced", "found"), [(0.0, 1.0), (0.02, 0.98), (0.05, 0.8)])
def test_a_copy_with_few_words_replaced_is_near(replaced, found):
    """200 copies of 120 words; half of the sequences of 8 are left below 8% of the words."""
    assert _near(replaced) >= found


@pytest.mark.parametrize(("replaced", "found"), [(0.15, 0.05), (1.0, 0.0)])
def test_a_copy_with_many_words_replaced_is_missed(replaced, found):
    assert _near(replaced) <= found


def _near(replaced):
    """The share of copies that have half of their word sequences in common with the original."""
    random, hits = np.random.default_rng(0), 0
    for copy in range(200):
        words = [f"w{at}x{copy}" for at in range(120)]
        other = [
            f"other{at}" if random.random() < replaced else word for at, word in enumerate(words)
        ]
        own, theirs = shingle_hashes(" ".join(words)), shingle_hashes(" ".join(other))
        hits += len(own & theirs) >= 0.5 * len(theirs)
    return hits / 200
