"""What is on a Hub at one moment, as data that is checked as it is made: see `answers`."""

import hashlib
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from nla_release.io.files import sha256_file
from nla_release.release.manifest import FileRecord

_CONFIG = ConfigDict(strict=True, defer_build=True)

# Of a commit or of a file's blob. A Hub that counts by SHA-256 has ids of 64 digits.
LONG_DIGITS = 64
Oid = Annotated[str, Field(strict=True, pattern=rf"^(?:[0-9a-f]{{40}}|[0-9a-f]{{{LONG_DIGITS}}})$")]


@dataclass(frozen=True, config=_CONFIG)
class RemoteFile:
    """A file of a remote tree: its size in bytes, and the hashes the Hub keeps of it.

    `sha256` is that of a large file; `blob` is the id of what lies in the tree.
    """

    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    blob: Oid

    def is_same_as(self, path: Path, record: FileRecord | None = None) -> bool:
        """Whether a local file has these bytes; a large one with a record is not read for it."""
        if path.stat().st_size != self.size:
            return False
        if self.sha256 is not None:
            return self.sha256 == (record.sha256 if record else sha256_file(path))
        content = path.read_bytes()
        blob = f"blob {len(content)}\0".encode() + content
        if len(self.blob) == LONG_DIGITS:  # git's with SHA-256, or the content's own
            return self.blob in {hashlib.sha256(each).hexdigest() for each in (blob, content)}
        return self.blob == hashlib.sha1(blob, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, config=_CONFIG)
class RemoteRefs:
    """The commits of a repository's branches and tags, and the names of its other refs."""

    branches: dict[str, Oid]
    tags: dict[str, Oid]
    others: list[str]


@dataclass(frozen=True, config=_CONFIG)
class RemoteState:
    """A repository at a commit: the files there, and the commit of every tag of the repository.

    `server_files` are those of the Hub's own that are there besides. `branches` are the names of
    all the refs that are no tags, which a reader may get for a tag of the same name.
    """

    head: Oid
    files: dict[str, RemoteFile]
    tags: dict[str, Oid]
    private: bool
    server_files: dict[str, RemoteFile]
    branches: frozenset[str]


@dataclass(frozen=True, config=_CONFIG)
class RemoteCommit:
    """A commit of the branch; `parent` is the one before it, None for the first."""

    id: Oid
    parent: Oid | None
    title: str
    description: str
    authors: list[str]
