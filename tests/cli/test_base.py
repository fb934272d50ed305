"""`nla-release base`: what the base is, in four lines and one file."""

import pytest

from nla_release.io.files import write_atomic
from nla_release.local_hub.server import LocalHub
from tests.builders_pair import REVISION, make_release
from tests.pairs.zoo import edited_json, edited_yaml

SUMMARY = f"""\
someone/tiny@{REVISION}
6 layers, hidden size 16, 43 linear modules
mean embedding norm 38.5 ± 0 (512 of 512 rows)
licence apache-2.0
"""


@pytest.fixture
def folder(tmp_path):
    """A release with its base at hand, and nothing known of it."""
    release = make_release(tmp_path / "release")
    (release.folder / "base.json").unlink()
    with edited_yaml(release.folder / "release.yaml") as document:
        document["base_path"] = "base"
    return release.folder


def test_it_is_measured_written_and_told(tool, folder):
    done = tool("base", folder)

    assert (done.returncode, done.stdout) == (0, SUMMARY)
    assert done.stderr == f"{folder / 'base.json'}: written\n"


def test_a_second_time_there_is_nothing_new(tool, folder):
    tool("base", folder)
    before = (folder / "base.json").read_bytes()
    done = tool("base", folder)

    assert done.stderr == f"{folder / 'base.json'}: unchanged\n"
    assert (folder / "base.json").read_bytes() == before


def test_what_changed_is_said(tool, folder):
    tool("base", folder)
    with edited_json(folder / "base.json") as facts:
        facts |= {"id": "someone/else", "license": "mit"}
    done = tool("base", folder)

    assert done.stderr == f"{folder / 'base.json'}: updated: id, license changed\n"


def test_a_damaged_one_is_mended(tool, folder):
    write_atomic(folder / "base.json", "{")

    assert tool("base", folder).stderr == f"{folder / 'base.json'}: written\n"


def test_the_hub_of_the_environment_is_asked(tool, folder, tmp_path):
    with LocalHub(tmp_path / "hub") as hub:
        commit = hub.store.import_folder("someone/tiny", folder / "base")
        with edited_yaml(folder / "release.yaml") as document:
            del document["base_path"]
            document["base_revision"] = commit
        environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")}
        done = tool("base", folder, environment=environment)

    assert (done.returncode, done.stdout) == (0, SUMMARY.replace(REVISION, commit))


@pytest.mark.parametrize(
    ("environment", "words"),
    [({}, "the Hub cannot be reached"), ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set")],
)
def test_without_base_and_network_it_says_what_to_do(tool, folder, tmp_path, environment, words):
    with edited_yaml(folder / "release.yaml") as document:
        del document["base_path"]
    done = tool("base", folder, environment={"HF_HOME": str(tmp_path)} | environment)

    assert done.returncode == 4
    assert words in done.stderr
    assert "copy base.json next to release.yaml" in done.stderr
    assert not (folder / "base.json").exists()


def test_a_base_path_that_leads_nowhere_is_a_mistake(tool, folder):
    with edited_yaml(folder / "release.yaml") as document:
        document["base_path"] = "../typo"
    done = tool("base", folder)

    assert done.returncode == 2
    assert f"base_path {folder / '../typo'} is not a folder" in done.stderr


def test_a_base_path_without_weights_is_named_when_nothing_else_has_them(tool, folder, tmp_path):
    (folder / "base" / "model.safetensors").unlink()
    done = tool("base", folder, environment={"HF_HOME": str(tmp_path)})

    assert done.returncode == 4
    assert f"base_path {folder / 'base'} holds no model.safetensors, and someone/tiny" in (
        done.stderr
    )


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_local_base_that_is_damaged_says_what_to_do(tool, folder, name):
    (folder / "base" / name).write_bytes(b"{")
    done = tool("base", folder)

    assert done.returncode == 2
    assert "hint: download the base again" in done.stderr


def test_a_base_revision_that_moves_is_a_mistake(tool, folder):
    with edited_yaml(folder / "release.yaml") as document:
        del document["base_path"]
        document["base_revision"] = "refs/heads/main"
    done = tool("base", folder)

    assert done.returncode == 2
    assert "'refs/heads/main' is no commit" in done.stderr
