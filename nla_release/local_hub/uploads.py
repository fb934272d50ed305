"""Routes that make a commit: validating the card, choosing the upload mode, committing."""

import base64
import binascii
from typing import Any, Literal

from pydantic import Field, NonNegativeInt
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nla_release.hub_client.card_metadata import check_card
from nla_release.io.schema import Model, Open, parse
from nla_release.local_hub import discussions, git
from nla_release.local_hub.git import check_path
from nla_release.local_hub.records import Change, Put, Remove
from nla_release.local_hub.refusals import BadRequestError, HubError
from nla_release.local_hub.repository import Repository
from nla_release.local_hub.requests import (
    ServedHub,
    author,
    hub,
    parse_json,
    part,
    read_lines,
    require_json,
    with_body,
    writable,
)
from nla_release.local_hub.store import Store

_CARD = "README.md"
_IGNORE_FILE = ".gitignore"
# A file in a commit is one line of base64 (4 bytes for 3) with its path around it.
_LONGEST_LINE = git.LARGEST_REGULAR_FILE * 4 // 3 + 64 * 1024
# A larger commit is refused: large files are uploaded through LFS first.
_LARGEST_COMMIT = 256 * 1024 * 1024


class _Card(Open):
    content: str


class _Candidate(Open):
    path: str
    size: NonNegativeInt
    sample: str = ""


class _Candidates(Open):
    files: list[_Candidate]
    gitIgnore: str | None = None  # noqa: N815 - the Hub's spelling


class _Line(Open):
    key: str
    value: dict[str, Any]


class _Header(Open):
    summary: str = Field(min_length=1)
    description: str = ""
    parentCommit: str | None = Field(None, pattern=r"^[A-Fa-f0-9]{5,40}$")  # noqa: N815


class _File(Open):
    path: str
    content: str
    encoding: Literal["base64"] = "base64"


class _LfsFile(Open):
    path: str
    oid: str
    size: NonNegativeInt | None = None


class _Path(Open):
    path: str


@with_body(_Card, hub)
def validate_yaml(_request: Request, _hub: ServedHub, card: _Card) -> Response:
    """Whether the Hub accepts this card. No token is needed."""
    report = check_card(card.content)
    return JSONResponse(report.answer(), 400 if report.errors else 200)


@with_body(_Candidates, writable)
def preupload(request: Request, repository: Repository, candidates: _Candidates) -> Response:
    """For each file: its upload mode, whether it is ignored, and what the branch has now."""
    commit = repository.resolve(part(request, "revision"))
    ignore = candidates.gitIgnore
    if ignore is None and (entry := commit.tree.get(_IGNORE_FILE)):
        ignore = hub(request).store.blobs.read(entry.sha256).decode("utf-8", "replace")
    answers = []
    for candidate in candidates.files:
        path, present = check_path(candidate.path), commit.tree.get(candidate.path)
        large = git.belongs_in_lfs(path, candidate.size, _decode(candidate.sample, path))
        answers.append(
            {
                "path": path,
                "uploadMode": "lfs" if large else "regular",
                "shouldIgnore": git.is_ignored(path, ignore or ""),
                "oid": present and (present.sha256 if present.lfs else present.oid),
            }
        )
    return JSONResponse({"files": answers})


async def commit(request: Request) -> Response:
    """Make one commit from the header and operations in the body's lines."""
    store = hub(request).store
    repository = writable(request)
    require_json(request)
    header: _Header | None = None
    changes: list[Change] = []
    async for text in read_lines(request, _LONGEST_LINE, _LARGEST_COMMIT):
        line = parse_json(text, _Line, "a line of the commit")
        if line.key == "header":
            header = _read(_Header, line)
        else:
            changes.append(await run_in_threadpool(_change, line, store))
    if header is None:
        raise BadRequestError("the commit has no header")
    branch, number = part(request, "revision"), None
    options: dict[str, Any] = {
        "title": header.summary,
        "description": header.description,
        "parent": header.parentCommit,
        "author": author(request),
    }
    if "create_pr" in request.query_params:
        made, number = await run_in_threadpool(
            discussions.propose, repository, branch, changes, **options
        )
    else:
        made = await run_in_threadpool(repository.commit, branch, changes, **options)
    url = f"{request.base_url}{repository.id}"
    answer = {"success": True, "commitOid": made.id, "commitUrl": f"{url}/commit/{made.id}"}
    if number is not None:
        answer["pullRequestUrl"] = f"{url}/discussions/{number}"
    return JSONResponse(answer)


def _change(line: _Line, store: Store) -> Change:
    """The change that one line asks for. The content of a regular file is stored at once."""
    match line.key:
        case "file":
            file = _read(_File, line)
            content = _decode(file.content, file.path)
            if len(content) > git.LARGEST_REGULAR_FILE:
                raise HubError(f"{file.path!r} must be uploaded through LFS", status=413)
            card = check_card(content.decode("utf-8", "replace")) if file.path == _CARD else None
            if card and card.errors:
                raise BadRequestError(f"Invalid metadata in {_CARD}: {'; '.join(card.errors)}")
            return Put(file.path, store.regular(content))
        case "lfsFile":
            large = _read(_LfsFile, line)
            return Put(large.path, store.large(large.oid, size=large.size))
        case "deletedFile" | "deletedFolder":
            return Remove(_read(_Path, line).path, folder=line.key == "deletedFolder")
        case other:
            raise BadRequestError(f"{other!r} is not an operation of a commit")


def _read(model: type[Model], line: _Line) -> Model:
    return parse(model, line.value, f"the commit's {line.key}", error=BadRequestError)


def _decode(text: str, path: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise BadRequestError(f"the content of {path!r} is not base64: {error}") from error


_REPO = "/api/models/{namespace}/{name}"
ROUTES = [
    Route("/api/validate-yaml", validate_yaml, methods=["POST"]),
    Route(f"{_REPO}/preupload/{{revision}}", preupload, methods=["POST"]),
    Route(f"{_REPO}/commit/{{revision}}", commit, methods=["POST"]),
]
