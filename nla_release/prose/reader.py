"""The prose of a document, sentence by sentence, as whoever reads the rendered page sees it.

Metadata, code, HTML tags, comments and link targets are not prose. markdown-it takes the Markdown
apart: where a code span, a table cell or a link ends is CommonMark's to say, not a regex's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.token import Token

# The section in which a card quotes rows of the evidence: text of a corpus and of a model.
QUOTING = "Examples"

_MARKER = re.compile(r"<!-- nla-release:(begin|end) [a-z]+ -->")
_FRONT_MATTER = re.compile(r"\A---\n(?:.*\n)*?---(?:\n|\Z)")
_TAG = re.compile(r"<[^<>]*>")
_URL = re.compile(r"https?://[^\s<>]+")
_AFTER_A_URL = ".,;:!?)]'\"*_"
_BLANKS = re.compile(r"[^\S\n]+")
_BETWEEN_SENTENCES = re.compile(
    r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!vs\.)(?<!cf\.)(?<!ca\.)(?<!al\.)(?<!approx\.)"
    r"[\"'”’)\]*]{0,3}\s+(?=[^\sa-z])"
)

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


@dataclass(frozen=True)
class _Inline:
    """The text of a paragraph or cell, and its links by where in the text they stand."""

    line: int
    text: str
    links: tuple[tuple[int, str], ...]


@lru_cache(maxsize=8)  # both repositories hold some documents, and more than one rule reads them
def read_prose(markdown: str, *, skip_generated: bool) -> tuple[Passage, ...]:
    """The passages of a document in order, all but the quotations under the heading `QUOTING`.

    Args:
        markdown: the document, with or without front matter.
        skip_generated: leave out what stands between the markers of generated blocks.
    """
    # Only here: whoever checks what is not rendered yet needs no Markdown parser.
    from markdown_it import MarkdownIt

    front_matter = _FRONT_MATTER.match(markdown)
    if front_matter:
        markdown = "\n" * front_matter[0].count("\n") + markdown[front_matter.end() :]
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    return tuple(_passages(_outside(tokens, skip_generated=skip_generated)))


def _outside(tokens: list["Token"], *, skip_generated: bool) -> Iterator["Token"]:
    """The tokens that are not of a generated block or of the quoting section."""
    generated = quoting = False
    for token, following in zip(tokens, [*tokens, None][1:], strict=True):
        if token.type == "heading_open" and token.tag in {"h1", "h2"} and following:
            quoting = following.content.strip() == QUOTING
        marker = _MARKER.fullmatch(token.content.rstrip()) if token.type == "html_block" else None
        if marker and token.level == 0:
            generated = skip_generated and marker[1] == "begin"
        if not (generated or quoting):
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
            return child.content
        case "image":
            return f" {child.content} "
        case "code_inline":
            return "`"
        case "softbreak" | "hardbreak":
            return "\n"
        case "html_inline":
            return " "
        case _:
            return ""


def _html(token: "Token") -> _Inline:
    """What is left of an HTML block without tags and comments."""
    shown, *pieces = token.content.split("<!--")
    for piece in pieces:
        comment, _, after = piece.partition("-->")
        shown += "\n" * comment.count("\n") + after
    text, links = _without_addresses(_BLANKS.sub(" ", _TAG.sub(" ", shown)))
    return _Inline(_line(token), text, links)


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
