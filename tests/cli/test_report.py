"""`nla-release report`: a file, its path on stdout, and no judgement in the exit code."""

from click.testing import CliRunner

from nla_release.cli.report import command
from nla_release.errors import ConfigError, NothingCheckedError
from tests.pairs.zoo import in_sidecar


def test_it_prints_the_path_and_says_the_verdict_beside(release, tmp_path):
    output = tmp_path / "out" / "report.html"
    done = CliRunner().invoke(command, [str(release), "-o", str(output)])

    assert done.exit_code == 0
    assert done.stdout == f"{output}\n"
    assert done.stderr == "verdict: pass\n"
    assert output.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_failing_gate_is_reported_and_the_report_is_done(release, tmp_path):
    in_sidecar(release / "pair", "av", ["extraction", "injection_scale"], ...)
    done = CliRunner().invoke(command, [str(release), "-o", str(tmp_path / "report.html")])

    assert done.exit_code == 0
    assert done.stderr == "verdict: fail\n"


def test_however_the_folder_is_named_the_bytes_are_the_same(release, tmp_path, monkeypatch):
    monkeypatch.chdir(release)
    CliRunner().invoke(command, ["-o", str(tmp_path / "here.html")])
    CliRunner().invoke(command, [str(release), "-o", str(tmp_path / "there.html")])

    assert (tmp_path / "here.html").read_bytes() == (tmp_path / "there.html").read_bytes()


def test_an_older_report_is_replaced_and_nothing_else(release, tmp_path):
    line = [str(release), "-o", str(tmp_path / "report.html")]
    first = CliRunner().invoke(command, line)
    again = CliRunner().invoke(command, line)
    before = (release / "release.yaml").read_bytes()
    wrong = CliRunner().invoke(command, [str(release), "-o", str(release / "release.yaml")])

    assert (first.exit_code, again.exit_code) == (0, 0)
    assert isinstance(wrong.exception, ConfigError)
    assert (release / "release.yaml").read_bytes() == before


def test_nothing_to_check_writes_nothing(tmp_path):
    done = CliRunner().invoke(command, [str(tmp_path), "-o", str(tmp_path / "report.html")])

    assert isinstance(done.exception, NothingCheckedError)
    assert not (tmp_path / "report.html").exists()
