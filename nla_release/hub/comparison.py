"""A release's folder against a tree on the Hub: what makes the tree exactly the release."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nla_release.files import sha256_file
from nla_release.hub.remote_state import RemoteState
from nla_release.manifest import FILE_NAME, FileRecord, Manifest

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

    Args:
        folder: the release, as rendered or staged.
        manifest: its release.json.
        state: the tree, or None when there is no repository.
    """
    remote = state.files if state else {}
    changes = []
    for name, record in sorted(all_records(folder, manifest).items()):
        if name not in remote:
            change: Change = "add"
        else:
            change = "keep" if remote[name].is_same_as(folder / name, record) else "change"
        changes.append(FileChange(name, change, record.size, record.sha256))
    removed = [
        FileChange(name, "remove", file.size, None)
        for name, file in sorted(remote.items())
        if name != FILE_NAME and name not in manifest.files
    ]
    return changes + removed


def all_records(folder: Path, manifest: Manifest) -> dict[str, FileRecord]:
    """What release.json lists, and release.json itself."""
    path = folder / FILE_NAME
    own = FileRecord(sha256=sha256_file(path), size=path.stat().st_size)
    return {**manifest.files, FILE_NAME: own}


def is_exactly(folder: Path, manifest: Manifest, state: RemoteState) -> bool:
    """Whether a tree is the release, no file more and none less."""
    return all(file.change == "keep" for file in compare(folder, manifest, state))
