"""What release.yaml says of a measurement is what was measured, or an error names the command."""

import numpy as np
import pytest

from nla_release.calibration.evidence_folder import read_evidence
from nla_release.calibration.measured_settings import (
    CALIBRATE,
    ROUNDTRIP,
    check_measured_settings,
    setting_mismatches,
)
from nla_release.errors import ConfigError
from nla_release.evidence.reference import write_reference
from nla_release.evidence.training_documents import lists_digest, write_training_documents
from nla_release.io.files import read_json, write_atomic
from nla_release.release.folder import Release, read_release
from tests.builders_pair import make_release, measure
from tests.pairs.zoo import edited_json, edited_yaml


@pytest.fixture
def release(tmp_path) -> Release:
    return make_release(tmp_path / "release")


def asks(release: Release, **settings) -> Release:
    with edited_yaml(release.folder / "release.yaml") as document:
        document["evaluation"] |= settings
    return read_release(release.folder)


def found(release: Release) -> list[tuple[str, str]]:
    mismatches = setting_mismatches(release, read_evidence(release.evidence))
    return [(each.message, each.command) for each in mismatches]


def test_nothing_is_unlike_as_measured(release):
    assert found(release) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"max_new_tokens": 300},
            "max_new_tokens is 300 in release.yaml, the evidence was measured",
        ),
        ({"batch_size": 3}, "batch_size is 3"),
        ({"dtype": "bfloat16"}, "dtype is bfloat16"),
        ({"quantization": "nf4"}, "quantization is nf4 in release.yaml, the evidence was measured"),
        ({"seed": 7}, "seed is 7"),
        ({"rows": 20}, "rows is 20 in release.yaml, which asks for 20 rows; the evidence has 40"),
        ({"probes": ["injection"]}, "probes names injection, which the evidence does not have"),
        ({"probes": ["quick"]}, "probes names text-controls, injection, which"),
    ],
    ids=str,
)
def test_a_setting_changed_since_names_the_command_that_measures(tool, release, settings, words):
    ((message, command),) = found(asks(release, **settings))

    assert words in message
    assert command == ROUNDTRIP
    for arguments in (("calibrate",), ("render", "--version", "0.0.1")):
        result = tool(*arguments, release.folder)
        assert result.returncode == 2
        assert message in result.stderr
        assert "hint: measure again with `nla-release roundtrip`" in result.stderr
    assert not release.dist.exists()


def test_another_base_than_was_measured_is_named(release):
    with edited_yaml(release.folder / "release.yaml") as document:
        document["base_revision"] = "b" * 40

    ((message, command),) = found(read_release(release.folder))

    assert message.startswith(f"base_revision is {'b' * 40} in release.yaml")
    assert command == ROUNDTRIP


def test_data_that_were_replaced_are_found_where_they_are(release):
    write_atomic(release.evaluation_data, b"other rows")

    ((message, _),) = found(release)

    assert message == "evaluation.data, data/eval.parquet, is not the file that was measured"


def test_a_limit_that_was_taken_away_is_found(release):
    """40 rows of 100 were measured, and release.yaml asks for all of them now."""
    with edited_json(release.evidence / "run.json") as run:
        run["evaluation"]["available"] = 100

    assert found(asks(release, rows=40)) == []
    ((message, command),) = found(asks(release, rows=None))
    assert message == (
        "evaluation.rows is not given in release.yaml, which asks for 100 rows; the evidence has 40"
    )
    assert command == ROUNDTRIP
    assert "asks for 60 rows" in found(asks(release, rows=60))[0][0]


def test_a_limit_above_what_there_is_asks_for_all(release):
    assert found(asks(release, rows=1000)) == []


def test_more_than_is_asked_is_no_difference(release):
    measure(release, probes=["injection", "text-controls"])

    assert found(asks(release, probes=["injection"])) == []


def test_attempts_need_no_measurement(tool, release):
    """They are taken from release.yaml, and the card shows them."""
    asks(release, attempts=5)
    ((message, command),) = found(read_release(release.folder))
    assert message == "evaluation.attempts is 5 in release.yaml, the evidence records none"
    assert command == CALIBRATE
    refused = tool("render", "--version", "0.0.1", release.folder)
    assert refused.returncode == 2
    assert "hint: record it with `nla-release calibrate`" in refused.stderr

    calibrated = tool("calibrate", release.folder)

    assert calibrated.returncode == 0, calibrated.stderr
    assert "evaluation.attempts is 5" in calibrated.stderr
    assert read_json(release.calibration)["multiplicity"]["attempts"] == 5
    assert found(read_release(release.folder)) == []
    assert tool("render", "--version", "0.0.1", release.folder).returncode == 0
    assert (
        "one of 5 that were tried" in (release.dist / "av" / "RELEASE_CALIBRATION.md").read_text()
    )


def test_recording_attempts_changes_nothing_else(tool, release):
    before = read_json(release.evidence / "run.json")
    asks(release, attempts=5)

    assert tool("calibrate", release.folder).returncode == 0

    assert read_json(release.evidence / "run.json") == before | {"attempts": 5}


def test_evidence_without_a_release_is_calibrated_as_before(tool, release):
    (release.folder / "release.yaml").unlink()

    assert tool("calibrate", release.folder).returncode == 0


def test_several_differences_are_counted(tool, release):
    asks(release, seed=7, dtype="float16", attempts=2)

    result = tool("render", "--version", "0.0.1", release.folder)

    assert "(and 2 more)" in result.stderr


def test_it_is_a_mistake_in_release_yaml(release):
    with pytest.raises(ConfigError):
        check_measured_settings(asks(release, seed=7), read_evidence(release.evidence))


def test_a_list_of_training_documents_that_was_replaced_is_found(release):
    path = release.folder / "data" / "training_documents.jsonl"
    write_training_documents(path, [("d1", "a" * 64)])
    asked = asks(release, training=["data/training_documents.jsonl"])
    with edited_json(release.evidence / "run.json") as run:
        run["training"]["sha256"] = lists_digest([path])
    assert found(asked) == []

    write_training_documents(path, [("d1", "a" * 64), ("d2", "b" * 64)])
    assert found(asked) == [
        ("evaluation.training names lists that the evidence was not compared with", ROUNDTRIP)
    ]
    path.unlink()
    assert found(asked) == [], "they need not be here"


@pytest.mark.parametrize("change", ["mean", "rows", None])
def test_a_reference_that_was_replaced_is_found(release, change):
    evidence = read_evidence(release.evidence)
    mean = evidence.vectors["reference_mean"].astype(np.float64)
    rows, sha256 = evidence.run.reference.rows, evidence.run.reference.sha256
    write_reference(
        release.reference,
        mean * rows * (0.5 if change == "mean" else 1),
        rows,
        sha256 if change != "rows" else "f" * 64,
    )

    expected = "evaluation.reference, data/reference.safetensors, is not the file that was measured"
    assert [message for message, _ in found(release)] == ([f"{expected} with"] if change else [])
