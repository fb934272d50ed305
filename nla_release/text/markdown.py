"""Escape untrusted text for Markdown, Python and BibTeX.

Explanations come from a model and titles from a form. Both may contain a pipe that breaks a table,
an HTML tag, a link, a fence, or characters that reorder the text on the screen.
"""

import html
import re
import unicodedata
from collections.abc import Iterator

# ASCII punctuation with a meaning inside a line of GitHub-flavoured Markdown or in the Hub's LaTeX,
# and what turns a bare address into a link.
_INLINE = re.compile(r"[\\`*_\[\]|~$]|:(?=//)|(?<=www)\.")
# What opens a heading, a list or a rule, but only as the first thing on a line.
_OPENING = re.compile(r"^(?:[#+=-]|\d+(?=[.)]))")
# Controls other than newline and tab, and what takes no room or turns the direction of text:
# soft hyphens, zero-width spaces, overrides of text direction, fillers, tags, runs of variation
# selectors. The joiners of Persian, Indic scripts and emoji stay, except next to ASCII.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e"
    "\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb"
    "\U000e0000-\U000e0fff]"
    "|[\ufe0e\ufe0f](?=[\ufe00-\ufe0f])"
    "|[\u200c\u200d](?=[\x00-\x7f]|\\Z)|(?<=[\x00-\x7f])[\u200c\u200d]"
)
# What Markdown reads as a character, which may be one of these.
_ENTITY = re.compile(r"(?<!\\)&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[A-Za-z]\w{1,31});", re.ASCII)
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_BIBTEX = re.compile(r"[\\{}%&$#_~^]")

_LITERAL_WIDTH = 84
_LITERAL_PIECE = re.compile(rf"[^\n]{{1,{_LITERAL_WIDTH}}}(?: |\n|\Z)|[^\n]{{{_LITERAL_WIDTH}}}|\n")


def unseen(text: str) -> Iterator[tuple[int, str]]:
    """Every invisible character: its line, counted from 1, and its name.

    Entities such as `&#8203;` or `&shy;` count too.
    """
    for found in _INVISIBLE.finditer(text):
        yield text.count("\n", 0, found.start()) + 1, _named(found[0])
    for entity in _ENTITY.finditer(text):
        if hidden := _INVISIBLE.search(html.unescape(entity[0])):
            yield text.count("\n", 0, entity.start()) + 1, f"{entity[0]}, {_named(hidden[0])}"


def _named(char: str) -> str:
    return f"U+{ord(char):04X} {unicodedata.name(char, 'control character')}"


def inline(text: object) -> str:
    """One line of plain text: for a table cell, a heading, or the middle of a sentence."""
    visible = _one_line(text)
    return _INLINE.sub(r"\\\g<0>", visible.translate(_HTML))


def code_cell(text: object) -> str:
    """A code span inside a table cell, where only the pipe and the backtick have a meaning."""
    visible = _one_line(text).replace("|", r"\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", visible)), default=0))
    return f"{fence} {visible} {fence}" if len(fence) > 1 else f"`{visible}`"


def quoted(text: str) -> str:
    """A blockquote that shows the text unchanged, line by line."""
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "\n>\n".join(_quoted_lines(paragraph) for paragraph in paragraphs)


def python_literal(text: str) -> str:
    """A double-quoted Python string literal on one line, with invisible characters escaped."""
    return '"' + "".join('\\"' if char == '"' else repr(char)[1:-1] for char in text) + '"'


def python_block(text: str) -> str:
    """A Python expression for a text of any length, one readable literal per line."""
    pieces = _LITERAL_PIECE.findall(text)
    if len(pieces) < 2:
        return python_literal(text)
    return "\n".join(["(", *(f"    {python_literal(piece)}" for piece in pieces), ")"])


def bibtex(text: str) -> str:
    """A BibTeX field value on one line, special characters escaped."""
    return _BIBTEX.sub(_escape_bibtex, _INVISIBLE.sub("", " ".join(text.split())))


def _one_line(text: object) -> str:
    return _INVISIBLE.sub("\N{REPLACEMENT CHARACTER}", " ".join(str(text).split()))


def _quoted_lines(paragraph: str) -> str:
    lines = (_OPENING.sub(_escape_opening, inline(line)) for line in paragraph.split("\n"))
    return "\\\n".join(f"> {line}" for line in lines)


def _escape_opening(match: re.Match[str]) -> str:
    # A digit cannot be escaped; the dot after it can.
    return f"{match[0]}\\" if match[0].isdigit() else f"\\{match[0]}"


def _escape_bibtex(match: re.Match[str]) -> str:
    words = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return words.get(match[0], f"\\{match[0]}")
