"""A round trip of several processes, as torchrun starts them: the evidence of one."""

import shutil

import pytest

from nla_release.calibration.evidence_folder import read_evidence
from nla_release.evidence.runs import read_runs
from tests.waiting import wait_until
from tests.warm import nla_release
from tests.workers import side_by_side, started, two

FEW = (("seed: 0", "seed: 0\n  rows: 40"), ("batch_size: 32", "batch_size: 8"))
PROBES = ("--device", "cpu", "--probe", "quick")


@pytest.fixture(scope="module")
def release(good_release, tmp_path_factory):
    """The demo's pair without evidence, to be measured on a few rows."""
    folder = tmp_path_factory.mktemp("shared") / "release"
    shutil.copytree(good_release, folder, ignore=shutil.ignore_patterns("evidence", "dist"))
    path = folder / "release.yaml"
    for before, after in FEW:
        path.write_text(path.read_text().replace(before, after))
    return folder


@pytest.fixture(scope="module")
def alone(release, tmp_path_factory):
    """What one process measures."""
    folder = tmp_path_factory.mktemp("alone") / "release"
    shutil.copytree(release, folder)
    done = nla_release("roundtrip", folder, *PROBES)
    assert done.returncode == 0, done.stderr
    return read_evidence(folder / "evidence")


def assert_same(evidence, alone):
    assert evidence.run.rows_sha256 == alone.run.rows_sha256
    assert evidence.run.vectors_sha256 == alone.run.vectors_sha256
    times = {"seconds"}
    left, right = (
        [record.model_dump(exclude=times) for record in run.run.probes] for run in (evidence, alone)
    )
    assert left == right


def test_two_processes_leave_the_evidence_of_one(release, alone, copy_of):
    folder = copy_of(release)

    first, second = two("roundtrip", folder, *PROBES)

    evidence = read_evidence(folder / "evidence")
    assert_same(evidence, alone)
    assert "AV explains the activations: 24 vectors" in first, "three of five pieces"
    assert f"{folder / 'evidence'} holds 40 rows" in first
    assert second == "", "only the first process talks"
    assert [line.event for line in read_runs(folder / "evidence").lines] == ["started", "finished"]
    assert not (folder / "evidence.partial").exists()


def test_when_a_process_is_killed_the_other_ends_and_one_alone_continues(release, alone, copy_of):
    folder = copy_of(release)
    first, second = side_by_side("roundtrip", folder, *PROBES, stop_at=(None, "av-*.json"))
    try:
        # Three pieces of the first process and one of the second.
        wait_until(lambda: len(pieces(folder)) == 4, alive=lambda: first.alive)
        second.kill()
        second.wait()
        ended = first.wait()
    finally:
        first.kill()
        second.kill()

    assert ended.returncode == 4
    assert "the 2 processes lost their connection" in ended.stderr
    made = {path: path.stat().st_mtime_ns for path in pieces(folder)}
    again = started("roundtrip", folder, *PROBES, stop_at="ar-*.safetensors")
    wait_until(lambda: [*(folder / "evidence.partial").glob("ar-*")], alive=lambda: again.alive)
    again.kill()
    again.wait()
    assert {path: path.stat().st_mtime_ns for path in made} == made, "no piece was made again"
    done = nla_release("roundtrip", folder, *PROBES)

    assert done.returncode == 0, done.stderr
    assert_same(read_evidence(folder / "evidence"), alone)
    events = [line.event for line in read_runs(folder / "evidence").lines]
    assert events == ["started", "failed", "finished"]


def pieces(folder):
    return sorted((folder / "evidence.partial").glob("av-*.json"))
