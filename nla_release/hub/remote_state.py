"""What is on a Hub at one moment, as data."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from nla_release.files import sha256_file
from nla_release.manifest import FileRecord


@dataclass(frozen=True)
class RemoteFile:
    """A file of a remote tree: its size, and the hash the Hub keeps of it."""

    size: int
    sha256: str | None
    git_sha1: str

    def is_same_as(self, path: Path, record: FileRecord | None = None) -> bool:
        """Whether a local file has these bytes; a large one with a record is not read for it."""
        if path.stat().st_size != self.size:
            return False
        if self.sha256 is not None:
            return self.sha256 == (record.sha256 if record else sha256_file(path))
        content = path.read_bytes()
        header = f"blob {len(content)}\0".encode()
        return hashlib.sha1(header + content, usedforsecurity=False).hexdigest() == self.git_sha1


@dataclass(frozen=True)
class RemoteState:
    """A repository at a commit: the files there, and the commit of every tag of the repository.

    `server_files` are those of the Hub's own that are there besides. `branches` are the names of
    all the refs that are no tags, which a reader may get for a tag of the same name.
    """

    head: str
    files: dict[str, RemoteFile]
    tags: dict[str, str]
    private: bool
    server_files: dict[str, RemoteFile]
    branches: frozenset[str]


@dataclass(frozen=True)
class RemoteCommit:
    """A commit of the branch; `parent` is the one before it, None for the first."""

    id: str
    parent: str | None
    title: str
    description: str
    authors: list[str]
