"""What was acknowledged is on the disk: files and the folders that name them, before the answer."""

import os
from pathlib import Path

from nla_release.files import write_atomic


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, and let it outlive the machine's next moment.

    Raises:
        EnvironmentProblem: the disk is full or the folder cannot be written.
    """
    write_atomic(path, content)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk; where folders cannot be synced, the system does."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
