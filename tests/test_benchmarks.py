"""The benchmark measures; how fast things are is nothing that a test could hold."""

from click.testing import CliRunner

from benchmarks.check import command


def test_the_benchmark_compares_a_check_with_sha256sum():
    done = CliRunner().invoke(command, ["--small", "--runs", "2"])

    assert done.exit_code == 0, done.output
    for words in ("0.4 MB in 3 files", "median ratio", "most memory", "tiny pair: median"):
        assert words in done.output
    assert len(done.output.splitlines()) == 7
