"""Processes of a command, to be run together or to be killed, that begin with torch imported."""

import os
import socket

from tests.warm import ENGINE

_RUN = "sys.argv[1:1] = {!r}; runpy.run_module('nla_release', run_name='__main__')"
_LATER = "import runpy, sys, time; time.sleep({}); " + _RUN
# To be killed where the test wants it, and not where a busy machine happens to let it come.
_STOPPING = """
import os, runpy, sys, threading
from fnmatch import fnmatchcase

def stopping(move):
    def moved(source, target, **options):
        move(source, target, **options)
        if fnmatchcase(os.path.basename(target), {!r}):
            threading.Event().wait()
    return moved

os.replace, os.rename = stopping(os.replace), stopping(os.rename)
"""


def started(command, *arguments, late=0.0, stop_at=None, **environment):
    """Begin `nla-release COMMAND ARGUMENTS`, or `late` by so many seconds.

    With `stop_at` it goes no further when a file or folder whose name fits that pattern is in its
    place.
    """
    words = command.split()
    line = ["-m", "nla_release", *words]
    if late:
        line = ["-c", _LATER.format(late, words)]
    if stop_at:
        line = ["-c", _STOPPING.format(stop_at) + _RUN.format(words)]
    return ENGINE.start([*line, *arguments], {**os.environ, **environment})


def side_by_side(command, *arguments, late=(0.0, 0.0), stop_at=(None, None)):
    """Begin a command in two processes, as torchrun would."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    where = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [{"RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    return [
        started(command, *arguments, late=seconds, stop_at=stop, **where, **rank)
        for seconds, stop, rank in zip(late, stop_at, ranks, strict=True)
    ]


def two(command, *arguments, late=(0.0, 0.0), codes=(0, 0)):
    """Run a command in two processes to their end; gives what each said.

    It fails when one ends with another code, or not at all, as one that waits for the other in
    vain.
    """
    processes = side_by_side(command, *arguments, late=late)
    try:
        done = [process.wait() for process in processes]
    finally:
        for process in processes:
            process.kill()
    said = [each.stdout + each.stderr for each in done]
    assert [each.returncode for each in done] == [*codes], said
    return said
