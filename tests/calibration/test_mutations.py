"""A damaged calibration.json or run.json is a clear error or a finding, whatever is damaged in it.

Each key is deleted, and each value replaced by values of other types. No reader may end in anything
but an error of ours, and nothing that is still read may pass the gate.
"""

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from pydantic import ValidationError

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import read_evidence
from nla_release.calibration.report import CONTROL_NAMES, Calibration, CurrentCalibration
from nla_release.calibration.tables import calibration_table
from nla_release.cards.blocks import expected_blocks, expected_page_blocks
from nla_release.cards.compared import read_comparison
from nla_release.errors import EvidenceError
from nla_release.gate import apply_rules
from nla_release.gate.evidence import not_as_computed
from nla_release.gate.subject import find_subject
from nla_release.io.files import dump_json, read_json
from nla_release.io.layout import COMPARISON_FILE
from nla_release.report.render import render_report
from tests.builders import make_evidence

OTHERS: list[Any] = [None, "x", [], {}, True, -1]
DELETED = object()


def places(document: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key of a document, and the first item of every list."""
    if isinstance(document, dict):
        inner = list(document.items())
    else:
        inner = list(enumerate(document[:1])) if isinstance(document, list) else []
    for key, value in inner:
        yield (*at, key)
        yield from places(value, (*at, key))


def mutants(document: Any) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    """Each place, what was put there, and the document with it."""
    for place in places(document):
        for value in (DELETED, *OTHERS):
            mutant = copy.deepcopy(document)
            holder = mutant
            for key in place[:-1]:
                holder = holder[key]
            if value is DELETED:
                del holder[place[-1]]
            elif type(holder[place[-1]]) is type(value):
                continue
            else:
                holder[place[-1]] = value
            yield place, value, mutant


def read_calibration(path: Any, document: Any) -> Calibration | None:
    """The calibration, or None where its reader says what is wrong."""
    path.write_text(dump_json(document))
    try:
        return Calibration.read(path)
    except EvidenceError:
        return None


@pytest.mark.parametrize("name", sorted({*CONTROL_NAMES} - {"gold_text", "lookup_table"}))
def test_a_missing_control_is_named(rendered, tmp_path, name):
    document = read_json(rendered.folder / "calibration.json")
    del document["controls"][name]
    path = tmp_path / "calibration.json"
    path.write_text(dump_json(document))

    with pytest.raises(EvidenceError, match=f"controls: {name} is missing"):
        Calibration.read(path)


def test_whatever_is_damaged_in_a_calibration_is_said_or_can_be_shown(rendered, tmp_path):
    """Reading names the damage; what is read all the same can be shown on terminal and cards."""
    path, read = tmp_path / "calibration.json", 0
    for _, _, mutant in mutants(read_json(rendered.folder / "calibration.json")):
        if calibration := read_calibration(path, mutant):
            read += 1
            assert calibration_table(calibration)
            assert expected_blocks(calibration)
            assert expected_page_blocks(calibration)
            assert calibration.leaves()
    assert read > 20, "what a format allows to be absent or null"


def test_a_damaged_calibration_that_can_still_be_read_does_not_pass(rendered, copy_of, tmp_path):
    """The gate computes the numbers again: a deleted block or a null is a finding."""
    folder = copy_of(rendered.folder)
    document = read_json(folder / "calibration.json")
    paths = [folder / "dist" / role / "calibration.json" for role in ("av", "ar")]
    for place, value, mutant in mutants(document):
        damaged = value is DELETED or value is None
        if not damaged or len(place) > 2 or not read_calibration(tmp_path / "one.json", mutant):
            continue
        for path in paths:
            path.write_text(dump_json(mutant))
        subject = find_subject(folder / "dist")
        verdict = apply_rules(subject)

        assert verdict.verdict == "fail", f"{'.'.join(map(str, place))}: {value}"
        assert render_report(subject, verdict)


def test_a_change_of_any_published_number_is_found(measured):
    """Every number of the file, however deep, and every end of an interval."""
    computed = calibrate(measured)
    document = computed.model_dump(mode="json", by_alias=True, exclude_unset=True)
    changed = 0
    for place, value in numbers(document):
        mutant = copy.deepcopy(document)
        holder = mutant
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = value + 1 if isinstance(value, int) else value + 1e-6
        try:
            calibration = CurrentCalibration.model_validate(mutant)
        except ValidationError:
            continue
        changed += 1
        assert not_as_computed(calibration, computed), ".".join(map(str, place))
    assert changed > 300


def numbers(document: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every number of a document, with its place."""
    if isinstance(document, dict | list):
        inner = document.items() if isinstance(document, dict) else enumerate(document)
        for key, value in inner:
            yield from numbers(value, (*at, key))
    elif isinstance(document, int | float) and not isinstance(document, bool):
        yield at, document


@pytest.fixture
def measured(tmp_path):
    """Evidence with every diagnostic that made-up vectors allow."""
    ran = ("text-controls", "injection", "claims", "paraphrase", "text-retrieval")
    return make_evidence(tmp_path / "evidence", rows=60, documents=12, probes=ran)


def test_a_calibration_without_a_control_is_a_finding_of_the_gate(rendered, copy_of):
    folder = copy_of(rendered.folder)
    document = read_json(folder / "calibration.json")
    del document["controls"]["shuffled"]
    for place in ("calibration.json", "dist/av/calibration.json", "dist/ar/calibration.json"):
        (folder / place).write_text(dump_json(document))
    verdict = apply_rules(find_subject(folder))

    assert any("controls: shuffled is missing" in each.message for each in verdict.findings)


def test_whatever_is_damaged_in_a_run_is_said(rendered, copy_of):
    evidence = copy_of(rendered.folder) / "evidence"
    path = evidence / "run.json"
    for _, _, mutant in mutants(read_json(path)):
        path.write_text(dump_json(mutant))
        with suppress(EvidenceError):
            read_evidence(evidence)


def test_whatever_is_damaged_in_a_row_is_said(rendered, copy_of):
    evidence = copy_of(rendered.folder) / "evidence"
    path = evidence / "rows.jsonl"
    first, *others = path.read_text().splitlines()
    for _, _, mutant in mutants(json.loads(first)):
        path.write_text("\n".join([json.dumps(mutant), *others, ""]))
        with pytest.raises(EvidenceError):
            read_evidence(evidence)


def test_whatever_is_no_comparison_is_said(tmp_path):
    for document in (None, [], {}, {"schema": 1}, {"schema": 1, "releases": {}}):
        (tmp_path / COMPARISON_FILE).write_text(dump_json(document))
        with pytest.raises(EvidenceError, match=COMPARISON_FILE):
            read_comparison(tmp_path)
