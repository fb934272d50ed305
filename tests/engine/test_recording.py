"""Every round trip is on record, and what was trained on is compared with what is measured on."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nla_release import Pair
from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import read_evidence
from nla_release.engine.lookup import look_up
from nla_release.engine.roundtrip import roundtrip
from nla_release.errors import DataError, EvidenceError
from nla_release.evidence.runs import read_runs
from nla_release.io.files import dump_yaml, read_yaml
from nla_release.release.folder import read_release

SHORT = {"rows": 12, "max_new_tokens": 8}


def asks(folder, **changes):
    """The release with other settings under evaluation."""
    document = read_yaml(folder / "release.yaml")
    document["evaluation"] |= changes
    (folder / "release.yaml").write_text(dump_yaml(document))
    return read_release(folder)


@pytest.fixture
def release(good_release, copy_of):
    """The demo's pair, of which nothing was measured yet."""
    folder = copy_of(good_release)
    shutil.rmtree(folder / "evidence")
    shutil.rmtree(folder / "dist", ignore_errors=True)
    return asks(folder, **SHORT)


def log_of(release):
    return read_runs(release.evidence)


def events(release):
    return [line.event for line in log_of(release).lines]


def test_a_run_is_recorded_with_what_it_asked_and_what_it_found(release):
    evidence = roundtrip(release, device="cpu")
    start, end = log_of(release).lines

    assert (start.run, end.run) == (evidence.run.run_id, evidence.run.run_id)
    assert (start.rows.asked, start.rows.available) == (12, 307)
    assert (start.documents.asked, start.documents.available) == (len(set(evidence.documents)), 60)
    assert start.inputs["data"] == evidence.run.evaluation.sha256
    assert start.pair == evidence.run.files
    found = calibrate(evidence)
    assert end.headline.cosine == found.cosine.mean
    assert end.headline.own == found.centred.mean
    assert end.headline.label == found.label.name
    assert found.multiplicity.rows.available == 307


def test_other_rows_another_seed_and_fresh_are_runs_of_their_own(release):
    """Choosing the documents, or the seed, that come out best leaves a trace."""
    roundtrip(release, device="cpu")
    roundtrip(asks(release.folder, rows=10), device="cpu")
    roundtrip(asks(release.folder, seed=7), device="cpu")
    evidence = roundtrip(asks(release.folder), device="cpu", fresh=True)

    assert events(release) == ["started", "finished"] * 4
    counts = calibrate(evidence).multiplicity.runs
    assert (counts.of_this_pair, counts.position, counts.data) == (4, 4, 3)


def test_an_interrupted_run_counts_and_goes_on_as_the_same_run(release, monkeypatch):
    verbalize = Pair.explain

    def cut_off(self, vectors, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Pair, "explain", cut_off)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            roundtrip(release, device="cpu")
    assert events(release) == ["started", "interrupted", "interrupted"]
    monkeypatch.setattr(Pair, "explain", verbalize)
    evidence = roundtrip(release, device="cpu")

    assert events(release) == ["started", "interrupted", "interrupted", "finished"]
    assert calibrate(evidence).multiplicity.runs.recorded == 1


def test_a_run_that_fails_or_is_dropped_counts(release, monkeypatch):
    verbalize = Pair.explain

    def broken(self, vectors, **options):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Pair, "explain", broken)
    with pytest.raises(RuntimeError):
        roundtrip(release, device="cpu")
    monkeypatch.setattr(Pair, "explain", verbalize)
    evidence = roundtrip(release, device="cpu", fresh=True)

    assert events(release) == ["started", "failed", "started", "finished"]
    assert calibrate(evidence).multiplicity.runs.position == 2


def test_asking_again_for_what_is_there_adds_no_run(release):
    """A diagnostic that is added later goes with the run that it is added to."""
    roundtrip(release, device="cpu")
    before = (release.evidence / "runs.jsonl").read_bytes()
    roundtrip(release, device="cpu")
    assert (release.evidence / "runs.jsonl").read_bytes() == before

    evidence = roundtrip(release, device="cpu", probes=["paraphrase"])
    assert events(release) == ["started", "finished", "finished"]
    last = log_of(release).last_evidence
    assert (last.rows_sha256, last.run) == (evidence.run.rows_sha256, evidence.run.run_id)


def test_a_damaged_log_stops_a_run_before_anything_is_measured(release, monkeypatch):
    roundtrip(release, device="cpu")
    (release.evidence / "runs.jsonl").write_text("{}\n")

    def measured(self, vectors, **options):
        raise AssertionError("nothing is to be measured")

    monkeypatch.setattr(Pair, "explain", measured)
    with pytest.raises(EvidenceError, match=r"runs\.jsonl line 1") as caught:
        roundtrip(release, device="cpu", fresh=True)
    assert "backup" in caught.value.hint


def test_a_pair_measured_on_its_own_training_rows_is_found(release, tool):
    """With new ids and digests, as through the command line."""
    rows = pq.read_table(release.folder / "data" / "av_sft.parquet").slice(0, 200)
    size = rows.num_rows
    disguised = {
        "id": [f"new-{at}" for at in range(size)],
        "document": [f"new-{name}" for name in rows.column("document").to_pylist()],
        "document_sha256": ["0" * 64] * size,
        **{name: rows.column(name) for name in ("text", "explanation", "activation")},
    }
    pq.write_table(pa.table(disguised), release.evaluation_data)
    asks(release.folder, rows=60)
    assert tool("roundtrip", release.folder).returncode == 0
    assert tool("calibrate", release.folder).returncode == 0
    checked = tool("check", "--format", "json", release.folder)

    assert checked.returncode == 1
    (message,) = [
        each["message"]
        for each in json.loads(checked.stdout)["findings"]
        if each["code"] == "NLA612" and each["severity"] == "error"
    ]
    assert "share half or more of their word sequences with a training text" in message


def test_held_out_rows_are_not_near_training_texts_and_labels_are_counted(good_release):
    evidence = read_evidence(good_release / "evidence")
    found = calibrate(evidence).contamination

    assert found.shingles.near.hits == 0
    assert found.shingles.uncompared_documents == 0
    said = {row.gold for row in evidence.rows}
    trained = pq.read_table(good_release / "data" / "av_sft.parquet", columns=["explanation"])
    known = set(trained.column("explanation").to_pylist())
    assert found.repeated.labels.hits >= sum(row.gold in known for row in evidence.rows) > 0
    assert said & known


def test_the_lookup_table_is_read_by_the_ar(good_release):
    evidence = read_evidence(good_release / "evidence")
    found = calibrate(evidence)

    assert evidence.run.lookup.rows == 2099
    assert set(evidence.vectors) >= {"lookup_table"}
    control = found.centred.controls["lookup_table"]
    assert 0 < control.mean < 1
    trained = pq.read_table(good_release / "data" / "av_sft.parquet", columns=["explanation"])
    known = set(trained.column("explanation").to_pylist())
    assert {row.texts["lookup_table"] for row in evidence.rows} <= known


def test_the_nearest_is_found_beyond_what_all_activations_share(tmp_path):
    """By the cosine less the mean; rows without a label are none."""
    mean = np.zeros(4, np.float32)
    mean[0] = 0.9
    training = np.array([[9, 1, 0, 0], [9, 0, 1, 0], [9, 0, 0, 1], [9, 0.1, 1, 0]], np.float32)
    labels = ["one", "two", "three", None]
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"activation": list(training), "explanation": labels}), path)
    held_out = np.array([[8, 0.2, 1, 0], [8, 1, 0, 0.1]], np.float32)
    found = look_up([path], held_out, mean)

    assert found.labels == ["two", "one"]
    assert found.record.rows == 3
    assert look_up([], held_out, mean) is None


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"activation": [[1.0, 2.0]]}, "lacks the columns explanation"),
        ({"activation": [[1.0] * 3], "explanation": ["a"]}, "is 3 wide"),
        ({"activation": [[1.0] * 4], "explanation": [" "]}, "no training row has an explanation"),
        ({"activation": ["a"], "explanation": ["a"]}, "expected lists of floats"),
    ],
)
def test_training_rows_that_cannot_be_used_are_refused(tmp_path, columns, words):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(DataError, match=words):
        look_up([path], np.ones((2, 4), np.float32), np.zeros(4, np.float32))
