"""Routes that manage the Hub: accounts and tokens, repositories and their settings, and refs."""

from typing import Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nla_release.io.schema import Open
from nla_release.local_hub.publishers import LIFETIME
from nla_release.local_hub.records import MAIN
from nla_release.local_hub.refusals import AlreadyExistsError, HubError, InvalidGrantError
from nla_release.local_hub.repository import OWNER, Repository
from nla_release.local_hub.requests import (
    ServedHub,
    hub,
    owned,
    part,
    readable,
    with_body,
    writable,
)
from nla_release.local_hub.store import Store


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
            HubError: 501, it is not a model repository.
        """
        if self.type != "model":
            raise HubError(f"This Hub has no repositories of type {self.type!r}", status=501)
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
    owned(request)
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


@with_body(_Exchange, hub)
def exchange(request: Request, hub: ServedHub, wanted: _Exchange) -> Response:
    """A token for one repository, for a CI job that the repository trusts (RFC 8693)."""
    audience = str(request.base_url).rstrip("/")
    try:
        token = hub.publishers.exchange(wanted.subject_token, wanted.resource, audience=audience)
    except InvalidGrantError as error:
        answer = {"error": "invalid_grant", "error_description": error.message}
        return JSONResponse(answer, error.status)
    return JSONResponse({"access_token": token, "token_type": "bearer", "expires_in": LIFETIME})


@with_body(_NewRepository, owned)
def create(request: Request, store: Store, wanted: _NewRepository) -> Response:
    """Create a repository; 409 with its address if it exists, as the client expects."""
    url = f"{request.base_url}{wanted.id}"
    try:
        store.create(wanted.id, private=wanted.visibility == "private")
    except AlreadyExistsError as error:
        return JSONResponse({"error": error.message, "url": url}, error.status)
    return JSONResponse({"url": url, "name": wanted.id})


@with_body(_RepositoryName, owned)
def delete(_request: Request, store: Store, unwanted: _RepositoryName) -> Response:
    """Delete a repository and its history."""
    store.delete(unwanted.id)
    return Response()


def _writable_by_owner(request: Request) -> Repository:
    repository = writable(request)
    owned(request)
    return repository


@with_body(_Settings, _writable_by_owner)
def settings(_request: Request, repository: Repository, wanted: _Settings) -> Response:
    """Change visibility and gating."""
    with repository.changing() as state:
        if wanted.visibility is not None:
            state.private = wanted.visibility == "private"
        if wanted.gated is not None:
            state.gated = wanted.gated
    return JSONResponse({"private": state.private, "gated": state.gated})


def may_read(request: Request) -> Response:
    """Empty, if the caller may read the repository."""
    readable(request)
    return Response()


def may_write(request: Request) -> Response:
    """Empty, if the caller may write to the repository."""
    writable(request)
    return Response()


def list_refs(request: Request) -> Response:
    """Every branch and tag with its commit; `pullRequests` only when `include_prs` asks."""
    state = readable(request).state()
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


@with_body(_NewTag, writable)
def create_tag(request: Request, repository: Repository, wanted: _NewTag) -> Response:
    """Tag a revision."""
    repository.create_ref("tags", wanted.tag, part(request, "revision"))
    return Response()


@with_body(_NewBranch, writable)
def create_branch(request: Request, repository: Repository, wanted: _NewBranch) -> Response:
    """Create a branch, by default at `main`."""
    repository.create_ref("branches", part(request, "branch"), wanted.startingPoint)
    return Response()


def delete_tag(request: Request) -> Response:
    """Delete a tag."""
    writable(request).delete_ref("tags", part(request, "revision"))
    return Response()


def delete_branch(request: Request) -> Response:
    """Delete a branch."""
    writable(request).delete_ref("branches", part(request, "branch"))
    return Response()


@with_body(_Squash, writable)
def squash(request: Request, repository: Repository, wanted: _Squash) -> Response:
    """Replace the history of a branch by one commit."""
    repository.squash(part(request, "branch"), title=wanted.message)
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
