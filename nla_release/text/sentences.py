"""The sentences of a Markdown document, as they appear on the rendered page.

markdown-it parses the Markdown. Front matter, fenced code, HTML comments and link targets are left
out, and a code span becomes one backtick. A code span with only a number is text, because readers
see it as a number.

A paragraph, heading or list item is split after `.`, `!` or `?` (and closing quotes or brackets)
where white space and anything but a lower-case letter follow. The abbreviations in `_SPLIT` end no
sentence. A table cell is one sentence, and shares the links of its row.
"""

import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from nla_release.text.visible import without_front_matter

if TYPE_CHECKING:
    from markdown_it.token import Token

_SPLIT = re.compile(
    r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!vs\.)(?<!cf\.)(?<!ca\.)(?<!al\.)(?<!approx\.)"
    r"[\"'”’)\]*]{0,3}\s+(?=[^\sa-z])"
)
_BLANKS = re.compile(r"[^\S\n]+")
_URL = re.compile(r"https?://[^\s<>]+")
_AFTER_A_URL = ".,;:!?)]'\"*_"

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")
# Tags inside a word leave no gap: 0.<b>46</b> is read as 0.46.
_WITHIN_A_WORD = re.compile(
    r"</?(?:a|abbr|b|cite|code|del|em|i|ins|kbd|mark|q|s|samp|small|span|strong|sub|sup|u|var|wbr)\b",
    re.IGNORECASE,
)
# Text that a tag shows: the description of an image, or a tooltip.
_SHOWN_BY_A_TAG = re.compile(
    r"""\s(?:alt|title|aria-label)\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+)""", re.IGNORECASE
)

# Letters and digits that look like ASCII ones are read as those, but a raised or lowered one stays:
# 0.4² is not 0.42. Soft hyphens and other characters without a width are dropped.
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_KEPT_APART = ("<super>", "<sub>", "<fraction>")
_HYPHENS = "\N{HYPHEN}\N{NON-BREAKING HYPHEN}"

_NUMBER = re.compile(r"[~≈±<>]?\s?[+\-−]?\d[\d.,]*(?:\s?/\s?\d+)?\s?(?:%|[x×]|-?fold)?")

# GitHub and the Hub typeset what is between these as math.
_MATH = re.compile(r"\$\$?(?=\S)([^$]{1,2000})\$|\\[(\[]([^$]{1,2000})\\[)\]]")
_FRACTION = re.compile(r"\\[cdt]?frac\s*\{?\s*(\d+)\s*\}?\s*\{?\s*(\d+)\s*\}?")
_TYPESETTING = re.compile(r"\\[A-Za-z]+|[{}\\!,;:]|[^\S\n]")

# A longer label would only cost time.
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

    def line_of(self, position: int) -> int:
        """The line of a position in the text."""
        return self.line + self.text.count("\n", 0, position)


@dataclass(frozen=True)
class _Inline:
    """The text of a paragraph or cell, and its links by their position in the text."""

    line: int
    text: str
    links: tuple[tuple[int, str], ...]


@lru_cache(maxsize=8)  # more than one rule reads each document
def sentences(markdown: str) -> tuple[Sentence, ...]:
    """The sentences and table cells of a document in order, with or without front matter."""
    # Imported here because a check of a trained pair needs no Markdown parser.
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    return tuple(_sentences(parser.parse(without_front_matter(markdown))))


def _sentences(tokens: list["Token"]) -> Iterator[Sentence]:
    headings: list[str] = []
    row: list[_Inline] | None = None
    for token in tokens:
        if token.type == "tr_open":
            row = []
        elif token.type == "tr_close" and row is not None:
            yield from _row(row, headings)
            row = None
        elif token.type == "thead_open":
            headings = []
        elif token.type == "inline" and row is not None:
            row.append(_inline(token))
        elif token.type == "th_close" and row:
            headings.append(row[-1].text)
        elif token.type == "inline":
            yield from _split(_inline(token))
        elif token.type == "html_block":
            yield from _split(_html(token))
        elif token.type == "fence" and token.info.strip().lower() == "math":
            yield from _split(_Inline(_line(token) + 1, _plain_math(token.content), ()))


def _row(cells: list[_Inline], headings: list[str]) -> Iterator[Sentence]:
    links = tuple(link for cell in cells for _, link in cell.links)
    first = cells[0].text[:_LABEL_LENGTH] if cells else ""
    for position, cell in enumerate(cells):
        heading = headings[position][:_LABEL_LENGTH] if position < len(headings) else ""
        yield Sentence(cell.line, cell.text, f"{heading}; {first if position else ''}", links)


def _split(inline: _Inline) -> Iterator[Sentence]:
    line, begin, links = inline.line, 0, list(reversed(inline.links))
    for end in [*(found.end() for found in _SPLIT.finditer(inline.text)), None]:
        text = inline.text[begin:end]
        within = []
        while links and (end is None or links[-1][0] < end):
            within.append(links.pop()[1])
        yield Sentence(line, _MATH.sub(_typeset, text), links=tuple(within))
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
    text, links = _without_addresses(_BLANKS.sub(" ", _without_tags(token.content)))
    return _Inline(_line(token), text, links)


def _title(child: "Token") -> str:
    """The tooltip of a link or an image."""
    title = str(child.attrs.get("title", ""))
    return f"{_as_it_looks(title)}: " if title else ""


def _without_tags(markup: str) -> str:
    """HTML as it is seen, descriptions and titles of its tags included."""

    def shown(tag: re.Match[str]) -> str:
        values = " ".join(found.strip("\"'") for found in _SHOWN_BY_A_TAG.findall(tag[0]))
        return values if not values and _WITHIN_A_WORD.match(tag[0]) else f" {values} "

    seen = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), markup)
    return _as_it_looks(html.unescape(_TAG.sub(shown, seen)))


def _typeset(math: re.Match[str]) -> str:
    return _plain_math(math[1] or math[2])


def _plain_math(math: str) -> str:
    r"""The digits of LaTeX as they are seen: `0{.}46` is 0.46, `\frac{4}{10}` is 4/10."""
    return _TYPESETTING.sub("", _FRACTION.sub(r"\1/\2", math))


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
    """The text without the bare addresses in it, and each address by its position."""
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
