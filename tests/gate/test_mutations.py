"""Each key of each document is deleted, and each value replaced by one of another type, in turn."""

import copy
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from nla_release.calibration.compare import compare
from nla_release.calibration.measured import read_measured
from nla_release.cards.render import render
from nla_release.errors import NlaReleaseError
from nla_release.gate import apply_rules, rendered_documents
from nla_release.gate.adapter_folder import AdapterFolder
from nla_release.gate.subject import Subject
from nla_release.release.folder import Release
from tests.builders_pair import make_release
from tests.pairs.zoo import list_anew

DELETED = object()
# One of each type, and numbers of the wrong sign or of no use.
OTHERS = (DELETED, None, True, -1, 1e300, "x", [], {}, [None], {"x": None})
DOCUMENTS = (
    "release.json",
    "calibration.json",
    "base.json",
    "evidence/run.json",
    "evidence/rows.jsonl",
    "training_log.jsonl",
    "nla_meta.yaml",
    "adapter_config.json",
)
COMPARED = ("release.json", "evidence/run.json", "evidence/rows.jsonl", "nla_meta.yaml")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release, rendered; whoever changes it puts it back."""
    folder = tmp_path_factory.mktemp("made") / "release"
    made = make_release(folder, notes={"summary": "Words."}, rows=24, documents=12)
    render(made, "0.0.1")
    return made


def read(path: Path) -> Any:
    """A document's values; of JSON lines, the first."""
    text = path.read_text()
    if path.suffix == ".yaml":
        return yaml.safe_load(text)
    return json.loads(text.partition("\n")[0] if path.suffix == ".jsonl" else text)


def written(path: Path, document: Any) -> str:
    """The text of the file with another document in it."""
    if path.suffix == ".yaml":
        return yaml.safe_dump(document, sort_keys=False)
    if path.suffix == ".jsonl":
        return json.dumps(document) + "\n" + path.read_text().partition("\n")[2]
    return json.dumps(document)


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where each value of a document is; of a long list, the first two."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = list(enumerate(value))[:2]
    for key, each in inner:
        yield (*before, key)
        yield from places(each, (*before, key))


def changed(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    """The document with another value in one place, or without it."""
    document = copy.deepcopy(document)
    inside = document
    for key in place[:-1]:
        inside = inside[key]
    if value is DELETED:
        del inside[place[-1]]
    else:
        inside[place[-1]] = value
    return document


def mutations(path: Path, most: int) -> Iterator[tuple[str, str]]:
    """What was done, and the text of the file then; an even choice among all that can be done."""
    document = read(path)
    found = [(place, value) for place in places(document) for value in OTHERS]
    chosen = random.Random(path.name).sample(found, min(most, len(found)))
    for place, value in chosen:
        what = "deleted" if value is DELETED else repr(value)
        yield f"{path.name} {place}: {what}", written(path, changed(document, place, value))


@pytest.mark.parametrize("name", COMPARED)
def test_compare_names_what_is_wrong_or_compares(release: Release, name: str) -> None:
    folder = release.dist / "av"
    whole = read_measured(folder, "A")
    path = folder / name
    text = path.read_text()
    try:
        for what, mutated in mutations(path, 150):
            path.write_text(mutated)
            try:
                compare([whole, read_measured(folder, "B")])
            except NlaReleaseError:
                continue
            except Exception as error:
                pytest.fail(f"{what}: {error!r}")
    finally:
        path.write_text(text)


@pytest.mark.parametrize("listed", [True, False], ids=["listed again", "not listed"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_verify_has_a_verdict_whatever_a_document_holds(
    release: Release, tmp_path: Path, name: str, listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Drawing takes most of the time, and reads nothing that the cards do not show.
    monkeypatch.setattr(rendered_documents, "_figures", lambda *_: iter(()))
    dist = Path(shutil.copytree(release.dist, tmp_path / "dist"))
    path, text = dist / "av" / name, (dist / "av" / name).read_text()
    manifest = (dist / "av" / "release.json").read_text()
    for what, mutated in mutations(path, 8):
        path.write_text(mutated)
        try:
            if listed and name != "release.json":
                list_anew(dist / "av")
            adapter = AdapterFolder("av", dist / "av", rendered=True)
            verdict = apply_rules(Subject(dist, None, (), (adapter,), None))
        except Exception as error:
            pytest.fail(f"{what}: {error!r}")
        assert verdict.outcomes, what
        (dist / "av" / "release.json").write_text(manifest)
        path.write_text(text)
