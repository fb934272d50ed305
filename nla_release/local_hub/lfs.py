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
from nla_release.local_hub.refusals import BrokenUploadError, HubError
from nla_release.local_hub.repository import Repository
from nla_release.local_hub.requests import hub, part, with_body, writable

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


@with_body(_Batch, writable)
def batch(request: Request, repository: Repository, wanted: _Batch) -> Response:
    """The upload addresses of each object; none if its content is stored already."""
    verify = {"href": f"{request.base_url}{repository.id}.git/info/lfs/objects/verify"}
    answers: list[dict[str, Any]] = []
    for each in wanted.objects:
        answer: dict[str, Any] = {"oid": each.oid, "size": each.size}
        if each.size > LARGEST_OBJECT:
            message = f"a file has at most {LARGEST_OBJECT} bytes"
            answer["error"] = {"code": 413, "message": message}
        elif hub(request).store.blobs.size(each.oid) is None:
            answer["actions"] = {"upload": _addresses(request, each), "verify": verify}
        answers.append(answer)
    return JSONResponse(
        {"transfer": "basic", "objects": answers}, media_type="application/vnd.git-lfs+json"
    )


def _addresses(request: Request, wanted: _Object) -> dict[str, Any]:
    part_size = hub(request).part_size
    signature = hub(request).upload_signature(wanted.oid, wanted.size)
    href = f"{request.base_url}lfs/{wanted.oid}/{wanted.size}/{signature}"
    if wanted.size <= part_size:
        return {"href": href}
    numbers = range(1, math.ceil(wanted.size / part_size) + 1)
    parts = {_PART_NUMBER.format(number): f"{href}/{number}" for number in numbers}
    return {"href": href, "header": {"chunk_size": str(part_size), **parts}}


async def upload(request: Request) -> Response:
    """Receive an object at an address that `batch` signed."""
    oid, size = _signed(request)
    return await _taken(request, size, f"object {oid}", expected=oid)


async def upload_part(request: Request) -> Response:
    """Receive one part; the request that completes the object lists its ETag."""
    oid, size = _signed(request)
    number, part_size = request.path_params["number"], hub(request).part_size
    here = min(part_size, size - part_size * (number - 1))
    return await _taken(request, here, f"part {number} of {oid}")


async def _taken(
    request: Request, size: int, name: str, *, expected: str | None = None
) -> Response:
    """Store a body of `size` bytes, with the expected sha256 if one is given."""
    with hub(request).store.blobs.incoming() as blob:
        async for piece in request.stream():
            blob.write(piece)
            if blob.size > size:
                break
        if blob.size != size:
            raise BrokenUploadError(f"{name} was announced with {size} bytes and has another size")
        sha256 = await run_in_threadpool(blob.keep, expected=expected)
    return Response(headers={"ETag": f'"{sha256}"'})


def _signed(request: Request) -> tuple[str, int]:
    """The object and size of a signed upload address.

    Raises:
        HubError: 403, this Hub did not issue the address.
    """
    oid, size = part(request, "oid"), request.path_params["size"]
    expected = hub(request).upload_signature(oid, size)
    if not hmac.compare_digest(part(request, "signature").encode(), expected.encode()):
        raise HubError("This is not an upload address of this Hub", status=403)
    return oid, size


@with_body(_Completion, _signed)
def complete(request: Request, signed: tuple[str, int], wanted: _Completion) -> Response:
    """Join the parts in order."""
    named = sorted(wanted.parts, key=lambda each: each.partNumber)
    hub(request).store.blobs.join([each.etag.strip('"') for each in named], expected=signed[0])
    return Response()


@with_body(_Object, writable)
def verify(request: Request, _repository: Repository, wanted: _Object) -> Response:
    """Empty, if the object is stored with this size."""
    hub(request).store.large(wanted.oid, size=wanted.size)
    return Response()


_OBJECTS = "/{namespace}/{name}.git/info/lfs/objects"
_ADDRESS = "/lfs/{oid}/{size:number}/{signature}"
ROUTES = [
    Route(f"{_OBJECTS}/batch", batch, methods=["POST"]),
    Route(f"{_OBJECTS}/verify", verify, methods=["POST"]),
    Route(_ADDRESS, upload, methods=["PUT"]),
    Route(_ADDRESS, complete, methods=["POST"]),
    Route(f"{_ADDRESS}/{{number:number}}", upload_part, methods=["PUT"]),
]
