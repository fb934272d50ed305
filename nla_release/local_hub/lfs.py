"""Upload of large files by sha256, ahead of the commit: git-lfs batch API, basic and multipart.

An upload address is valid for one object of one size, without a token, as on the real Hub. An
object too large for one request is sent in parts, each to its own address, and then completed.
"""

import hmac
import math
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nla_release.io.schema import Open
from nla_release.local_hub.refusals import BrokenUploadError, ForbiddenError
from nla_release.local_hub.requests import access, part, read_json

# The maximum size of a file on the Hub.
LARGEST_OBJECT = 50 * 1000**3
_PART_NUMBER = "{:05d}"


class _Object(Open):
    oid: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: NonNegativeInt


class _Batch(Open):
    operation: Literal["upload"]
    objects: list[_Object]
    hash_algo: Literal["sha256"] = "sha256"


class _Part(Open):
    partNumber: PositiveInt  # noqa: N815 - the Hub's spelling
    etag: str


class _Completion(Open):
    oid: str
    parts: list[_Part]


async def batch(request: Request) -> Response:
    """The upload addresses of each object; none if its content is stored already."""
    repository = access(request).writable(request)
    verify = {"href": f"{request.base_url}{repository.id}.git/info/lfs/objects/verify"}
    answers: list[dict[str, Any]] = []
    for wanted in (await read_json(request, _Batch)).objects:
        answer: dict[str, Any] = {"oid": wanted.oid, "size": wanted.size}
        if wanted.size > LARGEST_OBJECT:
            message = f"a file has at most {LARGEST_OBJECT} bytes"
            answer["error"] = {"code": 413, "message": message}
        elif access(request).store.blobs.size(wanted.oid) is None:
            answer["actions"] = {"upload": _addresses(request, wanted), "verify": verify}
        answers.append(answer)
    return JSONResponse(
        {"transfer": "basic", "objects": answers}, media_type="application/vnd.git-lfs+json"
    )


def _addresses(request: Request, wanted: _Object) -> dict[str, Any]:
    gate = access(request)
    signature = gate.upload_signature(wanted.oid, wanted.size)
    href = f"{request.base_url}lfs/{wanted.oid}/{wanted.size}/{signature}"
    if wanted.size <= gate.part_size:
        return {"href": href}
    numbers = range(1, math.ceil(wanted.size / gate.part_size) + 1)
    parts = {_PART_NUMBER.format(number): f"{href}/{number}" for number in numbers}
    return {"href": href, "header": {"chunk_size": str(gate.part_size), **parts}}


async def upload(request: Request) -> Response:
    """Receive an object at an address that `batch` signed."""
    oid, size = _signed(request)
    return await _taken(request, size, f"object {oid}", expected=oid)


async def upload_part(request: Request) -> Response:
    """Receive one part; the request that completes the object lists its ETag."""
    oid, size = _signed(request)
    number, part_size = request.path_params["number"], access(request).part_size
    here = min(part_size, size - part_size * (number - 1))
    return await _taken(request, here, f"part {number} of {oid}")


async def _taken(
    request: Request, size: int, name: str, *, expected: str | None = None
) -> Response:
    """Store a body of `size` bytes, with the expected sha256 if one is given."""
    with access(request).store.blobs.incoming() as blob:
        async for piece in request.stream():
            blob.write(piece)
            if blob.size > size:
                break
        if blob.size != size:
            raise BrokenUploadError(f"{name} was announced with {size} bytes and has another size")
        sha256 = await run_in_threadpool(blob.keep, expected=expected)
    return Response(headers={"ETag": f'"{sha256}"'})


async def complete(request: Request) -> Response:
    """Join the parts in order."""
    oid, _ = _signed(request)
    named = sorted((await read_json(request, _Completion)).parts, key=lambda each: each.partNumber)
    await run_in_threadpool(
        access(request).store.blobs.join, [each.etag.strip('"') for each in named], expected=oid
    )
    return Response()


async def verify(request: Request) -> Response:
    """Empty, if the object is stored with this size."""
    access(request).writable(request)
    wanted = await read_json(request, _Object)
    access(request).store.large(wanted.oid, size=wanted.size)
    return Response()


def _signed(request: Request) -> tuple[str, int]:
    """The object and size of a signed upload address.

    Raises:
        ForbiddenError: this Hub did not issue the address.
    """
    oid, size = part(request, "oid"), request.path_params["size"]
    expected = access(request).upload_signature(oid, size)
    if not hmac.compare_digest(part(request, "signature").encode(), expected.encode()):
        raise ForbiddenError("This is not an upload address of this Hub")
    return oid, size


_OBJECTS = "/{namespace}/{name}.git/info/lfs/objects"
_ADDRESS = "/lfs/{oid}/{size:number}/{signature}"
ROUTES = [
    Route(f"{_OBJECTS}/batch", batch, methods=["POST"]),
    Route(f"{_OBJECTS}/verify", verify, methods=["POST"]),
    Route(_ADDRESS, upload, methods=["PUT"]),
    Route(_ADDRESS, complete, methods=["POST"]),
    Route(f"{_ADDRESS}/{{number:number}}", upload_part, methods=["PUT"]),
]
