"""Processes of a step, to be run together or to be killed.

They are forked from one that has imported the steps already: a `python -m train.extract` is busy
with that for seconds before it does anything.
"""

import atexit
import importlib
import multiprocessing
import os
import socket
import sys
import time
from pathlib import Path

from train.command import run

_FORKING = multiprocessing.get_context("forkserver")
_LONG = 120.0  # seconds, after which they wait for each other in vain

_FORKING.set_forkserver_preload([f"train.{step}" for step in ("extract", "label", "av", "ar")])


def started(step, *arguments, log, late=0.0, **environment):
    """Run a step as `python -m train.STEP ARGUMENTS` does; what it says goes into the file `log`.

    It begins `late` by so many seconds. The process has `exitcode`, `join` and `kill`.
    """
    line = [f"train.{step}", *map(str, arguments)]
    process = _FORKING.Process(
        target=_run, args=(step, line, log, late, {**os.environ, **environment}), daemon=True
    )
    process.start()
    return process


def two(step, *arguments, logs, late=(0.0, 0.0)):
    """Run a step in two processes, as torchrun would, to their end; gives what each said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    where = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [{"RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    paths = [Path(logs, f"{number}.log") for number in range(2)]
    processes = [
        started(step, *arguments, log=path, late=seconds, **where, **rank)
        for path, seconds, rank in zip(paths, late, ranks, strict=True)
    ]
    for process in processes:
        process.join(_LONG)
        process.kill()
    said = [path.read_text() for path in paths]
    assert [process.exitcode for process in processes] == [0, 0], said
    return said


def _run(step, line, log, late, environment):
    os.environ.clear()
    os.environ.update(environment)
    with Path(log).open("wb") as stream:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
    time.sleep(late)
    sys.argv = line
    try:
        run(importlib.import_module(f"train.{step}").command, f"train.{step}")
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out
        sys.stderr.flush()
