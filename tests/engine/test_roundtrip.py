"""The round trip leaves whole evidence, continues where it was cut off, and never mixes inputs."""

import json

import pytest

from nla_release import Pair
from nla_release.calibration.evidence_folder import read_evidence
from nla_release.engine.roundtrip import roundtrip
from nla_release.errors import ConfigError, DataError, EvidenceError, NothingCheckedError
from nla_release.release.folder import read_release


def small(release):
    """Fewer rows, so that a run is short."""
    path = release / "release.yaml"
    path.write_text(path.read_text().replace("seed: 0", "seed: 0\n  rows: 40"))
    return read_release(release)


def test_evidence_holds_every_row_and_the_hashes_of_everything(good_release):
    evidence = read_evidence(good_release / "evidence")

    assert len(evidence.rows) == evidence.run.evaluation.rows
    assert set(evidence.vectors) == {
        "gold", "reference_mean", "real", "shuffled", "empty", "gold_text", "random_vector",
        "zero_vector", "lookup_table",
    }  # fmt: skip
    assert {name.split("/")[0] for name in evidence.run.files} == {"av", "ar"}
    assert evidence.run.injection.scale > 0


def test_a_run_that_was_cut_off_continues_and_gives_the_same_evidence(
    good_release, copy_of, monkeypatch
):
    release = small(copy_of(good_release))
    whole = roundtrip(release, device="cpu")
    calls = []
    verbalize = Pair.explain

    def cut_off_at_the_second_batch(self, vectors, **options):
        calls.append(len(vectors))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return verbalize(self, vectors, **options)

    monkeypatch.setattr(Pair, "explain", cut_off_at_the_second_batch)
    with pytest.raises(KeyboardInterrupt):
        roundtrip(release, device="cpu", fresh=True)
    assert read_evidence(release.evidence).run == whole.run, "the older evidence is untouched"
    resumed = roundtrip(release, device="cpu")

    assert calls == [32, 8, 8, 32, 8, 1], "the first batch was not made again"
    assert resumed.rows == whole.rows
    assert resumed.run.vectors_sha256 == whole.run.vectors_sha256
    assert not (release.folder / "evidence.partial").exists()


def test_a_finished_run_is_not_repeated_unless_asked(good_release, copy_of, monkeypatch):
    release = read_release(copy_of(good_release))
    before = read_evidence(release.evidence)

    def measured_again(self, vectors, **options):
        raise AssertionError("the evidence was there")

    monkeypatch.setattr(Pair, "explain", measured_again)
    assert roundtrip(release, device="cpu").run == before.run
    with pytest.raises(AssertionError):
        roundtrip(release, device="cpu", fresh=True)


def test_evidence_tells_which_copy_of_the_base_it_was_measured_on(good_release, copy_of, tmp_path):
    import shutil

    recorded = read_evidence(good_release / "evidence").run.base.local_files
    assert set(recorded) == {"config.json", "model.safetensors"}
    release = small(copy_of(good_release))
    other = tmp_path / "base"
    shutil.copytree(release.base_path, other)
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-2] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    path = release.folder / "release.yaml"
    lines = [it for it in path.read_text().splitlines() if not it.startswith("base_path")]
    path.write_text("\n".join([*lines, f"base_path: {other}"]) + "\n")
    evidence = roundtrip(read_release(release.folder), device="cpu")

    assert evidence.run.base.local_files["model.safetensors"] != recorded["model.safetensors"]


def test_a_run_is_not_continued_with_other_inputs(good_release, copy_of, monkeypatch):
    release = small(copy_of(good_release))
    verbalize = Pair.explain

    def cut_off(self, vectors, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Pair, "explain", cut_off)
    with pytest.raises(KeyboardInterrupt):
        roundtrip(release, device="cpu")
    monkeypatch.setattr(Pair, "explain", verbalize)
    path = release.folder / "release.yaml"
    path.write_text(path.read_text().replace("max_new_tokens: 48", "max_new_tokens: 40"))
    changed = read_release(release.folder)
    with pytest.raises(EvidenceError, match="decoding changed") as caught:
        roundtrip(changed, device="cpu")

    assert "--fresh" in caught.value.hint
    roundtrip(changed, device="cpu", fresh=True)


def write_data(path, **columns):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = {
        "id": ["a"],
        "document": ["d"],
        "text": ["t"],
        "explanation": ["e"],
        "activation": [[0.5] * 64],
    }
    pq.write_table(pa.table({**rows, **columns}), path)


@pytest.mark.parametrize(
    ("columns", "error", "words"),
    [
        ({"activation": [[0.5] * 63]}, DataError, "row 0 has an activation of width 63"),
        ({"activation": [[float("nan")] * 64]}, DataError, r"rows \[0\] hold NaN"),
        ({"activation": [None]}, DataError, "column activation holds null, expected lists"),
        ({"activation": [["a"] * 64]}, DataError, "expected lists of floats"),
        ({"activation": [0.5]}, DataError, "column activation holds double"),
        ({"activation": [[0.0] * 64]}, DataError, r"rows \[0\] are zero vectors"),
        ({"text": [7]}, DataError, "column text holds int64, expected text"),
        ({"id": [""]}, DataError, "every row needs an id and a document"),
        ({"document": [None]}, DataError, "column document holds null"),
        ({name: [] for name in ("id", "document", "text", "explanation", "activation")},
         NothingCheckedError, "has no rows"),
    ],
)  # fmt: skip
def test_evaluation_data_that_cannot_be_used_is_refused(
    good_release, copy_of, columns, error, words
):
    release = read_release(copy_of(good_release))
    write_data(release.evaluation_data, **columns)
    with pytest.raises(error, match=words):
        roundtrip(release, device="cpu")


@pytest.mark.parametrize(
    ("length", "record", "words"),
    [
        (2.0, {"rows": "5", "sha256": "0" * 64}, "not a mean of unit vectors"),
        (0.5, {"rows": "0", "sha256": "0" * 64}, "lacks its record"),
        (0.5, {"rows": "5", "sha256": "me"}, "lacks its record"),
        (0.5, {}, "lacks its record"),
    ],
)
def test_a_reference_that_cannot_be_one_is_refused_before_anything_runs(
    good_release, copy_of, length, record, words
):
    import numpy as np
    from safetensors.numpy import save_file

    release = read_release(copy_of(good_release))
    mean = np.zeros(64, dtype=np.float32)
    mean[0] = length
    save_file({"mean": mean}, release.reference, metadata=record or None)
    with pytest.raises(DataError, match=words):
        roundtrip(release, device="cpu", fresh=True)


def test_files_that_are_not_data_are_refused(good_release, copy_of):
    release = read_release(copy_of(good_release))
    release.reference.write_bytes(b"no")
    with pytest.raises(DataError, match="not a readable reference"):
        roundtrip(release, device="cpu")
    release.evaluation_data.write_bytes(b"no")
    with pytest.raises(DataError, match="not a readable parquet"):
        roundtrip(release, device="cpu")


def test_a_pair_of_another_base_is_refused(good_release, copy_of):
    folder = copy_of(good_release)
    path = folder / "release.yaml"
    path.write_text(path.read_text().replace("base_model: nla-demo/tiny-gemma4", "base_model: a/b"))
    with pytest.raises(ConfigError, match="names base a/b"):
        roundtrip(read_release(folder), device="cpu")


def test_run_json_names_the_device_and_the_libraries(good_release):
    run = json.loads((good_release / "evidence" / "run.json").read_text())

    assert run["device"].startswith("cpu")
    assert set(run["libraries"]) >= {"torch", "transformers", "peft"}
