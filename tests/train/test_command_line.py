"""`python -m train.STEP` as a person meets it: its help, and a machine that lacks the extra."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from train.command import run
from train.record import STEPS

ROOT = Path(__file__).parent.parent.parent
ENGINE = ("accelerate", "bitsandbytes", "peft", "pyarrow", "transformers")
# What needs no model and no rows.
DO_WITHOUT = {"demo", "tiny.corpus"}
COMMANDS = [*STEPS, "run", "plan", "demo", "tiny.base", "tiny.corpus", "tiny.validity"]


def python(*line, without=()):
    """A process in which some libraries are not installed."""
    code = (
        "import runpy, sys\n"
        f"missing = {list(without)!r}\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in missing:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        f"sys.argv = ['-m', *{list(line[1:])!r}]\n"
        f"runpy.run_module({line[0]!r}, run_name='__main__', alter_sys=True)\n"
    )
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help_under_both_names(name, option, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"train.{name}", option])
    module = importlib.import_module(f"train.{name}")
    command = getattr(module, "command", None) or module.main
    CliRunner().invoke(command, ["--help"])  # click keeps the help option of the first call
    with pytest.raises(SystemExit) as stopped:
        run(command, name)

    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(f"Usage: python -m train.{name} ")


@pytest.mark.parametrize(
    ("name", "missing"), [*((name, "torch") for name in COMMANDS), ("run", "pydantic")]
)
def test_a_missing_library_is_a_sentence_with_what_to_install(name, missing):
    done = python(f"train.{name}", "--help", without=[missing, *ENGINE])
    if done.returncode == 0:
        assert name in DO_WITHOUT
        return

    assert done.returncode == 4, done.stderr
    assert done.stderr.startswith("error: the training chain cannot run: ")
    assert "is not installed" in done.stderr or "is missing" in done.stderr
    assert done.stderr.endswith("hint: pip install -e '.[train]'\n")


def test_a_defect_of_ours_is_not_taken_for_a_missing_library():
    done = python("train.no_such_step")

    assert "install" not in done.stderr
    assert "No module named" in done.stderr
