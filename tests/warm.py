"""Commands in processes of their own, forked from one that has imported most of what they need.

`nla-release` starts in a second, most of it imports, and the tests start it hundreds of times. What
a test gets is a process with streams, environment, exit code and end of its own all the same.

As `python -m tests.warm MODULE...` this is the process that is forked: it reads one order a line.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

# Without the Hub's client, which reads the environment as it is imported.
_VERBS = ("base", "calibrate", "check", "compare", "explain", "history", "init", "render", "report")
_LIGHT = (
    *(f"nla_release.cli.{verb}" for verb in _VERBS),
    *("filelock", "h11", "httpcore2", "httpx2", "jinja2.sandbox", "markdown_it", "tqdm.auto"),
    "nla_release.hub.loopback.app",
)
_ENGINE = ("accelerate", "bitsandbytes", "pandas", "peft", "torch", "transformers.modeling_utils")
_PYTHONPATH = os.environ.get("PYTHONPATH")
_ENGINE_VERBS = ("roundtrip", "sweep")


class Warm:
    """A process that has imported `modules`, and starts others that have them too."""

    def __init__(self, *modules: str) -> None:
        self._modules = modules
        self._server: subprocess.Popen[str] | None = None

    def run(
        self, module: str, *arguments: str, environment: dict[str, str], name: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`python -m MODULE ARGUMENTS` to its end; `name` is what it finds itself called by."""
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-m", __name__, *self._modules],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            atexit.register(self._server.communicate)
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        with tempfile.TemporaryDirectory(prefix="nla-release-warm-") as folder:
            streams = [f"{folder}/stdout", f"{folder}/stderr"]
            line = [name or module, *arguments]
            order = {
                "module": module,
                "line": line,
                "folder": str(Path.cwd()),
                "environment": environment,
                "streams": streams,
            }
            self._server.stdin.write(json.dumps(order) + "\n")
            self._server.stdin.flush()
            code = int(self._server.stdout.readline())
            out, err = (Path(each).read_text(encoding="utf-8") for each in streams)
        return subprocess.CompletedProcess(line, code, out, err)


LIGHT, ENGINE = Warm(*_LIGHT), Warm(*_ENGINE)


def nla_release(
    *arguments: object, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `nla-release` as a person does."""
    line = [str(each) for each in arguments]
    wanted = {**os.environ, **(environment or {})}
    if wanted.get("PYTHONPATH") != _PYTHONPATH:  # what is on it is to be imported first
        command = [sys.executable, "-m", "nla_release", *line]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=wanted)
    # Transformers brings the Hub's client along, which then has another environment than is given.
    warm = ENGINE if line[0] in _ENGINE_VERBS and environment is None else LIGHT
    return warm.run("nla_release", *line, environment=wanted, name="nla-release")


def _serve(modules: list[str]) -> None:
    for name in modules:
        importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        if not (child := os.fork()):
            _become(order)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _become(order: dict[str, Any]) -> NoReturn:
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    for number, path in enumerate([os.devnull, *order["streams"]]):
        opened = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0)
    sys.argv = order["line"]
    runpy.run_module(order["module"], run_name="__main__")
    sys.exit()


if __name__ == "__main__":
    _serve(sys.argv[1:])
