"""The benchmarks measure; how fast things are is nothing that a test could hold."""

from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from benchmarks.calibrate import command as calibrate
from benchmarks.check import command as check
from benchmarks.push import command as push
from benchmarks.roundtrip import command as roundtrip
from benchmarks.train import command as train
from tests.warm import run_warm


def test_the_benchmark_compares_a_check_with_sha256sum():
    done = CliRunner().invoke(check, ["--small", "--runs", "2"])

    assert done.exit_code == 0, done.output
    for words in ("0.4 MB in 3 files", "median ratio", "most memory", "tiny pair: median"):
        assert words in done.output
    assert len(done.output.splitlines()) == 7


@pytest.mark.long
def test_the_benchmark_compares_a_push_with_the_clients_own_commit():
    done = CliRunner().invoke(push, ["--small", "--runs", "1"])

    assert done.exit_code == 0, done.output
    for words in ("0.4 MB in 2 repositories", "median ratio", "most memory", "published bytes"):
        assert words in done.output
    assert len(done.output.splitlines()) == 7


@pytest.fixture
def warm(monkeypatch):
    """Start the sides of a benchmark in processes that have the engine, which no figure counts."""
    for module in ("roundtrip", "train"):
        process = SimpleNamespace(run=run_warm)
        monkeypatch.setattr(f"benchmarks.{module}.subprocess", process)


@pytest.mark.usefixtures("warm")
@pytest.mark.long
def test_the_benchmark_compares_the_engine_with_a_usage_snippets_loop(good_release):
    done = CliRunner().invoke(
        roundtrip, ["--release", str(good_release), "--rows", "6", "--runs", "1"]
    )

    assert done.exit_code == 0, done.output
    for words in ("rows per second", "peak of memory, MB", "texts identical", "what bounds"):
        assert words in done.output


@pytest.mark.usefixtures("warm")
@pytest.mark.long
def test_the_benchmark_compares_training_and_extraction_with_plain_loops():
    done = CliRunner().invoke(train, ["--runs", "1", "--steps", "3", "--documents", "12"])

    assert done.exit_code == 0, done.output
    for words in ("chain tokens/s", "chain activations/s", "(aim: 5)", "of its memory"):
        assert words in done.output


def test_the_benchmark_compares_calibrate_with_reading_its_evidence():
    done = CliRunner().invoke(calibrate, ["--small", "--runs", "1"])

    assert done.exit_code == 0, done.output
    for words in ("40 rows of width 32", "calibrate s", "MB over the vectors", "times reading"):
        assert words in done.output
