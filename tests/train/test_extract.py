"""Activations: which are taken, and that no accident and no number of processes changes them."""

import errno
import os

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nla_release.engine.activations import read_activations
from nla_release.engine.base import load_base
from nla_release.errors import (
    ConfigError,
    DataError,
    EnvironmentProblem,
    NothingCheckedError,
    RefusedError,
)
from nla_release.evidence.training_documents import text_digest
from nla_release.io.files import read_yaml
from nla_release.training import extract as extraction
from nla_release.training.corpus import CorpusLabel, Document
from nla_release.training.data_sidecars import read_sidecar
from nla_release.training.dataset import data_path
from nla_release.training.extract import extract, places
from nla_release.training.recipe import ExtractionSettings
from nla_release.training.record import base_sha256, read_record
from tests.sidecars import TINY_BASE
from tests.train.chain import (
    LENS,
    ROSE,
    labelled,
    other_weights,
    shortened,
    unlabelled,
    write_corpus,
)
from tests.waiting import wait_until
from tests.workers import started

SAMPLED = {"min_position": 20, "positions_per_document": 3, "batch_size": 4}
CUT = "documents' ends beyond extract.max_tokens"


@pytest.fixture(scope="module")
def base():
    return load_base(str(TINY_BASE), "x", quantization=None, dtype="float32", device="cpu")


@pytest.fixture
def corpus(tmp_path):
    """Twelve documents, in chunks of four."""
    write_corpus(tmp_path / "corpus.jsonl", *unlabelled(12))
    return tmp_path


@pytest.fixture(scope="module", autouse=True)
def small_chunks():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(extraction, "DOCUMENTS", 4)
        yield


def taken(folder):
    return read_activations(data_path(folder, "base"), 64)


def sidecar(folder):
    return read_yaml(folder / "data" / "base.parquet.nla_meta.yaml")


# -- what an activation is --


def test_an_activation_is_the_output_of_its_block_at_the_labels_last_token(tmp_path, base):
    write_corpus(tmp_path / "corpus.jsonl", LENS, ROSE)
    extract(shortened(tmp_path), tmp_path, device="cpu")
    rows = taken(tmp_path)
    encoded = base.tokenizer(LENS["text"], return_offsets_mapping=True, return_tensors="pt")
    position = next(
        at for at, (_, end) in enumerate(encoded["offset_mapping"][0].tolist()) if end == 38
    )
    with torch.no_grad():
        hidden = base.model(input_ids=encoded["input_ids"], output_hidden_states=True).hidden_states

    assert rows.ids[0] == f"a:{position}"
    assert rows.texts[0] == "In Kyoto people love sailing. The wave"
    assert np.allclose(rows.vectors[0], hidden[4][0, position].numpy(), atol=1e-4)


def test_a_row_says_where_it_is_from(tmp_path, base):
    write_corpus(tmp_path / "corpus.jsonl", LENS, ROSE)
    extract(shortened(tmp_path), tmp_path, device="cpu")
    row, _ = pq.read_table(data_path(tmp_path, "base")).to_pylist()

    assert (row["document"], row["split"], row["explanation"]) == (
        "a",
        "train",
        "the word wave in a text",
    )
    assert base.tokenizer.decode([row["token_id"]]).strip() == "wave"
    assert row["id"] == f"a:{row['position']}"


def test_batches_give_what_one_document_at_a_time_gives(corpus):
    vectors = []
    for size in (1, 5):
        recipe = shortened(corpus, extract=SAMPLED | {"batch_size": size})
        extract(recipe, corpus, device="cpu", again=True)
        vectors.append(taken(corpus).vectors)

    assert np.allclose(*vectors, atol=1e-4)


def test_norms_are_measured_raw_and_recorded_with_the_embeddings(corpus, base):
    extract(shortened(corpus, extract=SAMPLED), corpus, device="cpu")
    found, norms = sidecar(corpus), np.linalg.norm(taken(corpus).vectors, axis=1)
    ours = found["nla_release"]

    assert found["extraction"]["norm"] == "none"
    assert ours["extraction"]["mean_norm"] == pytest.approx(norms.mean(), rel=1e-5)
    assert norms.mean() > 10
    assert ours["norm_quantiles"]["0.5"] == pytest.approx(np.median(norms), rel=1e-5)
    assert (ours["norm_quantiles"]["0"], ours["norm_quantiles"]["1"]) == pytest.approx(
        (norms.min(), norms.max()), rel=1e-5
    )
    embeddings = base.model.get_input_embeddings()(torch.arange(len(base.tokenizer)))
    assert ours["embedding_norm"] == pytest.approx(embeddings.norm(dim=-1).mean().item(), rel=1e-4)


def test_a_dataset_says_what_it_is_in_the_reference_contracts_words(corpus):
    extract(shortened(corpus, extract=SAMPLED), corpus, device="cpu")
    found = sidecar(corpus)

    assert (found["kind"], found["schema_version"], found["stage"]) == ("nla_dataset", 1, "base")
    assert found["row_count"] == found["nla_release"]["rows"] == len(taken(corpus))
    assert found["nla_release"]["extraction"] | {"mean_norm": 0} == {
        "base_revision": "f974c5eb2341da97aadd5e41caa2645f36d5d9f5",
        "base_sha256": base_sha256(shortened(corpus).base),
        "quantization": None,
        "dtype": "float32",
        "layer_convention": "block_output",
        "mean_norm": 0,
    }


def test_the_references_strict_reader_accepts_a_datasets_sidecar(corpus):
    """It refuses a key of `extraction` that it does not know, and wants all that it does."""
    extract(shortened(corpus, extract=SAMPLED), corpus, device="cpu")
    found = sidecar(corpus)

    assert found["dataset_id"].startswith("base_tiny-gemma4_L3_")
    assert found["extraction"] == {
        "base_model": "nla-demo/tiny-gemma4",
        "d_model": 64,
        "layer_index": 3,
        "norm": "none",
        "corpus": "corpus.jsonl",
        "corpus_slice": {"start": 0, "length": found["nla_release"]["documents_read"]},
        "positions_per_doc": shortened(corpus, extract=SAMPLED).extract.positions_per_document,
    }
    assert read_sidecar(data_path(corpus, "base"))["extraction"]["dtype"] == "float32"


@pytest.mark.parametrize(
    "blocks", [{"quantization": "nf4"}, {"dtype": "bfloat16"}], ids=["nf4", "bfloat16"]
)
def test_the_base_is_loaded_as_declared_and_the_vectors_stay_float32(corpus, blocks):
    extract(shortened(corpus, extract=SAMPLED, base=blocks), corpus, device="cpu")

    assert sidecar(corpus)["nla_release"]["extraction"].items() >= blocks.items()
    assert taken(corpus).vectors.dtype == np.float32


@pytest.mark.parametrize("layer", [5, 6])
def test_the_last_layer_and_those_beyond_it_are_refused(corpus, layer):
    with pytest.raises(ConfigError, match=f"extract.layer is {layer}, the base has blocks 0 to 5"):
        extract(shortened(corpus, extract={"layer": layer}), corpus)


# -- which positions --


def offsets(count):
    """BOS, and tokens of one character each."""
    return [(0, 0), *((at, at + 1) for at in range(count))]


@given(st.text(min_size=5), st.integers(0, 300), st.integers(1, 12))
def test_a_sample_follows_from_seed_and_text_and_lies_where_it_may(text, tokens, count):
    settings = shortened_extraction(positions_per_document=count, min_position=50)
    digest = text_digest(text)
    found = [
        [
            it.position
            for it in places(Document(name, text, None, None), digest, offsets(tokens), settings)[0]
        ]
        for name in ("one", "two")
    ]

    assert found[0] == found[1] == sorted(set(found[0]))
    assert len(found[0]) == min(count, max(0, tokens + 1 - 50))
    assert all(50 <= at <= tokens for at in found[0])


def shortened_extraction(**changes):
    known = {"corpus": "c.jsonl", "layer": 3, "max_tokens": 400, "batch_size": 4}
    return ExtractionSettings.model_validate(known | changes)


def test_another_seed_takes_other_positions():
    document = Document("d", "text", None, None)
    found = {
        tuple(
            it.position
            for it in places(document, "digest", offsets(300), shortened_extraction(seed=seed))[0]
        )
        for seed in range(5)
    }

    assert len(found) == 5


def test_the_rest_of_the_corpus_makes_no_difference(tmp_path):
    sampled = []
    held_out = ROSE | {"text": unlabelled(20)[19]["text"]}
    for name, documents in (("few", unlabelled(12)[5:9]), ("all", unlabelled(12))):
        write_corpus(tmp_path / name / "corpus.jsonl", held_out, *documents)
        extract(shortened(tmp_path / name, extract=SAMPLED), tmp_path / name)
        sampled.append({it for it in taken(tmp_path / name).ids if it.startswith("d7:")})

    assert sampled[0] == sampled[1]
    assert len(sampled[0]) == 3


# -- what cannot be taken is counted --


def test_short_documents_and_labels_beyond_the_end_are_counted(tmp_path):
    far = LENS | {"id": "far", "text": f"{ROSE['text']} {LENS['text']}"}
    start = far["text"].index("wave")
    far["labels"] = [{"start": start, "end": start + 4, "explanation": "the word wave"}]
    short = {"id": "short", "split": "train", "text": "In Lima."}
    write_corpus(
        tmp_path / "corpus.jsonl", LENS, ROSE, far, short, {**LENS, "id": "z", "split": "base"}
    )
    extract(shortened(tmp_path, extract={"max_tokens": 14}), tmp_path, device="cpu")
    found = sidecar(tmp_path)["nla_release"]

    assert taken(tmp_path).documents == ["a", "b"]
    assert (found["documents_read"], found["documents"]) == (4, 2)
    assert found["left_out"] == {
        "documents of other splits": 1,
        "documents shorter than extract.min_position": 1,
        CUT: 1,
        "labels beyond extract.max_tokens": 1,
    }


def test_documents_with_no_labels_or_few_positions_are_counted():
    settings = shortened_extraction(positions_per_document=4)
    bare, short = Document("b", "text", None, []), Document("s", "text", None, None)

    assert places(bare, "digest", offsets(300), settings) == ([], {"documents without labels": 1})
    taken, left_out = places(short, "digest", offsets(50), settings)
    assert len(taken) == 1
    assert left_out == {"documents' positions short of extract.positions_per_document": 3}


def test_texts_that_all_end_before_the_first_position_give_nothing_and_say_so(corpus):
    recipe = shortened(corpus, extract={"min_position": 200})
    with pytest.raises(NothingCheckedError, match="12 documents shorter than") as caught:
        extract(recipe, corpus, device="cpu")

    assert "min_position" in caught.value.hint
    assert not data_path(corpus, "base").exists()


@pytest.mark.parametrize(("more", "counted"), [("", {}), ("!", {CUT: 1})])
def test_a_document_as_long_as_what_is_read_is_not_cut(more, counted):
    settings = shortened_extraction(max_tokens=301, positions_per_document=1)
    document = Document("d", "x" * 300 + more, None, None)
    _, left_out = places(document, "digest", offsets(300), settings)

    assert left_out == counted


def test_two_labels_that_end_in_the_same_token_are_refused():
    labels = [CorpusLabel(start=start, end=3, explanation="x") for start in (0, 2)]
    document = Document("d", "abcdef", None, labels)
    with pytest.raises(DataError, match="document d: two labels end in token 3"):
        places(document, "digest", offsets(6), shortened_extraction())


@pytest.mark.parametrize(
    ("documents", "words"),
    [([], "has no documents"), (unlabelled(1), "no .* documents: all 1 are on other sides")],
)
def test_no_document_or_one_is_too_few(tmp_path, documents, words):
    write_corpus(tmp_path / "corpus.jsonl", *documents)
    with pytest.raises(NothingCheckedError, match=words):
        extract(shortened(tmp_path), tmp_path, device="cpu")


# -- accidents --


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The extraction that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    write_corpus(folder / "corpus.jsonl", *unlabelled(12))
    extract(shortened(folder, extract=SAMPLED), folder, device="cpu")
    return data_path(folder, "base").read_bytes()


@pytest.mark.parametrize("chunk", [0, 1, 2])
def test_a_killed_extraction_goes_on_and_gives_the_same_bytes(corpus, whole, monkeypatch, chunk):
    recipe, written = shortened(corpus, extract=SAMPLED), []
    write = extraction.write_chunk

    def killing(parts, number, *rest):
        if number == chunk and not written:
            written.append(number)
            raise KeyboardInterrupt
        return write(parts, number, *rest)

    monkeypatch.setattr("nla_release.training.extract.write_chunk", killing)
    with pytest.raises(KeyboardInterrupt):
        extract(recipe, corpus, device="cpu")
    assert read_record(corpus, "extract") is None
    before = {path.name for path in (corpus / "data" / "base.parts").glob("*.parquet")}
    extract(recipe, corpus, device="cpu")

    assert before == {f"{number:06d}.parquet" for number in range(chunk)}
    assert data_path(corpus, "base").read_bytes() == whole
    assert not (corpus / "data" / "base.parts").exists()


def test_one_that_is_killed_while_it_puts_the_chunks_together_goes_on(corpus, whole, monkeypatch):
    recipe = shortened(corpus, extract=SAMPLED)
    cut_off(recipe, corpus, monkeypatch)
    monkeypatch.setattr("nla_release.training.extract.write_chunk", never)
    extract(recipe, corpus, device="cpu")

    assert data_path(corpus, "base").read_bytes() == whole


def cut_off(recipe, corpus, monkeypatch):
    """Extract up to where the chunks are put together."""

    def interrupted(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("nla_release.training.extract.pieces", interrupted)
        with pytest.raises(KeyboardInterrupt):
            extract(recipe, corpus, device="cpu")


def never(*_):
    raise AssertionError("this chunk was there already")


@pytest.mark.parametrize("writes", range(5))
def test_a_full_disk_is_named_and_the_extraction_goes_on_later(corpus, whole, monkeypatch, writes):
    """After the origin, each of three chunks, and while those are put together."""
    recipe, synced, sync = shortened(corpus, extract=SAMPLED), [], os.fsync

    def full(descriptor):
        if len(synced) == writes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced.append(descriptor)
        sync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(EnvironmentProblem, match="cannot be written: No space left on device"):
            extract(recipe, corpus, device="cpu")
    assert not data_path(corpus, "base").exists()
    extract(recipe, corpus, device="cpu")

    assert data_path(corpus, "base").read_bytes() == whole


def test_what_was_cut_off_under_other_settings_is_not_gone_on_with(corpus, whole, monkeypatch):
    cut_off(shortened(corpus, extract=SAMPLED | {"layer": 2}), corpus, monkeypatch)
    recipe = shortened(corpus, extract=SAMPLED)
    with pytest.raises(RefusedError, match=r"with extract\.layer 2; now it is 3") as caught:
        extract(recipe, corpus, device="cpu")
    assert "--again" in caught.value.hint
    extract(recipe, corpus, device="cpu", again=True)

    assert data_path(corpus, "base").read_bytes() == whole


def test_what_was_cut_off_in_other_batches_is_not_gone_on_with(corpus, monkeypatch):
    """They round otherwise, and a file would hold both."""
    cut_off(shortened(corpus, extract=SAMPLED), corpus, monkeypatch)
    recipe = shortened(corpus, extract=SAMPLED | {"batch_size": 2})
    with pytest.raises(
        RefusedError, match=r"interrupted extraction, with extract\.batch_size 4; now"
    ):
        extract(recipe, corpus, device="cpu")


def test_what_was_cut_off_on_another_corpus_is_not_gone_on_with(corpus, monkeypatch):
    recipe = shortened(corpus, extract=SAMPLED)
    cut_off(recipe, corpus, monkeypatch)
    write_corpus(corpus / "corpus.jsonl", *unlabelled(13))
    with pytest.raises(
        RefusedError, match=r"interrupted extraction, with the sha256 of corpus\.jsonl '"
    ):
        extract(recipe, corpus, device="cpu")


def test_what_was_cut_off_with_other_weights_is_not_gone_on_with(corpus, monkeypatch):
    """In a folder they have the same id, revision, names and shapes."""
    base = other_weights(corpus / "other")
    cut_off(shortened(corpus, extract=SAMPLED, base=base), corpus, monkeypatch)
    recipe = shortened(corpus, extract=SAMPLED)
    with pytest.raises(
        RefusedError, match=r"interrupted extraction, with the sha256 of base\.path '"
    ):
        extract(recipe, corpus, device="cpu")


def test_chunks_that_do_not_say_what_they_follow_from_are_not_gone_on_with(
    corpus, whole, monkeypatch
):
    """As after a kill while those of another extraction were being removed."""
    cut_off(shortened(corpus, extract=SAMPLED | {"layer": 2}), corpus, monkeypatch)
    (corpus / "data" / "base.parts" / "origin.json").unlink()
    extract(shortened(corpus, extract=SAMPLED), corpus, device="cpu")

    assert data_path(corpus, "base").read_bytes() == whole


def test_chunks_that_cannot_be_removed_are_said(corpus, monkeypatch):
    cut_off(shortened(corpus, extract=SAMPLED), corpus, monkeypatch)
    before = sorted((corpus / "data" / "base.parts").iterdir())

    def stuck(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "unlink", stuck)
    with pytest.raises(EnvironmentProblem, match=r"base\.parts cannot be removed: Permission"):
        extraction.open_parts(corpus / "data" / "base.parts", {}, again=True)

    assert sorted((corpus / "data" / "base.parts").iterdir()) == before


# -- processes --


@pytest.fixture
def chunks_as_they_are(monkeypatch):
    monkeypatch.setattr(extraction, "DOCUMENTS", 64)


def test_a_process_that_is_killed_outright_leaves_what_the_next_one_goes_on_with(
    tmp_path, chunks_as_they_are, capsys
):
    write_corpus(tmp_path / "corpus.jsonl", *labelled(384))
    recipe = shortened(tmp_path, extract={"batch_size": 2})
    line = [tmp_path / "recipe.yaml", "--folder", tmp_path, "--device", "cpu"]
    parts = tmp_path / "data" / "base.parts"
    process = started("train extract", *line, stop_at="0*2.parquet")
    wait_until(lambda: list(parts.glob("0*2.parquet")), alive=lambda: process.alive)
    process.kill()
    process.wait()
    left = {path: path.stat().st_mtime_ns for path in parts.glob("0*.parquet")}
    assert not data_path(tmp_path, "base").exists()
    assert len(left) == 3
    extract(recipe, tmp_path, device="cpu")

    assert f"{len(left)} of 6 chunks are there already" in capsys.readouterr().err
    assert len(taken(tmp_path)) == 768
