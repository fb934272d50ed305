"""Addenda: what they keep, what they say, and that none can be changed without a trace."""

import os
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from nla_release.cards.blocks import generated_blocks
from nla_release.cards.render import render
from nla_release.errors import InputError
from nla_release.history import add_evidence as adding
from nla_release.history.add_evidence import add_evidence
from nla_release.history.updates import read_updates
from nla_release.io.files import read_json, sha256_file, write_atomic
from nla_release.release.folder import Release, read_release
from tests.builders_pair import make_release, measure
from tests.cli.test_bad_input import snapshot
from tests.pairs.zoo import edited_json

GOLDEN = Path(__file__).parent.parent / "golden" / "addenda.md"


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A version with two addenda, as in the seed: few rows, more, and other activations."""
    release = make_release(tmp_path_factory.mktemp("twice") / "release", rows=10, documents=5)
    render(release, "0.0.1")
    measure(release, rows=50, documents=10, failed={3: "empty"}, probes=["text-controls"])
    add_evidence(release, "50 activations instead of 10", date(2026, 11, 23))
    render(release, "0.0.1")
    measure(release, rows=40, documents=10, seed=1, gold_text=False)
    add_evidence(release, "Another corpus | without labels.", date(2026, 11, 23))
    render(release, "0.0.1")
    return release


@pytest.fixture
def addenda(twice: Release, tmp_path: Path) -> Path:
    """A copy of one repository's folder of addenda, to be broken."""
    folder = tmp_path / "release"
    shutil.copytree(twice.dist / "av", folder)
    return folder / "addenda"


def test_the_section_is_the_one_that_was_read_and_approved(twice: Release) -> None:
    """Read the difference, then accept it with NLA_RELEASE_UPDATE_GOLDEN=1."""
    page = (twice.dist / "av" / "RELEASE_CALIBRATION.md").read_text(encoding="utf-8")
    rendered = generated_blocks(page)["addenda"] + "\n"
    if os.environ.get("NLA_RELEASE_UPDATE_GOLDEN"):
        GOLDEN.write_text(rendered, encoding="utf-8")

    assert rendered == GOLDEN.read_text(encoding="utf-8")


def test_numbers_that_an_addendum_did_not_change_are_shown_once(tmp_path: Path) -> None:
    """New probes on the same rows: nothing that stands is struck through."""
    release = make_release(tmp_path / "release", rows=30, documents=10)
    render(release, "0.0.1")
    measure(release, rows=30, documents=10, probes=["text-controls"])
    add_evidence(release, "With text controls", date(2026, 11, 23))
    render(release, "0.0.1")
    page = (release.dist / "av" / "RELEASE_CALIBRATION.md").read_text(encoding="utf-8")
    block = generated_blocks(page)["addenda"]
    rows = [line for line in block.splitlines() if line.startswith("| Centred cosine")]

    assert rows
    assert all("| cal.0 and cal.1, unchanged | 0." in row for row in rows)
    assert "~~" not in block.partition("| measured |")[2]
    assert ", superseded |" not in block


def test_every_record_is_read_with_what_was_before_and_after_it(twice: Release) -> None:
    first, second = read_updates(twice.addenda("0.0.1"), twice.folder)

    assert [each.record.tag for each in (first, second)] == ["v0.0.1+cal.1", "v0.0.1+cal.2"]
    assert first.former.calibration.denominators.rows == 10
    assert first.added is second.former
    assert second.added.run.evaluation.rows == 40


def test_no_folder_is_no_addendum(tmp_path: Path) -> None:
    assert read_updates(tmp_path / "addenda", tmp_path) == []


def _without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _renamed(folder: Path) -> None:
    (folder / "cal.2.json").rename(folder / "cal.3.json")


def _swapped(folder: Path) -> None:
    first, second = folder / "cal.1.json", folder / "cal.2.json"
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


def _edited(key: str, value: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        with edited_json(folder / "cal.2.json") as record:
            record[key] = value

    return edit


def _of_other_evidence(folder: Path) -> None:
    """The first record says that it added something else than the second superseded."""
    with edited_json(folder / "cal.1.json") as record:
        record["evidence"]["rows_sha256"] = "0" * 64


def _numbers_edited(folder: Path) -> None:
    with edited_json(folder / "cal.0" / "calibration.json") as calibration:
        calibration["cosine"]["mean"] = 0.99


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (_without("cal.1.json"), "cal.1.json is missing"),
        (_without("cal.2.json"), "cal.1 does not belong to an evidence update"),
        (_without("cal.0/calibration.json"), "cal.0/calibration.json does not exist"),
        (_without("cal.1/evidence/rows.jsonl"), "cal.1/evidence/rows.jsonl does not exist"),
        (_renamed, "cal.2.json is missing"),
        (_swapped, "cal.1.json says number 2"),
        (_edited("number", 100), "number: must be less than or equal to 99"),
        (_edited("date", "2026-02-30"), "date: day"),
        (_edited("date", "2026-11-22"), "is of 2026-11-22, before cal.1.json of 2026-11-23"),
        (_edited("version", "0.0.2"), "belongs to v0.0.2, not to v0.0.1"),
        (_edited("text", "a\nb\x07"), "text: must be plain text"),
        (_edited("by", "me"), "by is not a known key"),
        (_of_other_evidence, "cal.2.json does not supersede what cal.1.json added"),
        (_numbers_edited, "cal.0/calibration.json is not what cal.1.json superseded"),
        (lambda folder: write_atomic(folder / "note.txt", "x"), "note.txt does not belong to an"),
        (lambda folder: write_atomic(folder / "cal.2.json", "{"), "cal.2.json is not valid JSON"),
    ],
)
def test_what_is_not_whole_is_named(
    addenda: Path, break_it: Callable[[Path], None], words: str
) -> None:
    break_it(addenda)

    with pytest.raises(InputError) as problem:
        read_updates(addenda, addenda.parent)
    assert words in problem.value.message


def test_a_folder_without_any_addendum_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "addenda").mkdir()

    with pytest.raises(InputError, match="is empty"):
        read_updates(tmp_path / "addenda", tmp_path)


@pytest.mark.parametrize("at", [0, 1])
def test_killed_in_between_the_old_state_is_whole(
    twice: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Killed before the record: nothing is there. Killed after it: the same command goes on."""
    folder = tmp_path / "release"
    shutil.copytree(twice.folder, folder)
    release = read_release(folder)
    measure(release, rows=70, documents=14)
    before = snapshot(folder)
    written = []

    def killed(path: Path, content: str) -> None:
        if len(written) == at:
            raise KeyboardInterrupt
        written.append(path)
        write_atomic(path, content)

    monkeypatch.setattr(adding, "write_atomic", killed)
    with pytest.raises(KeyboardInterrupt):
        add_evidence(release, "More", date(2026, 11, 23))
    monkeypatch.undo()
    interrupted = snapshot(folder)
    if at == 0:
        assert interrupted == before
    assert {path: interrupted[path] for path in before} == before
    add_evidence(release, "More", date(2026, 11, 23))
    render(release, "0.0.1")

    assert len(read_updates(release.dist / "av" / "addenda", release.dist / "av")) == 3


def test_the_record_names_every_file_that_stays(twice: Release) -> None:
    recorded = read_json(twice.addenda("0.0.1") / "cal.2.json")["weights"]

    assert recorded == {name: sha256_file(twice.dist / name) for name in recorded}
    assert {name.partition("/")[2] for name in recorded} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "nla_meta.yaml",
        "value_head.safetensors",
    }
