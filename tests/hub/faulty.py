"""Hubs on which things go wrong: one in the test's process, and one that can be killed."""

import itertools
import multiprocessing
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Self

import pytest
from huggingface_hub.utils import _http, httpx
from starlette.types import ASGIApp

from nla_release.hub import run
from nla_release.hub_client import client, reader
from nla_release.local_hub.server import LocalHub
from tests.hub.faults import Fault, Faults
from tests.waiting import LONGEST

# Processes that start in milliseconds: forks of one that has imported all this, and has no threads.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        __name__,
        "nla_release.local_hub.app",
        "uvicorn.protocols.http.h11_impl",
        "uvicorn.lifespan.off",
        "uvicorn.loops.asyncio",
    ]
)


def never_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everybody try again at once: 5 tries of a dead server are 23 seconds otherwise.

    To them no time passes, so that a busy machine does not make them try less often.
    """
    still = {"sleep": lambda _seconds: None, "monotonic": lambda: 0.0}
    clock = SimpleNamespace(**{**vars(time), **still})
    for module in (_http, client, reader, run):
        monkeypatch.setattr(module, "time", clock)


def never_answered(patch: pytest.MonkeyPatch, lost: Callable[[httpx.Response, int], bool]) -> None:
    """Let the client wait in vain for answers, each of which the Hub has sent after its effect.

    A real limit of time would run out on a busy machine before the effect, or for other answers.

    Args:
        patch: undoes it.
        lost: says of an answer and its number, from 0, whether it does not come.
    """
    after, count = client.RateLimitWaits.after, itertools.count()

    def late(self: client.RateLimitWaits, response: httpx.Response) -> None:
        after(self, response)
        if lost(response, next(count)):
            raise httpx.ReadTimeout("timed out", request=response.request)

    patch.setattr(client.RateLimitWaits, "after", late)


class FaultyHub(LocalHub):
    """The local Hub with the fault layer in front: `with FaultyHub(root) as hub`.

    `hub.faults.inject(Fault("500_after", at=7))` makes something go wrong, `hub.clear()` ends it.
    """

    faults: Faults
    may_die = False

    def application(self) -> ASGIApp:
        """The Hub's own, with the faults of this object around it."""
        if not hasattr(self, "faults"):
            self.faults = Faults(self.store, self._go_down, may_die=self.may_die)
        return self.faults.around(super().application())

    def clear(self) -> None:
        """Nothing goes wrong any more; a server that was gone is back at its address."""
        if self._server.should_exit:
            self.stop()
            self.start()
        self.faults.inject()

    def _go_down(self) -> None:
        if threading.current_thread() is not self._thread:
            self.stop()
            return
        self._server.should_exit = True
        for listener in self._server.servers:
            listener.close()
        for connection in tuple(self._server.server_state.connections):
            connection.transport.close()  # what was answered is still delivered


class HubProcess:
    """A faulty Hub in a process of its own, for `kill -9`: `with HubProcess(root, ...) as hub`."""

    def __init__(self, root: Path, *faults: Fault) -> None:
        self.token = f"hf_{secrets.token_hex(16)}"
        self._root = root
        self._port = 0
        self._start(faults)

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.join()
        self._line.close()

    def restart(self, *faults: Fault) -> None:
        """Be back at the same address after dying (now, if it did not by itself)."""
        self.kill()
        self._start(faults)

    def await_death(self) -> None:
        """Wait until it is dead: its connections may break a moment earlier."""
        self._process.join(LONGEST)
        assert not self._process.is_alive(), "nothing has killed it"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def _start(self, faults: tuple[Fault, ...]) -> None:
        self._line, theirs = FORKS.Pipe()
        self._process = FORKS.Process(
            target=_serve, args=(theirs, self._root, self._port, self.token, faults)
        )
        self._process.start()
        theirs.close()
        self.endpoint = self._line.recv()
        self._port = int(self.endpoint.rpartition(":")[2])


class _Mortal(FaultyHub):
    may_die = True


def _serve(line: Connection, root: Path, port: int, token: str, faults: tuple[Fault, ...]) -> None:
    with _Mortal(root, port=port, token=token) as hub:
        hub.faults.inject(*faults)
        line.send(hub.endpoint)
        with suppress(EOFError):  # which comes when the process that started this one ends
            line.recv()
