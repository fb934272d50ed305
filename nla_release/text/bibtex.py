"""BibTeX entries in any text, parsed far enough to compare citations."""

import re
from dataclasses import dataclass

from nla_release.errors import InputError

_START = re.compile(r"@([A-Za-z]{1,32})\s{0,9}\{\s{0,9}([^\s,{}()\"=]{1,200})\s{0,9},")
_FIELD = re.compile(r"\s*([A-Za-z][\w-]*)\s*=\s*")
_DELIMITER = re.compile(r"\\.|[{}\"]", re.DOTALL)
_BARE = re.compile(r"[^\s,{}\"]*")
_DIGITS_AND_LETTERS = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class BibtexEntry:
    """One entry: its key, its fields by lower-case name, and the text it was read from.

    Values are without their delimiters and inner braces, on one line.
    """

    key: str
    fields: dict[str, str]
    source: str


def read_entries(text: str) -> list[BibtexEntry]:
    """The entries of a text, in order; other text between them is ignored.

    The time is linear in the length of the text.

    Raises:
        InputError: an entry is never closed.
    """
    entries: list[BibtexEntry] = []
    start = _START.search(text)
    while start is not None:
        end = _closing(text, start.end(), "}")
        if end is None:
            raise InputError(f"the BibTeX entry {start[2]!r} is never closed")
        fields = _fields(text[start.end() : end])
        entries.append(BibtexEntry(start[2], fields, text[start.start() : end + 1]))
        start = _START.search(text, end)
    return entries


def same_words(one: str, other: str) -> bool:
    """Whether two values differ only in case, spaces and punctuation."""
    return _plain(one) == _plain(other)


def _plain(value: str) -> str:
    return _DIGITS_AND_LETTERS.sub(" ", value).strip().casefold()


def _fields(body: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    at = 0
    while match := _FIELD.match(body, at):
        value, at = _value(body, match.end())
        fields.setdefault(match[1].lower(), value)
        at = body.find(",", at) + 1
        if not at:
            break
    return fields


def _value(body: str, at: int) -> tuple[str, int]:
    """The value that begins at this position, and its end."""
    opening = body[at : at + 1]
    if opening not in ("{", '"'):
        bare = _BARE.match(body, at)
        assert bare is not None
        return bare[0], bare.end()
    end = _closing(body, at + 1, "}" if opening == "{" else '"')
    inside = body[at + 1 : end]
    return " ".join(inside.replace("{", "").replace("}", "").split()), len(
        body
    ) if end is None else end + 1


def _closing(text: str, at: int, closing: str) -> int | None:
    """The position of the delimiter that closes what was opened before `at`; braces are counted."""
    depth = 0
    for match in _DELIMITER.finditer(text, at):
        if depth == 0 and match[0] == closing:
            return match.start()
        depth += {"{": 1, "}": -1}.get(match[0], 0)
    return None
