"""Figures of the same numbers, drawn once for all tests and all processes that they start.

Most releases of the tests are the same, and drawing is most of what a render takes. That a figure
is drawn again as it was is seen in tests/cards/test_figures.py, which draws each anew, and of
another process in tests/test_demo.py, whose pair is rendered by commands that know nothing of this.
"""

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from nla_release.cards.plot import Plot

_FOLDER = "NLA_TEST_DRAWN"
_draw = Plot.files


def keep() -> None:
    """Have a folder for the length of this process, which those that it starts inherit."""
    if _FOLDER not in os.environ:
        os.environ[_FOLDER] = tempfile.mkdtemp(prefix="nla-release-drawn-")
        atexit.register(shutil.rmtree, os.environ[_FOLDER], ignore_errors=True)


def drawn_once() -> Callable[[Plot], dict[str, str | bytes]]:
    """What `Plot.files` gives, kept in that folder."""
    folder = Path(os.environ[_FOLDER])

    def files(plot: Plot) -> dict[str, str | bytes]:
        numbers = repr((plot.name, plot.alt, plot.columns, tuple(plot.rows)))
        kept = folder / hashlib.sha256(numbers.encode()).hexdigest()
        if not kept.exists():
            _keep(_draw(plot), kept)
        png, svg, csv = (kept / f"{plot.name}.{kind}" for kind in ("png", "svg", "csv"))
        return {
            f"figures/{png.name}": png.read_bytes(),
            f"figures/{svg.name}": svg.read_bytes(),
            f"figures/{csv.name}": csv.read_bytes().decode(),
        }

    return files


def _keep(files: dict[str, str | bytes], kept: Path) -> None:
    made = Path(tempfile.mkdtemp(dir=kept.parent))
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (made / Path(name).name).write_bytes(data)
    try:
        made.rename(kept)
    except OSError:
        shutil.rmtree(made)
        if not kept.exists():  # no other process was first
            raise
