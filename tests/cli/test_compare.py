"""`nla-release compare`: one table for people, one document for machines."""

import json

import pytest

from nla_release.cards.render import render
from nla_release.local_hub.server import LocalHub
from tests.builders_pair import make_release, measure


@pytest.fixture
def release(tmp_path):
    """A release, rendered."""
    made = make_release(tmp_path / "one", rows=60, documents=12)
    render(made, "0.0.1")
    return made


@pytest.fixture
def other(tmp_path):
    """Another, measured less well on the same activations."""
    return make_release(tmp_path / "two", rows=60, documents=12, noise=0.9)


def test_two_releases_give_a_table(tool, release, other):
    done = tool("compare", release.folder, other.folder)

    assert (done.returncode, done.stderr) == (0, "")
    assert "B against A: the same pair, measured again, on 60 common rows of 12 documents" in (
        done.stdout
    )
    said = "B reconstructs worse than A: the centred cosine difference is below 0."
    assert said in done.stdout
    assert "sign flips of documents p = " in done.stdout
    assert "1 comparison of up to 12 figures" in done.stdout
    cosine = next(line for line in done.stdout.splitlines() if line.startswith("cosine "))
    assert len(cosine.split()) == 8


@pytest.mark.parametrize("place", ["dist", "dist/av", "dist/ar", "evidence"])
def test_every_folder_of_a_release_will_do(tool, release, place):
    done = tool("compare", release.folder, release.folder / place)

    assert done.returncode == 0
    assert "B against A: the same evidence" in done.stdout


def test_json_is_one_document(tool, release, other):
    done = tool("compare", release.folder, other.folder, "--format", "json")
    (found,) = json.loads(done.stdout)["against_first"]

    assert found["verdict"] == "worse"
    assert {"cosine", "mse", "fve", "top-1 retrieval"} <= {it["name"] for it in found["figures"]}


def test_markdown_shows_the_same_numbers(tool, release, other):
    text = tool("compare", release.folder, other.folder).stdout
    markdown = tool("compare", release.folder, other.folder, "--format", "markdown").stdout
    cosine = next(line for line in text.splitlines() if line.startswith("cosine "))

    row = next(line for line in markdown.splitlines() if line.startswith("| cosine |"))
    assert [cell for cell in row.replace("|", " ").split() if cell != "to"] == [
        cell for cell in cosine.split() if cell != "to"
    ]


def test_releases_without_a_common_row_are_inconclusive(tool, release, other):
    measure(other, rows=60, documents=12, seed=1)
    done = tool("compare", release.folder, other.folder)

    assert done.returncode == 3
    assert "B and A are not compared: no row is common: 60 ids are in both" in done.stdout
    assert "B - A" not in done.stdout
    assert "error: nothing was compared" in done.stderr


def test_a_place_on_the_hub_is_downloaded_without_its_weights(tool, release, tmp_path):
    with LocalHub(tmp_path / "hub") as hub:
        commit = hub.store.import_folder("someone/tiny-av", release.dist / "av")
        environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")}
        done = tool("compare", release.folder, f"someone/tiny-av@{commit}", environment=environment)

    assert done.returncode == 0, done.stderr
    assert f"someone/tiny-av@{commit}: downloading its evidence" in done.stderr
    assert "B against A: the same evidence" in done.stdout
    assert not list((tmp_path / "home").rglob("adapter_model*"))


@pytest.mark.parametrize(
    ("place", "code", "words"),
    [
        ("nowhere/at/all", 2, "nowhere/at/all is neither a folder nor a Hub id"),
        ("someone/unknown", 4, "someone/unknown is not a local folder and cannot be fetched"),
    ],
)
def test_a_place_that_is_none_is_named(tool, release, place, code, words):
    done = tool("compare", release.folder, place)

    assert done.returncode == code
    assert words in done.stderr


def test_too_few_common_rows_decide_nothing(tool, tmp_path):
    few = [make_release(tmp_path / name, rows=12, documents=6).folder for name in ("one", "two")]
    done = tool("compare", *few)

    assert done.returncode == 3
    assert "B against A: " in done.stdout
    assert "error: nothing was decided: the releases have too few rows in common\n" in done.stderr


def test_a_folder_that_was_not_measured_is_named(tool, release):
    done = tool("compare", release.folder, release.folder / "pair" / "av")

    assert done.returncode == 3
    assert "holds no evidence" in done.stderr


def test_damaged_evidence_is_no_number(tool, release, other):
    path = other.evidence / "vectors.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    done = tool("compare", release.folder, other.folder)

    assert (done.returncode, done.stdout) == (2, "")
