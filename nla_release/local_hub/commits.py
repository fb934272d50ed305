"""Commits and the changes between them, as values: nothing here touches a disk."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from nla_release.local_hub.errors import BadRequestError, EntryNotFoundError
from nla_release.local_hub.names import check_path


@dataclass(frozen=True)
class Entry:
    """One file of a tree: `size` in bytes, `oid` the git blob id (of the pointer, for LFS)."""

    sha256: str
    size: int
    oid: str
    lfs: bool


Tree = Mapping[str, Entry]


@dataclass(frozen=True)
class Commit:
    """A whole tree and how it came about; `date` is UTC, `YYYY-MM-DDTHH:MM:SS.000Z`.

    Imported folders and older stores have no milliseconds in it.
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

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Commit":
        """The commit that `dataclasses.asdict` wrote."""
        tree = {path: Entry(**entry) for path, entry in document["tree"].items()}
        return cls(**{**document, "tree": tree, "parents": tuple(document["parents"])})


@dataclass(frozen=True)
class Put:
    """Add or replace a file."""

    path: str
    entry: Entry


@dataclass(frozen=True)
class Remove:
    """Delete a file, or a folder with all below it."""

    path: str
    folder: bool = False


Change = Put | Remove


def now() -> str:
    """The time in the form that the Hub gives and every client reads."""
    return with_milliseconds(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def with_milliseconds(date: str) -> str:
    """A stored date as the Hub answers it: clients before 0.25 read no date without them."""
    return date if "." in date else f"{date.removesuffix('Z')}.000Z"


def apply(changes: Iterable[Change], base: Commit) -> dict[str, Entry]:
    """The tree of `base` after the changes, in their order.

    Raises:
        EntryNotFoundError: a deletion of something that is not there.
        BadRequestError: a path is unacceptable, or is both a file and a folder.
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


def checked(tree: dict[str, Entry]) -> dict[str, Entry]:
    """The tree itself, when it can lie on a disk.

    Raises:
        BadRequestError: a path is both a file and a folder.
    """
    if both := folders(tree) & tree.keys():
        raise BadRequestError(f"{min(both)!r} cannot be both a file and a folder")
    return tree


def folders(tree: Tree) -> set[str]:
    """Every folder that the tree's paths pass through, without a final slash."""
    return {path[:end] for path in tree for end, char in enumerate(path) if char == "/"}
