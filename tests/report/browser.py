"""A page in the Chromium that is here, at any width: its picture, and what a script finds in it."""

import fcntl
import html
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

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


# What a key sends besides its name: the text that it types, and its number.
_KEYS = {"Tab": ("", 9), "Enter": ("\r", 13), " ": (" ", 32)}
# Where Chromium reads and writes with --remote-debugging-pipe.
_IN, _OUT = 3, 4


class Typed:
    """A page with a keyboard: real key events, over the browser's own protocol on two pipes.

    Source: the Chrome DevTools Protocol, domains Target, Runtime and Input.
    """

    def __init__(self, browser: str, page: Path, profile: Path) -> None:
        self._command = [
            browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
            f"--user-data-dir={profile}", "about:blank",
        ]  # fmt: skip
        self._page = page

    def __enter__(self) -> Self:
        (theirs_in, ours_out), (ours_in, theirs_out) = _pipe(), _pipe()

        def move() -> None:
            os.dup2(theirs_in, _IN)
            os.dup2(theirs_out, _OUT)

        self._process = subprocess.Popen(
            self._command, preexec_fn=move, pass_fds=(_IN, _OUT), stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._write, self._read = os.fdopen(ours_out, "wb"), os.fdopen(ours_in, "rb")
        self._asked, self._session, self._events = 0, {}, []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        self._ask("Emulation.setFocusEmulationEnabled", enabled=True)
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._write.close()
        self._read.close()
        self._process.kill()
        self._process.wait()

    def _open(self) -> None:
        """Have the page loaded, and not the empty one that a target begins with."""
        self._ask("Page.enable")
        self._ask("Page.setLifecycleEventsEnabled", enabled=True)
        loader = self._ask("Page.navigate", url=self._page.as_uri())["loaderId"]
        loaded = {"loaderId": loader, "name": "load"}
        while not any(loaded.items() <= event["params"].items() for event in self._events):
            self._events.append(self._message())

    def script(self, expression: str) -> Any:
        """The value of an expression in the page."""
        found = self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def key(self, name: str) -> None:
        """Press a key, and let it go."""
        text, number = _KEYS.get(name, (name, ord(name[0].upper())))
        key = {"key": name, "code": name, "windowsVirtualKeyCode": number}
        self._ask("Input.dispatchKeyEvent", type="keyDown", text=text, **key)
        self._ask("Input.dispatchKeyEvent", type="keyUp", **key)

    def _ask(self, method: str, **parameters: Any) -> Any:
        self._asked += 1
        request = {"id": self._asked, "method": method, "params": parameters, **self._session}
        self._write.write(json.dumps(request).encode() + b"\0")
        self._write.flush()
        while (answer := self._message()).get("id") != self._asked:
            self._events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _message(self) -> Any:
        parts = []
        while (byte := self._read.read(1)) != b"\0":
            assert byte, "the browser ended"
            parts.append(byte)
        return json.loads(b"".join(parts))


def _pipe() -> list[int]:
    """Both ends, with numbers that are not those that the browser asks for."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high
