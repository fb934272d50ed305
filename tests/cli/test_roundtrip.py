"""`nla-release roundtrip`: what is measured, asked by name."""

import re
from typing import get_args

import pytest

from nla_release.calibration.evidence_folder import read_evidence
from nla_release.evidence.records import ProbeName
from tests.builders_pair import make_release
from tests.pairs.zoo import edited_yaml


def test_the_help_tells_every_probe(tool):
    done = tool("roundtrip", "--help")

    assert done.returncode == 0
    for name in (*get_args(ProbeName), "all", "quick"):
        assert re.search(rf"\b{name}\b", done.stdout)


def test_an_unknown_probe_is_named_beside_the_known_ones(tool, tmp_path):
    done = tool("roundtrip", make_release(tmp_path / "release").folder, "--probe", "claim")

    assert done.returncode == 2
    assert "'claim' is not one of 'all', 'quick', 'text-controls'" in done.stderr


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("probes", ["claim"], "evaluation.probes.0"),
        ("attempts", 0, "evaluation.attempts"),
        ("encoder", "", "evaluation.encoder"),
        ("training", "a.jsonl", "evaluation.training"),
    ],
)
def test_a_wrong_setting_of_a_probe_is_named(tool, tmp_path, key, value, words):
    release = make_release(tmp_path / "release")
    with edited_yaml(release.folder / "release.yaml") as document:
        document["evaluation"][key] = value
    done = tool("roundtrip", release.folder)

    assert done.returncode == 2
    assert words in done.stderr


def test_a_probe_is_added_to_what_was_measured(tool, good_release, copy_of):
    folder = copy_of(good_release)
    done = tool("roundtrip", folder, "--device", "cpu", "--probe", "discrimination")
    evidence = read_evidence(folder / "evidence")

    assert done.returncode == 0, done.stderr
    assert "discrimination" in evidence.run.probed
    assert evidence.run.evaluation.available == len(evidence.rows)
    lines = done.stderr.splitlines()
    assert re.fullmatch(
        r"diagnostics: 0 AV vectors, \d+ AR texts more; about \d+ s on this device", lines[0]
    )
    assert lines[-1].endswith(
        f"holds {len(evidence.rows)} rows, measured {evidence.run.finished_at}"
    )
    assert not any(line.startswith("AV explains") for line in lines), "nothing was asked again"


def test_a_probe_that_is_skipped_is_named_with_its_reason(tool, good_release, copy_of):
    folder = copy_of(good_release)
    done = tool("roundtrip", folder, "--device", "cpu", "--probe", "text-retrieval")

    assert done.returncode == 0
    assert (
        "diagnostic text-retrieval is skipped: release.yaml names no evaluation.encoder\n"
        in done.stderr
    )
