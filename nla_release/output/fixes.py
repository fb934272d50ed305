"""What a fix would do, as a diff, and what it did, in a line."""

import difflib
from collections.abc import Iterable

from nla_release.fixes import Fix, LeftAlone
from nla_release.output.github import without_commands

_TEXTS = {".md", ".json"}


def fixes_diff(fixes: Iterable[Fix]) -> str:
    """Unified diffs of texts and a line for anything else, with a final newline.

    Control characters are shown escaped, and so is what a runner of GitHub would take for a
    command.
    """
    lines = (line for fix in fixes for line in _diff(fix))
    return "".join(f"{_visible(line)}\n" for line in lines)


def fix_line(fix: Fix) -> str:
    """What was done, to which file, for which rules."""
    return _visible(f"fixed  {fix.path}  {fix.reason} ({', '.join(fix.codes)})")


def left_alone_line(left: LeftAlone) -> str:
    """What was not done, and why."""
    return _visible(f"left alone  {left.path}  {left.reason}")


def _diff(fix: Fix) -> list[str]:
    if fix.path.suffix in _TEXTS and fix.before is not None and fix.after is not None:
        before, after = (_lines(content) for content in (fix.before, fix.after))
        name = str(fix.path)
        return list(difflib.unified_diff(before, after, name, name, lineterm=""))
    return [f"{fix.path}: {_size(fix.after)}{fix.reason}"]


def _lines(content: bytes) -> list[str]:
    return content.decode().removesuffix("\n").split("\n")


def _size(content: bytes | None) -> str:
    if content is None:
        return ""
    size = len(content)
    if size < 1000:
        return f"{size} bytes, "
    return f"{size / 1e6:.1f} MB, " if size >= 1e6 else f"{size / 1e3:.1f} kB, "


def _visible(line: str) -> str:
    shown = "".join(
        character if character.isprintable() or character == "\t" else repr(character)[1:-1]
        for character in without_commands(line)
    )
    return shown.replace("::", r"\x3a:", 1) if shown.lstrip().startswith("::") else shown
