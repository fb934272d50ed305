"""Commands in processes of their own, forked from one that has imported most of what they need.

`nla-release` starts in a second and the engine in six, most of it imports, and the tests start them
hundreds of times. What a test gets is a process with streams, environment, exit code and end of its
own all the same.

As `python -m tests.warm MODULE...` this is the process that is forked: it reads one order a line.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from tests.waiting import LONGEST

_VERBS = ("base", "calibrate", "check", "compare", "explain", "history", "render", "report")
# Without the Hub's client, which reads the environment as it is imported.
_LIGHT = (
    *(f"nla_release.cli.{verb}" for verb in _VERBS),
    *("filelock", "h11", "httpcore2", "httpx2", "jinja2.sandbox", "markdown_it", "tqdm.auto"),
    "nla_release.cards.render",
    "nla_release.local_hub.app",
)
# With it: only for what asks the Hub that the process began with, or none.
_ENGINE = (
    "nla_release.training.learner",
    "nla_release.training.tables",
    "transformers.models.gemma4.modeling_gemma4",
)
_ROOT = Path(__file__).parent.parent
_ENGINE_VERBS = ("init", "roundtrip", "sweep")
_STREAMS = ("stdout", "stderr")
_PYTHONPATH = os.environ.get("PYTHONPATH")


class Started:
    """A process under way; what it says goes into files of `folder`."""

    def __init__(self, line: list[str], folder: Path) -> None:
        self.line = line
        self._folder = folder
        self._end = (folder / "end").open()  # as soon as somebody writes there
        self.pid = int(self._end.readline())

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, 0)
            return True
        return False

    def kill(self) -> None:
        """End it outright, if it has not ended by itself."""
        if self._end.closed:
            return
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, seconds: float = LONGEST) -> subprocess.CompletedProcess[str]:
        """What it has said and how it ended, when it has; it fails who goes on for longer."""
        in_time = bool(select.select([self._end], [], [], seconds)[0])
        if not in_time:
            self.kill()
        with self._end as end:
            code = int(end.readline())
        out, err = ((self._folder / name).read_text(encoding="utf-8") for name in _STREAMS)
        shutil.rmtree(self._folder)
        assert in_time, f"{self.line} went on for more than {seconds:g} s, and said: {out}{err}"
        return subprocess.CompletedProcess(self.line, code, out, err)


class Warm:
    """A process that has imported `modules`, and starts others that have them too."""

    def __init__(self, *modules: str, environment: Mapping[str, str] | None = None) -> None:
        self._modules = modules
        self._environment = environment
        self._server: subprocess.Popen[str] | None = None

    def start(
        self, line: Sequence[object], environment: Mapping[str, str] | None = None
    ) -> Started:
        """Begin Python with a command line of `-m MODULE ...` or `-c CODE ...`."""
        server = self._server = self._server or self._serve()
        assert server.stdin is not None
        folder = Path(tempfile.mkdtemp(prefix="nla-release-warm-"))
        os.mkfifo(folder / "end")
        order = {
            "line": [str(part) for part in line],
            "cwd": str(Path.cwd()),
            "environment": dict(environment or self._environment or os.environ),
            "folder": str(folder),
        }
        server.stdin.write(json.dumps(order) + "\n")
        server.stdin.flush()
        return Started(order["line"], folder)

    def run(
        self, line: Sequence[object], environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The same, to its end."""
        return self.start(line, environment).wait()

    def _serve(self) -> subprocess.Popen[str]:
        server = subprocess.Popen(
            [sys.executable, "-m", __name__, *self._modules],
            stdin=subprocess.PIPE,
            text=True,
            env=self._environment,
            cwd=_ROOT,
        )
        atexit.register(server.communicate)
        return server


LIGHT, ENGINE = Warm(*_LIGHT), Warm(*_ENGINE)


def nla_release(
    *arguments: object, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `nla-release` as a person does."""
    line = ["-m", "nla_release", *map(str, arguments)]
    wanted = {**os.environ, **(environment or {})}
    if wanted.get("PYTHONPATH") != _PYTHONPATH:  # what is on it is to be imported first
        command = [sys.executable, *line]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=wanted)
    warm = ENGINE if arguments[0] in _ENGINE_VERBS and environment is None else LIGHT
    return warm.run(line, wanted)


def run_warm(
    line: Sequence[str], *, env: Mapping[str, str] | None = None, **_: object
) -> subprocess.CompletedProcess[str]:
    """`subprocess.run` of this Python, with output captured, in a process that has the engine."""
    assert line[0] == sys.executable
    return ENGINE.run(line[1:], env)


def _serve(modules: list[str]) -> None:
    for name in modules:
        importlib.import_module(name)
    if "nla_release.cli.render" in modules:
        _draw_once()
    gc.freeze()
    for line in sys.stdin:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not os.fork():
            _watch(json.loads(line))


def _draw_once() -> None:
    from nla_release.cards.plot import Plot
    from tests.drawn import drawn_once

    Plot.files = drawn_once()  # type: ignore[method-assign]


def _watch(order: dict[str, Any]) -> None:
    """Fork once more, and tell who it is and how it ends."""
    if not (child := os.fork()):
        _become(order)
    with Path(order["folder"], "end").open("w", buffering=1) as end:
        end.write(f"{child}\n")
        _, status = os.waitpid(child, 0)
        end.write(f"{os.waitstatus_to_exitcode(status)}\n")
    os._exit(0)


def _become(order: dict[str, Any]) -> NoReturn:
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environment"])
    streams = [f"{order['folder']}/{name}" for name in _STREAMS]
    for number, path in enumerate([os.devnull, *streams]):
        opened = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0)
    option, what, *arguments = order["line"]
    sys.argv = [option if option == "-c" else what, *arguments]
    if option == "-c":
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_module(what, run_name="__main__")
    sys.exit()


if __name__ == "__main__":
    _serve(sys.argv[1:])
