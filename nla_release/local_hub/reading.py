"""Routes that read repositories: lists, summaries, histories, trees and files."""

import hashlib
from itertools import zip_longest
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from nla_release.errors import InputError
from nla_release.hub_client.card_metadata import check_card
from nla_release.io.documents import parse_json
from nla_release.local_hub import git
from nla_release.local_hub.disk import Blobs
from nla_release.local_hub.records import (
    MAIN,
    Commit,
    Tree,
    TreeEntry,
    folders,
    with_milliseconds,
)
from nla_release.local_hub.refusals import BadRequestError, EntryNotFoundError, HubError
from nla_release.local_hub.repository import Repository
from nla_release.local_hub.requests import caller, downloadable, hub, part, read_body, readable

# A longer config is not read for the repository's summary.
_LONGEST_CONFIG = 1024 * 1024
# Supported query parameters. Downloads and likes are always 0, so ordering by them changes nothing;
# everything that `expand` may name and that exists is always included.
_LISTED_BY = {"author", "search", "limit", "sort", "direction", "expand", "full", "config"}
# Sorted newest first by this key; in the spellings of client and server.
_DATES = {
    "created_at": "createdAt",
    "createdAt": "createdAt",
    "last_modified": "lastModified",
    "lastModified": "lastModified",
}


def models(request: Request) -> Response:
    """The repositories that the caller may see, by namespace and a part of their ids."""
    asked = request.query_params
    if unknown := sorted(asked.keys() - _LISTED_BY):
        raise HubError(f"This Hub does not list models by {', '.join(unknown)}", status=501)
    most = asked.get("limit", "")
    if most and not most.isdecimal():
        raise BadRequestError(f"limit={most!r} is not a number")
    sender, found = caller(request), []
    for repository in hub(request).store.repos():
        author = repository.id.split("/")[0]
        named = asked.get("search", "").lower() in repository.id.lower()
        if named and asked.get("author", author) == author and sender.may_read(repository):
            found.append(_summary(repository, repository.resolve(MAIN)))
    if asked.get("sort") in _DATES:
        found.sort(key=lambda each: each[_DATES[asked["sort"]]], reverse=True)
    return JSONResponse(found[: int(most)] if most else found)


def _summary(repository: Repository, commit: Commit) -> dict[str, Any]:
    state = repository.state()
    return {
        "id": repository.id,
        "modelId": repository.id,
        "author": repository.id.split("/")[0],
        "sha": commit.id,
        "lastModified": with_milliseconds(commit.date),
        "tags": [],
        "private": state.private,
        "gated": state.gated,
        "downloads": 0,
        "likes": 0,
        "createdAt": with_milliseconds(state.created),
    }


def model_info(request: Request) -> Response:
    """The summary of a repository at a revision; `expand` is always satisfied."""
    repository = readable(request)
    revision = part(request, "revision") if "revision" in request.path_params else MAIN
    commit = repository.resolve(revision)
    blobs = hub(request).store.blobs
    card = check_card(_small_text(commit, "README.md", blobs) or "").metadata
    answer = {
        **_summary(repository, commit),
        "disabled": False,
        "tags": card.get("tags") or [],
        "library_name": card.get("library_name"),
        "pipeline_tag": card.get("pipeline_tag"),
        "cardData": card,
        "config": _config(commit, blobs),
        "siblings": _siblings(commit, detailed="blobs" in request.query_params),
    }
    if "securityStatus" in request.query_params:
        answer["securityRepoStatus"] = {"scansDone": True, "filesWithIssues": []}
    return JSONResponse(answer)


def commits(request: Request) -> Response:
    """The whole history of a revision, newest first."""
    repository = readable(request)
    return JSONResponse(
        [
            {
                "id": commit.id,
                "title": commit.title,
                "message": commit.description,
                "date": with_milliseconds(commit.date),
                "authors": [{"user": commit.author}],
            }
            for commit in repository.history(part(request, "revision"))
        ]
    )


def tree(request: Request) -> Response:
    """The files and folders in one folder, with `recursive` also in its subfolders."""
    repository = readable(request)
    commit = repository.resolve(part(request, "revision"))
    top = part(request, "path").strip("/") if "path" in request.path_params else ""
    if top and top not in folders(commit.tree):
        raise EntryNotFoundError(f"{top!r} does not exist on this revision", commit=commit.id)
    prefix = f"{top}/" if top else ""
    recursive = _is_true(request.query_params.get("recursive"))
    found = [
        _described(path, commit.tree)
        for path in sorted({*commit.tree, *folders(commit.tree)})
        if path.startswith(prefix) and (recursive or "/" not in path[len(prefix) :])
    ]
    if _is_true(request.query_params.get("expand")):
        _expand(found, repository, commit)
    return JSONResponse(found)


async def paths_info(request: Request) -> Response:
    """The files and folders named in the form; missing ones are left out."""
    repository = readable(request)
    commit = repository.resolve(part(request, "revision"))
    form = parse_qs((await read_body(request)).decode("utf-8", "replace"))
    present = {*commit.tree, *folders(commit.tree)}
    found = [_described(path, commit.tree) for path in form.get("paths", []) if path in present]
    if _is_true(form.get("expand", [None])[0]):
        _expand(found, repository, commit)
    return JSONResponse(found)


def resolve(request: Request) -> Response:
    """A file's bytes, or a range of them; headers give the commit and the content's hash."""
    commit = downloadable(request).resolve(part(request, "revision"))
    path = part(request, "path")
    entry = commit.tree.get(path)
    if entry is None:
        raise EntryNotFoundError(f"{path!r} does not exist on this revision", commit=commit.id)
    headers = {"X-Repo-Commit": commit.id, "ETag": f'"{entry.sha256 if entry.lfs else entry.oid}"'}
    if entry.lfs:
        headers |= {"X-Linked-ETag": headers["ETag"], "X-Linked-Size": str(entry.size)}
    tags = ",".join(request.headers.getlist("if-none-match")).split(",")
    known = {tag.strip().removeprefix("W/") for tag in tags}
    if known & {headers["ETag"], "*"}:
        return Response(status_code=304, headers=headers)
    return FileResponse(
        hub(request).store.blobs.path(entry.sha256),
        headers=headers,
        media_type="application/octet-stream" if entry.lfs else "text/plain",
    )


def git_refs(_request: Request) -> Response:
    """The first request of `git clone`, which shows a plain text answer to its user."""
    return PlainTextResponse(
        "This local Hub does not serve git. Use `hf download`, or snapshot_download.", 501
    )


def _described(path: str, files: Tree) -> dict[str, Any]:
    """A file or folder as `tree` and `paths-info` show it."""
    entry = files.get(path)
    if entry is None:
        below = [
            f"{each} {files[each].oid}" for each in sorted(files) if each.startswith(f"{path}/")
        ]
        oid = hashlib.sha1("\n".join(below).encode(), usedforsecurity=False).hexdigest()
        return {"type": "directory", "path": path, "size": 0, "oid": oid}
    answer: dict[str, Any] = {"type": "file", "path": path, "size": entry.size, "oid": entry.oid}
    if entry.lfs:
        answer["lfs"] = {"oid": entry.sha256, **_lfs_sizes(entry)}
    return answer


def _expand(found: list[dict[str, Any]], repository: Repository, commit: Commit) -> None:
    """Add to each file its last commit, and that it is not scanned."""
    missing = {each["path"]: each for each in found if each["type"] == "file"}
    history = list(repository.history(commit.id))
    for newer, older in zip_longest(history, history[1:]):
        before = older.tree if older else {}
        for path in [path for path in missing if newer.tree.get(path) != before.get(path)]:
            date = with_milliseconds(newer.date)
            last = {"id": newer.id, "title": newer.title, "date": date}
            status = {"status": "unscanned", "avScan": None, "pickleImportScan": None}
            missing.pop(path).update(lastCommit=last, securityFileStatus=status)


def _is_true(value: str | None) -> bool:
    return value is not None and value.lower() in {"1", "true"}


def _siblings(commit: Commit, *, detailed: bool) -> list[dict[str, Any]]:
    siblings: list[dict[str, Any]] = [{"rfilename": path} for path in sorted(commit.tree)]
    if detailed:
        for sibling in siblings:
            entry = commit.tree[sibling["rfilename"]]
            sibling |= {"size": entry.size, "blobId": entry.oid}
            if entry.lfs:
                sibling["lfs"] = {"sha256": entry.sha256, **_lfs_sizes(entry)}
    return siblings


def _lfs_sizes(entry: TreeEntry) -> dict[str, int]:
    return {"size": entry.size, "pointerSize": len(git.pointer(entry.sha256, entry.size))}


def _config(commit: Commit, blobs: Blobs) -> dict[str, Any]:
    """The part of an adapter's configuration that the Hub shows."""
    text = _small_text(commit, "adapter_config.json", blobs)
    try:
        document = parse_json(text or "null", "adapter_config.json")
    except InputError:
        return {}
    if not isinstance(document, dict):
        return {}
    return {"peft": {key: document.get(key) for key in ("base_model_name_or_path", "task_type")}}


def _small_text(commit: Commit, path: str, blobs: Blobs) -> str | None:
    entry = commit.tree.get(path)
    if entry is None or entry.size > _LONGEST_CONFIG:
        return None
    return blobs.read(entry.sha256).decode("utf-8", "replace")


_REPO = "/api/models/{namespace}/{name}"
ROUTES = [
    Route("/api/models", models),
    Route(_REPO, model_info),
    Route(f"{_REPO}/revision/{{revision}}", model_info),
    Route(f"{_REPO}/commits/{{revision}}", commits),
    Route(f"{_REPO}/tree/{{revision}}", tree),
    Route(f"{_REPO}/tree/{{revision}}/{{path:path}}", tree),
    Route(f"{_REPO}/paths-info/{{revision}}", paths_info, methods=["POST"]),
    Route("/{namespace}/{name}/info/refs", git_refs),
    Route("/{namespace}/{name}/resolve/{revision}/{path:path}", resolve),
]
