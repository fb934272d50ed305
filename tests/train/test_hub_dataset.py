"""A dataset of the Hub is streamed into the folder once; here it lies on the disk."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub.utils import httpx

from nla_release.errors import DataError, EnvironmentProblem, RefusedError
from nla_release.files import read_yaml
from tests.train.chain import LENS, ROSE, shortened, text_about
from train.command import done
from train.dataset import data_path
from train.extract import extract
from train.sources import corpus_path, documents, stream_dataset

SAMPLED = {"min_position": 20, "positions_per_document": 2}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def recipe(tmp_path):
    rows = [{"url": f"u{number}", "content": text_about(number)} for number in range(12)]
    (tmp_path / "dataset" / "data").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "dataset/data/train-00000.parquet")

    def changed(**corpus):
        asked = {
            "dataset": str(tmp_path / "dataset"),
            "revision": "main",
            "split": "train",
            "text_column": "content",
            "documents": 9,
        }
        return shortened(tmp_path, extract=SAMPLED | {"corpus": asked | corpus})

    return changed


def streamed(recipe, folder):
    path = corpus_path(recipe.extract, folder)
    stream_dataset(recipe.extract.corpus, path)
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_first_documents_are_written_down_in_order(tmp_path, recipe):
    found = streamed(recipe(id_column="url"), tmp_path)

    assert found == [{"id": f"u{number}", "text": text_about(number)} for number in range(9)]


def test_documents_without_an_id_are_numbered(tmp_path, recipe):
    found = streamed(recipe(), tmp_path)

    assert found[3]["id"] == f"{tmp_path / 'dataset'}:00000003"
    assert len({it["id"] for it in found}) == 9


def test_labels_and_sides_of_a_dataset_come_along(tmp_path, recipe):
    settings = recipe(documents=2)
    rows = [{**it, "content": it["text"]} for it in (LENS, ROSE)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "dataset/data/train-00000.parquet")
    streamed(settings, tmp_path)
    first, second = documents(corpus_path(settings.extract, tmp_path), settings.extract)

    assert (first.split, second.split) == ("train", "eval")
    assert first.labels[0].explanation == LENS["labels"][0]["explanation"]


def test_a_stream_that_breaks_off_is_told_and_nothing_is_written(tmp_path, recipe, monkeypatch):
    def broken(*_, **__):
        yield {"content": "a text"}
        raise httpx.RemoteProtocolError("peer closed connection")

    monkeypatch.setattr("datasets.load_dataset", broken)
    with pytest.raises(EnvironmentProblem, match="cannot be read: peer closed connection"):
        streamed(recipe(), tmp_path)
    assert not list((tmp_path).glob("data/corpus*"))


@pytest.mark.parametrize(
    ("corpus", "error", "words"),
    [
        ({"documents": 13}, DataError, "has 12 documents in split train, the recipe asks for 13"),
        ({"text_column": "body"}, DataError, "has no column 'body'; it has content, url"),
        ({"split": "validation"}, EnvironmentProblem, "cannot be read: .*validation"),
    ],
)
def test_what_it_cannot_give_is_said_and_nothing_is_written(tmp_path, recipe, corpus, error, words):
    with pytest.raises(error, match=words):
        streamed(recipe(**corpus), tmp_path)
    assert not list((tmp_path).glob("data/corpus*"))


def test_an_extraction_streams_once_and_goes_on_from_the_file(tmp_path, recipe, monkeypatch):
    extract(recipe(), tmp_path, device="cpu")
    before = data_path(tmp_path, "base").read_bytes()
    monkeypatch.setattr("train.extract.stream_dataset", None)
    extract(recipe(), tmp_path, device="cpu", again=True)
    inputs = read_yaml(tmp_path / "data/base.parquet.nla_meta.yaml")["nla_release"]["inputs"]

    assert data_path(tmp_path, "base").read_bytes() == before
    assert list(inputs) == [f"{tmp_path / 'dataset'}@main", "base.path"]

    path = corpus_path(recipe().extract, tmp_path)
    path.write_text(path.read_text().replace("people", "many"))
    with pytest.raises(RefusedError, match=rf"data/{path.name} was changed afterwards"):
        done("extract", recipe(), tmp_path)
