"""What goes wrong between a client and a Hub: accidents at any request, and Hubs that deviate.

`Faults` goes round the local Hub's application, so that a fault is what the real client meets:
a reset is a reset of its socket, and a fault "after" leaves the effect behind and takes the answer.
It writes down every request, so that a test can first learn what a push asks and then put each
fault at each request. `tests.hub.faulty` has the Hubs that run it.
"""

import asyncio
import math
import re
from collections.abc import Callable, MutableSequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nla_release.local_hub.store import Store
from tests.hub.fault_kinds import KINDS, Exchange

Accident = Literal[
    "refuse",  # the server is gone: its port refuses connections until the faults are cleared
    "reset_before",  # the connection is reset, and nothing happened
    "reset_after",  # it happened, and the connection is reset in place of the answer
    "500_before",
    "500_after",
    "429",  # nothing happened; come back in `seconds`
    "slow",  # it happened, and the answer comes `seconds` later
    "401",
    "403",
    "405",  # nothing happened; this server does not do it
    "501",
    "kill_before",  # the server's process dies by SIGKILL (in a process of its own only)
    "kill_after",
]
Deviation = Literal[
    "412_once",  # a commit is refused as if somebody had been faster
    "tag_409_other",  # somebody else sets the same tag first, on another commit
    "gated",  # files are for those who were let in
    "should_ignore",  # a .gitignore that nobody sees drops every file
    "no_oid",  # preupload does not say what is there, so the same bytes make another commit
    "ignores_parent",  # commits land whatever they were built on
    "500_for_412",
    "no_error_headers",  # refusals do not say which kind they are
    "ignores_create_pr",  # what was to be proposed lands on main
    "no_descriptions",  # the list of commits has titles only
    "no_auth_check",  # the route is not there
    "no_validate_yaml",
    "long_ids",  # commits are counted by SHA-256
    "odd_commit_oid",  # the answer to a commit that was made has a value of another type
    "odd_commit_url",  # or an address that leads nowhere
    "odd_path",  # a file's path is a number
]
# Answers (method, path as sent without its query, number) of each request.
Where = Callable[[str, str, int], bool]

_COMMIT, _TAG = r"POST /api/models/.*/commit/.*", r"POST /api/models/.*/tag/.*"
_PREUPLOAD = r"POST /api/models/.*/preupload/.*"
# A deviation shows at these requests only. Accidents happen anywhere.
_SHOWS = {
    "412_once": _COMMIT,
    "tag_409_other": _TAG,
    "gated": r"(?:GET|HEAD) /.*/resolve/.*",
    "should_ignore": _PREUPLOAD,
    "no_oid": _PREUPLOAD,
    "ignores_parent": _COMMIT,
    "500_for_412": _COMMIT,
    "ignores_create_pr": f"{_COMMIT}|{_PREUPLOAD}",
    "no_descriptions": r"GET /api/models/.*/commits/.*",
    "no_auth_check": r"GET /api/models/.*/auth-check(?:/write)?",
    "no_validate_yaml": r"POST /api/validate-yaml",
    "odd_commit_oid": _COMMIT,
    "odd_commit_url": _COMMIT,
    "odd_path": r"GET /api/models/.*/tree/.*",
}
# Deviations that are how a server is; the others happen once.
_ONCE = {"412_once", "tag_409_other"}
_LASTING = {*get_args(Deviation)} - _ONCE


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    `at` is the first request it may happen at: its number (from 0, since the faults were
    injected), or what says yes to it. It happens `times` times; by default accidents once, and
    deviations, which are how a server is, always.
    """

    kind: Accident | Deviation
    at: int | Where = 0
    times: float | None = None
    seconds: int = 1
    ratelimit: str | None = None  # the header beside Retry-After, such as '"api";r=0;t=55'

    @property
    def most(self) -> float:
        """How often it happens at most."""
        if self.times is not None:
            return self.times
        return math.inf if self.kind in _LASTING else 1

    def applies(self, method: str, path: str, number: int) -> bool:
        """Whether it may happen at this request."""
        shows = _SHOWS.get(self.kind, ".*")
        due = number >= self.at if isinstance(self.at, int) else self.at(method, path, number)
        return due and re.fullmatch(shows, f"{method} {path}") is not None


class Asked(NamedTuple):
    """A request as it arrived; `path` is still quoted. `faults` are the kinds that hit it."""

    method: str
    path: str
    faults: tuple[str, ...] = ()


@dataclass
class Faults:
    """The layer: goes round an application, with the faults that were injected last."""

    store: Store
    go_down: Callable[[], None]
    may_die: bool = False
    # Looks at the store before each answer.
    watch: Callable[[], None] = lambda: None
    requests: MutableSequence[Asked] = field(default_factory=list)
    _left: dict[Fault, float] = field(default_factory=dict)

    def inject(self, *faults: Fault) -> None:
        """From now on these go wrong; requests are numbered from 0 again."""
        if not self.may_die and any(fault.kind.startswith("kill") for fault in faults):
            raise ValueError("this Hub shares its process with the test: use HubProcess")
        self.requests = []
        self._left = {fault: fault.most for fault in faults}
        self._refuse_next()

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application with the faults in front of it."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            path = scope["raw_path"].decode("ascii", "replace")
            due = self._due(scope["method"], path)
            self.requests.append(Asked(scope["method"], path, tuple(fault.kind for fault in due)))
            inner = app
            # The server's own `send` is a method of the cycle that holds the connection.
            transport = send.__self__.transport  # type: ignore[attr-defined]

            async def watched(message: Message) -> None:
                if message["type"] == "http.response.body":
                    self.watch()
                await send(message)

            for fault in due:
                inner = _faulty(fault, self, inner, transport)
            await inner(scope, receive, watched)
            self._refuse_next()

        return serve

    def _due(self, method: str, path: str) -> list[Fault]:
        due = []
        for fault, left in self._left.items():
            if left > 0 and fault.applies(method, path, len(self.requests)):
                self._left[fault] = left - 1
                due.append(fault)
        return due

    def _refuse_next(self) -> None:
        """A refusal with a number comes before that request, which never arrives."""
        for fault, left in self._left.items():
            if (
                fault.kind == "refuse"
                and left > 0
                and isinstance(fault.at, int)
                and len(self.requests) >= fault.at
            ):
                self._left[fault] = 0
                self.go_down()


def _faulty(fault: Fault, layer: Faults, app: ASGIApp, transport: asyncio.Transport) -> ASGIApp:
    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(fault, layer, app, transport, scope, receive, send)
        await KINDS[fault.kind](exchange)

    return serve
