"""The gate as CI systems run it: the files are what they are for, and their scripts do it."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from nla_release.adapter.stack import FILE_NAMES as STACKED_FILE_NAMES
from nla_release.cli.check import command
from nla_release.gate import publishing
from nla_release.gate.weights import _PICKLE_SUFFIXES
from nla_release.io.layout import HEAD_FILE
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


def test_the_action_installs_its_own_files_at_the_versions_they_pin(runner):
    install = action_step("Install nla-release")
    assert install["env"] == {
        "SOURCE": "${{ github.action_path }}",
        "PIP_CONSTRAINT": "${{ github.action_path }}/constraints.txt",
        "PIP_BUILD_CONSTRAINT": "${{ github.action_path }}/constraints.txt",
    }
    done = runner.run(install["run"], SOURCE="/the/action")

    assert done.returncode == 0
    assert runner.installed.read_text().split() == ["install", "--quiet", "/the/action"]


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


def test_the_workflow_installs_the_commit_of_its_own_repository_that_was_called():
    steps = loaded(WORKFLOW)["jobs"]["check"]["steps"]
    names = [each["name"] for each in steps]
    tool = step(steps, "Check out nla-release")["with"]
    install = step(steps, "Install nla-release")

    assert tool["repository"] == "${{ job.workflow_repository }}"
    assert tool["ref"] == "${{ job.workflow_sha }}"
    assert tool["persist-credentials"] is False
    assert install["run"] == action_step("Install nla-release")["run"]
    place = f"${{{{ github.workspace }}}}/{tool['path']}"
    assert install["env"] == {
        "SOURCE": place,
        "PIP_CONSTRAINT": f"{place}/constraints.txt",
        "PIP_BUILD_CONSTRAINT": f"{place}/constraints.txt",
    }
    assert names.index("Install nla-release") < names.index("Check out"), "which empties the folder"


# --- what runs in a job is pinned ---


# Read from the tags of both repositories on 2026-11-30.
PINNED = {
    "actions/checkout": ("de0fac2e4500dabe0009e67214ff5f5447ce83dd", "v6.0.2"),
    "actions/setup-python": ("a309ff8b426b58ec0e2a45f0f869d46889d02405", "v6.2.0"),
}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
JOBS = [ACTION, WORKFLOW, *PAGES]


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_commit_with_the_version_beside_it(path):
    for line in path.read_text().splitlines():
        if not (match := re.match(r"\s*(?:- )?uses: (\S+?)@(\S+)(?: # (\S+))?$", line)):
            assert not re.match(r"\s*(?:- )?uses:", line), line
            continue
        name, commit, version = match.groups()
        if name.startswith("OWNER/nla_release"):
            assert commit == "COMMIT", "a reader puts the full id there"
        else:
            assert (commit, version) == PINNED[name]


@pytest.mark.parametrize("path", [ACTION, WORKFLOW], ids=lambda path: path.name)
def test_the_files_that_run_do_use_actions(path):
    assert "uses: actions/setup-python@" in path.read_text(), "or the test above shows nothing"


@pytest.mark.parametrize("path", [*JOBS, HOOKS], ids=lambda path: path.name)
def test_nobody_is_told_to_install_a_name_that_no_index_has(path):
    """Whoever registers it there would run in every such job, with its rights."""
    for line in path.read_text().splitlines():
        command = re.search(r"(?:pip|pipx|uv pip|uv tool|uvx) (?:install )?(.*)", line)
        if command and re.search(r"\b(?:pip|pipx|uvx?)\b.*\binstall\b|\buvx\b", line):
            assert not re.search(r"(?<![\w./-])[\"']?nla[-_.]release\b(?!/)", command[1]), line


def test_a_job_that_may_publish_installs_nothing_that_can_move():
    page = (ROOT / "docs" / "how-to" / "publish-from-ci.md").read_text()
    blocks = [yaml.safe_load(each) for each in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    (github,) = [each for each in blocks if "jobs" in each]
    (gitlab,) = [each["publish"] for each in blocks if "publish" in each]
    steps = github["jobs"]["publish"]["steps"]
    (install,) = [each for each in steps if "pip" in each.get("run", "")]
    (tool,) = [each["with"] for each in steps if "repository" in each.get("with", {})]

    assert github["permissions"]["id-token"] == "write"
    assert (tool["ref"], tool["persist-credentials"]) == ("COMMIT", False)
    assert install["run"] == f"pip install ./{tool['path']}"
    for variables, root in (
        (install["env"], "${{ github.workspace }}"),
        (gitlab["variables"], "$CI_PROJECT_DIR"),
    ):
        for name in ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT"):
            assert variables[name] == f"{root}/nla-release/constraints.txt"
    assert any(line.endswith("--detach COMMIT") for line in gitlab["script"])


def test_what_an_install_from_a_checkout_needs_is_pinned():
    """The tool's own requirements and what builds it; what those need is in the list too."""
    pinned = {
        canonicalize_name(line.partition("==")[0])
        for line in (ROOT / "constraints.txt").read_text().split()
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    seen = set()
    while needed:
        name = canonicalize_name(Requirement(needed.pop()).name)
        if name in seen:
            continue
        seen.add(name)
        with suppress(PackageNotFoundError):  # what only builds is not installed here
            needed += [
                each
                for each in requires(name) or []
                if (marker := Requirement(each).marker) is None or marker.evaluate({"extra": ""})
            ]

    assert {"hatchling", "huggingface-hub", "hf-xet"} <= seen
    assert seen <= pinned


# --- pre-commit ---


def test_the_hook_judges_the_folder_once_when_a_file_of_a_release_changes():
    (hook,) = yaml.safe_load(HOOKS.read_text())

    assert hook["id"] == "nla-release-check"
    assert (hook["entry"], hook["language"]) == ("nla-release check", "python")
    assert hook["pass_filenames"] is False
    assert not re.search(hook["files"], "nla_release/cli/check.py")


def watched() -> re.Pattern[str]:
    (hook,) = yaml.safe_load(HOOKS.read_text())
    return re.compile(hook["files"])


@pytest.mark.parametrize("above", ["", "releases/my-pair/dist/av/"])
@pytest.mark.parametrize("name", [*publishing._ALLOWED, HEAD_FILE])
def test_the_hook_watches_all_that_a_repository_may_hold(above, name):
    assert watched().search(f"{above}{name}")


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        (publishing._ADDENDUM, "addenda/cal.1.json"),
        (publishing._ADDENDUM, "addenda/cal.12/evidence/vectors.safetensors"),
        *((publishing._STACKED, f"adapters/1/{name}") for name in STACKED_FILE_NAMES),
        (publishing._FIGURE, "figures/training_loss.csv"),
        (publishing._FIGURE, "figures/training_loss.svg"),
    ],
)
def test_the_hook_watches_what_is_allowed_by_a_pattern(pattern, name):
    assert pattern.fullmatch(name), "or the test shows nothing"
    assert watched().search(name)


def test_the_hook_watches_every_file_of_a_release(rendered):
    """Whatever is written and read: adapters, notes, evidence, both repositories."""
    made = {
        path.relative_to(rendered.folder).as_posix()
        for path in rendered.folder.rglob("*")
        if path.is_file() and "base" not in path.relative_to(rendered.folder).parts
    }

    assert len(made) > 40
    assert not [name for name in sorted(made) if not watched().search(name)]


@pytest.mark.parametrize(
    "name",
    [
        "notes/summary.md",
        "history/2026-11-23-scale.md",
        *(f"pair/ar/head{suffix}" for suffix in sorted(_PICKLE_SUFFIXES)),
    ],
)
def test_the_hook_watches_what_a_release_is_made_from_and_must_not_hold(name):
    assert watched().search(name)


# --- the page about it ---


def test_the_page_names_every_format_input_and_exit_code():
    page = (ROOT / "docs" / "how-to" / "ci-gate.md").read_text()

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


def test_sarif_and_annotations_name_files_from_the_root_of_a_clone(broken, monkeypatch):
    (broken.parent / ".git").mkdir()
    monkeypatch.chdir(broken)
    (run,) = json.loads(check(".", "--format", "sarif").stdout)["runs"]
    (location,) = run["results"][0]["locations"]
    told = check(".", "--format", "github").stdout

    wanted = f"{broken.name}/pair/av/nla_meta.yaml"
    assert location["physicalLocation"]["artifactLocation"] == {
        "uri": quote(wanted),
        "uriBaseId": "%SRCROOT%",
    }
    assert f"::error file={wanted},title=NLA101%3A " in told


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
    assert done.stderr.splitlines()[-2].startswith(f"error: the step summary {tmp_path} cannot be")


def test_a_waived_finding_is_shown_by_the_command(good, tmp_path):
    folder = Path(shutil.copytree(good, tmp_path / "release"))
    measured_as(folder, lambda _: None, failed=dict.fromkeys(range(13), "truncated"))
    waived(folder, "NLA609")

    done = check(folder)

    assert done.exit_code == 0
    assert f"(waived until {UNTIL}: known since the last run)" in done.stdout
    assert done.stdout.splitlines()[-1] == "verdict: pass"
