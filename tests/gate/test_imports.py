"""A check runs where nothing heavy is installed, and draws only where a figure is rendered."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "peft", "bitsandbytes", "pyarrow", "accelerate")
LOOKED_FOR = (*HEAVY, "matplotlib")


@pytest.mark.parametrize(
    ("part", "imported"),
    [(".", ["matplotlib"]), ("dist", ["matplotlib"]), ("pair", [])],
    ids=["release", "dist", "pair"],
)
def test_a_check_imports_matplotlib_for_rendered_figures_and_nothing_heavy(good, part, imported):
    assert imported_by_a_check_of(good / part) == imported


def test_a_check_of_a_release_that_is_not_rendered_draws_nothing(release):
    shutil.rmtree(release / "dist")

    assert imported_by_a_check_of(release) == []


def imported_by_a_check_of(folder: Path) -> list[str]:
    program = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from nla_release.gate import apply_rules\n"
        "from nla_release.gate.subject import find_subject\n"
        f"apply_rules(find_subject(Path({str(folder)!r})))\n"
        f"print(json.dumps(sorted(set(sys.modules) & {set(LOOKED_FOR)!r})))\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
