"""The prose of a document, sentence by sentence, as whoever reads the rendered page sees it.

Metadata, code, HTML tags but for what they describe, comments and link targets are not prose.
markdown-it takes the Markdown apart: where a code span, a table cell or a link ends is CommonMark's
to say, not a regex's.
"""

import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from nla_release.cards.blocks import block_places
from nla_release.errors import InputError
from nla_release.history.retractions import RETRACTING
from nla_release.history.superseded import ADDENDA

if TYPE_CHECKING:
    from markdown_it.token import Token

# The section in which a card quotes rows of the evidence, text of a corpus and of a model, and the
# line that it writes over each; their cosines are of one row.
QUOTING = "Examples"
_QUOTED_ROW = re.compile(
    r"\*\*(Best|Median|Worst)\*\*, row .{1,400}: cosine -?\d\.\d+,"
    r" with another row's explanation -?\d\.\d+\."
)

_NAME_OF_A_QUOTE = re.compile(
    r"Text:|Explanation:|No explanation \(\w{1,20}\); raw output(?: \(empty\))?:"
)

# Generated blocks whose numbers do not stand.
_OF_OTHER_NUMBERS = frozenset({RETRACTING, ADDENDA})

_FRONT_MATTER = re.compile(r"\A---\n(?:.*\n)*?---(?:\n|\Z)")
_TAG = re.compile(r"<[^<>]*>")
# What a tag shows: a description in place of an image, or words beside the pointer.
_SHOWN_BY_A_TAG = re.compile(
    r"""\s(?:alt|title|aria-label)\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+)""", re.IGNORECASE
)
_URL = re.compile(r"https?://[^\s<>]+")
_AFTER_A_URL = ".,;:!?)]'\"*_"
_BLANKS = re.compile(r"[^\S\n]+")
_BETWEEN_SENTENCES = re.compile(
    r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!vs\.)(?<!cf\.)(?<!ca\.)(?<!al\.)(?<!approx\.)"
    r"[\"'”’)\]*]{0,3}\s+(?=[^\sa-z])"
)

# Letters and digits that look like ASCII ones are read as those, but a raised or lowered one stays:
# 0.4² is not 0.42. Soft hyphens, and all else that nobody sees, are dropped.
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_KEPT_APART = ("<super>", "<sub>", "<fraction>")
_HYPHENS = "\N{HYPHEN}\N{NON-BREAKING HYPHEN}"

# In code only a number alone is read: it says as much as one in plain letters.
_NUMBER = re.compile(r"[~≈±<>]?\s?[+\-−]?\d[\d.,]*\s?%?")

# A label tells what a cell is about; one of thousands of words would only cost time.
_LABEL_LENGTH = 200


@dataclass(frozen=True)
class Sentence:
    """A sentence, or the text of a table cell.

    `line` is where it begins, counted from 1, and a line break in `text` is one in the document.
    `label` is the heading of a cell's column and the first cell of its row. `links` are the
    addresses that the sentence, or any cell of the row, points to.
    """

    line: int
    text: str
    label: str = ""
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class Passage:
    """What belongs together: a paragraph, a heading, a list item or a row of a table."""

    sentences: tuple[Sentence, ...]

    @property
    def text(self) -> str:
        """All of it."""
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def words(self) -> str:
        """All of it, and the labels of its cells."""
        return " ".join([self.text, *(sentence.label for sentence in self.sentences)])


@dataclass(frozen=True)
class _Inline:
    """The text of a paragraph or cell, and its links by where in the text they stand."""

    line: int
    text: str
    links: tuple[tuple[int, str], ...]


@lru_cache(maxsize=8)  # both repositories hold some documents, and more than one rule reads them
def read_prose(markdown: str, *, skip_generated: bool) -> tuple[Passage, ...]:
    """The passages of a document in order, but no quoted rows under `QUOTING`, and no old numbers.

    Args:
        markdown: the document, with or without front matter.
        skip_generated: leave out the text of `generated_blocks`, which is compared elsewhere.
    """
    # Only here: whoever checks what is not rendered yet needs no Markdown parser.
    from markdown_it import MarkdownIt

    markdown = _without_blocks(markdown, None if skip_generated else _OF_OTHER_NUMBERS)
    front_matter = _FRONT_MATTER.match(markdown)
    if front_matter:
        markdown = "\n" * front_matter[0].count("\n") + markdown[front_matter.end() :]
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    return tuple(_passages(_not_quoted(tokens)))


def _without_blocks(markdown: str, names: frozenset[str] | None) -> str:
    """The document with blank lines for the text of these generated blocks, or of all of them."""
    try:
        places = block_places(markdown)
    except InputError:
        # NLA502 refuses such a card and compares nothing of it, so all of it is read.
        return markdown
    for name, place in places.items():
        if names is not None and name not in names:
            continue
        blank = "".join(char if char == "\n" else " " for char in markdown[place])
        markdown = markdown[: place.start] + blank + markdown[place.stop :]
    return markdown


def _not_quoted(tokens: list["Token"]) -> Iterator["Token"]:
    """All tokens but, in sections `QUOTING`, the line over each row and the quotes under it.

    A card has each row once, whatever other sections of that name somebody added.
    """
    quoting = under_row = False
    depth = 0
    ranks: set[str] = set()
    for token, following in zip(tokens, [*tokens, None][1:], strict=True):
        if token.type == "heading_open" and token.level == 0 and token.tag in {"h1", "h2"}:
            quoting = following is not None and following.content.strip() == QUOTING
            under_row = False
        if token.type in {"blockquote_open", "blockquote_close"}:
            depth += token.nesting
        row = _QUOTED_ROW.fullmatch(token.content) if token.type == "inline" else None
        new = row is not None and quoting and row[1] not in ranks
        if token.type == "inline" and depth == 0:
            named = _NAME_OF_A_QUOTE.fullmatch(token.content) is not None
            under_row = new or (under_row and named)
            if new and row:
                ranks.add(row[1])
        if not (new if depth == 0 and token.type == "inline" else under_row and depth > 0):
            yield token


def _passages(tokens: Iterator["Token"]) -> Iterator[Passage]:
    headings: list[str] = []
    row: list[_Inline] | None = None
    for token in tokens:
        if token.type == "tr_open":
            row = []
        elif token.type == "tr_close" and row is not None:
            yield _row(row, headings)
            row = None
        elif token.type == "thead_open":
            headings = []
        elif token.type == "inline" and row is not None:
            row.append(_inline(token))
        elif token.type == "th_close" and row:
            headings.append(row[-1].text)
        elif token.type == "inline":
            yield Passage(tuple(_sentences(_inline(token))))
        elif token.type == "html_block":
            yield Passage(tuple(_sentences(_html(token))))


def _row(cells: list[_Inline], headings: list[str]) -> Passage:
    links = tuple(link for cell in cells for _, link in cell.links)
    first = cells[0].text[:_LABEL_LENGTH] if cells else ""
    labels = [
        f"{heading[:_LABEL_LENGTH]}; {first if position else ''}"
        for position, heading in enumerate([*headings, *[""] * len(cells)][: len(cells)])
    ]
    return Passage(
        tuple(
            Sentence(cell.line, cell.text, label, links)
            for cell, label in zip(cells, labels, strict=True)
        )
    )


def _sentences(inline: _Inline) -> Iterator[Sentence]:
    line, begin, links = inline.line, 0, list(reversed(inline.links))
    for end in [*(found.end() for found in _BETWEEN_SENTENCES.finditer(inline.text)), None]:
        text = inline.text[begin:end]
        within = []
        while links and (end is None or links[-1][0] < end):
            within.append(links.pop()[1])
        yield Sentence(line, text, links=tuple(within))
        line, begin = line + text.count("\n"), end or 0


def _inline(token: "Token") -> _Inline:
    """The text of an inline token: code is a lone backtick, an image its description."""
    parts: list[str] = []
    links: list[tuple[int, str]] = []
    length = 0
    for child in token.children or []:
        text = _BLANKS.sub(" ", _shown(child))
        if child.type == "link_open":
            links.append((length, str(child.attrs.get("href", ""))))
        elif child.type in {"text", "image"}:
            text, bare = _without_addresses(text)
            links += ((length + offset, address) for offset, address in bare)
        parts.append(text)
        length += len(text)
    return _Inline(_line(token), "".join(parts), tuple(links))


def _shown(child: "Token") -> str:
    match child.type:
        case "text":
            return _as_it_looks(child.content)
        case "image":
            return f" {_as_it_looks(child.content)} {_title(child)}"
        case "link_open":
            return _title(child)
        case "code_inline":
            code = _as_it_looks(child.content)
            return code if _NUMBER.fullmatch(code) else "`"
        case "softbreak" | "hardbreak":
            return "\n"
        case "html_inline":
            return _without_tags(child.content)
        case _:
            return ""


def _html(token: "Token") -> _Inline:
    """What is left of an HTML block without tags and comments."""
    shown, *pieces = token.content.split("<!--")
    for piece in pieces:
        comment, _, after = piece.partition("-->")
        shown += "\n" * comment.count("\n") + after
    text, links = _without_addresses(_BLANKS.sub(" ", _without_tags(shown)))
    return _Inline(_line(token), text, links)


def _title(child: "Token") -> str:
    """What is shown beside the pointer over a link or an image."""
    title = str(child.attrs.get("title", ""))
    return f"{_as_it_looks(title)}: " if title else ""


def _without_tags(markup: str) -> str:
    """HTML as it is seen, descriptions and titles of its tags included."""

    def shown(tag: re.Match[str]) -> str:
        values = (found.strip("\"'") for found in _SHOWN_BY_A_TAG.findall(tag[0]))
        return f" {' '.join(values)} "

    return _as_it_looks(html.unescape(_TAG.sub(shown, markup)))


def _as_it_looks(text: str) -> str:
    return text if text.isascii() else _NOT_ASCII.sub(_letter, text)


def _letter(char: re.Match[str]) -> str:
    if unicodedata.category(char[0]) == "Cf":
        return ""
    if char[0] in _HYPHENS:
        return "-"
    if unicodedata.decomposition(char[0]).startswith(_KEPT_APART):
        return char[0]
    return unicodedata.normalize("NFKC", char[0])


def _without_addresses(text: str) -> tuple[str, tuple[tuple[int, str], ...]]:
    """The text without the bare addresses in it, and each address by where it stood."""
    parts: list[str] = []
    addresses: list[tuple[int, str]] = []
    begin = length = 0
    for found in _URL.finditer(text):
        address = found[0].rstrip(_AFTER_A_URL)
        parts.append(text[begin : found.start()])
        length += len(parts[-1])
        addresses.append((length, address))
        begin = found.start() + len(address)
    return "".join([*parts, text[begin:]]), tuple(addresses)


def _line(token: "Token") -> int:
    return token.map[0] + 1 if token.map else 1
