"""The log of runs: what it counts, and what it refuses to be."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import read_evidence, write_evidence
from nla_release.calibration.multiplicity import tried_sentence
from nla_release.errors import EvidenceError, InputError
from nla_release.evidence.runs import (
    MAX_LINES,
    Ended,
    Headline,
    MeasuredCount,
    RunLog,
    Started,
    disagreement,
    read_runs,
    run_counts,
)
from nla_release.io.layout import RUNS_FILE
from tests.builders import evidence_parts, recorded

FILES = {"av/adapter_model.safetensors": "a" * 64, "ar/adapter_model.safetensors": "b" * 64}
EVIDENCE = {"rows_sha256": "c" * 64, "vectors_sha256": "d" * 64}


def started(number, *, files=FILES, seed=0, rows=40):
    return Started(
        run=f"{number:016x}",
        time=f"2026-11-22T10:{number:02}:00Z",
        tool_version="0.1.0",
        base="someone/tiny@main",
        inputs={"data": "e" * 64, "reference": "f" * 64, **files},
        rows=MeasuredCount(asked=rows, available=307),
        documents=MeasuredCount(asked=10, available=60),
        seed=seed,
        settings={"max_new_tokens": 48, "quantization": None},
    )


def ended(number, event="finished", minute=None):
    left = EVIDENCE if event in ("finished", "restored") else {}
    return Ended(
        event=event,
        run=f"{number:016x}",
        time=f"2026-11-22T10:{number if minute is None else minute:02}:30Z",
        headline=Headline(cosine=0.5, label="row-level") if event == "finished" else None,
        **left,
    )


def written(folder, *lines):
    folder.mkdir(exist_ok=True)
    (folder / RUNS_FILE).write_text(RunLog(lines).dump())
    return folder


def test_a_log_reads_back_as_it_was_written(tmp_path):
    lines = (started(1), ended(1, "interrupted"), ended(1, minute=2), started(3), ended(3))

    assert read_runs(written(tmp_path, *lines)) == RunLog(lines)
    assert read_runs(tmp_path / "elsewhere") is None


def test_every_start_counts_whatever_became_of_it():
    lines = (started(1), ended(1, "failed"), started(2), started(3, seed=7), ended(3))
    log = RunLog(lines)
    found = run_counts(log, f"{3:016x}", FILES)

    assert (found.recorded, found.of_this_pair, found.finished) == (3, 3, 1)
    assert (found.position, found.data) == (3, 2)
    assert [log.outcome(it.run) for it in log.started] == ["failed", "unfinished", "finished"]


def test_runs_of_other_weights_are_counted_apart():
    other = FILES | {"av/adapter_model.safetensors": "9" * 64}
    log = RunLog((started(1, files=other), ended(1), started(2), ended(2)))
    found = run_counts(log, f"{2:016x}", FILES)

    assert (found.recorded, found.of_this_pair, found.position) == (2, 1, 1)


@pytest.mark.parametrize(
    ("lines", "run", "words"),
    [
        ((started(1), ended(1)), 1, None),
        ((started(1), ended(1), started(2), ended(2, "interrupted")), 1, None),
        ((started(1), ended(1), started(2), ended(2)), 1, "is of run 0000000000000002"),
        ((started(1), ended(1), started(2), ended(2), ended(1, "restored", 3)), 1, None),
        ((started(1),), 1, "it has no finished run"),
        ((started(1), ended(1)), None, "evidence of a run that is not in it"),
    ],
)
def test_the_last_run_that_left_evidence_is_the_evidences(lines, run, words):
    named = None if run is None else f"{run:016x}"
    found = disagreement(RunLog(lines), named, *EVIDENCE.values())

    assert found is None if words is None else words in found


def test_other_evidence_of_the_same_run_is_found():
    log = RunLog((started(1), ended(1)))

    assert "are not those of the evidence" in disagreement(log, f"{1:016x}", "0" * 64, "d" * 64)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((started(2), ended(2), started(1)), "line 3 has time"),
        ((ended(1),), "ends, but has not started"),
        ((started(1), started(1)), "starts twice"),
    ],
)
def test_lines_that_do_not_follow_from_each_other_are_refused(tmp_path, lines, words):
    with pytest.raises(EvidenceError, match=words) as caught:
        read_runs(written(tmp_path, *lines))
    assert "backup" in caught.value.hint


def changed(line, **changes):
    return json.dumps(line.model_dump(mode="json") | changes) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "{",
        "[]\n",
        '{"event": "started"}\n',
        changed(started(1), run="../../etc"),
        changed(started(1), time="yesterday"),
        changed(started(1), inputs={f"f{i}": "a" * 64 for i in range(65)}),
        changed(started(1), base="b" * 201),
        changed(started(1), more=1),
        changed(started(1)) + changed(ended(1), rows_sha256=None),
        changed(started(1)) + changed(ended(1, "failed"), rows_sha256="a" * 64),
        changed(started(1)) + changed(ended(1), run=None),
    ],
)
def test_a_line_that_is_no_line_of_a_log_is_refused(tmp_path, text):
    (tmp_path / RUNS_FILE).write_text(text)
    with pytest.raises(EvidenceError):
        read_runs(tmp_path)


def test_a_log_without_bounds_is_not_read(tmp_path):
    short = changed(started(1)) + changed(ended(1, "interrupted")) * MAX_LINES
    (tmp_path / RUNS_FILE).write_text(short)
    with pytest.raises((EvidenceError, InputError), match="more than|larger than"):
        read_runs(tmp_path)
    (tmp_path / RUNS_FILE).write_bytes(b" " * (4 * 1024**2 + 1))
    with pytest.raises(InputError, match="larger than"):
        read_runs(tmp_path)


def test_a_full_log_says_so_instead_of_growing():
    log = RunLog((started(1), *[ended(1, "interrupted")] * (MAX_LINES - 1)))
    with pytest.raises(EvidenceError, match="lines"):
        log.adding(ended(1))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_log_or_an_error_of_ours(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("log")
    (folder / RUNS_FILE).write_bytes(content)
    with pytest.raises(InputError):
        read_runs(folder)


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (None, "Runs were not recorded. Rows measured: 40; how many the data holds is not"),
        ("0" * 16, "1 run of this pair is recorded. Rows measured: 40 of 307, of 10 of 10 docu"),
    ],
)
def test_a_card_says_how_often_and_on_how_many_rows(tmp_path, run, words):
    rows, vectors, facts = evidence_parts()
    if run:
        asked = facts.evaluation.model_copy(update={"available": 307})
        facts = facts.model_copy(update={"run_id": run, "evaluation": asked})
    log = recorded(facts) if run else {}
    evidence = write_evidence(tmp_path / "evidence", rows, vectors, facts, **log)

    assert words in tried_sentence(calibrate(evidence).multiplicity)


def test_evidence_that_is_written_again_keeps_its_log(tmp_path):
    rows, vectors, facts = evidence_parts()
    facts = facts.model_copy(update={"run_id": "0" * 16})
    first = write_evidence(tmp_path / "evidence", rows, vectors, facts, **recorded(facts))
    write_evidence(tmp_path / "evidence", rows, vectors, facts)

    assert read_evidence(tmp_path / "evidence").runs == first.runs
