"""Where documents come from: the same ones, whatever they are kept in."""

import builtins
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nla_release.errors import DataError, EnvironmentProblem, InputError
from nla_release.training.corpus_files import corpus_digest, corpus_path, documents, stream_dataset
from nla_release.training.recipe import HubDataset
from tests.train.chain import LENS, ROSE, shortened, write_corpus

PARAPHRASED = {"start": 0, "end": 1, "explanation": "b", "paraphrase": "\ud800"}


@pytest.fixture
def read(tmp_path):
    """The documents of `tmp_path/NAME` with changes to the block `extract`."""

    def found(name, **changes):
        settings = shortened(tmp_path, extract={"corpus": name, **changes}).extract
        return list(documents(corpus_path(settings, tmp_path), settings))

    return found


def test_lines_are_read_with_their_sides_and_labels(tmp_path, read):
    write_corpus(tmp_path / "c.jsonl", LENS, ROSE, {**LENS, "id": "z", "split": "base"})
    first, second, third = read("c.jsonl")

    assert (first.id, first.split, first.text) == ("a", "train", LENS["text"])
    assert first.labels[0].explanation == "the word wave in a text"
    assert (second.id, second.split) == ("b", "eval")
    assert third is None


def test_a_line_ends_where_the_line_ends(tmp_path, read):
    text = "one\u2028two\x85three\x0bfour"
    (tmp_path / "c.jsonl").write_text(json.dumps({"id": "a", "text": text}, ensure_ascii=False))

    assert [it.text for it in read("c.jsonl")] == [text]


def test_columns_may_have_other_names(tmp_path, read):
    write_corpus(tmp_path / "c.jsonl", {"url": 7, "content": "some words", "text": "not these"})
    (document,) = read("c.jsonl", text_column="content", id_column="url")

    assert (document.id, document.text) == ("7", "some words")


def test_documents_without_an_id_are_numbered(tmp_path, read):
    write_corpus(tmp_path / "c.jsonl", {"text": "one"}, {"text": "two"})

    assert [it.id for it in read("c.jsonl")] == ["c.jsonl:00000000", "c.jsonl:00000001"]


def test_parquet_gives_the_same_documents_as_lines(tmp_path, read):
    write_corpus(tmp_path / "c.jsonl", LENS, ROSE)
    pq.write_table(pa.Table.from_pylist([LENS, ROSE]), tmp_path / "c.parquet")

    assert read("c.parquet") == read("c.jsonl")


def test_a_text_file_is_a_document_and_a_folder_all_of_them_in_order(tmp_path, read):
    for name in ("b.txt", "a/x.txt", "a/notes.md"):
        (tmp_path / "texts" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "texts" / name).write_text(f"words of {name}")
    write_corpus(tmp_path / "texts" / "c.jsonl", {"text": "a line"})

    assert [(it.id, it.text) for it in read("texts")] == [
        ("a/x.txt", "words of a/x.txt"),
        ("b.txt", "words of b.txt"),
        ("c.jsonl:00000000", "a line"),
    ]


def test_only_the_first_documents_are_taken_when_the_recipe_says_how_many(tmp_path, read):
    left_out = {"id": "z", "text": "x", "split": "base"}
    write_corpus(tmp_path / "c.jsonl", LENS, left_out, ROSE, {"id": "c", "text": "more"})

    assert [it and it.id for it in read("c.jsonl", documents=2)] == ["a", None, "b"]


def test_fewer_documents_than_the_recipe_asks_for_are_no_silent_smaller_set(tmp_path, read):
    write_corpus(tmp_path / "c.jsonl", LENS, ROSE)
    with pytest.raises(DataError, match="has 2 documents, the recipe asks for 3"):
        read("c.jsonl", documents=3)


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("c.jsonl", b'{"id": "a", "text": "t"}\n{"id\n', DataError, "line 2 is not valid JSON"),
        ("c.jsonl", b"[1]\n", DataError, "line 1 is not a JSON object"),
        ("c.jsonl", b'{"id": "a", "b": 1}\n', DataError, "line 1 has no text, .* it has b, id"),
        ("c.jsonl", b'{"id": "a", "text": 3}\n', DataError, "line 1: text"),
        ("c.jsonl", b'{"text": "\xff"}\n', DataError, "is not UTF-8"),
        ("c.jsonl", b'{"text": "\\ud800"}\n', DataError, "half of a surrogate pair"),
        (
            "c.jsonl",
            json.dumps({"text": "a", "labels": [PARAPHRASED]}).encode(),
            DataError,
            "line 1 .* half of a surrogate pair",
        ),
        ("c.jsonl", b'{"id": "", "text": "t"}\n', DataError, "line 1: id"),
        ("c.jsonl", b"[" * 100_000, DataError, "line 1 is not valid JSON"),
        ("c.txt", b"\xff\xfe\x00", InputError, "is not UTF-8"),
        ("c.parquet", b"PAR1 but not really", DataError, "not a readable parquet file"),
        ("c.csv", b"a,b", InputError, r"not a \.jsonl, \.parquet or \.txt file"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_named(tmp_path, read, name, content, error, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=words) as caught:
        read(name)
    assert name in caught.value.message


@pytest.mark.parametrize("name", ["c.jsonl.gz", "C.JSONL", "a/c.parquet.zst", "notes.txt~.TXT"])
def test_a_file_that_looks_like_documents_is_not_passed_over(tmp_path, read, name):
    write_corpus(tmp_path / "texts" / "c.jsonl", LENS)
    (tmp_path / "texts" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "texts" / name).write_bytes(b"")
    with pytest.raises(InputError, match="is in the corpus, and is not a") as caught:
        read("texts")
    assert name in caught.value.message


def test_a_missing_corpus_and_an_empty_folder_are_named(tmp_path, read):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="c.jsonl does not exist"):
        read("c.jsonl")
    with pytest.raises(InputError, match=r"empty has no \.jsonl, \.parquet or \.txt files"):
        read("empty")


def test_an_id_column_that_a_document_lacks_is_no_reason_to_make_up_ids(tmp_path, read):
    write_corpus(tmp_path / "c.jsonl", {"url": "a", "text": "t"}, {"text": "u"})
    with pytest.raises(DataError, match="line 2 has no url"):
        read("c.jsonl", id_column="url")


def test_a_folders_digest_follows_its_files_and_their_names(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text("words")
    before = corpus_digest(folder)
    (folder / "a.txt").rename(folder / "b.txt")
    renamed = corpus_digest(folder)
    (folder / "b.txt").write_text("other words")

    assert len({before, renamed, corpus_digest(folder)}) == 3


def test_without_the_library_a_hub_dataset_is_refused_with_what_to_install(tmp_path, monkeypatch):
    found = builtins.__import__

    def missing(name, *arguments, **options):
        if name == "datasets":
            raise ImportError(name)
        return found(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    asked = HubDataset(
        dataset="x/y", revision="main", split="train", text_column="text", documents=1
    )
    with pytest.raises(EnvironmentProblem, match="needs the library `datasets`") as caught:
        stream_dataset(asked, tmp_path / "corpus.jsonl")
    assert "pip install" in caught.value.hint
    assert not (tmp_path / "corpus.jsonl").exists()
