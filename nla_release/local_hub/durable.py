"""What was acknowledged is on the disk: files and the folders that name them, before the answer."""

import os
from pathlib import Path

from nla_release.io.files import write_atomic


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, and let it outlive the machine's next moment.

    Raises:
        EnvironmentProblem: the disk is full or the folder cannot be written.
    """
    missing = _missing(path.parent)
    write_atomic(path, content)
    for each in (path, *missing):
        sync_folder(each.parent)


def make_folder(folder: Path) -> None:
    """Make a folder that is missing, and those above it.

    Raises:
        OSError: it cannot be made.
    """
    missing = _missing(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)


def make_private(folder: Path) -> None:
    """Let nobody but its owner into a folder, which need not be there yet.

    Raises:
        OSError: it cannot be made, or belongs to somebody else.
    """
    make_folder(folder)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk; where folders cannot be synced, the system does."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _missing(folder: Path) -> list[Path]:
    """The folders that are made with this one."""
    return [each for each in (folder, *folder.parents) if not each.exists()]
