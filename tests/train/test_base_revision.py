"""A base that a recipe names by branch or tag: its commit is loaded, recorded and released."""

import json
import os
import shutil

import pytest
import yaml

from nla_release.base_model.revision import check_source, folder_commit, resolve_commit
from nla_release.errors import ConfigError, EnvironmentProblem
from nla_release.hub_client.client import quiet_client
from nla_release.io.files import dump_yaml, read_yaml
from nla_release.local_hub.server import LocalHub
from nla_release.local_hub.store import Store
from nla_release.training.recipe import pinned, read_recipe
from tests.hub.publishing import api_of
from tests.sidecars import TINY_BASE
from tests.train.chain import labelled, shortened, write_corpus
from tests.warm import Warm

BASE = "nla-demo/tiny-gemma4"


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="module")
def hub(hub_folder):
    """A Hub that has the tiny base on `main` and under a tag."""
    quiet_client()
    Store(hub_folder).import_folder(BASE, TINY_BASE)
    with LocalHub(hub_folder) as server:
        api_of(server).create_tag(BASE, tag="first")
        yield server


@pytest.fixture(scope="module")
def commit(hub):
    return api_of(hub).model_info(BASE).sha


@pytest.fixture(scope="module")
def python(hub, tmp_path_factory):
    """Runs a module as a person does whose Hub has the base."""
    home = str(tmp_path_factory.mktemp("home"))
    there = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": home}
    process = Warm("torch", "transformers", "peft", environment=there)

    def ran(module, *arguments):
        done = process.run(["-m", module, *arguments])
        assert "Traceback" not in done.stderr
        return done

    return ran


@pytest.fixture
def asked(hub, tmp_path, monkeypatch):
    """This process asks that Hub, with a cache of its own."""
    ask(hub.endpoint, monkeypatch)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return hub


def ask(endpoint, monkeypatch):
    """The client reads its environment as it is imported."""
    template = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)


def named_by(folder, revision, **base):
    """A recipe whose base is that of the Hub."""
    shares = {"av": 0.4, "ar": 0.4, "eval": 0.2}
    evaluation = {"max_new_tokens": 8}
    shortened(folder, split=shares, eval=evaluation)
    document = read_yaml(folder / "recipe.yaml")
    document["base"] |= {"revision": revision, "path": None, **base}
    (folder / "recipe.yaml").write_text(dump_yaml(document))
    return folder / "recipe.yaml"


def recorded(folder):
    """Every revision of the base in what the chain and the release wrote, by file."""
    found = {}
    for path in folder.rglob("*"):
        if path.suffix in (".json", ".yaml") and "hub" not in path.parts and path.is_file():
            for key in ("revision", "base_revision", "base.revision"):
                for value in _values(yaml.safe_load(path.read_text()), key):
                    found.setdefault(path.relative_to(folder).as_posix(), set()).add(value)
    found.pop("recipe.yaml")
    return found


def _values(document, key):
    if isinstance(document, dict):
        for name, value in document.items():
            if name == key and isinstance(value, str):
                yield value
            yield from _values(value, key)
    elif isinstance(document, list):
        for value in document:
            yield from _values(value, key)


def fill_in(path):
    """Do what the chain left to a person."""
    path.write_text(path.read_text().replace('namespace: "your-name"', "namespace: somebody"))


@pytest.mark.parametrize("revision", ["main", pytest.param("first", marks=pytest.mark.long)])
def test_from_the_recipe_to_check_only_the_commit_is_recorded(tmp_path, python, commit, revision):
    write_corpus(tmp_path / "corpus.jsonl", *labelled(60))
    recipe = named_by(tmp_path, revision)
    trained = python("train.run", recipe, "--folder", tmp_path, "--device", "cpu")
    assert trained.returncode == 0, trained.stderr
    assert f"base {BASE}: {revision} is commit {commit}\n" in trained.stderr
    fill_in(tmp_path / "release.yaml")
    for verb in (["roundtrip", "--device", "cpu"], ["calibrate"], ["render", "--version", "0.0.1"]):
        done = python("nla_release", *verb, tmp_path)
        assert done.returncode == 0, done.stderr
    checked = python("nla_release", "check", "--format", "json", tmp_path)

    verdict = json.loads(checked.stdout)
    assert verdict["rules"]["total"] > 40
    codes = {finding["code"] for finding in verdict["findings"]}
    assert not [code for code in codes if not code.startswith("NLA6")], "a short training is bad"
    revisions = recorded(tmp_path)
    assert {commit} == set.union(*revisions.values())
    for name in (
        "data/base.parquet.nla_meta.yaml",
        "steps/extract.json",
        "pair/av/nla_meta.yaml",
        "pair/ar/nla_meta.yaml",
        "release.yaml",
        "base.json",
        "evidence/run.json",
        "dist/av/nla_meta.yaml",
    ):
        assert name in revisions

    named_by(tmp_path, commit)
    again = python("train.run", recipe, "--folder", tmp_path, "--device", "cpu")
    assert again.stderr.count("done already") == 7, "to name the commit itself trains nothing anew"


@pytest.mark.long
def test_a_branch_that_moved_is_noticed_and_the_earlier_commit_can_be_kept(
    tmp_path, python, hub_folder
):
    write_corpus(tmp_path / "corpus.jsonl", *labelled(20))
    repo, base = "nla-demo/moving", shutil.copytree(TINY_BASE, tmp_path / "base")
    before = Store(hub_folder).import_folder(repo, base)
    recipe = named_by(tmp_path, "main", id=repo)
    line = ["train.run", recipe, "--folder", tmp_path, "--device", "cpu", "--to", "split"]
    assert python(*line).returncode == 0
    (base / "NEWS.md").write_text("news")
    after = Store(hub_folder).import_folder(repo, base)
    refused = python(*line)

    assert refused.returncode == 1
    assert f"base.revision {before!r}, the recipe has {after!r}; name the earlier" in refused.stderr
    named_by(tmp_path, before, id=repo)
    assert python(*line).stderr.count("done already") == 2


@pytest.mark.parametrize("revision", [None, "main", "first", "refs/heads/main"])
def test_whatever_names_a_commit_is_resolved_to_it(asked, commit, revision):
    assert resolve_commit(BASE, revision) == commit


def test_a_short_id_is_resolved_too(asked, commit):
    assert resolve_commit(BASE, commit[:10]) == commit
    assert resolve_commit(BASE, commit) == commit


def test_without_a_network_the_cache_says_it(asked, commit, monkeypatch):
    assert resolve_commit(BASE, "main") == commit
    ask("http://127.0.0.1:9", monkeypatch)

    assert resolve_commit(BASE, "main") == commit
    with pytest.raises(EnvironmentProblem, match="the commit of revision 'first' .* is not known"):
        resolve_commit(BASE, "first")


def test_a_revision_or_a_base_that_is_not_there_is_refused(asked):
    with pytest.raises(ConfigError, match="has no revision 'second'"):
        resolve_commit(BASE, "second")
    with pytest.raises(EnvironmentProblem, match="nobody/nothing does not exist"):
        resolve_commit("nobody/nothing", "main")


# -- a base in a folder --


def test_a_folder_without_a_commit_is_refused_before_anything_is_read(tmp_path, python):
    write_corpus(tmp_path / "corpus.jsonl", *labelled(20))
    recipe = named_by(tmp_path, "main", path=str(TINY_BASE))
    done = python("train.extract", recipe, "--folder", tmp_path)

    assert done.returncode == 2
    assert "revision 'main' of the base is not a commit, and" in done.stderr
    assert "hint: name the full commit" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("revision", ["main", "c0ffee0"])
def test_a_snapshot_of_the_cache_says_which_commit_it_is(tmp_path, revision):
    commit = "c0ffee0" + "1" * 33
    snapshot = tmp_path / "models--a--b" / "snapshots" / commit
    snapshot.mkdir(parents=True)

    assert folder_commit(snapshot, revision) == commit


def test_so_does_what_the_hubs_client_downloaded_into_a_folder(asked, commit, tmp_path):
    target = tmp_path / "base"
    api_of(asked).snapshot_download(BASE, local_dir=target)
    recipe = read_recipe(named_by(tmp_path, "main", path=str(target)))

    assert pinned(recipe).base.revision == commit
    shutil.rmtree(target / ".cache")
    with pytest.raises(ConfigError, match="does not record which commit"):
        pinned(recipe)


def test_a_copy_of_another_commit_than_the_short_id_is_refused(tmp_path):
    snapshot = tmp_path / "snapshots" / ("1" * 40)
    snapshot.mkdir(parents=True)
    with pytest.raises(ConfigError, match="is a copy of commit 1{40}, not of abcdef0"):
        folder_commit(snapshot, "abcdef0")


@pytest.mark.parametrize("name", ["missing", "./missing", "~/missing", "a/b/c"])
def test_a_path_that_leads_nowhere_is_no_repository_id(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    place = str(tmp_path / name) if name == "missing" else name
    with pytest.raises(ConfigError, match="the local copy of the base, .*missing|a/b/c") as caught:
        check_source(place)
    assert "repo" not in caught.value.message


def test_a_wrong_base_path_is_told_as_what_it_is(tmp_path, python):
    write_corpus(tmp_path / "corpus.jsonl", *labelled(20))
    recipe = named_by(tmp_path, "1" * 40, path=str(tmp_path / "gone"))
    extracted = python("train.extract", recipe, "--folder", tmp_path)
    planned = python("train.plan", recipe)

    for done in (extracted, planned):
        assert done.returncode == 2, done.stderr
        assert f"the local copy of the base, {tmp_path / 'gone'}, does not exist" in done.stderr
