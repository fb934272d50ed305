"""HISTORY.md for a terminal: one line per entry."""

from collections.abc import Iterator, Sequence

from nla_release.errors import printable
from nla_release.history.fragments import Fragment
from nla_release.history.log import Entry, Superseded
from nla_release.release.folder import tag


def history_lines(log: Sequence[Entry], pending: Sequence[Fragment]) -> Iterator[str]:
    """Every entry of the log, then the fragments that the next `render` appends to it."""
    for entry in log:
        yield printable(entry.heading)
        if entry.record and entry.record.supersedes:
            yield _superseded(entry.record.supersedes)
    for fragment in pending:
        matter = fragment.matter
        yield f"{matter.date}, {matter.kind}: {matter.title} (not published yet)"
        if matter.supersedes:
            yield _superseded(matter.supersedes)


def _superseded(number: Superseded) -> str:
    published = f"{number.metric} = {number.shown} of {tag(number.version)}"
    return f"  supersedes {published}: {number.reason}"
