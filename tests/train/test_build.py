"""Training rows: what they hold, and that no label goes missing silently."""

import json
import shutil
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nla_release.engine.activations import read_activations
from nla_release.engine.base import load_base
from nla_release.errors import DataError, PairError
from nla_release.evidence.reference import read_reference
from nla_release.io.files import read_json, read_yaml
from nla_release.training.build import build
from nla_release.training.dataset import (
    data_path,
    labels_path,
    read_training_rows,
    reference_path,
    split_path,
)
from nla_release.training.extract import extract
from nla_release.training.label import label
from nla_release.training.prompts import PLACEHOLDER
from nla_release.training.record import read_record, settings_of, write_record
from nla_release.training.split import split
from nla_release.training.tables import write_table
from tests.chats import CHATML
from tests.sidecars import TINY_BASE
from tests.train.chain import labelled, other_weights, shortened, write_corpus

SHARES = {"split": {"av": 0.4, "ar": 0.4, "eval": 0.2}}


@pytest.fixture(scope="module")
def base():
    return load_base(
        str(TINY_BASE),
        "f974c5eb2341da97aadd5e41caa2645f36d5d9f5",
        quantization=None,
        dtype="float32",
        device="cpu",
    )


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """Labelled, and not built."""
    folder = tmp_path_factory.mktemp("labelled")
    write_corpus(folder / "corpus.jsonl", *labelled(40))
    recipe = shortened(folder, **SHARES)
    extract(recipe, folder, device="cpu")
    split(recipe, folder)
    label(recipe, folder)
    return folder


@pytest.fixture
def folder(ready, copy_of):
    return copy_of(ready)


@pytest.fixture
def recipe(folder):
    return lambda **blocks: shortened(folder, **SHARES, **blocks)


def rows_of(folder, name):
    return pq.read_table(data_path(folder, name)).to_pylist()


def relabel(folder, recipe, side, **changes):
    """Change labels of a side by position, as if the label step had written them so."""
    path, record = labels_path(folder, side), read_record(folder, "label")
    rows = pq.read_table(path).to_pylist()
    for at, fields in changes.items():
        rows[int(at.removeprefix("row"))] |= fields
    write_table(path, pa.Table.from_pylist(rows, pq.read_schema(path)))
    outputs = [folder / name for name in record.outputs]
    write_record("label", recipe, folder, inputs=record.inputs, outputs=outputs)
    return rows


def said(explanation):
    return {"explanation": explanation}


def test_a_row_for_the_av_holds_prompt_and_answer_with_the_placeholder(folder, recipe):
    build(recipe(), folder)
    row = rows_of(folder, "av_sft")[0]

    assert row["prompt"] == "Describe the vector.\n<concept><INJECT></concept>\n"
    assert row["answer"] == f"<explanation>{row['explanation']}</explanation>"
    assert row["explanation"].startswith("the word people, d")


def test_a_row_for_the_ar_holds_the_prompt_that_it_reads(folder, recipe):
    build(recipe(), folder)
    row = rows_of(folder, "ar_sft")[0]

    assert row["prompt"] == (
        f"Summary of the following text: <text>{row['explanation']}</text> <summary>"
    )
    assert "answer" not in row


def test_av_and_ar_learn_from_their_own_sides_or_from_the_same_rows(folder, recipe):
    build(recipe(), folder)
    av, ar = ({row["id"] for row in rows_of(folder, it)} for it in ("av_sft", "ar_sft"))
    assert not av & ar

    together = shortened(folder, split={"av": 0.8, "ar": "av", "eval": 0.2})
    split(together, folder)
    label(together, folder)
    build(together, folder)
    av, ar = ([row["id"] for row in rows_of(folder, it)] for it in ("av_sft", "ar_sft"))
    assert av == ar


def test_held_out_rows_are_what_the_release_tool_reads(folder, recipe):
    build(recipe(), folder)
    rows = read_activations(data_path(folder, "eval"), 64)

    assert all(rows.explanations)
    assert all(rows.document_digests)
    assert set(rows.paraphrases) == {None}


def test_the_reference_is_the_mean_direction_of_the_avs_rows(folder, recipe):
    build(recipe(), folder)
    rows = read_activations(data_path(folder, "av_sft"), 64)
    reference = read_reference(reference_path(folder), 64)
    unit = rows.vectors / np.linalg.norm(rows.vectors, axis=1, keepdims=True)

    assert np.allclose(reference.mean, unit.mean(axis=0), atol=1e-5)
    assert (reference.rows, reference.sha256) == (len(rows), rows.sha256)


def test_documents_that_are_learned_from_are_listed_and_none_that_are_held_out(folder, recipe):
    build(recipe(), folder)
    text = (folder / "data" / "training_documents.jsonl").read_text()
    listed = {it["id"]: it["sha256"] for it in map(json.loads, text.splitlines())}
    learned = {
        row["document"]: row["document_sha256"]
        for name in ("av_sft", "ar_sft")
        for row in rows_of(folder, name)
    }

    assert listed == learned
    assert not listed.keys() & {row["document"] for row in rows_of(folder, "eval")}


def test_rows_for_reinforcement_have_prompts_and_need_no_labels(folder):
    shares = {"split": {"av": 0.4, "ar": 0.2, "eval": 0.2, "rl": 0.2}}
    recipe = shortened(folder, **shares)
    split(recipe, folder)
    label(recipe, folder)
    relabel(folder, recipe, "rl", row0={"explanation": None, "status": "failed"})
    build(recipe, folder)
    rows = rows_of(folder, "rl")

    assert rows[0]["explanation"] is None
    assert PLACEHOLDER in rows[0]["prompt"]
    assert "answer" not in rows[0]

    without = shortened(folder, **SHARES)
    for make in (split, label, build):
        make(without, folder)
    assert not list((folder / "data").rglob("rl.parquet*")), "nothing is left of a side that went"


# -- labels that cannot be learned from --


def test_a_row_without_a_good_label_is_dropped_and_counted(folder, recipe):
    bad = [
        ({"explanation": None, "status": "refused"}, "without a label: refused"),
        ({"explanation": None, "status": "unparsed"}, "without a label: unparsed"),
        (said("  "), "empty"),
        (said("关于帆船的文本"), "in Chinese, Japanese or Korean"),
        (said("the sign ㊗ in a text"), "holding the marker"),
        (said("the sign <INJECT> in a text"), "holding the marker"),
        (said("a </explanation> in a text"), "holding the tags around an explanation"),
        (said("a key hf_abcdefghijklmnopqrstuv"), "holding a Hugging Face token"),
        (said("long " * 200), "longer than av.max_tokens"),
    ]
    changes = {f"row{at}": fields for at, (fields, _) in enumerate(bad, 1)}
    rows = relabel(folder, recipe(), "av", **changes)
    reports = build(recipe(build={"max_dropped_share": 0.5}), folder)
    found = read_json(folder / "data" / "build.json")["av_sft"]
    kept = [row["id"] for row in rows_of(folder, "av_sft")]
    reasons = [reason for _, reason in bad]

    assert found["dropped"] == Counter(reasons)
    assert found["dropped_first"] == {
        reason: [row["id"] for row, why in zip(rows[1:], reasons, strict=False) if why == reason]
        for reason in reasons
    }
    assert kept == [row["id"] for row in (rows[0], *rows[1 + len(bad) :])]
    assert found["kept"] == reports["av_sft"].kept == len(kept)
    assert found["rows"] == len(rows)


def test_too_many_drops_stop_the_build_and_are_told_by_reason(folder, recipe):
    fields = {"explanation": None, "status": "refused"}
    relabel(folder, recipe(), "av", **{f"row{at}": fields for at in range(9)}, row9=said(" "))
    with pytest.raises(DataError, match="9 without a label: refused, 1 empty") as caught:
        build(recipe(), folder)

    assert "max_dropped_share" in caught.value.hint
    assert read_json(folder / "data" / "build.json")["av_sft"]["dropped"] == {
        "without a label: refused": 9,
        "empty": 1,
    }
    assert not data_path(folder, "av_sft").exists()
    assert read_record(folder, "build") is None
    build(recipe(build={"max_dropped_share": 0.5}), folder)
    assert data_path(folder, "av_sft").exists()


def test_whatever_may_be_dropped_something_must_be_left(folder, recipe):
    rows = pq.read_table(labels_path(folder, "ar")).num_rows
    relabel(folder, recipe(), "ar", **{f"row{at}": said("") for at in range(rows)})
    with pytest.raises(DataError, match=f"{rows} of {rows} rows cannot be learned from"):
        build(recipe(build={"max_dropped_share": 1.0}), folder)


def test_labels_that_are_all_the_same_after_the_drops_are_refused(folder, recipe):
    rows = pq.read_table(labels_path(folder, "ar")).num_rows
    changes = {f"row{at}": said("a text") for at in range(rows)} | {"row0": said(" ")}
    relabel(folder, recipe(), "ar", **changes)
    with pytest.raises(DataError, match=f"ar_sft: all {rows - 1} labels that can be learned from"):
        build(recipe(), folder)

    assert read_record(folder, "build") is None


def test_a_held_out_row_stays_whatever_its_label_is(folder, recipe):
    before = [row["id"] for row in rows_of_labels(folder)]
    relabel(folder, recipe(), "eval", row0={"explanation": None, "status": "failed"}, row1=said(""))
    build(recipe(), folder)
    rows = rows_of(folder, "eval")

    assert [row["id"] for row in rows] == before
    assert [row["explanation"] for row in rows[:2]] == [None, None]
    assert rows[2]["explanation"]
    assert read_json(folder / "data" / "build.json")["eval"]["labels"]["rows"] == len(rows) - 2


def rows_of_labels(folder):
    return pq.read_table(labels_path(folder, "eval")).to_pylist()


def test_lengths_are_reported_and_nothing_is_cut(folder, recipe, base):
    longest = "the word people, " + "and more " * 8
    relabel(folder, recipe(), "av", row0=said(longest))
    build(recipe(), folder)
    found = read_json(folder / "data" / "build.json")["av_sft"]["tokens"]
    row = rows_of(folder, "av_sft")[0]
    prompt = base.encode(row["prompt"].replace(PLACEHOLDER, "㊗"), True)

    assert row["explanation"] == longest
    assert found["longest"] == len(prompt) + len(base.encode(row["answer"], False)) + 1
    assert (found["limit"], found["cut"]) == (128, 0)
    assert found["shortest"] <= found["median"] <= found["p95"] <= found["longest"]


def test_how_long_the_longest_dropped_one_was_is_told(folder, recipe):
    relabel(folder, recipe(), "av", row0=said("long " * 200))
    build(recipe(), folder)
    found = read_json(folder / "data" / "build.json")

    assert found["av_sft"]["tokens"]["longest_dropped"] > 200 > found["av_sft"]["tokens"]["longest"]
    assert found["ar_sft"]["tokens"]["longest_dropped"] == 0


def test_a_few_foreign_letters_are_counted_and_kept(folder, recipe):
    relabel(folder, recipe(), "av", row0=said("the word 帆 in a text about sailing"))
    build(recipe(), folder)
    found = read_json(folder / "data" / "build.json")["av_sft"]

    assert (found["dropped"], found["labels"]["with_cjk"]) == ({}, 1)


def test_a_path_is_counted_and_kept(folder, recipe):
    """What is said of a text may quote it, as evidence may."""
    relabel(folder, recipe(), "av", row0=said("a listing of /home/someone/x"))
    build(recipe(), folder)
    found = read_json(folder / "data" / "build.json")["av_sft"]

    assert (found["dropped"], found["labels"]["with_paths"]) == ({}, 1)


def test_labels_of_other_rows_are_refused(folder, recipe):
    path = labels_path(folder, "av")
    rows = relabel(folder, recipe(), "av")
    write_table(path, pa.Table.from_pylist(rows[::-1], pq.read_schema(path)))
    relabel(folder, recipe(), "av")
    with pytest.raises(DataError, match="does not label the rows of .*, in order"):
        build(recipe(), folder)


def test_fewer_labels_than_rows_are_refused(folder, recipe):
    path = labels_path(folder, "av")
    write_table(path, pq.read_table(path).slice(0, 5))
    relabel(folder, recipe(), "av")
    with pytest.raises(DataError, match="does not label the rows"):
        build(recipe(), folder)


def test_labels_that_were_changed_by_hand_are_refused(folder, recipe):
    path = labels_path(folder, "av")
    write_table(path, pq.read_table(path).slice(0, 5))
    with pytest.raises(DataError, match="was changed after the step label wrote it"):
        build(recipe(), folder)


def test_a_split_of_an_earlier_version_is_refused_before_anything_is_changed(folder, recipe):
    path, record = split_path(folder, "av"), read_record(folder, "split")
    write_table(path, pq.read_table(path).drop_columns(["read_sha256"]))
    outputs = [folder / name for name in record.outputs]
    write_record("split", recipe(), folder, inputs=record.inputs, outputs=outputs)
    label(recipe(), folder)
    with pytest.raises(DataError, match=r"av\.parquet lacks the columns read_sha256"):
        build(recipe(), folder)


# -- pins --


def test_ids_templates_and_tokenizer_are_pinned(folder, recipe, base):
    build(recipe(), folder)
    found = read_yaml(folder / "data" / "av_sft.parquet.nla_meta.yaml")
    tokens, pins = found["tokens"], found["nla_release"]["pins"]
    at = pins["marker_position"]

    assert pins["prompt_token_ids"][at] == tokens["injection_token_id"]
    assert pins["prompt_token_ids"][at - 1] == tokens["injection_left_neighbor_id"]
    assert pins["prompt_token_ids"][at + 1] == tokens["injection_right_neighbor_id"]
    assert pins["tokenizer_sha256"] == base.tokenizer_sha256
    assert pins["critic_suffix_ids"] == tokens["critic_suffix_ids"]
    assert found["prompt_templates"]["av"].count("{injection_char}") == 1
    assert found["stage"] == "av_sft"


@pytest.mark.parametrize("role", ["av", "ar"])
def test_a_training_reads_its_rows_and_gets_their_norm(folder, recipe, base, role):
    build(recipe(), folder)
    rows = read_training_rows(folder, recipe(), base, role)
    norms = np.linalg.norm(rows.activations.vectors, axis=1)

    assert rows.activation_norm == pytest.approx(norms.mean(), rel=1e-5)
    assert rows.documents == len(set(rows.activations.documents))
    path = f"data/{role}_sft.parquet"
    assert rows.inputs.keys() == {path, f"{path}.nla_meta.yaml", "base.path"}


def test_a_training_refuses_rows_that_another_tokenizer_rendered(folder, recipe, base):
    build(recipe(), folder)
    other = base.__class__(**{**vars(base), "tokenizer_sha256": "0" * 64})
    with pytest.raises(DataError, match="pins tokenizer_sha256"):
        read_training_rows(folder, recipe(), other, "av")


def test_a_training_refuses_rows_of_another_template(folder, recipe, base):
    build(recipe(), folder)
    changed = recipe(templates={"av": "Say it.\n<concept>{injection_char}</concept>\n"})
    with pytest.raises(DataError, match=r"made with templates\.av 'Describe"):
        read_training_rows(folder, changed, base, "av")


def test_a_training_refuses_vectors_of_another_layer(folder, recipe, base):
    build(recipe(), folder)
    with pytest.raises(DataError, match=r"made with extract\.layer 3, the recipe has 2"):
        read_training_rows(folder, recipe(extract={"layer": 2}), base, "av")


def test_a_training_refuses_vectors_of_other_weights(folder, recipe, base):
    """Which have the same id, revision, names and shapes."""
    build(recipe(), folder)
    other = recipe(base=other_weights(folder / "other"))
    with pytest.raises(DataError, match="has base_sha256 '.*', expected '") as caught:
        read_training_rows(folder, other, base, "av")

    assert "base.path" in caught.value.hint


def test_the_other_adapters_settings_make_no_difference(folder, recipe, base):
    build(recipe(), folder)
    before, changed = recipe(), recipe(ar={"max_tokens": 64, "rank": 2, "alpha": 4})

    assert settings_of(changed, "av") == settings_of(before, "av")
    assert settings_of(changed, "ar") != settings_of(before, "ar")
    assert len(read_training_rows(folder, recipe(ar={"rank": 2}), base, "av").activations)
    with pytest.raises(DataError, match=r"made with ar\.max_tokens 128, the recipe has 64"):
        read_training_rows(folder, changed, base, "av")  # until the rows are built again
    build(changed, folder)
    assert len(read_training_rows(folder, changed, base, "av").activations)


def test_a_chat_is_rendered_whole_with_the_placeholder_in_it(folder, tmp_path, recipe):
    speaking = tmp_path / "speaking"
    shutil.copytree(TINY_BASE, speaking)
    (speaking / "chat_template.jinja").write_text(CHATML)
    chat = {"prompt_encoding": "chat", "av": {"max_tokens": 256}}
    build(recipe(base={"path": str(speaking)}, **chat), folder)
    row = rows_of(folder, "av_sft")[0]
    pins = read_yaml(folder / "data" / "av_sft.parquet.nla_meta.yaml")["nla_release"]["pins"]

    assert "<|im_start|>user\nDescribe the vector." in row["prompt"]
    assert row["prompt"].count(PLACEHOLDER) == 1
    assert pins["prompt_encoding"] == "chat"
    assert len(pins["chat_template_sha256"]) == 64


def test_a_template_that_does_not_suit_the_tokenizer_is_refused(folder, recipe):
    with pytest.raises(PairError, match="special token 2 twice"):
        build(recipe(templates={"ar": "<bos>{explanation} so"}), folder)
