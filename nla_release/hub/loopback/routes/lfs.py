"""Large files by their sha256, before a commit names them: git-lfs batch API, basic transfer."""

import hmac
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nla_release.hub.loopback.access import access, part
from nla_release.hub.loopback.bodies import read_json
from nla_release.hub.loopback.errors import BrokenUploadError, ForbiddenError
from nla_release.schema import Open


class _Object(Open):
    oid: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: NonNegativeInt


class _Batch(Open):
    operation: Literal["upload"]
    objects: list[_Object]
    hash_algo: Literal["sha256"] = "sha256"


async def batch(request: Request) -> Response:
    """Where to send each object; nowhere, when its content is here already."""
    gate = access(request)
    repository = gate.writable(request)
    answers: list[dict[str, Any]] = []
    for wanted in (await read_json(request, _Batch)).objects:
        answer: dict[str, Any] = {"oid": wanted.oid, "size": wanted.size}
        if gate.store.blobs.size(wanted.oid) is None:
            signature = gate.upload_signature(wanted.oid, wanted.size)
            upload = f"{request.base_url}lfs/{wanted.oid}/{wanted.size}/{signature}"
            verify = f"{request.base_url}{repository.id}.git/info/lfs/objects/verify"
            answer["actions"] = {"upload": {"href": upload}, "verify": {"href": verify}}
        answers.append(answer)
    return JSONResponse(
        {"transfer": "basic", "objects": answers}, media_type="application/vnd.git-lfs+json"
    )


async def upload(request: Request) -> Response:
    """Take an object's bytes, at an address that `batch` signed; refuse any others."""
    gate, oid, size = access(request), part(request, "oid"), request.path_params["size"]
    if not hmac.compare_digest(part(request, "signature"), gate.upload_signature(oid, size)):
        raise ForbiddenError("This is not an upload address of this Hub")
    with gate.store.blobs.incoming() as blob:
        async for piece in request.stream():
            blob.write(piece)
            if blob.size > size:
                break
        if blob.size != size:
            raise BrokenUploadError(f"object {oid} was promised with {size} bytes and has others")
        await run_in_threadpool(blob.keep, expected=oid)
    return Response(headers={"ETag": f'"{oid}"'})


async def verify(request: Request) -> Response:
    """Empty, when the object is here with the size that the caller knows."""
    access(request).writable(request)
    wanted = await read_json(request, _Object)
    access(request).store.large(wanted.oid, size=wanted.size)
    return Response()


_OBJECTS = "/{namespace}/{name}.git/info/lfs/objects"
ROUTES = [
    Route(f"{_OBJECTS}/batch", batch, methods=["POST"]),
    Route(f"{_OBJECTS}/verify", verify, methods=["POST"]),
    Route("/lfs/{oid}/{size:int}/{signature}", upload, methods=["PUT"]),
]
