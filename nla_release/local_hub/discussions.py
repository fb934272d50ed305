"""Discussions and pull requests: proposed, talked about, merged. Number N has the ref refs/pr/N."""

import uuid
from collections.abc import Sequence
from typing import Any

from nla_release.local_hub.commits import Change, Commit, Entry, Tree, apply, checked, now
from nla_release.local_hub.errors import BadRequestError, ConflictError
from nla_release.local_hub.repository import OWNER, Repository
from nla_release.local_hub.state import MAIN, Discussion

OPEN, DRAFT, CLOSED, MERGED = "open", "draft", "closed", "merged"
_ATTRIBUTES = ".gitattributes"
_STATUSES = {(OPEN, CLOSED), (DRAFT, OPEN), (DRAFT, CLOSED), (CLOSED, OPEN)}


def start(
    repository: Repository, *, title: str, description: str, author: str, pull_request: bool
) -> int:
    """Begin a discussion, or a draft of a pull request without changes yet; its number."""
    with repository.changing() as state:
        begun = Discussion(
            title=title,
            author=author,
            created=now(),
            status=DRAFT if pull_request else OPEN,
            events=[_comment(description, author)],
        )
        if pull_request:
            begun.tip = begun.base = state.branches[MAIN]
        state.discussions.append(begun)
        return len(state.discussions)


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
    """Open a pull request with one commit, on `parent` if given; the commit, and its number.

    Raises:
        RevisionNotFoundError: no such branch, or no such parent.
        EntryNotFoundError, BadRequestError: as for a commit.
    """
    with repository.changing() as state:
        base = repository.resolve(parent or state.tip(branch))
        made = repository.record(
            apply(changes, base), [base], title=title, description=description, author=author
        )
        opened = Discussion(
            title=title,
            author=author,
            created=made.date,
            status=OPEN,
            events=[_comment(description, author), _event("commit", author, _committed(made))],
            tip=made.id,
            base=base.id,
        )
        state.discussions.append(opened)
        return made, len(state.discussions)


def comment(repository: Repository, number: int, text: str, *, author: str) -> dict[str, Any]:
    """Say something; the event.

    Raises:
        NotFoundError: no such discussion.
    """
    with repository.changing() as state:
        said = _comment(text, author)
        state.discussion(number).events.append(said)
        return said


def set_status(
    repository: Repository, number: int, status: str, text: str | None, *, author: str
) -> dict[str, Any]:
    """Open or close it, with a comment if given; the event.

    Raises:
        NotFoundError: no such discussion.
        BadRequestError: it cannot go from its status to this one.
    """
    with repository.changing() as state:
        discussion = state.discussion(number)
        if (discussion.status, status) not in _STATUSES:
            raise BadRequestError(f"{discussion.status} cannot become {status}")
        if text:
            discussion.events.append(_comment(text, author))
        discussion.status = status
        changed = _event("status-change", author, {"status": status})
        discussion.events.append(changed)
        return changed


def merge(repository: Repository, number: int, text: str | None, *, author: str) -> Commit:
    """Bring a pull request's changes onto `main` as one commit.

    Raises:
        NotFoundError: no such discussion.
        BadRequestError: it is no open pull request, or the result could not lie on a disk.
        ConflictError: both sides changed the same file.
    """
    with repository.changing() as state:
        pull = state.discussion(number)
        if pull.tip is None or pull.base is None or pull.status != OPEN:
            raise BadRequestError(f"Discussion {number} is not an open pull request")
        main, tip = repository.resolve(state.branches[MAIN]), repository.resolve(pull.tip)
        tree, both = merged(repository.resolve(pull.base).tree, main.tree, tip.tree)
        if both:
            raise ConflictError(f"Both sides changed {', '.join(both)}")
        made = repository.record(
            checked(tree), [main, tip], title=f"{pull.title} (#{number})", author=author
        )
        state.branches[MAIN] = pull.merge_commit = made.id
        if text:
            pull.events.append(_comment(text, author))
        pull.status = MERGED
        pull.events.append(_event("status-change", author, {"status": MERGED}))
        return made


def merged(base: Tree, ours: Tree, theirs: Tree) -> tuple[dict[str, Entry], list[str]]:
    """Our tree with what they changed since `base`, and the paths that both changed apart.

    Of `.gitattributes` ours is kept: the Hub adds the lines it needs to every commit.
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


def _committed(commit: Commit) -> dict[str, Any]:
    return {"subject": commit.title, "oid": commit.id}


def _event(kind: str, author: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex[:24],
        "type": kind,
        "createdAt": now(),
        "author": {"name": author},
        "data": data,
    }
