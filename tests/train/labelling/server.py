"""A loopback server that speaks chat completions, and does what a test tells it to do wrong.

    with ChatServer() as server:
        server.goes_wrong("rain", status(429, retry_after="0"), malformed("{"))
        ... server.base_url ...

A request whose last message holds the word goes wrong so many times, each time in the way that
comes next; then it is answered. Everything is written down in `server.asked` when it comes in, and
in `server.answered` when it was answered with a label.
"""

import asyncio
import itertools
import json
import re
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

LABEL, AUDIT = "LABEL: {text}", "AUDIT: {text} | {explanation}"

_AUDITED = re.compile(r"AUDIT: (.*) \| (.*)", re.DOTALL)


@dataclass
class Asked:
    """One request as it came in."""

    body: dict[str, Any]
    headers: dict[str, str]
    at: float = field(default_factory=time.monotonic)

    @property
    def content(self) -> str:
        return self.body["messages"][-1]["content"]


Wrong = Callable[[Asked, Request], Awaitable[Response]]


def completion(content: str | None, *, finish_reason: str = "stop", **message: Any) -> Response:
    """An answer in the protocol; five tokens in and three out for each."""
    return _json(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "labeller-2026-01-01",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": finish_reason,
                    "message": {"role": "assistant", "content": content, **message},
                }
            ],
            "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
        }
    )


def says(content: str | None, *, finish_reason: str = "stop", **message: Any) -> Wrong:
    """A completion that is well formed, and says this."""
    return _always(lambda: completion(content, finish_reason=finish_reason, **message))


def status(code: int, *, retry_after: str | None = None, body: str = '{"error": "no"}') -> Wrong:
    """An answer with another status than 200."""
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return _always(lambda: Response(body, code, headers, "application/json"))


def malformed(body: str | bytes) -> Wrong:
    """A 200 with this body, which is no chat completion."""
    return _always(lambda: Response(body, 200, media_type="application/json"))


class Impatience:
    """Limits of time that run out when a test says so, and not when a machine is slow.

    `timeout` stands for that of asyncio; `asked` are the seconds that it was called with.
    """

    def __init__(self) -> None:
        self.asked: list[float | None] = []

    def timeout(self, seconds: float | None) -> asyncio.Timeout:
        """A limit that is not reached by itself."""
        self.asked.append(seconds)
        self._loop, self._limit = asyncio.get_running_loop(), asyncio.timeout(None)
        return self._limit

    def run_out(self) -> None:
        """Let the newest limit be reached now; called from the server's thread."""
        self._loop.call_soon_threadsafe(self._limit.reschedule, 0.0)


def silent(impatience: Impatience) -> Wrong:
    """No answer at all, for longer than is waited."""

    async def answer(asked: Asked, request: Request) -> Response:
        impatience.run_out()
        while not await request.is_disconnected():
            await asyncio.sleep(0.01)
        return label(asked)

    return answer


def trickling(impatience: Impatience) -> Wrong:
    """An answer of which there is always something more to come."""

    async def trickle() -> AsyncIterator[bytes]:
        for number in itertools.count():
            if number == 3:
                impatience.run_out()
            yield b" "
            await asyncio.sleep(0.01)

    async def answer(asked: Asked, request: Request) -> Response:
        return StreamingResponse(trickle(), media_type="application/json")

    return answer


async def reset(asked: Asked, request: Request) -> Response:
    """No answer: the connection is reset."""
    transport = request.scope["transport"]
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()
    return Response()


def label(asked: Asked) -> Response:
    """What a good labeller answers, and a good auditor."""
    if found := _AUDITED.fullmatch(asked.content):
        return completion(f"<explanation>{found[2]}, audited</explanation>")
    text = asked.content.removeprefix("LABEL: ")
    return completion(f"<explanation>about {text}</explanation>")


class ChatServer:
    """The server, for the length of a `with` block."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._tests = 0
        self.begin()

    def begin(self) -> None:
        """Have another address, know nothing of what was asked, and do nothing wrong.

        What is still under way from an earlier test, cancelled or killed, comes to an address that
        is none any more.
        """
        self._tests += 1
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/{self._tests}/v1"
        self.asked: list[Asked] = []
        self.answered: list[str] = []
        self.held = threading.Event()
        self._wrong: dict[str, list[Wrong]] = {}
        self._hold_after: int | None = None
        self._answering = 0

    def goes_wrong(self, word: str, *ways: Wrong) -> None:
        """Let requests about the word go wrong in these ways, one after the other."""
        self._wrong[word] = list(ways)

    def hold_after(self, answers: int | None) -> None:
        """Answer so many requests, and leave all others waiting until they hang up."""
        self._hold_after = answers

    @property
    def contents(self) -> list[str]:
        """What was asked, in order."""
        return [asked.content for asked in self.asked]

    def __enter__(self) -> Self:
        routes = [Route("/{test:int}/v1/chat/completions", self._complete, methods=["POST"])]
        app = _with_transport(Starlette(routes=routes))
        self._server = uvicorn.Server(
            uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
        )
        self._thread = threading.Thread(
            target=self._server.run, args=([self._listener],), daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    async def _complete(self, request: Request) -> Response:
        asked = Asked(json.loads(await request.body()), dict(request.headers))
        if request.path_params["test"] != self._tests:
            return Response(status_code=410)
        self.asked.append(asked)
        for word, ways in self._wrong.items():
            if word in asked.content and ways:
                return await ways.pop(0)(asked, request)
        if self._hold_after is not None and self._answering >= self._hold_after:
            self.held.set()
            while not await request.is_disconnected():
                await asyncio.sleep(0.01)
            return Response(status_code=500)
        self._answering += 1
        self.answered.append(asked.content)
        return label(asked)


def _always(make: Callable[[], Response]) -> Wrong:
    async def answer(asked: Asked, request: Request) -> Response:
        return make()

    return answer


def _with_transport(app: ASGIApp) -> ASGIApp:
    """Hand the connection on to the routes, for `reset`."""

    async def handing(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "transport": send.__self__.transport}, receive, send)

    return handing


def _json(document: Any) -> Response:
    return Response(json.dumps(document), media_type="application/json")
