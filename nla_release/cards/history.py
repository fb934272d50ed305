"""HISTORY.md: one entry per release, only ever appended to.

What was published stays, byte for byte. A mistake is corrected by a new entry that names what it
supersedes, and a version that is in the log can only be rendered again as it was.
"""

import re
from pathlib import Path

from nla_release.cards.markdown import inline
from nla_release.errors import InputError, RefusedError

_HEADING = re.compile(r"^## (?P<tag>v\S+), ", re.MULTILINE)


def read_history(path: Path) -> str | None:
    """The log as last published, to the byte (line ends included); None when there is none yet.

    Raises:
        InputError: it is not UTF-8 text.
    """
    if not path.exists():
        return None
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error.reason}") from error


def append(history: str | None, title: str, tag: str, entry: str) -> str:
    """The log with this version's entry in it.

    Args:
        history: the log as last published; None before the first release.
        title: of the pair, for the heading of a new log.
        tag: of the version.
        entry: its text, which begins with `## {tag}, `.

    Returns:
        The log unchanged when the entry is there already, otherwise with the entry at its end.

    Raises:
        RefusedError: the log has this version with other words or numbers.
    """
    if history is None:
        return f"{_preamble(title)}\n{entry}"
    if (published := entries(history).get(tag)) is None:
        return f"{history}{_gap(history)}{entry}"
    if not published.replace("\r\n", "\n").startswith(entry.rstrip()):
        raise RefusedError(
            f"HISTORY.md already has {tag}, with other results than this release",
            hint="what was published is not rewritten: render the next version instead",
        )
    return history


def entries(history: str) -> dict[str, str]:
    """The first entry of every version by tag, heading and hand-written additions included."""
    headings = list(_HEADING.finditer(history))
    starts = [heading.start() for heading in headings]
    found: dict[str, str] = {}
    for heading, start, end in zip(headings, starts, [*starts[1:], len(history)], strict=False):
        found.setdefault(heading["tag"], history[start:end])
    return found


def _preamble(title: str) -> str:
    return (
        f"# History of {inline(title)}\n\n"
        "Append-only, the newest entry last. Entries are not edited: a correction is a new entry"
        " that names the one it supersedes.\n"
    )


def _gap(history: str) -> str:
    """What it takes for the next heading to stand after one empty line."""
    return "\n" * (2 - min(2, len(history) - len(history.rstrip("\n"))))
