"""Sides hold whole documents, share none, and a report says so."""

import errno
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nla_release.errors import DataError, EnvironmentProblem, NothingCheckedError
from nla_release.evidence.training_documents import text_digest
from nla_release.io.files import dump_yaml, read_json, read_yaml
from nla_release.training import STEPS
from nla_release.training.data_sidecars import sidecar_path
from nla_release.training.dataset import data_path, split_path
from nla_release.training.extract import extract
from nla_release.training.label import label
from nla_release.training.record import read_record, record_path, write_record
from nla_release.training.split import SideContents, contamination, split
from nla_release.training.tables import row_schema, write_sidecar, write_table
from tests.train.chain import labelled, shortened, write_corpus

FOUR = {"split": {"av": 0.4, "ar": 0.3, "eval": 0.2, "rl": 0.1}}


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("extracted")
    write_corpus(folder / "corpus.jsonl", *labelled(60))
    extract(shortened(folder, **FOUR), folder, device="cpu")
    return folder


@pytest.fixture
def folder(extracted, copy_of):
    return copy_of(extracted)


def rows_of(folder, side):
    return pq.read_table(split_path(folder, side)).to_pylist()


def report(folder):
    return read_json(folder / "data" / "split" / "contamination.json")


def test_every_row_is_on_one_side_with_the_whole_of_its_document(folder):
    counts = split(shortened(folder, **FOUR), folder)
    rows = {side: rows_of(folder, side) for side in counts}
    everything = pq.read_table(data_path(folder, "base")).to_pylist()

    assert {side: len(held) for side, held in rows.items()} == counts
    assert sorted(row["id"] for held in rows.values() for row in held) == sorted(
        row["id"] for row in everything
    )
    documents = [{row["document"] for row in held} for held in rows.values()]
    assert sum(map(len, documents)) == len(set().union(*documents)) == 60
    assert min(map(len, documents)) > 0


def test_rows_keep_their_order_and_their_vectors(folder):
    split(shortened(folder, **FOUR), folder)
    everything = {row["id"]: row for row in pq.read_table(data_path(folder, "base")).to_pylist()}
    order = list(everything)
    for side in ("av", "ar", "eval", "rl"):
        rows = rows_of(folder, side)
        assert rows == [everything[row["id"]] for row in rows]
        assert [order.index(row["id"]) for row in rows] == sorted(
            order.index(row["id"]) for row in rows
        )


def test_the_report_counts_documents_rows_and_what_sides_share(folder):
    counts = split(shortened(folder, **FOUR), folder)
    found = report(folder)

    assert {side: it["rows"] for side, it in found["sides"].items()} == counts
    assert sum(it["documents"] for it in found["sides"].values()) == 60
    assert len(found["overlaps"]) == 6
    assert all(it["ids"] == it["texts"] == 0 for it in found["overlaps"])


def test_an_ar_that_learns_from_the_avs_rows_has_no_file_here(folder):
    split(shortened(folder, **FOUR), folder)
    label(shortened(folder, **FOUR), folder)
    counts = split(shortened(folder, split={"av": 0.8, "ar": "av", "eval": 0.2, "rl": 0.0}), folder)

    assert set(counts) == {"av", "eval"}
    for place in ("split", "labels"):
        assert {path.name for path in (folder / "data" / place).glob("*.parquet*")} == {
            f"{side}.parquet{more}" for side in counts for more in ("", ".nla_meta.yaml")
        }


def test_a_side_says_what_it_is_and_what_it_was_made_from(folder):
    recipe = shortened(folder, **FOUR)
    counts = split(recipe, folder)
    found = read_yaml(split_path(folder, "ar").with_name("ar.parquet.nla_meta.yaml"))

    assert (found["kind"], found["stage"], found["row_count"]) == (
        "nla_dataset",
        "split_ar",
        counts["ar"],
    )
    assert found["nla_release"]["inputs"] == read_record(folder, "extract").outputs
    assert found["extraction"]["layer_index"] == 3


def test_splitting_again_gives_the_same_bytes(folder):
    recipe = shortened(folder, **FOUR)
    split(recipe, folder)
    before = {path.name: path.read_bytes() for path in (folder / "data/split").glob("*.parquet")}
    split(recipe, folder)

    assert before == {
        path.name: path.read_bytes() for path in (folder / "data/split").glob("*.parquet")
    }


def test_a_full_disk_is_named_and_leaves_nothing_behind(folder, monkeypatch):
    recipe = shortened(folder, **FOUR)

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(EnvironmentProblem, match="No space left on device"):
            split(recipe, folder)
    assert list((folder / "data" / "split").iterdir()) == []
    assert read_record(folder, "split") is None
    assert split(recipe, folder)


# -- overlap --


def by_hand(folder, recipe, rows):
    """`data/base.parquet` with these `(document, text, split)`, as if it had been extracted."""
    path = data_path(folder, "base")
    table = [
        {
            "id": f"{name}:{at}",
            "document": name,
            "document_sha256": text_digest(text),
            "read_sha256": text_digest(text[:6]),
            "text": text[:4],
            "split": said,
            "activation": [1.0, 2.0],
        }
        for at, (name, text, said) in enumerate(rows)
    ]
    write_table(path, pa.Table.from_pylist(table, row_schema(2)))
    write_sidecar(
        path,
        recipe,
        "extract",
        stage="base",
        extraction={"d_model": 2, "mean_norm": 1.0},
        inputs={},
        rows=len(rows),
        documents=len(rows),
    )
    write_record("extract", recipe, folder, inputs={}, outputs=[path])


@pytest.mark.parametrize(
    ("rows", "ids", "texts"),
    [
        ([("a", "one", "train"), ("b", " ONE", "eval")], 0, 1),
        ([("a", "one", "train"), ("a", "two", "eval")], 1, 0),
        ([("a", "one", "train"), ("a", "one", "eval"), ("c", "three", "eval")], 1, 1),
    ],
)
def test_sides_that_share_a_document_or_a_text_are_refused_and_reported(tmp_path, rows, ids, texts):
    recipe = shortened(tmp_path)
    by_hand(tmp_path, recipe, rows)
    with pytest.raises(DataError, match=f"share {ids} document ids and {texts} texts"):
        split(recipe, tmp_path)
    (overlap,) = report(tmp_path)["overlaps"]

    assert (overlap["sides"], overlap["ids"], overlap["texts"]) == (["av", "eval"], ids, texts)
    assert not list((tmp_path / "data" / "split").glob("*.parquet"))
    assert read_record(tmp_path, "split") is None


@pytest.mark.parametrize(
    ("first", "second"), [("onetwo, a", "onetwo, b"), ("one two", "one three")]
)
def test_a_row_whose_text_is_that_of_a_held_out_one_is_refused(tmp_path, first, second):
    """The documents differ, beyond the last token that is read or beyond the position."""
    recipe = shortened(tmp_path)
    by_hand(tmp_path, recipe, [("a", first, "train"), ("b", second, "eval")])
    with pytest.raises(DataError, match="av and eval share . texts up to the position") as caught:
        split(recipe, tmp_path)

    assert "min_position" in caught.value.hint
    assert report(tmp_path)["overlaps"][0]["texts"] == 0
    assert not list((tmp_path / "data" / "split").glob("*.parquet"))


def test_documents_that_differ_only_beyond_what_is_read_lie_on_one_side(tmp_path):
    text = labelled(1)[0]["text"] * 3
    alike = [{"id": f"alike{at}", "text": f"{text} {at}"} for at in range(12)]
    write_corpus(tmp_path / "corpus.jsonl", *alike, *labelled(30))
    settings = {"max_tokens": 60, "min_position": 30}
    recipe = shortened(tmp_path, extract=settings, **FOUR)
    extract(recipe, tmp_path, device="cpu")
    counts = split(recipe, tmp_path)
    documents = {side: {row["document"] for row in rows_of(tmp_path, side)} for side in counts}

    assert [len([it for it in held if it.startswith("alike")]) for held in documents.values()] in (
        [12 if at == side else 0 for at in range(4)] for side in range(4)
    )


def test_copies_on_one_side_are_counted_and_allowed(tmp_path):
    recipe = shortened(tmp_path)
    rows = [("a", "one", "train"), ("b", "ONE", "train"), ("c", "three", "eval")]
    by_hand(tmp_path, recipe, rows)
    split(recipe, tmp_path)

    assert report(tmp_path)["sides"]["av"]["repeated_texts"] == 1


def test_a_side_without_rows_is_refused(tmp_path):
    recipe = shortened(tmp_path)
    by_hand(tmp_path, recipe, [("a", "one", "train")])
    with pytest.raises(NothingCheckedError, match="no document on the side eval"):
        split(recipe, tmp_path)


def test_a_long_overlap_is_counted_whole_and_named_in_part():
    digests = {f"d{number:03}": f"{number:064}" for number in range(50)}
    found = contamination(
        {"av": SideContents(digests=digests), "eval": SideContents(digests=digests)}
    )
    (overlap,) = found["overlaps"]

    assert (overlap["ids"], len(overlap["first_ids"])) == (50, 20)


# -- inputs of others --


def test_activations_of_another_layer_are_refused_with_the_setting_and_the_command(folder):
    with pytest.raises(DataError, match="made with extract.layer 3, the recipe has 2") as caught:
        split(shortened(folder, extract={"layer": 2}, **FOUR), folder)

    assert "nla-release train extract --again" in caught.value.hint


@pytest.mark.parametrize(
    ("key", "value"), [("id", "someone/else"), ("revision", "0" * 40), ("quantization", "nf4")]
)
def test_activations_of_another_base_are_refused(folder, key, value):
    with pytest.raises(DataError, match=rf"made with base\.{key}"):
        split(shortened(folder, base={key: value}, **FOUR), folder)


def test_how_fast_they_were_taken_and_where_the_base_lies_makes_no_difference(folder):
    recipe = shortened(folder, extract={"batch_size": 1}, base={"path": "/elsewhere"}, **FOUR)

    assert split(recipe, folder)


def test_a_file_that_was_changed_since_is_refused(folder):
    path = data_path(folder, "base")
    write_table(path, pq.read_table(path).slice(0, 40))
    with pytest.raises(DataError, match="was changed after the step extract wrote it: sha256"):
        split(shortened(folder, **FOUR), folder)


def test_a_sidecar_that_was_changed_since_is_refused(folder):
    """Later steps read facts from it."""
    path = sidecar_path(data_path(folder, "base"))
    document = read_yaml(path)
    document["nla_release"]["extraction"]["mean_norm"] *= 2
    path.write_text(dump_yaml(document))
    with pytest.raises(DataError, match=r"base\.parquet\.nla_meta\.yaml was changed after"):
        split(shortened(folder, **FOUR), folder)


def test_activations_of_an_earlier_version_are_refused_before_anything_is_changed(folder):
    recipe, path = shortened(folder, **FOUR), data_path(folder, "base")
    split(recipe, folder)
    table, record = pq.read_table(path), read_record(folder, "extract")
    write_table(path, table.drop_columns(["read_sha256"]))
    write_record("extract", recipe, folder, inputs=record.inputs, outputs=[path])
    with pytest.raises(DataError, match="lacks the columns read_sha256") as caught:
        split(recipe, folder)

    assert "nla-release train extract --again" in caught.value.hint
    assert read_record(folder, "split") is not None


def test_a_file_that_no_step_wrote_is_refused(folder):
    record_path(folder, "extract").unlink()
    with pytest.raises(DataError, match="not written by any step") as caught:
        split(shortened(folder, **FOUR), folder)

    assert "nla-release train extract" in caught.value.hint


def test_a_missing_file_is_named(folder):
    data_path(folder, "base").unlink()
    with pytest.raises(DataError, match=r"base\.parquet is missing"):
        split(shortened(folder, **FOUR), folder)


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"step": "extract"})])
def test_a_damaged_record_is_named(folder, content):
    record_path(folder, "extract").write_text(content)
    with pytest.raises(Exception, match=r"extract\.json"):
        split(shortened(folder, **FOUR), folder)


def test_the_records_steps_are_those_of_the_chain():
    assert STEPS == ("extract", "split", "label", "build", "av", "ar", "eval")
