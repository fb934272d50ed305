"""Where a finding is, for services that show it in a repository: a relative path and a line."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

_WITH_LINE = re.compile(r"(?P<path>.+):(?P<line>[1-9][0-9]{0,8})", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """A file as a POSIX path, and the line in it, from 1, where the rule knows one.

    `inside` is whether the path is relative to the root that was asked for.
    """

    path: str
    line: int | None
    inside: bool


def repository_root(folder: Path, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The root of the git repository that a folder is in; None outside of any.

    In GitHub Actions a workspace without `.git` counts as one too.
    """
    start = Path(os.path.abspath(folder))  # noqa: PTH100 - findings do not follow links either
    for each in (start, *start.parents):
        if (each / ".git").exists():
            return each
    workspace = environment.get("GITHUB_WORKSPACE")
    return Path(workspace) if workspace and start.is_relative_to(workspace) else None


def place_of(found: str, root: Path | None) -> Place:
    """The place of a finding, relative to `root` if it is in there.

    Args:
        found: the finding's `path`: absolute, or relative to the working directory, and perhaps
            with `:LINE` after it.
        root: a folder as an absolute path, or None to leave paths as they are.
    """
    path, line = found, None
    if (match := _WITH_LINE.fullmatch(found)) and not os.path.lexists(found):
        path, line = match["path"], int(match["line"])
    pure = PurePath(path)
    if root is None:
        return Place(pure.as_posix(), line, inside=False)
    absolute = Path(os.path.normpath(Path.cwd() / pure))  # without `..`, and following no links
    if absolute.is_relative_to(root):
        return Place(absolute.relative_to(root).as_posix(), line, inside=True)
    return Place(pure.as_posix(), line, inside=False)
