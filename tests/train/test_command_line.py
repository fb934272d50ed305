"""`nla-release train` as a person meets it: help, recipes, scripts, and a missing extra."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from nla_release.cli.train import command
from nla_release.errors import ConfigError, RefusedError
from nla_release.training import STEPS
from nla_release.training.recipe import read_recipe

ROOT = Path(__file__).parent.parent.parent
RECIPES = ROOT / "train" / "recipes"
ENGINE = ("accelerate", "bitsandbytes", "peft", "pyarrow", "torch", "transformers")
SCRIPTS = [*STEPS, "run", "plan"]
# What makes the tiny base needs torch, and is no command of an installed user.
MAKERS = ["tiny.base", "tiny.validity"]


def python(*line, without=()):
    """A process in which some libraries are not installed."""
    code = (
        "import runpy, sys\n"
        f"missing = {list(without)!r}\n"
        "class Without:\n"
        "    def __init__(self, finder):\n"
        "        self.finder = finder\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in missing:\n"
        "            return None\n"
        "        return self.finder.find_spec(name, path, target)\n"
        "sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]\n"
        f"sys.argv = ['-m', *{list(line[1:])!r}]\n"
        f"runpy.run_module({line[0]!r}, run_name='__main__', alter_sys=True)\n"
    )
    process = [sys.executable, "-c", code]
    return subprocess.run(process, capture_output=True, text=True, check=False, cwd=ROOT)


def ran(*line):
    return CliRunner().invoke(command, line, catch_exceptions=False)


def test_each_step_is_a_command_and_so_are_the_run_the_plan_and_the_recipes():
    assert set(command.commands) == {*STEPS, "run", "plan", "recipe"}
    assert [name for name in command.commands if name in STEPS] == list(STEPS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_of_a_checkout_is_the_command(name):
    """And help is there without the extra."""
    done = python(f"train.{name}", "--help", without=ENGINE)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Usage: nla-release train {name} ")


@pytest.mark.parametrize("name", SCRIPTS)
def test_without_the_extra_a_step_says_what_to_install(name):
    done = python("nla_release", "train", name, "no-recipe.yaml", without=["accelerate"])

    assert done.returncode == 4, done.stderr
    assert "training is not installed (accelerate is missing)" in done.stderr
    assert "nla-release[train]" in done.stderr


@pytest.mark.parametrize(
    ("name", "missing"), [(name, "torch") for name in MAKERS] + [("av", "click")]
)
def test_a_missing_library_of_a_script_is_a_sentence_with_what_to_install(name, missing):
    done = python(f"train.{name}", "--help", without=[missing])

    assert done.returncode == 4, done.stderr
    assert done.stderr.startswith("error: training cannot run: ")
    assert "is not installed" in done.stderr or "is missing" in done.stderr
    assert done.stderr.endswith("hint: pip install -e '.[train]'\n")


def test_a_defect_of_ours_is_not_taken_for_a_missing_library():
    done = python("train.no_such_step")

    assert "install" not in done.stderr
    assert "No module named" in done.stderr


# -- recipes --


def test_the_recipes_are_listed_with_what_they_train():
    listed = ran("recipe").output.splitlines()

    assert [line.split()[0] for line in listed] == sorted(it.stem for it in RECIPES.glob("*.yaml"))
    assert all("layer" in line for line in listed)


def test_a_recipe_is_printed_as_it_is():
    assert ran("recipe", "gemma-3-1b").output == (RECIPES / "gemma-3-1b.yaml").read_text()


def test_a_copied_recipe_is_accepted_and_never_replaces_a_file(tmp_path):
    copy = tmp_path / "recipe.yaml"
    said = ran("recipe", "qwen2.5-0.5B", "--out", str(copy)).output

    assert read_recipe(copy).base.id == "Qwen/Qwen2.5-0.5B"
    assert f"nla-release train plan {copy}" in said
    copy.write_text("mine")
    with pytest.raises(RefusedError, match="already exists"):
        ran("recipe", "gemma-3-1b", "--out", str(copy))
    assert copy.read_text() == "mine"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["gemma"], "there is no recipe named 'gemma'"),
        (["../tiny/tiny"], "there is no recipe named"),
        (["--out", "x.yaml"], "--out needs the NAME"),
        (["gemma-3-1b", "--out", "no-folder/x.yaml"], "no-folder does not exist"),
    ],
)
def test_a_wrong_request_for_a_recipe_is_refused(line, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        ran("recipe", *line)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda it: it.stem)
def test_no_recipe_names_a_file_of_a_checkout(path):
    """Somebody who installed the wheel has none."""
    text = path.read_text()

    assert "train/" not in text
    assert "python -m" not in text
