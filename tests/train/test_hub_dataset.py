"""A dataset of the Hub is streamed into the folder once; here it lies on the disk."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub.utils import httpx

from nla_release.base_model.revision import resolve_commit
from nla_release.errors import ConfigError, DataError, EnvironmentProblem, RefusedError
from nla_release.io.files import read_yaml
from nla_release.training.corpus_files import corpus_path, documents, stream_dataset
from nla_release.training.dataset import data_path
from nla_release.training.extract import extract
from nla_release.training.recipe import _asked_once
from nla_release.training.steps import done, read_pinned
from tests.hub.odd import OddServer
from tests.train.chain import LENS, ROSE, shortened, text_about
from tests.train.test_base_revision import ask

COMMIT, LATER = "1" * 40, "2" * 40
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
    monkeypatch.setattr("nla_release.training.extract.stream_dataset", None)
    extract(recipe(), tmp_path, device="cpu", again=True)
    inputs = read_yaml(tmp_path / "data/base.parquet.nla_meta.yaml")["nla_release"]["inputs"]

    assert data_path(tmp_path, "base").read_bytes() == before
    assert list(inputs) == [f"{tmp_path / 'dataset'}@main", "base.path"]

    path = corpus_path(recipe().extract, tmp_path)
    path.write_text(path.read_text().replace("people", "many"))
    with pytest.raises(RefusedError, match=rf"data/{path.name} was changed afterwards"):
        done("extract", recipe(), tmp_path)


# -- which commit of a dataset --


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub whose datasets are at COMMIT, whatever revision of which one is asked for."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    _asked_once.cache_clear()
    with OddServer() as odd:
        odd.headers = {"X-Repo-Commit": COMMIT, "ETag": '"1"'}
        ask(odd.endpoint, monkeypatch)
        yield odd
    _asked_once.cache_clear()


@pytest.mark.parametrize("revision", ["main", "v1", COMMIT[:8]])
def test_a_branch_tag_or_short_id_is_recorded_as_its_commit(
    tmp_path, recipe, hub, monkeypatch, capsys, revision
):
    asked = []

    def loaded(name, *_, revision, **__):
        asked.append((name, revision))
        return ({"content": text_about(number)} for number in range(9))

    monkeypatch.setattr("datasets.load_dataset", loaded)
    recipe(dataset="nla/corpus", revision=revision)
    found = read_pinned(tmp_path / "recipe.yaml")
    extract(found, tmp_path, device="cpu")
    sidecar = read_yaml(tmp_path / "data/base.parquet.nla_meta.yaml")
    record = json.loads((tmp_path / "steps/extract.json").read_text())

    assert asked == [("nla/corpus", COMMIT)]
    assert f"dataset nla/corpus: {revision} is commit {COMMIT}\n" in capsys.readouterr().err
    assert sidecar["extraction"]["corpus"] == f"nla/corpus@{COMMIT}"
    assert record["settings"]["extract.corpus.revision"] == COMMIT

    hub.headers["X-Repo-Commit"] = LATER
    assert done("extract", read_pinned(tmp_path / "recipe.yaml"), tmp_path), "asked once a command"
    _asked_once.cache_clear()
    if revision != COMMIT[:8]:
        with pytest.raises(RefusedError, match="name the earlier commit in the recipe to keep it"):
            done("extract", read_pinned(tmp_path / "recipe.yaml"), tmp_path)


def test_a_commit_and_a_folder_are_taken_as_named(tmp_path, recipe, hub):
    for corpus in ({"dataset": "nla/corpus", "revision": COMMIT}, {}):
        settings = recipe(**corpus)
        assert read_pinned(tmp_path / "recipe.yaml") == settings
    assert not hub.asked


def test_a_dataset_without_the_file_asked_for_has_a_commit_too(hub):
    hub.status = 404
    hub.headers["X-Error-Code"] = "EntryNotFound"

    assert resolve_commit("nla/corpus", "main", "dataset") == COMMIT


def test_a_dataset_without_such_a_revision_is_refused_before_anything_is_read(
    tmp_path, recipe, hub
):
    hub.status = 404
    hub.headers = {"X-Error-Code": "RevisionNotFound"}
    recipe(dataset="nla/corpus", revision="mian")
    with pytest.raises(ConfigError, match="dataset nla/corpus has no revision 'mian'"):
        read_pinned(tmp_path / "recipe.yaml")


def test_without_a_network_the_cache_says_the_commit_of_a_dataset(hub, monkeypatch):
    assert resolve_commit("nla/corpus", "main", "dataset") == COMMIT
    ask("http://127.0.0.1:9", monkeypatch)

    assert resolve_commit("nla/corpus", "main", "dataset") == COMMIT
    with pytest.raises(EnvironmentProblem, match="revision 'v1' of dataset nla/corpus is not"):
        resolve_commit("nla/corpus", "v1", "dataset")
