"""What a request asks: the caller and their rights, the repository in the address, and the body.

One token owns everything. A token issued to a trusted publisher writes to one repository.
"""

import hmac
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar, cast
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

from nla_release.io import documents
from nla_release.io.schema import Model, parse
from nla_release.local_hub.publishers import TrustedPublishers
from nla_release.local_hub.refusals import (
    BadRequestError,
    GatedRepoError,
    HubError,
    RepoNotFoundError,
)
from nla_release.local_hub.repository import OWNER, Repository
from nla_release.local_hub.store import Store

# The real Hub's words. The second one shows the client that the token is wrong.
_ANONYMOUS = "Invalid username or password."
_WRONG_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105 - a message

_LARGEST_BODY = 16 * 1024 * 1024
# Web pages may send other types to any address without a preflight (Fetch standard, CORS).
_JSON = re.compile(r"application/(?:[\w.-]+\+)?(?:x-nd)?json", re.ASCII)


# What a request may use, once the rights of its caller are checked.
Subject = TypeVar("Subject")
Endpoint = Callable[[Request], Awaitable[Response]]


class _NumberConvertor(IntegerConvertor):
    """A number in an address, short enough for Python to parse."""

    regex = "[0-9]{1,18}"


register_url_convertor("number", _NumberConvertor())


@dataclass(frozen=True)
class Caller:
    """Who sends a request: anyone, the owner, or a CI job that may write to one repository."""

    name: str | None = None
    only: str | None = None

    def may_write(self, repo_id: str) -> bool:
        """Whether this caller may change a repository, and therefore see it if it is private."""
        return self.name is not None and self.only in {None, repo_id}

    def may_read(self, repository: Repository) -> bool:
        """Whether this caller may see a repository."""
        return self.may_write(repository.id) or not repository.state().private


_NOBODY = Caller()


@dataclass(frozen=True)
class ServedHub:
    """The store, the owner's token, and the CI jobs that may write to single repositories.

    Objects larger than `part_size` bytes are uploaded in parts of that size.
    """

    store: Store
    token: str = field(repr=False)
    publishers: TrustedPublishers
    part_size: int

    def upload_signature(self, oid: str, size: int) -> str:
        """The signature in an upload address, which is valid for this object without a token.

        It is derived from the token, so that it stays valid after the Hub restarts.
        """
        return hmac.digest(self.token.encode(), f"upload:{oid}:{size}".encode(), "sha256").hex()


def hub(request: Request) -> ServedHub:
    """The Hub that serves this request."""
    return cast("ServedHub", request.app.state.hub)


def caller(request: Request) -> Caller:
    """Who sent the request.

    Raises:
        HubError: 401, it carries a wrong token.
    """
    header = request.headers.get("authorization")
    if header is None:
        return _NOBODY
    scheme, _, given = header.partition(" ")
    if scheme.lower() == "bearer":
        if hmac.compare_digest(given.strip().encode(), hub(request).token.encode()):
            return Caller(OWNER)
        if only := hub(request).publishers.repo_of(given.strip()):
            return Caller("[OIDC]", only)
    raise HubError(_WRONG_TOKEN, status=401)


def owned(request: Request) -> Store:
    """The store, if the owner asks.

    Raises:
        HubError: 401, it is someone else. The real Hub gives a CI job the same answer.
    """
    if caller(request) != Caller(OWNER):
        raise HubError(_ANONYMOUS, status=401)
    return hub(request).store


def readable(request: Request) -> Repository:
    """The repository in the address, if the caller may see it.

    Raises:
        RepoNotFoundError: missing, or private and not the caller's: the answer is the same.
    """
    sender, repo_id = caller(request), f"{part(request, 'namespace')}/{part(request, 'name')}"
    with suppress(RepoNotFoundError):
        repository = hub(request).store.repo(repo_id)
        if sender.may_read(repository):
            return repository
    anonymous = sender == _NOBODY
    raise RepoNotFoundError(
        _ANONYMOUS if anonymous else "Repository not found", anonymous=anonymous
    )


def downloadable(request: Request) -> Repository:
    """The repository in the address, if the caller may download its files.

    Raises:
        RepoNotFoundError: as for `readable`.
        GatedRepoError: the repository is gated.
    """
    repository = readable(request)
    if repository.state().gated and not caller(request).may_write(repository.id):
        raise GatedRepoError(f"Access to model {repository.id} is restricted.")
    return repository


def writable(request: Request) -> Repository:
    """The repository in the address, if the caller may change it.

    Raises:
        RepoNotFoundError: missing, or the request is anonymous.
        HubError: 401, the request carries a wrong token.
        HubError: 403, the token is for another repository.
    """
    if caller(request) == _NOBODY:
        raise RepoNotFoundError(_ANONYMOUS, anonymous=True)
    repository = readable(request)
    if not caller(request).may_write(repository.id):
        raise HubError(f"This token does not write to {repository.id}", status=403)
    return repository


def author(request: Request) -> str:
    """The author of a change that the request makes."""
    return caller(request).name or OWNER


def with_body(
    model: type[Model], allowed: Callable[[Request], Subject], *, optional: bool = False
) -> Callable[[Callable[[Request, Subject, Model], Response]], Endpoint]:
    """Make a route of a function of the request, what `allowed` returns, and the JSON body.

    The caller's rights are checked before the body is read. The function runs in a thread, because
    it waits for locks and the disk.

    Args:
        model: of the body.
        allowed: returns what the request may use, or raises a HubError.
        optional: whether the body may be empty or null.
    """

    def decorate(answer: Callable[[Request, Subject, Model], Response]) -> Endpoint:
        async def route(request: Request) -> Response:
            subject = await run_in_threadpool(allowed, request)
            body = await _read_json(request, model, optional=optional)
            return await run_in_threadpool(answer, request, subject, body)

        return route

    return decorate


def part(request: Request, name: str) -> str:
    """One decoded part of the address. A quoted slash does not split it.

    Raises:
        BadRequestError: it is not UTF-8.
    """
    try:
        return unquote(request.path_params[name], errors="strict")
    except UnicodeDecodeError as error:
        raise BadRequestError(f"{request.url.path!r} is not UTF-8") from error


async def read_body(request: Request) -> bytes:
    """The whole body of a request without files.

    Raises:
        HubError: 413, it is longer than any such request.
    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_BODY:
            raise HubError(f"the request body is longer than {_LARGEST_BODY} bytes", status=413)
    return bytes(body)


async def _read_json(request: Request, model: type[Model], *, optional: bool) -> Model:
    """The JSON body as `model`, which has only defaults if an optional body is empty or null.

    Raises:
        BadRequestError: it is not JSON, or does not match the model.
        HubError: 415, it is not sent as JSON.
    """
    body = await read_body(request)
    if body or not optional:
        require_json(request)
    missing = optional and body in {b"", b"null"}
    return parse_json(b"{}" if missing else body, model, "the request body")


def require_json(request: Request) -> None:
    """Refuse a body that is not sent as JSON, such as the form of a web page.

    Raises:
        HubError: 415, it has another Content-Type.
    """
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not _JSON.fullmatch(sent):
        raise HubError(
            f"the request body must be sent as JSON, not as {sent or 'nothing'!r}", status=415
        )


async def read_lines(request: Request, longest: int, most: int) -> AsyncIterator[bytes]:
    """The lines of a body, with one at a time in memory.

    Raises:
        HubError: 413, a line is longer than `longest` bytes, or the body longer than `most`.
    """
    pending, total = bytearray(), 0
    async for piece in request.stream():
        searched, total = len(pending), total + len(piece)
        if total > most:
            raise HubError(f"the request body is longer than {most} bytes", status=413)
        pending += piece
        while (end := pending.find(b"\n", searched)) >= 0:
            yield bytes(pending[:end])
            del pending[: end + 1]
            searched = 0
        if len(pending) > longest:
            raise HubError(f"a line of the request is longer than {longest} bytes", status=413)
    if pending:
        yield bytes(pending)


def parse_json(text: bytes, model: type[Model], where: str) -> Model:
    """A JSON document as `model`.

    Raises:
        BadRequestError: it is not JSON, or does not match the model.
    """
    document = documents.parse_json(text, where, error=BadRequestError)
    return parse(model, document, where, error=BadRequestError)
