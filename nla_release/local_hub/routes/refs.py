"""Branches and tags, and the refs of pull requests."""

from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nla_release.io.schema import Open
from nla_release.local_hub.access import access, part
from nla_release.local_hub.bodies import read_json
from nla_release.local_hub.state import MAIN


class _NewTag(Open):
    tag: str


class _NewBranch(Open):
    startingPoint: str = MAIN  # noqa: N815 - the Hub's spelling


class _Squash(Open):
    message: str = Field(min_length=1)


def list_refs(request: Request) -> Response:
    """Every branch and tag with the commit it points at; `pullRequests` only when asked."""
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
    """Remove a tag."""
    access(request).writable(request).delete_ref("tags", part(request, "revision"))
    return Response()


async def create_branch(request: Request) -> Response:
    """Start a branch, from `main` unless told otherwise."""
    repository = access(request).writable(request)
    wanted = await read_json(request, _NewBranch)
    await run_in_threadpool(
        repository.create_ref, "branches", part(request, "branch"), wanted.startingPoint
    )
    return Response()


def delete_branch(request: Request) -> Response:
    """Remove a branch."""
    access(request).writable(request).delete_ref("branches", part(request, "branch"))
    return Response()


async def squash(request: Request) -> Response:
    """Make a branch one commit."""
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
    Route(f"{_REPO}/refs", list_refs),
    Route(f"{_REPO}/tag/{{revision}}", create_tag, methods=["POST"]),
    Route(f"{_REPO}/tag/{{revision}}", delete_tag, methods=["DELETE"]),
    Route(f"{_REPO}/branch/{{branch}}", create_branch, methods=["POST"]),
    Route(f"{_REPO}/branch/{{branch}}", delete_branch, methods=["DELETE"]),
    Route(f"{_REPO}/super-squash/{{branch}}", squash, methods=["POST"]),
]
