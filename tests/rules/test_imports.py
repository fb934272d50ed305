"""A check runs where nothing heavy is installed."""

import subprocess
import sys

HEAVY = ("torch", "transformers", "peft", "bitsandbytes", "pyarrow", "matplotlib")


def test_a_check_imports_nothing_heavy(good):
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from nla_release.rules import judge\n"
        "from nla_release.rules.subject import find_subject\n"
        f"judge(find_subject(Path({str(good)!r})))\n"
        f"print(sorted(set(sys.modules) & {set(HEAVY)!r}))\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
