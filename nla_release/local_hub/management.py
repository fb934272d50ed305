"""Routes that manage the Hub: accounts and tokens, repositories and their settings, and refs."""

from typing import Literal

from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nla_release.io.schema import Open
from nla_release.local_hub.publishers import LIFETIME
from nla_release.local_hub.records import MAIN, RepositoryState
from nla_release.local_hub.refusals import AlreadyExistsError, InvalidGrantError, NotOfferedError
from nla_release.local_hub.repository import OWNER, Repository
from nla_release.local_hub.requests import access, part, read_json


class _Exchange(Open):
    grant_type: Literal["urn:ietf:params:oauth:grant-type:token-exchange"]
    subject_token_type: Literal["urn:ietf:params:oauth:token-type:id_token"]
    subject_token: str
    resource: str


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
    visibility: Literal["public", "private"] = "public"


class _Settings(Open):
    visibility: Literal["public", "private"] | None = None
    gated: Literal["auto", "manual", False] | None = None


class _NewTag(Open):
    tag: str


class _NewBranch(Open):
    startingPoint: str = MAIN  # noqa: N815 - the Hub's spelling


class _Squash(Open):
    message: str = Field(min_length=1)


def whoami(request: Request) -> Response:
    """The owner, who is the only user."""
    access(request).require_owner(request)
    return JSONResponse(
        {
            "type": "user",
            "id": OWNER,
            "name": OWNER,
            "fullname": "Local Hub",
            "isPro": False,
            "canPay": False,
            "orgs": [],
            "auth": {
                "type": "access_token",
                "accessToken": {"displayName": "rehearsal", "role": "write"},
            },
        }
    )


async def exchange(request: Request) -> Response:
    """A token for one repository, for a CI job that the repository trusts (RFC 8693)."""
    wanted = await read_json(request, _Exchange)
    audience = str(request.base_url).rstrip("/")
    try:
        token = access(request).publishers.exchange(
            wanted.subject_token, wanted.resource, audience=audience
        )
    except InvalidGrantError as error:
        answer = {"error": "invalid_grant", "error_description": error.message}
        return JSONResponse(answer, error.status)
    return JSONResponse({"access_token": token, "token_type": "bearer", "expires_in": LIFETIME})


async def create(request: Request) -> Response:
    """Create a repository; 409 with its address if it exists, as the client expects."""
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
    """Change visibility and gating."""
    repository = access(request).writable(request)
    access(request).require_owner(request)
    wanted = await read_json(request, _Settings)
    state = await run_in_threadpool(_set, repository, wanted)
    return JSONResponse({"private": state.private, "gated": state.gated})


def _set(repository: Repository, wanted: _Settings) -> RepositoryState:
    with repository.changing() as state:
        if wanted.visibility is not None:
            state.private = wanted.visibility == "private"
        if wanted.gated is not None:
            state.gated = wanted.gated
        return state


def may_read(request: Request) -> Response:
    """Empty, if the caller may read the repository."""
    access(request).readable(request)
    return Response()


def may_write(request: Request) -> Response:
    """Empty, if the caller may write to the repository."""
    access(request).writable(request)
    return Response()


def list_refs(request: Request) -> Response:
    """Every branch and tag with its commit; `pullRequests` only when `include_prs` asks."""
    state = access(request).readable(request).state()
    answer = {
        "branches": _listed("refs/heads", state.branches),
        "tags": _listed("refs/tags", state.tags),
        "converts": [],
    }
    if "include_prs" in request.query_params:
        answer["pullRequests"] = [
            {"name": ref.removeprefix("refs/"), "ref": ref, "targetCommit": commit}
            for ref, commit in state.pulls.items()
        ]
    return JSONResponse(answer)


async def create_tag(request: Request) -> Response:
    """Tag a revision."""
    repository = access(request).writable(request)
    wanted = await read_json(request, _NewTag)
    await run_in_threadpool(repository.create_ref, "tags", wanted.tag, part(request, "revision"))
    return Response()


def delete_tag(request: Request) -> Response:
    """Delete a tag."""
    access(request).writable(request).delete_ref("tags", part(request, "revision"))
    return Response()


async def create_branch(request: Request) -> Response:
    """Create a branch, by default at `main`."""
    repository = access(request).writable(request)
    wanted = await read_json(request, _NewBranch)
    await run_in_threadpool(
        repository.create_ref, "branches", part(request, "branch"), wanted.startingPoint
    )
    return Response()


def delete_branch(request: Request) -> Response:
    """Delete a branch."""
    access(request).writable(request).delete_ref("branches", part(request, "branch"))
    return Response()


async def squash(request: Request) -> Response:
    """Replace the history of a branch by one commit."""
    repository = access(request).writable(request)
    wanted = await read_json(request, _Squash)
    await run_in_threadpool(repository.squash, part(request, "branch"), title=wanted.message)
    return Response()


def _listed(prefix: str, refs: dict[str, str]) -> list[dict[str, str]]:
    return [
        {"name": name, "ref": f"{prefix}/{name}", "targetCommit": commit}
        for name, commit in sorted(refs.items())
    ]


_REPO = "/api/models/{namespace}/{name}"
ROUTES = [
    Route("/api/whoami-v2", whoami),
    Route("/oauth/token", exchange, methods=["POST"]),
    Route("/api/repos/create", create, methods=["POST"]),
    Route("/api/repos/delete", delete, methods=["DELETE"]),
    Route(f"{_REPO}/settings", settings, methods=["PUT"]),
    Route(f"{_REPO}/auth-check", may_read),
    Route(f"{_REPO}/auth-check/write", may_write),
    Route(f"{_REPO}/refs", list_refs),
    Route(f"{_REPO}/tag/{{revision}}", create_tag, methods=["POST"]),
    Route(f"{_REPO}/tag/{{revision}}", delete_tag, methods=["DELETE"]),
    Route(f"{_REPO}/branch/{{branch}}", create_branch, methods=["POST"]),
    Route(f"{_REPO}/branch/{{branch}}", delete_branch, methods=["DELETE"]),
    Route(f"{_REPO}/super-squash/{{branch}}", squash, methods=["POST"]),
]
