"""The light install stays light: what a verb loads is pinned."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "transformers", "peft", "bitsandbytes", "pyarrow", "accelerate"}

# `--help` answers at once: it may load none of these either.
SLOW = {
    "numpy",
    "scipy",
    "matplotlib",
    "huggingface_hub",
    "pydantic",
    "rich",
    "jinja2",
    "tokenizers",
}

LIGHT = [
    "nla_release",
    "nla_release.release.folder",
    "nla_release.contract.sidecar",
    "nla_release.adapter.weights",
    "nla_release.contract.prompt",
    "nla_release.release.manifest",
    "nla_release.adapter.training_log",
    "nla_release.evidence.training_documents",
    "nla_release.calibration.calibrate",
    "nla_release.cards.render",
    "nla_release.gate",
    "nla_release.hub.push",
    "nla_release.hub.verify",
    "nla_release.local_hub.store",
    "nla_release.sidecar_formats.adopt",
    "nla_release.calibration.json_schemas",
    "nla_release.cli.init",
    "nla_release.cli.train",
    "nla_release.cli.data",
    "nla_release.cli.base",
    "nla_release.cli.roundtrip",
    "nla_release.cli.calibrate",
    "nla_release.cli.compare",
    "nla_release.cli.sweep",
    "nla_release.cli.render",
    "nla_release.cli.check",
    "nla_release.cli.report",
    "nla_release.cli.explain",
    "nla_release.cli.push",
    "nla_release.cli.hub",
]


def loaded_after(code: str) -> set[str]:
    """Top-level modules in a fresh process after `code` ran."""
    script = f"{code}\nimport sys, json; print(json.dumps([name for name in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


@pytest.mark.parametrize("line", [["--help"], ["train", "--help"], ["train", "run", "--help"]])
def test_help_loads_nothing_slow(line):
    loaded = loaded_after(
        f"import sys; sys.argv = ['nla-release', *{line}]\n"
        "from nla_release.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass"
    )

    assert not loaded & (HEAVY | SLOW)


def test_a_check_waits_for_nothing_that_only_some_releases_need():
    """The gate starts in less than half a second; benchmarks/check.py measures it."""
    later = {"jinja2", "huggingface_hub", "tokenizers", "rich", "matplotlib", "scipy"}

    assert not loaded_after("import nla_release.cli.check") & (HEAVY | later)


def test_everything_but_the_engine_does_without_torch():
    """One after the other, so that the first is named after which something heavy is there."""
    code = (
        "import importlib, sys\n"
        f"for name in {LIGHT}:\n"
        "    importlib.import_module(name)\n"
        f"    heavy = {HEAVY} & sys.modules.keys()\n"
        "    assert not heavy, f'{name} brings {heavy}'\n"
    )
    assert not loaded_after(code) & HEAVY


PACKAGE = Path(__file__).parent.parent / "nla_release"
SOURCES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> list[str]:
    """The modules of ours that a file imports, wherever it does."""
    return re.findall(
        r"^\s*(?:from|import) ((?:nla_release|train)\b[\w.]*)", path.read_text(), re.MULTILINE
    )


def test_nothing_in_the_package_imports_the_scripts_of_a_checkout():
    assert [
        path for path in SOURCES if "train" in {it.split(".")[0] for it in imported(path)}
    ] == []


def test_training_is_imported_by_its_commands_alone_and_imports_no_command():
    training = {
        path: any(name.startswith("nla_release.training") for name in imported(path))
        for path in SOURCES
        if PACKAGE / "training" not in path.parents
    }
    commands = [path for path, does in training.items() if does]
    upwards = [
        path
        for path in (PACKAGE / "training").rglob("*.py")
        if any(name.startswith("nla_release.cli") for name in imported(path))
    ]

    assert commands == [PACKAGE / "cli" / "train.py"]
    assert upwards == []


def test_no_message_names_a_command_or_a_file_of_a_checkout():
    """Somebody who installed the wheel has neither."""
    named = [path for path in SOURCES if re.search(r"python -m train\b", path.read_text())]

    assert named == []


def test_without_the_engine_the_error_says_what_to_install():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "sys.argv = ['nla-release', 'roundtrip', '.']\n"
        "import nla_release.engine"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "EnvironmentProblem" in done.stderr
    assert "the engine is not installed (torch is missing)" in done.stderr
