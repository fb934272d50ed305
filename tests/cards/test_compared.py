"""This release beside others: no figure without what it is another in."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nla_release.cards.blocks import generated_blocks
from nla_release.cards.compared import read_comparison
from nla_release.cards.render import render
from nla_release.errors import NothingCheckedError
from nla_release.evidence.settings import Differing, what_differs
from nla_release.gate import apply_rules
from nla_release.gate.subject import find_subject
from nla_release.io.files import read_json
from nla_release.release.folder import read_release
from tests.builders_pair import make_release, measure
from tests.pairs.zoo import edited_yaml


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release beside another that was trained longer, and the evidence of a checkpoint."""
    place = tmp_path_factory.mktemp("compared")
    other = make_release(place / "other", rows=40, documents=10, seed=4)
    for role in ("av", "ar"):
        with edited_yaml(other.adapter(role) / "nla_meta.yaml") as sidecar:
            sidecar["nla_release"]["training"]["steps"] = 999
    measure(other, rows=40, documents=10, seed=4)
    render(other, "0.3.0")
    checkpoint = make_release(place / "checkpoint", rows=60, documents=12, noise=0.9)
    release = make_release(place / "release", rows=60, documents=12)
    with edited_yaml(release.folder / "release.yaml") as document:
        document["compared_with"] = ["../other/dist", f"../{checkpoint.folder.name}/evidence"]
    render(read_release(release.folder), "0.0.1")
    return release.folder


@pytest.fixture(scope="module")
def block(folder: Path) -> str:
    page = (folder / "dist" / "av" / "RELEASE_CALIBRATION.md").read_text(encoding="utf-8")
    assert "\n## Comparison with other releases\n" in page
    return generated_blocks(page)["comparison"]


def test_each_release_is_named_and_beside_its_figures_is_what_it_is_another_in(block: str) -> None:
    rows = {
        cells[1]: cells
        for line in block.splitlines()
        if (cells := [cell.strip() for cell in line.strip("|").split("|")])[0] in {"A", "B", "C"}
    }

    assert [rows[name][0] for name in rows] == ["A", "B", "C"]
    assert list(rows) == ["v0.0.1", "someone/tiny-nla-L3-av-v0\\_3\\_0@v0.3.0", "evidence"]
    assert [cells[2] for cells in rows.values()] == ["-", "training", "nothing recorded"]


def test_what_shares_no_row_is_not_subtracted(block: str) -> None:
    assert "B and A are not compared: no row is common" in block
    assert "C against A: the same pair, measured again, on 60 common rows" in block


def test_the_figures_are_in_a_file_with_the_hashes_of_what_gives_them(folder: Path) -> None:
    comparison = read_comparison(folder / "dist" / "ar")

    assert comparison is not None
    other = read_json(folder.parent / "other" / "calibration.json")
    assert comparison.evidence[1].model_dump() == other["evidence"]
    assert comparison.releases[1].cosine.mean == other["cosine"]["mean"]


def test_the_gate_compares_them_again(folder: Path) -> None:
    findings = apply_rules(find_subject(folder)).findings

    assert [
        each for each in findings if each.code in {"NLA502", "NLA618", "NLA701", "NLA703"}
    ] == []


def test_a_release_that_is_not_there_is_named(
    folder: Path, copy_of: Callable[[Path], Path]
) -> None:
    copied = copy_of(folder)
    with edited_yaml(copied / "release.yaml") as document:
        document["compared_with"] = ["nowhere"]

    with pytest.raises(NothingCheckedError, match="nowhere holds no evidence"):
        render(read_release(copied), "0.0.1")


@pytest.mark.parametrize(
    ("setting", "values", "words"),
    [
        ("base", ["a/b", "google/gemma-3-27b"], "base google/gemma-3-27b"),
        ("base revision", ["0" * 40, "1" * 40], "base revision"),
        ("layer", ["23", "41"], "layer 41"),
        ("quantization", ["nf4", "none"], "precision none"),
        ("dtype", ["float32", "bfloat16"], "precision bfloat16"),
        ("AV training: steps", ["15", "300"], "training"),
        ("AR head", ["0" * 64, "1" * 64], "training"),
        ("evaluation data", ["0" * 64, "1" * 64], "activations"),
        ("device", ["cpu", "cuda"], "nothing recorded"),
        ("layer", ["23", None], "nothing recorded"),
    ],
)
def test_what_differs_is_said_in_a_word(setting: str, values: list[str | None], words: str) -> None:
    assert what_differs([Differing(setting=setting, values=values)], 1) == words


def test_what_differs_is_told_once_and_in_order() -> None:
    settings = [
        Differing(setting="AV training: steps", values=["1", "2"]),
        Differing(setting="AR training: steps", values=["1", "2"]),
        Differing(setting="dtype", values=["float32", "bfloat16"]),
        Differing(setting="quantization", values=["none", "nf4"]),
        Differing(setting="base", values=["a/b", "c/d"]),
    ]

    assert what_differs(settings, 1) == "base c/d, precision bfloat16 nf4, training"
