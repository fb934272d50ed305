"""What each fault does to one request: `KINDS` by name, as `tests.hub.faults` lists them."""

import asyncio
import json
import os
import re
import signal
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from tests.hub.faults import Fault, Faults


@dataclass
class Exchange:
    """One request that something goes wrong with."""

    fault: "Fault"
    layer: "Faults"
    app: ASGIApp
    transport: asyncio.Transport
    scope: Scope
    receive: Receive
    send: Send

    async def effect(self) -> list[Message]:
        """Let it happen, and hold the answer back."""
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        await self.app(self.scope, self.receive, keep)
        return answer

    async def answer(self, status: int, error: str, **headers: str) -> None:
        """Say something else than the Hub would."""
        await _read(self.receive)
        await self.say(status, json.dumps({"error": error}).encode(), headers)

    async def say(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """Send a whole answer."""
        given = {"content-type": "application/json", **headers, "content-length": str(len(body))}
        raw = [(name.replace("_", "-").encode(), text.encode()) for name, text in given.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body})

    async def forward(self, answer: list[Message]) -> None:
        """Send what was held back."""
        for message in answer:
            await self.send(message)

    async def reset(self) -> None:
        """Cut the connection, so that the other end reads a reset and not an end."""
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
        await self.gone()

    async def gone(self) -> None:
        """Wait until the client is."""
        while (await self.receive())["type"] != "http.disconnect":
            pass


async def _refuse(exchange: Exchange) -> None:
    exchange.layer.go_down()
    await exchange.reset()


async def _reset_before(exchange: Exchange) -> None:
    await _read(exchange.receive)  # a client that is still sending would not read the reset
    await exchange.reset()


async def _reset_after(exchange: Exchange) -> None:
    await exchange.effect()
    await exchange.reset()


async def _500_before(exchange: Exchange) -> None:
    await exchange.answer(500, "Internal Error")


async def _500_after(exchange: Exchange) -> None:
    await exchange.effect()
    await exchange.say(500, b'{"error": "Internal Error"}', {})


async def _429(exchange: Exchange) -> None:
    headers = {"retry-after": str(exchange.fault.seconds)}
    if exchange.fault.ratelimit is not None:
        headers["ratelimit"] = exchange.fault.ratelimit
    await exchange.answer(429, "Too Many Requests", **headers)


async def _slow(exchange: Exchange) -> None:
    answer = await exchange.effect()
    with suppress(TimeoutError):
        await asyncio.wait_for(exchange.gone(), exchange.fault.seconds)
        return
    await exchange.forward(answer)


async def _401(exchange: Exchange) -> None:
    await exchange.answer(401, "Invalid credentials in Authorization header")


async def _403(exchange: Exchange) -> None:
    await exchange.answer(403, "Forbidden: you must have write access")


async def _405(exchange: Exchange) -> None:
    await exchange.answer(405, "Method Not Allowed")


async def _501(exchange: Exchange) -> None:
    await exchange.answer(501, "Not Implemented")


async def _kill_before(_exchange: Exchange) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def _kill_after(exchange: Exchange) -> None:
    await exchange.effect()
    os.kill(os.getpid(), signal.SIGKILL)


async def _412_once(exchange: Exchange) -> None:
    await exchange.answer(412, "The branch was updated since you opened this page.")


async def _tag_409_other(exchange: Exchange) -> None:
    body = await _read(exchange.receive)
    _, _, _, namespace, name, *_ = exchange.scope["raw_path"].decode().split("/")
    repository = exchange.layer.store.repo(f"{namespace}/{name}")
    *_, first = repository.history("main")
    repository.create_ref("tags", json.loads(body)["tag"], first.id)
    await exchange.app(exchange.scope, _again(body, exchange.receive), exchange.send)


async def _gated(exchange: Exchange) -> None:
    await exchange.answer(
        403,
        "Access to this model is restricted and you are not in the authorized list.",
        x_error_code="GatedRepo",
    )


async def _should_ignore(exchange: Exchange) -> None:
    start, *rest = await exchange.effect()
    document = _json(rest)
    for each in document.get("files", []):
        each["shouldIgnore"] = True
    await exchange.say(start["status"], json.dumps(document).encode(), {})


async def _ignores_parent(exchange: Exchange) -> None:
    lines = [json.loads(line) for line in (await _read(exchange.receive)).splitlines()]
    for line in lines:
        if line["key"] == "header":
            line["value"].pop("parentCommit", None)
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    await exchange.app(exchange.scope, _again(body, exchange.receive), exchange.send)


async def _500_for_412(exchange: Exchange) -> None:
    start, *rest = await exchange.effect()
    if start["status"] == 412:
        start = {**start, "status": 500}
    await exchange.forward([start, *rest])


async def _no_error_headers(exchange: Exchange) -> None:
    start, *rest = await exchange.effect()
    kept = [each for each in start["headers"] if not each[0].lower().startswith(b"x-error-")]
    await exchange.forward([{**start, "headers": kept}, *rest])


async def _ignores_create_pr(exchange: Exchange) -> None:
    scope = {**exchange.scope, "query_string": b""}
    await exchange.app(scope, exchange.receive, exchange.send)


async def _no_oid(exchange: Exchange) -> None:
    start, *rest = await exchange.effect()
    document = _json(rest)
    for each in document.get("files", []):
        each.pop("oid", None)
    await exchange.say(start["status"], json.dumps(document).encode(), {})


async def _no_route(exchange: Exchange) -> None:
    await _read(exchange.receive)
    await exchange.say(404, b"Not Found", {"content-type": "text/plain"})


async def _no_descriptions(exchange: Exchange) -> None:
    await _altered(exchange, lambda commits: [each | {"message": ""} for each in commits])


async def _odd_commit_oid(exchange: Exchange) -> None:
    await _altered(exchange, lambda answer: answer | {"commitOid": True})


async def _odd_commit_url(exchange: Exchange) -> None:
    await _altered(exchange, lambda answer: answer | {"commitUrl": "nowhere"})


async def _odd_path(exchange: Exchange) -> None:
    await _altered(exchange, lambda tree: [each | {"path": 5} for each in tree])


async def _altered(exchange: Exchange, alter: Callable[[Any], Any]) -> None:
    """Let it happen, and answer something else than the Hub would, if it was done."""
    start, *rest = await exchange.effect()
    if start["status"] != 200:
        await exchange.forward([start, *rest])
        return
    document = json.loads(b"".join(message.get("body", b"") for message in rest))
    await exchange.say(200, json.dumps(alter(document)).encode(), {})


_REST = b"0" * 24
_LONG_ID = re.compile(rb"([0-9a-f]{40})" + _REST)
_SHORT_ID = re.compile(rb"(?<![0-9a-f])([0-9a-f]{40})(?![0-9a-f])")


async def _long_ids(exchange: Exchange) -> None:
    """Commit ids of 64 digits, wherever there are any; files have the ids that they had."""
    body = _LONG_ID.sub(rb"\1", await _read(exchange.receive))
    raw = _LONG_ID.sub(rb"\1", exchange.scope["raw_path"])
    scope = {**exchange.scope, "raw_path": raw, "path": unquote(raw.decode())}
    scope["headers"] = [
        (name, str(len(body)).encode() if name == b"content-length" else value)
        for name, value in scope["headers"]
    ]
    inner = Exchange(
        exchange.fault,
        exchange.layer,
        exchange.app,
        exchange.transport,
        scope,
        _again(body, exchange.receive),
        exchange.send,
    )
    start, *rest = await inner.effect()
    found = b"".join(message.get("body", b"") for message in rest)
    if re.search(rb"/(?:refs|revision|commits|commit)(?:/|$)", raw):
        found = _SHORT_ID.sub(rb"\g<1>" + _REST, found)
        length = str(len(found)).encode()
    else:
        length = b""
    headers = [
        (
            name,
            length
            if length and name == b"content-length"
            else _SHORT_ID.sub(rb"\g<1>" + _REST, value)
            if name.lower() == b"x-repo-commit"
            else value,
        )
        for name, value in start["headers"]
    ]
    await exchange.send({**start, "headers": headers})
    await exchange.send({"type": "http.response.body", "body": found})


async def _read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """What gives a body that was read before, and then what follows it."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


def _json(messages: list[Message]) -> dict[str, Any]:
    return dict(json.loads(b"".join(message.get("body", b"") for message in messages)))


KINDS: dict[str, Callable[[Exchange], Awaitable[None]]] = {
    "refuse": _refuse,
    "reset_before": _reset_before,
    "reset_after": _reset_after,
    "500_before": _500_before,
    "500_after": _500_after,
    "429": _429,
    "slow": _slow,
    "401": _401,
    "403": _403,
    "405": _405,
    "501": _501,
    "kill_before": _kill_before,
    "kill_after": _kill_after,
    "412_once": _412_once,
    "tag_409_other": _tag_409_other,
    "gated": _gated,
    "should_ignore": _should_ignore,
    "ignores_parent": _ignores_parent,
    "500_for_412": _500_for_412,
    "no_error_headers": _no_error_headers,
    "ignores_create_pr": _ignores_create_pr,
    "no_oid": _no_oid,
    "no_descriptions": _no_descriptions,
    "no_auth_check": _no_route,
    "no_validate_yaml": _no_route,
    "long_ids": _long_ids,
    "odd_commit_oid": _odd_commit_oid,
    "odd_commit_url": _odd_commit_url,
    "odd_path": _odd_path,
}
