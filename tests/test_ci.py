"""The gate as CI systems run it: the files are what they are for, and their scripts do it."""

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from nla_release.cli.check import command
from tests.pairs.zoo import UNTIL, good_release, in_sidecar, measured_as, waived

ROOT = Path(__file__).parent.parent
ACTION = ROOT / "action.yml"
WORKFLOW = ROOT / ".github" / "workflows" / "nla-release-check.yml"
HOOKS = ROOT / ".pre-commit-hooks.yaml"

FORMATS = ("json", "junit", "sarif", "github", "markdown")


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    return good_release(tmp_path_factory.mktemp("ci") / "release").folder


@pytest.fixture
def broken(good, tmp_path) -> Path:
    """A release whose AV does not say its injection scale, in a folder with a space and a quote."""
    folder = Path(shutil.copytree(good, tmp_path / "some $(pair)'s"))
    in_sidecar(folder / "pair", "av", ["extraction", "injection_scale"], ...)
    return folder


def loaded(path: Path) -> dict[str, Any]:
    """A YAML file; its key `on` is a word in GitHub's YAML and a truth value in Python's."""
    document = yaml.safe_load(path.read_text())
    return {"on" if key is True else key: value for key, value in document.items()}


def step(steps: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(each for each in steps if each.get("name") == name)


class Runner:
    """Runs a step's script as GitHub's runner does, with files for its summary and outputs."""

    def __init__(self, folder: Path) -> None:
        self.summary, self.output = folder / "summary.md", folder / "output.txt"
        self.installed = folder / "pip.txt"
        programs = folder / "bin"
        programs.mkdir()
        # The package index cannot be here; this environment has the package already.
        pip = programs / "pip"
        pip.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{self.installed}"\n')
        pip.chmod(0o755)
        self.path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"

    def run(self, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script],
            env=os.environ
            | {
                "PATH": self.path,
                "GITHUB_ACTIONS": "true",
                "GITHUB_STEP_SUMMARY": str(self.summary),
                "GITHUB_OUTPUT": str(self.output),
                "HF_HUB_OFFLINE": "1",
            }
            | variables,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def runner(tmp_path) -> Runner:
    return Runner(tmp_path)


def action_step(name: str) -> dict[str, Any]:
    return step(loaded(ACTION)["runs"]["steps"], name)


# --- the action ---


def test_the_action_is_a_composite_whose_inputs_have_defaults():
    action = loaded(ACTION)

    assert action["runs"]["using"] == "composite"
    assert {name: given["default"] for name, given in action["inputs"].items()} == {
        "path": ".",
        "strict": "false",
        "version": "",
    }
    assert all(given["description"] for given in action["inputs"].values())
    for each in action["runs"]["steps"]:
        assert "uses" in each or each["shell"] == "bash"


@pytest.mark.parametrize("path", [ACTION, WORKFLOW], ids=lambda path: path.name)
def test_no_input_is_pasted_into_a_script(path):
    """Whoever opens a pull request must not get to run what they like (script injection)."""
    document = loaded(path)
    steps = document["runs"]["steps"] if "runs" in document else document["jobs"]["check"]["steps"]

    assert all("${{" not in each.get("run", "") for each in steps)


def test_the_action_passes_a_good_release(runner, good):
    done = runner.run(action_step("Check")["run"], CHECKED=str(good), STRICT="false")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "verdict: pass"
    assert runner.summary.read_text().startswith("### nla-release check: pass\n")
    assert runner.output.read_text() == "verdict=pass\n"


def test_the_action_fails_a_broken_release_and_says_why(runner, broken):
    done = runner.run(action_step("Check")["run"], CHECKED=str(broken), STRICT="false")

    assert done.returncode == 1
    assert re.search(r"^::error file=.*nla_meta\.yaml,title=NLA101%3A ", done.stdout, re.MULTILINE)
    summary = runner.summary.read_text()
    assert summary.startswith("### nla-release check: fail\n")
    assert re.search(
        r"^\| NLA101 \| error \| .*injection\\_scale is missing", summary, re.MULTILINE
    )
    assert summary.count("### ") == 1
    assert runner.output.read_text() == "verdict=fail\n"


def test_the_action_is_strict_when_asked(runner, good, tmp_path):
    folder = Path(shutil.copytree(good, tmp_path / "release"))
    measured_as(folder, lambda _: None, failed={0: "empty"})
    check = action_step("Check")["run"]

    assert runner.run(check, CHECKED=str(folder), STRICT="false").returncode == 0
    assert runner.run(check, CHECKED=str(folder), STRICT="true").returncode == 1


def test_nothing_to_check_is_not_a_pass_of_the_action(runner, tmp_path):
    done = runner.run(action_step("Check")["run"], CHECKED=str(tmp_path / "bin"), STRICT="false")

    assert done.returncode == 3
    assert "holds nothing to check" in done.stderr
    assert runner.output.read_text() == "verdict=\n"


@pytest.mark.parametrize(
    ("version", "wanted"), [("", "/the/action"), ("0.1.0", "nla-release==0.1.0")]
)
def test_the_action_installs_itself_or_the_version_asked_for(runner, version, wanted):
    install = action_step("Install nla-release")["run"]

    done = runner.run(install, SOURCE="/the/action", VERSION=version)

    assert done.returncode == 0
    assert runner.installed.read_text().split() == ["install", "--quiet", wanted]


# --- the reusable workflow ---


def test_the_workflow_is_called_with_the_inputs_of_the_action():
    workflow, action = loaded(WORKFLOW), loaded(ACTION)

    assert list(workflow["on"]) == ["workflow_call"]
    called = workflow["on"]["workflow_call"]
    assert called["inputs"].keys() == action["inputs"].keys()
    assert called["outputs"].keys() == action["outputs"].keys()
    assert workflow["permissions"] == {"contents": "read"}


def test_the_workflow_runs_the_script_of_the_action():
    steps = loaded(WORKFLOW)["jobs"]["check"]["steps"]

    assert step(steps, "Check") == action_step("Check")
    assert step(steps, "Set up Python") == action_step("Set up Python")
    assert step(steps, "Check out")["with"]["lfs"] is True


@pytest.mark.parametrize(("version", "wanted"), [("", "nla-release"), ("1.2", "nla-release==1.2")])
def test_the_workflow_installs_the_version_asked_for_or_the_latest(runner, version, wanted):
    steps = loaded(WORKFLOW)["jobs"]["check"]["steps"]

    assert runner.run(step(steps, "Install nla-release")["run"], VERSION=version).returncode == 0
    assert runner.installed.read_text().split() == ["install", "--quiet", wanted]


# --- pre-commit ---


def test_the_hook_judges_the_folder_once_when_a_file_of_a_release_changes():
    (hook,) = yaml.safe_load(HOOKS.read_text())

    assert hook["id"] == "nla-release-check"
    assert (hook["entry"], hook["language"]) == ("nla-release check", "python")
    assert hook["pass_filenames"] is False
    for name in ("release.yaml", "pair/av/nla_meta.yaml", "dist/ar/README.md", "evidence/run.json"):
        assert re.search(hook["files"], name)
    assert not re.search(hook["files"], "nla_release/cli/check.py")


# --- the page about it ---


def test_the_page_names_every_format_input_and_exit_code():
    page = (ROOT / "docs" / "ci.md").read_text()

    for name in (*FORMATS, "text", *loaded(ACTION)["inputs"]):
        assert f"| `{name}` |" in page
    for code in (0, 1, 2, 3):
        assert f"| {code} |" in page
    for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL):
        assert yaml.safe_load(block)


# --- the formats of the command ---


def check(*arguments: object, **environment: str):
    variables = {"GITHUB_ACTIONS": None, "GITHUB_STEP_SUMMARY": None} | environment
    return CliRunner().invoke(command, [str(each) for each in arguments], env=variables)


READERS = {
    "json": lambda text: json.loads(text)["verdict"],
    "junit": lambda text: next(
        each.attrib["value"]
        for each in ET.fromstring(text).iter("property")
        if each.attrib["name"] == "verdict"
    ),
    "sarif": lambda text: json.loads(text)["runs"][0]["properties"]["verdict"],
    "github": lambda text: text.splitlines()[-1].removeprefix("verdict: "),
    "markdown": lambda text: text.splitlines()[0].removeprefix("### nla-release check: "),
}


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_format_is_alone_on_stdout_and_has_the_verdict(output_format, good, broken):
    passed = check(good, "--format", output_format, GITHUB_ACTIONS="true")
    failed = check(broken, "--format", output_format, GITHUB_ACTIONS="true")

    assert (READERS[output_format](passed.stdout), passed.exit_code) == ("pass", 0)
    assert (READERS[output_format](failed.stdout), failed.exit_code) == ("fail", 1)
    assert "::error" not in failed.stderr


def test_sarif_points_into_the_checked_folder(broken):
    (run,) = json.loads(check(broken, "--format", "sarif").stdout)["runs"]

    (location,) = run["results"][0]["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "pair/av/nla_meta.yaml"


def test_text_comes_with_annotations_and_a_summary_in_github_actions(broken, tmp_path):
    summary = tmp_path / "summary.md"
    summary.write_text("# Before\n\n")

    there = check(broken, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    here = check(broken, GITHUB_STEP_SUMMARY=str(tmp_path / "other.md"))

    assert there.stdout == here.stdout
    assert there.stderr.startswith("::error file=")
    assert "::" not in here.stderr
    assert summary.read_text().startswith("# Before\n\n### nla-release check: fail\n")
    assert not (tmp_path / "other.md").exists()


def test_a_summary_that_cannot_be_written_is_said_to_be_so(tool, good, tmp_path):
    variables = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path)}

    done = tool("check", good / "pair", environment=variables)

    assert done.returncode == 4
    assert done.stderr.splitlines()[-1].startswith(f"error: the step summary {tmp_path} cannot be")


def test_a_waived_finding_is_shown_by_the_command(good, tmp_path):
    folder = Path(shutil.copytree(good, tmp_path / "release"))
    measured_as(folder, lambda _: None, failed=dict.fromkeys(range(13), "truncated"))
    waived(folder, "NLA609")

    done = check(folder)

    assert done.exit_code == 0
    assert f"(waived until {UNTIL}: known since the last run)" in done.stdout
    assert done.stdout.splitlines()[-1] == "verdict: pass"
