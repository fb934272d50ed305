"""Processes of a step, to be run together or to be killed, that begin with torch imported."""

import os
import socket

from tests.warm import ENGINE

_RUN = "sys.argv[1:1] = ['train', '{}']; runpy.run_module('nla_release', run_name='__main__')"
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


def started(step, *arguments, late=0.0, stop_at=None, **environment):
    """Begin `nla-release train STEP ARGUMENTS`, or `late` by so many seconds.

    With `stop_at` it goes no further when a file or folder whose name fits that pattern is in its
    place.
    """
    line = ["-m", "nla_release", "train", step]
    if late:
        line = ["-c", _LATER.format(late, step)]
    if stop_at:
        line = ["-c", _STOPPING.format(stop_at) + _RUN.format(step)]
    return ENGINE.start([*line, *arguments], {**os.environ, **environment})


def two(step, *arguments, late=(0.0, 0.0), codes=(0, 0)):
    """Run a step in two processes, as torchrun would, to their end; gives what each said.

    It fails when one ends with another code, or not at all, as one that waits for the other in
    vain.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    where = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [{"RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    processes = [
        started(step, *arguments, late=seconds, **where, **rank)
        for seconds, rank in zip(late, ranks, strict=True)
    ]
    try:
        done = [process.wait() for process in processes]
    finally:
        for process in processes:
            process.kill()
    said = [each.stdout + each.stderr for each in done]
    assert [each.returncode for each in done] == [*codes], said
    return said
