"""Discussions and pull requests of a repository. Pull request N has the ref `refs/pr/N`."""

import uuid
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nla_release.io.schema import Open
from nla_release.local_hub.records import (
    MAIN,
    Change,
    Commit,
    Discussion,
    Tree,
    TreeEntry,
    apply,
    checked,
    now,
    with_milliseconds,
)
from nla_release.local_hub.refusals import BadRequestError, HubError
from nla_release.local_hub.repository import OWNER, Repository
from nla_release.local_hub.requests import author, readable, with_body, writable

OPEN, DRAFT, CLOSED, MERGED = "open", "draft", "closed", "merged"
_ATTRIBUTES = ".gitattributes"
_STATUSES = {(OPEN, CLOSED), (DRAFT, OPEN), (DRAFT, CLOSED), (CLOSED, OPEN)}
_PAGE = 50


def propose(
    repository: Repository,
    branch: str,
    changes: Sequence[Change],
    *,
    title: str,
    description: str = "",
    parent: str | None = None,
    author: str = OWNER,
) -> tuple[Commit, int]:
    """Open a pull request with one commit, on `parent` if given; returns commit and number.

    Raises:
        RevisionNotFoundError: no such branch, or no such parent.
        EntryNotFoundError, BadRequestError: as for a commit.
    """
    with repository.changing() as state:
        base = repository.resolve(parent or state.tip(branch))
        made = repository.record(
            apply(changes, base), [base], title=title, description=description, author=author
        )
        committed = {"subject": made.title, "oid": made.id}
        opened = Discussion(
            title=title,
            author=author,
            created=made.date,
            status=OPEN,
            events=[_comment(description, author), _event("commit", author, committed)],
            tip=made.id,
            base=base.id,
        )
        state.discussions.append(opened)
        return made, len(state.discussions)


def merged(base: Tree, ours: Tree, theirs: Tree) -> tuple[dict[str, TreeEntry], list[str]]:
    """The merge of `theirs` into `ours`, and the paths in conflict.

    `.gitattributes` stays as in `ours`: the Hub adds the lines it needs to every commit.
    """
    changed = {path for path in {*base, *theirs} if base.get(path) != theirs.get(path)}
    if ours.get(_ATTRIBUTES) != base.get(_ATTRIBUTES):
        changed.discard(_ATTRIBUTES)
    both = sorted(
        path
        for path in changed
        if ours.get(path) != base.get(path) and ours.get(path) != theirs.get(path)
    )
    tree = {path: entry for path, entry in ours.items() if path not in changed}
    return tree | {path: theirs[path] for path in changed if path in theirs}, both


def _comment(text: str, author: str) -> dict[str, Any]:
    latest = {"raw": text, "html": "", "updatedAt": now(), "author": {"name": author}}
    data = {"edited": False, "hidden": False, "latest": latest, "history": [latest]}
    return _event("comment", author, data)


def _event(kind: str, author: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex[:24],
        "type": kind,
        "createdAt": now(),
        "author": {"name": author},
        "data": data,
    }


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
    repository = readable(request)
    numbered = list(enumerate(repository.state().discussions, start=1))[::-1]
    page = request.query_params.get("p", "0")
    start = _PAGE * int(page) if page.isdecimal() else 0
    shown = [_summary(repository, *each) for each in numbered[start : start + _PAGE]]
    return JSONResponse({"discussions": shown, "count": len(numbered), "start": start})


@with_body(_New, writable)
def create(request: Request, repository: Repository, wanted: _New) -> Response:
    """Create a discussion, or a draft pull request without changes."""
    with repository.changing() as state:
        main = state.branches[MAIN] if wanted.pullRequest else None
        begun = Discussion(
            title=wanted.title,
            author=author(request),
            created=now(),
            status=DRAFT if wanted.pullRequest else OPEN,
            events=[_comment(wanted.description, author(request))],
            tip=main,
            base=main,
        )
        state.discussions.append(begun)
        number = len(state.discussions)
    return JSONResponse({"num": number})


def details(request: Request) -> Response:
    """The events of a discussion and, for a pull request, the files in conflict."""
    repository = readable(request)
    number, state = request.path_params["number"], repository.state()
    discussion = state.discussion(number)
    answer = {**_summary(repository, number, discussion), "events": discussion.events}
    if discussion.tip is not None and discussion.base is not None:
        trees = (
            repository.resolve(commit).tree
            for commit in (discussion.base, state.branches[MAIN], discussion.tip)
        )
        over = discussion.status in {MERGED, CLOSED}
        answer["filesWithConflicts"] = [] if over else merged(*trees)[1]
        answer["changes"] = {"base": f"refs/heads/{MAIN}"}
        if discussion.merge_commit is not None:
            answer["changes"]["mergeCommitId"] = discussion.merge_commit
    return JSONResponse(answer)


@with_body(_Comment, writable)
def comment(request: Request, repository: Repository, wanted: _Comment) -> Response:
    """Add a comment."""
    event = _comment(wanted.comment or "", author(request))
    with repository.changing() as state:
        state.discussion(request.path_params["number"]).events.append(event)
    return JSONResponse({"newMessage": event})


@with_body(_Status, writable)
def set_status(request: Request, repository: Repository, wanted: _Status) -> Response:
    """Open or close a discussion, with a comment if given."""
    with repository.changing() as state:
        discussion = state.discussion(request.path_params["number"])
        if (discussion.status, wanted.status) not in _STATUSES:
            raise BadRequestError(f"{discussion.status} cannot become {wanted.status}")
        event = _change_status(discussion, wanted.status, wanted.comment, author(request))
    return JSONResponse({"newStatus": event})


@with_body(_Comment, writable, optional=True)
def merge(request: Request, repository: Repository, wanted: _Comment) -> Response:
    """Merge a pull request into `main` as one commit; 409 if both sides changed the same file."""
    number = request.path_params["number"]
    with repository.changing() as state:
        pull = state.discussion(number)
        if pull.tip is None or pull.base is None or pull.status != OPEN:
            raise BadRequestError(f"Discussion {number} is not an open pull request")
        main, tip = repository.resolve(state.branches[MAIN]), repository.resolve(pull.tip)
        tree, both = merged(repository.resolve(pull.base).tree, main.tree, tip.tree)
        if both:
            raise HubError(f"Both sides changed {', '.join(both)}", status=409)
        made = repository.record(
            checked(tree), [main, tip], title=f"{pull.title} (#{number})", author=author(request)
        )
        state.branches[MAIN] = pull.merge_commit = made.id
        _change_status(pull, MERGED, wanted.comment, author(request))
    return JSONResponse({"mergeCommitId": made.id})


def _change_status(
    discussion: Discussion, status: str, text: str | None, author: str
) -> dict[str, Any]:
    if text:
        discussion.events.append(_comment(text, author))
    discussion.status = status
    discussion.events.append(_event("status-change", author, {"status": status}))
    return discussion.events[-1]


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
