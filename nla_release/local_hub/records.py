"""What a repository consists of, as values: commits, changes, refs and discussions."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, field
from datetime import UTC, datetime
from typing import Any

from pydantic.dataclasses import dataclass

from nla_release.local_hub.git import check_path
from nla_release.local_hub.refusals import (
    BadRequestError,
    EntryNotFoundError,
    HubError,
    RevisionNotFoundError,
)

MAIN = "main"
_PULL = "refs/pr/"


@dataclass(frozen=True)
class TreeEntry:
    """One file of a tree: `size` in bytes, `oid` the git blob id (of the pointer, for LFS)."""

    sha256: str
    size: int
    oid: str
    lfs: bool


Tree = Mapping[str, TreeEntry]


@dataclass(frozen=True)
class Commit:
    """A whole tree with its parents and message; `date` is UTC, `YYYY-MM-DDTHH:MM:SS.000Z`.

    In imported folders and older stores the date has no milliseconds.
    """

    tree: Tree
    parents: tuple[str, ...]
    title: str
    description: str
    author: str
    date: str

    @property
    def id(self) -> str:
        """40 hexadecimal digits over everything in the commit."""
        canonical = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha1(canonical.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Put:
    """Add or replace a file."""

    path: str
    entry: TreeEntry


@dataclass(frozen=True)
class Remove:
    """Delete a file, or a folder with its contents."""

    path: str
    folder: bool = False


Change = Put | Remove


def now() -> str:
    """The current time, in the Hub's format."""
    return with_milliseconds(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def with_milliseconds(date: str) -> str:
    """A stored date as the Hub sends it: clients before 0.25 require milliseconds."""
    return date if "." in date else f"{date.removesuffix('Z')}.000Z"


def apply(changes: Iterable[Change], base: Commit) -> dict[str, TreeEntry]:
    """The tree of `base` after the changes, applied in order.

    Raises:
        EntryNotFoundError: a change deletes something that does not exist.
        BadRequestError: a path is invalid, or is both a file and a folder.
    """
    tree = dict(base.tree)
    for change in changes:
        match change:
            case Put(path, entry):
                tree[check_path(path)] = entry
            case Remove(path, folder=folder):
                top = f"{path.rstrip('/')}/"
                gone = [each for each in tree if (each.startswith(top) if folder else each == path)]
                if not gone:
                    raise EntryNotFoundError(
                        f"A file with this name doesn't exist: {path!r}", commit=base.id
                    )
                for each in gone:
                    del tree[each]
    return checked(tree)


def checked(tree: dict[str, TreeEntry]) -> dict[str, TreeEntry]:
    """The tree itself, if it can be written to a disk.

    Raises:
        BadRequestError: a path is both a file and a folder.
    """
    if both := folders(tree) & tree.keys():
        raise BadRequestError(f"{min(both)!r} cannot be both a file and a folder")
    return tree


def folders(tree: Tree) -> set[str]:
    """Every folder that the tree's paths pass through, without a final slash."""
    return {path[:end] for path in tree for end, char in enumerate(path) if char == "/"}


@dataclass
class Discussion:
    """A discussion, or a pull request, whose `base` and `tip` are its first and last commits."""

    title: str
    author: str
    created: str
    status: str
    events: list[dict[str, Any]]
    tip: str | None = None
    base: str | None = None
    merge_commit: str | None = None

    @property
    def is_pull_request(self) -> bool:
        """Whether it proposes changes."""
        return self.tip is not None


@dataclass
class RepositoryState:
    """The mutable part of a repository: visibility, refs (to commit ids), and discussions.

    Discussions are numbered from 1 in their order.
    """

    private: bool
    created: str
    branches: dict[str, str]
    tags: dict[str, str]
    gated: str | bool = False
    discussions: list[Discussion] = field(default_factory=list)

    @property
    def pulls(self) -> dict[str, str]:
        """The refs of pull requests."""
        numbered = enumerate(self.discussions, start=1)
        return {f"{_PULL}{number}": each.tip for number, each in numbered if each.tip is not None}

    def find(self, revision: str) -> str | None:
        """The commit of a branch, tag or full ref. A branch wins over a tag with the same name."""
        for refs, prefix in ((self.branches, "refs/heads/"), (self.tags, "refs/tags/")):
            if commit := refs.get(revision.removeprefix(prefix)):
                return commit
        return self.pulls.get(revision)

    def tip(self, branch: str) -> str:
        """The last commit of a branch or of a pull request's ref.

        Raises:
            RevisionNotFoundError: there is none.
        """
        commit = self.branches.get(branch) or self.pulls.get(branch)
        if commit is None:
            raise unknown(branch)
        return commit

    def move(self, branch: str, commit: str) -> None:
        """Point a branch or a pull request's ref at a commit."""
        if branch in self.pulls:
            self.discussions[int(branch.removeprefix(_PULL)) - 1].tip = commit
        else:
            self.branches[branch] = commit

    def discussion(self, number: int) -> Discussion:
        """The discussion or pull request with this number.

        Raises:
            HubError: 404, there is none.
        """
        if not 1 <= number <= len(self.discussions):
            raise HubError(f"Discussion {number} not found", status=404)
        return self.discussions[number - 1]


def unknown(revision: str) -> RevisionNotFoundError:
    """The error for a revision that does not exist."""
    return RevisionNotFoundError(f"Invalid rev id: {revision!r}")
