"""A release's folder against a tree on the Hub: what makes the tree exactly the release."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from nla_release.hub_client.remote_state import RemoteState
from nla_release.io.files import sha256_file
from nla_release.release.manifest import (
    FILE_NAME,
    SIGNATURE_FILE_NAME,
    UNLISTED,
    FileRecord,
    Manifest,
)

Change = Literal["add", "change", "remove", "keep"]
SYMBOLS: dict[Change, str] = {"add": "+", "change": "~", "remove": "-", "keep": "="}


@dataclass(frozen=True)
class FileChange:
    """What happens to one file; `size` in bytes, `sha256` None when it is removed."""

    name: str
    change: Change
    size: int
    sha256: str | None


def compare(folder: Path, manifest: Manifest, state: RemoteState | None) -> list[FileChange]:
    """A change per file, of the release and of the tree; large files go by release.json's hash.

    The signature of a release.json that is there already stays: a release is signed once.

    Args:
        folder: the release, as rendered or staged.
        manifest: its release.json.
        state: the tree, or None when there is no repository.
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
    if any(each.name == FILE_NAME and each.change == "keep" for each in changes):
        removed = [
            replace(each, change="keep") if each.name == SIGNATURE_FILE_NAME else each
            for each in removed
        ]
    return changes + removed


def unlike(manifest: Manifest, state: RemoteState) -> Iterator[str]:
    """Why a tree cannot be the release, as sentences; no file of it is read.

    Of a large file the Hub tells the sha256, and the others are known by name and size alone. Every
    file of weights has to be a large one: as any other it could be replaced unseen.
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
            yield f"{name} is no LFS file, so that the Hub tells no sha256 of it"
        elif file.sha256 not in (None, record.sha256):
            yield f"{name} has sha256 {file.sha256[:12]}, recorded {record.sha256[:12]}"


def unlisted(manifest: Manifest, state: RemoteState) -> list[str]:
    """The files of a tree that its release.json knows nothing of."""
    return sorted(state.files.keys() - manifest.files.keys() - UNLISTED)


def all_records(folder: Path, manifest: Manifest) -> dict[str, FileRecord]:
    """What release.json lists, release.json itself, and its signature where there is one."""
    paths = {name: folder / name for name in (FILE_NAME, SIGNATURE_FILE_NAME)}
    own = {
        name: FileRecord(sha256=sha256_file(path), size=path.stat().st_size)
        for name, path in paths.items()
        if name == FILE_NAME or path.exists()
    }
    return {**manifest.files, **own}


def is_exactly(folder: Path, manifest: Manifest, state: RemoteState) -> bool:
    """Whether a tree is the release, no file more and none less, whoever signed it."""
    return all(
        file.change == "keep"
        for file in compare(folder, manifest, state)
        if file.name != SIGNATURE_FILE_NAME
    )
