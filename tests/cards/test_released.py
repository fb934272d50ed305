"""A version beside the one before it, when release.yaml names one that was published."""

import shutil
from pathlib import Path

import pytest

from nla_release.calibration.report import Calibration
from nla_release.cards.render import render
from nla_release.errors import ConfigError
from nla_release.gate import RULES
from nla_release.gate.subject import find_subject
from nla_release.gate.typed_numbers import numbers_are_quoted
from nla_release.io.files import dump_yaml, write_atomic
from nla_release.release.folder import Release, read_release
from tests.builders_pair import make_release, measure, release_document
from tests.cards.conftest import card

SECTION = "## Evaluation across released versions"


def second(folder: Path, *, seed: int = 1, noise: float = 1.0, **changes: object) -> Release:
    """The release 0.0.1 in `before/`, and a folder `now/` that names it and is to be 0.1.0."""
    before = make_release(folder / "before", rows=60, documents=20, noise=noise)
    render(before, "0.0.1")
    now = make_release(folder / "now", rows=60, documents=20)
    measure(now, rows=60, documents=20, seed=seed)
    document = release_document() | {"previous": "../before/dist/av"} | changes
    write_atomic(folder / "now" / "release.yaml", dump_yaml(document))
    shutil.copyfile(before.dist / "av" / "HISTORY.md", folder / "now" / "HISTORY.md")
    return read_release(folder / "now")


@pytest.mark.parametrize("previous", ["../before/dist/av", "../before/dist", "../before"])
def test_both_versions_stand_side_by_side_each_with_its_controls(
    tmp_path: Path, previous: str
) -> None:
    now = second(tmp_path, previous=previous)
    render(now, "0.1.0")
    old = Calibration.read(tmp_path / "before" / "calibration.json")
    new = Calibration.read(now.calibration)
    page = (now.dist / "av" / "RELEASE_CALIBRATION.md").read_text()

    for text in (card(now, "av"), card(now, "ar"), page):
        rows = [line for line in text.splitlines() if line.startswith(("| v0.1.0", "| [v0.0.1]"))]
        for line, found in zip(rows, (new, old), strict=True):
            own = found.contrasts.above_others
            assert f"| {own.first:.3f} | {found.contrasts.within.second:.3f} |" in line
            assert f"| {own.second:.3f} |" in line
            assert line.endswith(f"| {found.label.name} |")
        assert "tiny-nla-L3-av-v0_0_1/tree/v0.0.1" in rows[1]
        assert "No paired comparison: " in text
    assert SECTION in card(now, "av")
    assert (now.dist / "av" / "figures" / "versions.csv").exists()


def test_on_the_same_activations_the_difference_is_paired(tmp_path: Path) -> None:
    now = second(tmp_path, seed=0)
    render(now, "0.1.0")
    text = card(now, "av").split(SECTION)[1]

    assert "On the 60 activations from 20 documents that both were measured on" in text
    assert "paired by row). Verdict: better." in text


def test_no_number_of_the_other_version_is_a_finding(tmp_path: Path) -> None:
    for repo in ("{namespace}/{name}-{role}-v{version}", "{namespace}/{name}-{role}"):
        folder = tmp_path / str(len(repo))
        now = second(folder, seed=0, repo=repo)
        render(now, "0.1.0")
        outcome = numbers_are_quoted.apply(find_subject(folder / "now"), strict=False)

        assert (outcome.findings, outcome.skipped) == ((), ())
        assert numbers_are_quoted in RULES


@pytest.mark.parametrize("previous", ["../before/evidence", "dist/av"])
def test_evidence_alone_and_the_version_itself_are_no_other_version(
    tmp_path: Path, previous: str
) -> None:
    now = second(tmp_path)
    render(now, "0.1.0")
    document = release_document() | {"previous": previous}
    write_atomic(tmp_path / "now" / "release.yaml", dump_yaml(document))
    render(read_release(tmp_path / "now"), "0.1.0")

    assert SECTION not in card(now, "av")
    assert not (now.dist / "av" / "figures" / "versions.png").exists()


def test_a_version_that_the_log_does_not_know_is_refused(tmp_path: Path) -> None:
    now = second(tmp_path)
    (tmp_path / "now" / "HISTORY.md").unlink()

    with pytest.raises(ConfigError, match=r"previous is v0\.0\.1, but .* has no entry"):
        render(now, "0.1.0")
