"""What a fix is, and how one is written."""

import os
from dataclasses import dataclass
from pathlib import Path

from nla_release.errors import EnvironmentProblem, RefusedError
from nla_release.io.files import write_atomic


@dataclass(frozen=True)
class Fix:
    """One file as it was found and as it should be; None where there is no file.

    `codes` are the rules that it serves, and `reason` says in one line what it does.
    """

    path: Path
    before: bytes | None
    after: bytes | None
    codes: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class LeftAlone:
    """What could have been mended and was not, and why."""

    path: Path
    reason: str


def write(fix: Fix) -> None:
    """Put the file into the state that the fix gives it, whole or not at all.

    Raises:
        RefusedError: the file is no longer the one that the fix was made for, or is a link.
        EnvironmentProblem: it is read-only, the disk is full, or its folder cannot be written.
    """
    try:
        if fix.path.is_symlink() or _content(fix.path) != fix.before:
            raise RefusedError(
                f"{fix.path} changed while its fix was made", hint="run the same command again"
            )
        if fix.before is not None and not os.access(fix.path, os.W_OK):
            raise EnvironmentProblem(
                f"{fix.path} is read-only", hint="make it writable, and run the same command again"
            )
        if fix.after is None:
            fix.path.unlink()
        else:
            write_atomic(fix.path, fix.after)
    except OSError as error:
        raise EnvironmentProblem(
            f"{fix.path} cannot be written: {error.strerror or error}"
        ) from error


def lies_in(path: Path, parent: Path) -> bool:
    """Whether a path is where it says, with no link and no `..` on the way from the parent."""
    if not path.is_relative_to(parent):
        return False
    return path.resolve() == parent.resolve() / path.relative_to(parent)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None
