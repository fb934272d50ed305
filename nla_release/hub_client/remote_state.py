"""The content of a repository at a commit, validated, and how a release folder compares with it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, dataclasses

from nla_release.io.files import sha256_file
from nla_release.io.layout import MANIFEST_FILE, SIGNATURE_FILE
from nla_release.release.manifest import UNLISTED, FileRecord, Manifest

_CONFIG = ConfigDict(strict=True, defer_build=True)

# Of a commit or of a file's blob. A Hub with SHA-256 ids has 64 digits.
LONG_DIGITS = 64
Oid = Annotated[str, Field(strict=True, pattern=rf"^(?:[0-9a-f]{{40}}|[0-9a-f]{{{LONG_DIGITS}}})$")]


Change = Literal["add", "change", "remove", "keep"]
SYMBOLS: dict[Change, str] = {"add": "+", "change": "~", "remove": "-", "keep": "="}


@dataclasses.dataclass(frozen=True, config=_CONFIG)
class RemoteFile:
    """A file of a remote tree, with its size in bytes.

    `sha256` is known of LFS files only; `blob` is the git id, for LFS files of the pointer.
    """

    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    blob: Oid

    def is_same_as(self, path: Path, record: FileRecord | None = None) -> bool:
        """Whether a local file has the same bytes; an LFS file with a record is not read."""
        if path.stat().st_size != self.size:
            return False
        if self.sha256 is not None:
            return self.sha256 == (record.sha256 if record else sha256_file(path))
        content = path.read_bytes()
        blob = f"blob {len(content)}\0".encode() + content
        if len(self.blob) == LONG_DIGITS:  # the hash of git's blob, or of the content alone
            return self.blob in {hashlib.sha256(each).hexdigest() for each in (blob, content)}
        return self.blob == hashlib.sha1(blob, usedforsecurity=False).hexdigest()


@dataclasses.dataclass(frozen=True, config=_CONFIG)
class RemoteRefs:
    """The commits of a repository's branches and tags, and the names of its other refs."""

    branches: dict[str, Oid]
    tags: dict[str, Oid]
    others: list[str]


@dataclasses.dataclass(frozen=True, config=_CONFIG)
class RemoteState:
    """A repository at a commit: its files, and the commit of every tag of the repository.

    `server_files` are files that the Hub itself creates. `branches` are the names of all other
    refs: a reader may get one of them instead of a tag with the same name.
    """

    head: Oid
    files: dict[str, RemoteFile]
    tags: dict[str, Oid]
    private: bool
    server_files: dict[str, RemoteFile]
    branches: frozenset[str]


@dataclasses.dataclass(frozen=True, config=_CONFIG)
class RemoteCommit:
    """A commit of the branch; `parent` is the one before it, None for the first."""

    id: Oid
    parent: Oid | None
    title: str
    description: str
    authors: list[str]


@dataclass(frozen=True)
class FileChange:
    """The change of one file; `size` in bytes, `sha256` None if it is removed."""

    name: str
    change: Change
    size: int
    sha256: str | None


def compare(folder: Path, manifest: Manifest, state: RemoteState | None) -> list[FileChange]:
    """The change of every file that would make the tree the release.

    LFS files are compared by the hash in release.json. The signature of a release.json that is on
    the Hub already stays: a release is signed once.

    Args:
        folder: the rendered or staged release.
        manifest: its release.json.
        state: the tree, or None if there is no repository.
    """
    remote = state.files if state else {}
    changes = []
    records = all_records(folder, manifest)
    for name, record in sorted(records.items()):
        if name not in remote:
            change: Change = "add"
        else:
            change = "keep" if remote[name].is_same_as(folder / name, record) else "change"
        changes.append(FileChange(name, change, record.size, record.sha256))
    removed = [
        FileChange(name, "remove", file.size, None)
        for name, file in sorted(remote.items())
        if name not in manifest.files and name not in records
    ]
    if any(each.name == MANIFEST_FILE and each.change == "keep" for each in changes):
        removed = [
            replace(each, change="keep") if each.name == SIGNATURE_FILE else each
            for each in removed
        ]
    return changes + removed


def unlike(manifest: Manifest, state: RemoteState) -> Iterator[str]:
    """Differences between a tree and the release, as sentences, without downloading files.

    The Hub gives the sha256 of LFS files; other files are compared by name and size. Weights must
    be LFS files, because any other file of equal size would pass.
    """
    recorded, found = manifest.files, state.files
    for name in sorted(recorded.keys() - found.keys()):
        yield f"{name} is missing"
    for name in unlisted(manifest, state):
        yield f"{name} is not listed"
    for name in sorted(recorded.keys() & found.keys()):
        record, file = recorded[name], found[name]
        if file.size != record.size:
            yield f"{name} has {file.size:,} bytes, recorded {record.size:,}"
        elif file.sha256 is None and name.endswith(".safetensors"):
            yield f"{name} is not an LFS file, so the Hub gives no sha256 of it"
        elif file.sha256 not in (None, record.sha256):
            yield f"{name} has sha256 {file.sha256[:12]}, recorded {record.sha256[:12]}"


def unlisted(manifest: Manifest, state: RemoteState) -> list[str]:
    """The files of a tree that release.json does not list."""
    return sorted(state.files.keys() - manifest.files.keys() - UNLISTED)


def all_records(folder: Path, manifest: Manifest) -> dict[str, FileRecord]:
    """All files to publish: those in release.json, that file itself, and its signature if any."""
    paths = {name: folder / name for name in (MANIFEST_FILE, SIGNATURE_FILE)}
    own = {
        name: FileRecord(sha256=sha256_file(path), size=path.stat().st_size)
        for name, path in paths.items()
        if name == MANIFEST_FILE or path.exists()
    }
    return {**manifest.files, **own}


def is_exactly(folder: Path, manifest: Manifest, state: RemoteState) -> bool:
    """Whether a tree has exactly the files of the release, apart from the signature."""
    return all(
        file.change == "keep"
        for file in compare(folder, manifest, state)
        if file.name != SIGNATURE_FILE
    )
