"""`nla-release render` on the command line."""

import subprocess
import sys
from pathlib import Path

from tests.builders_pair import make_release


def nla_release(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nla_release", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_says_on_stderr_what_it_wrote_and_leaves_stdout_alone(tmp_path: Path) -> None:
    make_release(tmp_path)
    done = nla_release("render", "--version", "0.0.1", folder=tmp_path)

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        "wrote dist/av: someone/tiny-nla-L3-av-v0_0_1 at v0.0.1",
        "wrote dist/ar: someone/tiny-nla-L3-ar-v0_0_1 at v0.0.1",
    ]


def test_a_folder_without_a_release_is_exit_2_without_a_traceback(tmp_path: Path) -> None:
    done = nla_release("render", "--version", "0.0.1", str(tmp_path), folder=tmp_path)

    assert done.returncode == 2
    assert "release.yaml does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_version_is_required(tmp_path: Path) -> None:
    done = nla_release("render", folder=tmp_path)

    assert done.returncode == 2
    assert "--version" in done.stderr


def test_rendering_needs_no_torch(tmp_path: Path) -> None:
    make_release(tmp_path)
    code = (
        "import sys; from pathlib import Path; from nla_release.cards.render import render;"
        "from nla_release.release.folder import read_release;"
        "render(read_release(Path('.')), '0.0.1');"
        "heavy = {'torch', 'transformers', 'peft', 'pyarrow', 'matplotlib.pyplot'};"
        "print(*heavy & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == ""
