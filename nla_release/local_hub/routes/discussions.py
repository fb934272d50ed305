"""Discussions and pull requests."""

from typing import Any, Literal

from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nla_release.io.schema import Open
from nla_release.local_hub import discussions
from nla_release.local_hub.access import access
from nla_release.local_hub.bodies import read_json, read_optional_json
from nla_release.local_hub.commits import with_milliseconds
from nla_release.local_hub.discussions import merged
from nla_release.local_hub.repository import Repository
from nla_release.local_hub.state import MAIN, Discussion

_PAGE = 50


class _New(Open):
    title: str = Field(min_length=3)
    description: str = ""
    pullRequest: bool = False  # noqa: N815 - the Hub's spelling


class _Comment(Open):
    comment: str | None = None


class _Status(_Comment):
    status: Literal["open", "closed"]


def list_all(request: Request) -> Response:
    """All of them, newest first, in pages."""
    repository = access(request).readable(request)
    numbered = list(enumerate(repository.state().discussions, start=1))[::-1]
    page = request.query_params.get("p", "0")
    start = _PAGE * int(page) if page.isdecimal() else 0
    shown = [_summary(repository, *each) for each in numbered[start : start + _PAGE]]
    return JSONResponse({"discussions": shown, "count": len(numbered), "start": start})


async def create(request: Request) -> Response:
    """Begin one."""
    repository = access(request).writable(request)
    wanted = await read_json(request, _New)
    number = await run_in_threadpool(
        discussions.start,
        repository,
        title=wanted.title,
        description=wanted.description,
        author=access(request).author(request),
        pull_request=wanted.pullRequest,
    )
    return JSONResponse({"num": number})


def details(request: Request) -> Response:
    """What was said and proposed, and whether it can be merged."""
    repository = access(request).readable(request)
    number, state = request.path_params["number"], repository.state()
    discussion = state.discussion(number)
    answer = {**_summary(repository, number, discussion), "events": discussion.events}
    if discussion.tip is not None and discussion.base is not None:
        trees = (
            repository.resolve(commit).tree
            for commit in (discussion.base, state.branches[MAIN], discussion.tip)
        )
        over = discussion.status in {discussions.MERGED, discussions.CLOSED}
        answer["filesWithConflicts"] = [] if over else merged(*trees)[1]
        answer["changes"] = {"base": f"refs/heads/{MAIN}"}
        if discussion.merge_commit is not None:
            answer["changes"]["mergeCommitId"] = discussion.merge_commit
    return JSONResponse(answer)


async def comment(request: Request) -> Response:
    """Say something."""
    repository = access(request).writable(request)
    said = (await read_json(request, _Comment)).comment or ""
    author = access(request).author(request)
    event = await run_in_threadpool(
        discussions.comment, repository, request.path_params["number"], said, author=author
    )
    return JSONResponse({"newMessage": event})


async def set_status(request: Request) -> Response:
    """Open or close one."""
    repository = access(request).writable(request)
    wanted = await read_json(request, _Status)
    event = await run_in_threadpool(
        discussions.set_status,
        repository,
        request.path_params["number"],
        wanted.status,
        wanted.comment,
        author=access(request).author(request),
    )
    return JSONResponse({"newStatus": event})


async def merge(request: Request) -> Response:
    """Bring a pull request's changes onto main."""
    repository = access(request).writable(request)
    wanted = await read_optional_json(request, _Comment)
    made = await run_in_threadpool(
        discussions.merge,
        repository,
        request.path_params["number"],
        wanted.comment if wanted else None,
        author=access(request).author(request),
    )
    return JSONResponse({"mergeCommitId": made.id})


def _summary(repository: Repository, number: int, discussion: Discussion) -> dict[str, Any]:
    return {
        "num": number,
        "title": discussion.title,
        "status": discussion.status,
        "isPullRequest": discussion.is_pull_request,
        "createdAt": with_milliseconds(discussion.created),
        "author": {"name": discussion.author},
        "repo": {"name": repository.id, "type": "model"},
    }


_ALL = "/api/models/{namespace}/{name}/discussions"
_ONE = f"{_ALL}/{{number:number}}"
ROUTES = [
    Route(_ALL, list_all),
    Route(_ALL, create, methods=["POST"]),
    Route(_ONE, details),
    Route(f"{_ONE}/comment", comment, methods=["POST"]),
    Route(f"{_ONE}/status", set_status, methods=["POST"]),
    Route(f"{_ONE}/merge", merge, methods=["POST"]),
]
