"""A page in the Chromium that is here, at any width: its picture, and what a script finds in it."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.waiting import LONGEST

NAMES = ("chromium", "chromium-browser", "google-chrome")

Scheme = Literal["light", "dark"]

# The window of a headless Chromium is never narrower than 500 pixels. A frame may be.
_FRAME = """<!DOCTYPE html><style>body {{ margin: 0 }} iframe {{ border: 0 }}</style>
<iframe width="{width}" height="{height}" src="{page}"></iframe>
<script>
const frame = document.querySelector("iframe");
frame.onload = () => {{
  const page = frame.contentDocument;
  document.title = JSON.stringify((() => {{ {script} }})());
}};
</script>
"""


@dataclass(frozen=True)
class Opened:
    """What a browser made of a page: the answer of the script, a picture, and its complaints."""

    answer: Any
    picture: Path
    complaints: list[str]


def find_browser() -> str | None:
    """The browser's executable, or None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def opened(
    browser: str, page: Path, script: str, *, width: int, height: int = 1600, scheme: Scheme
) -> Opened:
    """Open a page in a frame, and run a script beside it that sees it as `page`.

    Args:
        browser: its executable.
        page: an HTML file; what is made lies beside it.
        script: the body of a function that returns anything that JSON can hold.
        width: of the frame in CSS pixels.
        height: of the frame in CSS pixels.
        scheme: what the reader prefers.
    """
    around = page.with_name(f"around-{width}-{scheme}.html")
    around.write_text(_FRAME.format(width=width, height=height, page=page.name, script=script))
    picture = page.with_name(f"{width}-{scheme}.png")
    done = subprocess.run(
        [
            browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--allow-file-access-from-files", "--enable-logging=stderr",
            f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}",
            f"--user-data-dir={page.with_name('profile')}",
            f"--window-size={max(width, 500)},{height}",
            "--virtual-time-budget=5000", "--dump-dom", f"--screenshot={picture}", around.as_uri(),
        ],
        capture_output=True, text=True, check=True, timeout=LONGEST,
    )  # fmt: skip
    (answer,) = re.findall(r"<title>(.*)</title>", done.stdout)
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Opened(json.loads(html.unescape(answer)), picture, complaints)
