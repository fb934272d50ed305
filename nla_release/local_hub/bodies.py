"""Reading request bodies without trusting them: bounded, well-formed, of the expected shape."""

import re
from collections.abc import AsyncIterator

from starlette.requests import Request

from nla_release.io import documents
from nla_release.io.schema import Model, parse
from nla_release.local_hub.errors import BadRequestError, TooLargeError, WrongTypeError

_LARGEST_BODY = 16 * 1024 * 1024
# A web page may send other types to any address without asking it first (Fetch standard, CORS).
_JSON = re.compile(r"application/(?:[\w.-]+\+)?(?:x-nd)?json", re.ASCII)


async def read(request: Request) -> bytes:
    """The whole body of a request that carries no files.

    Raises:
        TooLargeError: nothing that the client asks is that long.
    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_BODY:
            raise TooLargeError(f"the request body is longer than {_LARGEST_BODY} bytes")
    return bytes(body)


async def read_json(request: Request, model: type[Model]) -> Model:
    """The JSON body as `model`.

    Raises:
        BadRequestError: not JSON, or not of that shape.
        WrongTypeError: not sent as JSON.
    """
    require_json(request)
    return parse_json(await read(request), model, "the request body")


async def read_optional_json(request: Request, model: type[Model]) -> Model | None:
    """The JSON body as `model`, or None when there is none or it is null.

    Raises:
        BadRequestError: not JSON, or not of that shape.
        WrongTypeError: not sent as JSON.
    """
    body = await read(request)
    if body:
        require_json(request)
    return None if body in {b"", b"null"} else parse_json(body, model, "the request body")


def require_json(request: Request) -> None:
    """Refuse a body that is not sent as JSON, as a form of a web page is not.

    Raises:
        WrongTypeError: its Content-Type is another.
    """
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not _JSON.fullmatch(sent):
        raise WrongTypeError(f"the request body must be sent as JSON, not as {sent or 'nothing'!r}")


async def read_lines(request: Request, longest: int, most: int) -> AsyncIterator[bytes]:
    """The lines of a body, held in memory one at a time.

    Raises:
        TooLargeError: a line is longer than `longest` bytes, or all are longer than `most`.
    """
    pending, total = bytearray(), 0
    async for piece in request.stream():
        searched, total = len(pending), total + len(piece)
        if total > most:
            raise TooLargeError(f"the request body is longer than {most} bytes")
        pending += piece
        while (end := pending.find(b"\n", searched)) >= 0:
            yield bytes(pending[:end])
            del pending[: end + 1]
            searched = 0
        if len(pending) > longest:
            raise TooLargeError(f"a line of the request is longer than {longest} bytes")
    if pending:
        yield bytes(pending)


def parse_json(text: bytes, model: type[Model], where: str) -> Model:
    """A JSON document as `model`.

    Raises:
        BadRequestError: not JSON, or not of that shape.
    """
    document = documents.parse_json(text, where, error=BadRequestError)
    return parse(model, document, where, error=BadRequestError)
