"""Format 2 of the evidence: what probes leave, and format 1, which knows none of it."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nla_release.calibration.evidence_folder import read_evidence, write_evidence
from nla_release.calibration.json_schemas import schema_text
from nla_release.errors import EvidenceError
from nla_release.evidence.parts import first_with_text
from nla_release.evidence.records import EvidenceRow, ProbeRecord, TrainingOverlap
from nla_release.io.schema import parse
from nla_release.release.config import QUICK, chosen_probes
from tests.builders import evidence_parts, make_evidence
from tests.evidence.test_evidence import edit_row, edit_run, edit_vectors, refused

ASKING = (
    "text-controls",
    "injection",
    "text-retrieval",
    "claims",
    "paraphrase",
    "discrimination",
)
FAILED = {1: "empty", 2: "truncated"}


@pytest.fixture
def folder(tmp_path):
    """Evidence with everything that probes can leave; rows 2 and 3 failed."""
    make_evidence(tmp_path / "evidence", rows=6, documents=3, failed=FAILED, probes=ASKING)
    return tmp_path / "evidence"


def old_format(folder):
    """Evidence without probes, as it was written before there were any."""
    make_evidence(folder, rows=6, documents=3)
    run = json.loads((folder / "run.json").read_text())
    new = {"probes", "training", "attempts"}
    edit = {key: value for key, value in run.items() if key not in new}
    (folder / "run.json").write_text(json.dumps(edit | {"schema": 1}))
    return folder


def test_what_probes_left_reads_back(tmp_path):
    parts = evidence_parts(failed=FAILED, probes=ASKING)
    evidence = write_evidence(tmp_path / "evidence", *parts)
    assert list(evidence.rows) == parts.rows
    assert evidence.vectors.keys() == parts.vectors.keys()
    assert evidence.run.probed == set(ASKING)
    assert np.flatnonzero(evidence.failed("paraphrase")).tolist() == [1, 2]
    assert not evidence.failed("source_text").any()


def test_discrimination_is_of_every_documents_first_row_with_a_text(tmp_path):
    rows, vectors, run = evidence_parts(rows=6, documents=3, probes=["discrimination"])
    rows[0] = rows[0].model_copy(update={"text": None})
    evidence = write_evidence(tmp_path / "evidence", rows, vectors, run)
    assert first_with_text(evidence.rows) == [1, 2, 3]


def test_evidence_of_the_old_format_is_read(tmp_path):
    evidence = read_evidence(old_format(tmp_path / "evidence"))
    assert (evidence.run.schema_, evidence.run.probes, evidence.run.training) == (1, [], None)
    assert all((row.texts, row.spoken, row.claims) == ({}, {}, []) for row in evidence.rows)


@pytest.mark.parametrize(
    "part", [{"probes": []}, {"training": None}, {"attempts": 3}, {"layer": 3}]
)
def test_a_run_of_the_old_format_has_no_parts_of_the_new(tmp_path, part):
    folder = old_format(tmp_path / "evidence")
    edit_run(folder, **part)
    refused(folder, "run.json", f"schema 1 has no {next(iter(part))}")


@pytest.mark.parametrize("part", [{"texts": {}}, {"claims": ["one", "two"]}, {"spoken": {}}])
def test_a_row_of_the_old_format_has_no_parts_of_the_new(tmp_path, part):
    folder = old_format(tmp_path / "evidence")
    edit_row(folder, 2, **part)
    refused(folder, next(iter(part)))


def test_an_unknown_format_is_refused(folder):
    edit_run(folder, schema=3)
    refused(folder, "run.json", "schema")


@pytest.mark.parametrize(
    ("line", "change", "mention"),
    [
        (1, {"claims": [""]}, "claims.0"),
        (2, {"claims": ["one", "two"]}, "claims of an explanation with status empty"),
        (1, {"texts": {"nonsense": "x"}}, "texts.nonsense"),
        (1, {"spoken": {"half_scale": {"explanation": "", "status": "ok", "raw": ""}}}, "spoken"),
    ],
)
def test_a_part_of_a_row_that_breaks_the_format_is_named(folder, line, change, mention):
    edit_row(folder, line, **change)
    refused(folder, f"rows.jsonl line {line}", mention)


@pytest.mark.parametrize(
    ("line", "condition", "text", "mention"),
    [
        (1, "gibberish", " ", "texts.gibberish is ' ' with status ok"),
        (2, "paraphrase", "something", "texts.paraphrase is 'something' with status empty"),
        (1, "source_text", "another", "texts.source_text is not the row's text"),
    ],
)
def test_a_text_that_was_not_made_from_the_row_is_refused(folder, line, condition, text, mention):
    row = read_evidence(folder).rows[line - 1]
    edit_row(folder, line, texts=row.texts | {condition: text})
    refused(folder, f"line {line}", mention)


@pytest.mark.parametrize(("part", "key"), [("texts", "gibberish"), ("spoken", "half_scale")])
def test_every_row_has_the_same_conditions(folder, part, key):
    row = read_evidence(folder).rows[3].model_dump()
    del row[part][key]
    edit_row(folder, 4, **{part: row[part]})
    refused(folder, "rows.jsonl line 4", f"{part} holds")


@pytest.mark.parametrize(
    ("changes", "mention"),
    [
        ({"gibberish": None}, "disagree about gibberish"),
        ({"claims_without": None}, "only some of the tensors claims_without"),
        ({"discrimination_gibberish": None}, "only some of the tensors discrimination_factual"),
        ({"encoder_source": None}, "only some of the tensors encoder_explanation"),
        ({"claims_without": None, "claims_with_unrelated": None}, "but rows have claims"),
        ({"claims_without": np.zeros((7, 16), np.float32)}, "shape [7, 16], expected [8, 16]"),
        ({"discrimination_factual": np.zeros((4, 16), np.float32)}, "expected [3, 16]"),
        ({"encoder_source": np.zeros((6, 9), np.float32)}, "encoder_source has shape [6, 9]"),
        ({"encoder_explanation": np.zeros(6, np.float32)}, "encoder_explanation has shape [6]"),
        ({"paraphrase": np.zeros((6, 16), np.float16)}, "paraphrase has dtype F16"),
        ({"claims_without": np.full((8, 16), np.nan, np.float32)}, "claims_without holds NaN"),
        ({"paraphrase": np.full((6, 16), np.inf, np.float32)}, "infinity in row 1 (id 'r0')"),
        ({"word_shuffled": np.ones((6, 16), np.float32)}, "word_shuffled is not zero in row 2"),
        (
            {"encoder_explanation": np.ones((6, 16), np.float32)},
            "encoder_explanation is not zero in row 2",
        ),
    ],
)
def test_a_tensor_of_a_probe_that_does_not_belong_is_named(folder, changes, mention):
    edit_vectors(folder, **changes)
    refused(folder, "vectors.safetensors", mention)


def test_source_embeddings_need_a_source_text_in_every_row(folder):
    edit_row(folder, 3, text=None, texts={})
    for line in (1, 2, 4, 5, 6):
        edit_row(folder, line, texts={})
    edit_vectors(folder, gibberish=None, word_shuffled=None, source_text=None,
                 sentence_shuffled=None, paraphrase=None)  # fmt: skip
    refused(folder, "encoder_source, but row 'r2' has no text")


@pytest.mark.parametrize("probe", ASKING)
def test_a_probe_left_its_parts_when_it_ran_and_only_then(folder, probe):
    edit_run(folder, probes=[{"name": name} for name in ASKING if name != probe])
    refused(folder, f"run.json: diagnostic {probe} did not run, but the evidence holds")
    edit_run(folder, probes=[{"name": name} for name in ASKING])
    assert probe in read_evidence(folder).run.probed


@pytest.mark.parametrize("probe", ASKING)
def test_a_probe_that_ran_left_something(tmp_path, probe):
    make_evidence(tmp_path / "evidence", rows=6, documents=3)
    edit_run(tmp_path / "evidence", probes=[{"name": probe}])
    refused(tmp_path / "evidence", f"diagnostic {probe} ran, but its ")


@pytest.mark.parametrize(
    ("changes", "mention"),
    [
        ({"probes": [{"name": "astrology"}]}, "probes.0.name"),
        ({"probes": [{"name": "ceiling"}, {"name": "ceiling"}]}, "ceiling is recorded twice"),
        ({"probes": [{"name": "claims", "skipped": "why", "av_vectors": 1}]}, "has a cost"),
        ({"probes": [{"name": "claims", "seconds": -1}]}, "probes.0.seconds"),
        ({"attempts": 0}, "attempts"),
        ({"training": {"sha256": "0" * 64, "documents": 1}}, "training.ids_overlapping is missing"),
    ],
)
def test_a_record_that_breaks_the_format_is_named(tmp_path, changes, mention):
    make_evidence(tmp_path / "evidence", rows=6, documents=3)
    edit_run(tmp_path / "evidence", **changes)
    refused(tmp_path / "evidence", "run.json", mention)


@pytest.mark.parametrize(("ids", "texts"), [(["d9"], []), ([], ["r9"])])
def test_an_overlap_with_what_was_not_evaluated_is_refused(tmp_path, ids, texts):
    overlap = TrainingOverlap(
        sha256="0" * 64, documents=5, ids_overlapping=ids, texts_overlapping=texts
    )
    rows, vectors, run = evidence_parts(rows=6, documents=3)
    run = run.model_copy(update={"training": overlap})
    with pytest.raises(EvidenceError, match=f"overlaps with '{(ids + texts)[0]}'"):
        write_evidence(tmp_path / "evidence", rows, vectors, run)


def test_no_claim_to_leave_out_is_a_probe_that_ran_on_nothing(tmp_path):
    rows, vectors, run = evidence_parts(rows=6, documents=3)
    rows = [row.model_copy(update={"claims": [row.explanation]}) for row in rows]
    nothing = np.zeros((0, 16), np.float32)
    vectors |= {"claims_without": nothing, "claims_with_unrelated": nothing}
    run = run.model_copy(update={"probes": [ProbeRecord(name="claims")]})
    evidence = write_evidence(tmp_path / "evidence", rows, vectors, run)
    assert [row.probed_claims for row in evidence.rows] == [[]] * 6


def test_rows_without_probes_are_written_as_they_always_were(tmp_path):
    make_evidence(tmp_path / "evidence", rows=6, documents=3)
    row = json.loads((tmp_path / "evidence" / "rows.jsonl").read_text().splitlines()[0])
    assert row.keys() & {"texts", "spoken", "claims"} == set()


def test_the_schema_of_a_row_asks_for_what_the_reader_asks_for(folder):
    schema = json.loads(schema_text("evidence.row.schema.json"))
    document = json.loads((folder / "rows.jsonl").read_text().splitlines()[0])
    assert set(schema["required"]) <= document.keys() <= set(schema["properties"])
    assert parse(EvidenceRow, document, "a row").id == "r0"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    name=st.sampled_from(["rows.jsonl", "vectors.safetensors", "run.json"]),
    position=st.floats(0, 1, exclude_max=True),
    replacement=st.binary(max_size=6),
)
def test_no_damage_of_probes_ends_in_anything_but_an_evidence_error(
    tmp_path, name, position, replacement
):
    folder = tmp_path / "evidence"
    make_evidence(folder, rows=3, documents=3, width=4, probes=ASKING)
    data = bytearray((folder / name).read_bytes())
    start = int(position * len(data))
    data[start : start + len(replacement)] = replacement
    (folder / name).write_bytes(bytes(data))
    try:
        evidence = read_evidence(folder)
    except EvidenceError:
        return
    assert len(evidence.rows) == 3


def test_choices_stand_for_probes_in_the_order_in_which_they_run():
    assert chosen_probes(["claims", "quick", "injection"]) == [*QUICK, "claims"]
    assert set(chosen_probes(["all"])) > set(ASKING)
    assert chosen_probes([]) == []
