"""Who am I, and making, changing and deleting repositories."""

from typing import Literal

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nla_release.io.schema import Open
from nla_release.local_hub.access import access
from nla_release.local_hub.bodies import read_json
from nla_release.local_hub.errors import AlreadyExistsError, NotOfferedError
from nla_release.local_hub.repository import OWNER, Repository
from nla_release.local_hub.state import State

Visibility = Literal["public", "private"]


class _RepositoryName(Open):
    name: str
    organization: str | None = None
    type: str = "model"

    @property
    def id(self) -> str:
        """The full id; a bare name is in the owner's namespace.

        Raises:
            NotOfferedError: it is not a model repository.
        """
        if self.type != "model":
            raise NotOfferedError(f"This Hub has no repositories of type {self.type!r}")
        return f"{self.organization or OWNER}/{self.name}"


class _NewRepository(_RepositoryName):
    visibility: Visibility = "public"


class _Settings(Open):
    visibility: Visibility | None = None
    gated: Literal["auto", "manual", False] | None = None


def whoami(request: Request) -> Response:
    """The one user there is."""
    access(request).require_owner(request)
    return JSONResponse(
        {
            "type": "user",
            "id": OWNER,
            "name": OWNER,
            "fullname": "Loopback Hub",
            "isPro": False,
            "canPay": False,
            "orgs": [],
            "auth": {
                "type": "access_token",
                "accessToken": {"displayName": "rehearsal", "role": "write"},
            },
        }
    )


async def create(request: Request) -> Response:
    """Make a repository; 409 with its address when it is there already, as the client expects."""
    access(request).require_owner(request)
    wanted = await read_json(request, _NewRepository)
    url = f"{request.base_url}{wanted.id}"
    try:
        await run_in_threadpool(
            access(request).store.create, wanted.id, private=wanted.visibility == "private"
        )
    except AlreadyExistsError as error:
        return JSONResponse({"error": error.message, "url": url}, error.status)
    return JSONResponse({"url": url, "name": wanted.id})


async def delete(request: Request) -> Response:
    """Delete a repository and its history."""
    access(request).require_owner(request)
    unwanted = await read_json(request, _RepositoryName)
    await run_in_threadpool(access(request).store.delete, unwanted.id)
    return Response()


async def settings(request: Request) -> Response:
    """Change who may see the repository, and who may have its files."""
    repository = access(request).writable(request)
    access(request).require_owner(request)
    wanted = await read_json(request, _Settings)
    state = await run_in_threadpool(_set, repository, wanted)
    return JSONResponse({"private": state.private, "gated": state.gated})


def _set(repository: Repository, wanted: _Settings) -> State:
    with repository.changing() as state:
        if wanted.visibility is not None:
            state.private = wanted.visibility == "private"
        if wanted.gated is not None:
            state.gated = wanted.gated
        return state


def may_read(request: Request) -> Response:
    """Empty, when the caller may read the repository."""
    access(request).readable(request)
    return Response()


def may_write(request: Request) -> Response:
    """Empty, when the caller may write to the repository."""
    access(request).writable(request)
    return Response()


ROUTES = [
    Route("/api/whoami-v2", whoami),
    Route("/api/repos/create", create, methods=["POST"]),
    Route("/api/repos/delete", delete, methods=["DELETE"]),
    Route("/api/models/{namespace}/{name}/settings", settings, methods=["PUT"]),
    Route("/api/models/{namespace}/{name}/auth-check", may_read),
    Route("/api/models/{namespace}/{name}/auth-check/write", may_write),
]
