"""A document as GitHub and the Hub show it, and what hides parts of it.

CommonMark defines the blocks: an open fence, comment or `<script>` hides all that follows,
`<details>` folds it, and a link reference definition shows nothing itself but turns words elsewhere
into links. Raw HTML is followed tag by tag over the whole document.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.token import Token


# A heading that occurs in no text.
_AFTER = "nla-release-ends-here"
_FRONT_MATTER = re.compile(r"\A---\n(?:.*\n)*?---(?:\n|\Z)")
_LINE_END = re.compile(r"\r\n?")
_OUR_COMMENT = re.compile(r"^[^\S\n]*<!--\s*nla-release:", re.MULTILINE)
_COMMENT = re.compile(r"<!--(?!-?>)(?:(?!-->|--!>).)*-->", re.DOTALL)

# Tags that show what is in them, and their harmless attributes. All others are refused: scripts and
# styles, tags that a browser does not draw (template, title, noscript), and SVG and MathML, which
# have other rules.
_TAGS = frozenset(
    re.findall(
        r"\w+",
        "a abbr b blockquote br center cite code dd del details div dl dt em figcaption figure h3 "
        " h4 h5 h6 hr i img ins kbd li mark ol p picture pre q s samp small source span strong sub"
        " summary sup table tbody td th thead tr u ul var wbr",
    )
)
_EMPTY = frozenset(["br", "hr", "img", "source", "wbr"])
_ATTRIBUTES = frozenset(
    re.findall(
        r"\w+",
        "align alt cite colspan height href media open rel rowspan sizes src srcset target title"
        " type valign width",
    )
)


# What GitHub and the Hub typeset as math.
_MATH = re.compile(r"\$.*\$|\\[(\[].*", re.DOTALL)
# LaTeX commands that colour text, reserve invisible space, move or shrink text, set a page's style,
# or define other commands.
_HIDING = re.compile(
    r"\\(?:(?:text|define)?color|f?colorbox|bbox|[hv]?phantom|[hmk]?space|[hmk]skip|[hm]?kern"
    r"|(?:math)?[clr]lap|smash|raisebox|rule|style|class|cssId|html[A-Z]\w*"
    r"|[gex]?def|let|(?:re)?newcommand|providecommand|require)(?![A-Za-z])"
)


@dataclass(frozen=True)
class Block:
    """A block of the outermost level.

    `line` counts from 1, `kind` is markdown-it's name of it (`h2` for a heading of that level), and
    `within` is the raw HTML element that is open where it begins.
    """

    line: int
    text: str
    kind: str
    within: str | None


@dataclass(frozen=True)
class Hidden:
    """Something that hides text, described in words, and its line, counted from 1."""

    line: int
    what: str


@dataclass(frozen=True)
class View:
    """A document's blocks in order, and everything in it that hides or may hide others."""

    blocks: tuple[Block, ...]
    hidden: tuple[Hidden, ...]


def without_front_matter(markdown: str) -> str:
    """The document with empty lines in place of its front matter, so that lines keep numbers."""
    return _FRONT_MATTER.sub(lambda found: "\n" * found[0].count("\n"), markdown, count=1)


@lru_cache(maxsize=8)  # each document of a release is looked at by several rules
def view(markdown: str) -> View:
    """A document as readers see it, without its front matter."""
    # Imported here because a check of a trained pair needs no Markdown parser.
    from markdown_it import MarkdownIt

    markdown = _LINE_END.sub("\n", markdown)  # as the parser counts lines
    markdown = without_front_matter(markdown)
    lines, environment = markdown.split("\n"), dict[str, dict[str, dict[str, list[int]]]]()
    tokens = (
        MarkdownIt("commonmark")
        .enable(["table", "strikethrough"])
        .disable("text_join")  # so that an escaped character is a token of its own
        .parse(markdown, environment)
    )
    elements, blocks, hidden = _Elements(), [], []
    for token, following in zip(tokens, [*tokens, None][1:], strict=True):
        first, end = token.map or (0, 0)
        if token.level == 0 and token.nesting >= 0 and token.map:
            kind = token.tag if token.type == "heading_open" else token.type
            text = "\n".join(lines[first:end]).rstrip()
            blocks.append(Block(first + 1, text, kind, elements.open))
        for line, markup in _raw_html(token):
            hidden += elements.read(line, markup)
        for line, command in _hiding_math(token):
            hidden.append(Hidden(line, f"math with {command}"))
        if token.type == "fence" and token.level == 0 and not _is_closed(token, lines):
            hidden.append(Hidden(first + 1, f"a fence {token.markup} that does not end"))
        if token.type == "heading_open" and token.level == 0 and token.tag in ("h1", "h2"):
            name = following.content if following else ""
            if elements.open:
                hidden.append(Hidden(first + 1, f"the section {name!r} inside {elements.open}"))
    for label, definition in environment.get("references", {}).items():
        line = definition["map"][0] + 1
        hidden.append(Hidden(line, f"the link definition [{label}]:, which shows nothing"))
    hidden += elements.unclosed()
    return View(tuple(blocks), tuple(sorted(hidden, key=lambda each: each.line)))


def misplaced(markdown: str) -> list[Hidden]:
    """What a hand-written part of a document may not contain.

    That is everything that hides text, headings of the levels of a document's own sections (a line
    of `---` below words makes one), and the comments that mark generated blocks.
    """
    seen = view(markdown)
    found = [
        Hidden(
            block.line, f"a heading of level {block.kind[1]} ({block.text.splitlines()[0][:60]})"
        )
        for block in seen.blocks
        if block.kind in ("h1", "h2")
    ]
    for comment in _OUR_COMMENT.finditer(markdown):
        line = markdown.count("\n", 0, comment.start()) + 1
        found.append(Hidden(line, "a comment <!-- nla-release: -->, which marks generated text"))
    return sorted([*seen.hidden, *found], key=lambda each: each.line)


class _Elements(HTMLParser):
    """The raw HTML elements of a document that are open, in the order in which they were opened."""

    def __init__(self) -> None:
        super().__init__()
        self._open: list[tuple[str, int]] = []
        self._found: list[Hidden] = []
        self._line = 1

    @property
    def open(self) -> str | None:
        """The innermost open element and its line."""
        return f"<{self._open[-1][0]}> of line {self._open[-1][1]}" if self._open else None

    def read(self, line: int, markup: str) -> list[Hidden]:
        """What hides text in a piece of raw HTML; its elements may stay open."""
        self._found, self._line = [], line
        markup = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), markup)
        if "<!" in markup or "<?" in markup:
            self._found.append(Hidden(line, f"raw HTML that does not end, {_first(markup)}"))
            return self._found
        self.feed(markup)
        if self.rawdata:
            self._found.append(Hidden(line, f"a tag that does not end, {_first(self.rawdata)}"))
        self.reset()
        return self._found

    def unclosed(self) -> list[Hidden]:
        """The elements that are still open."""
        return [Hidden(line, f"<{tag}> that is not closed") for tag, line in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _TAGS:
            self._found.append(Hidden(self._at, f"raw HTML, <{tag[:40]}>"))
            return
        for name, _ in attrs:
            if name not in _ATTRIBUTES:
                self._found.append(Hidden(self._at, f"raw HTML, <{tag}> with {name[:40]}"))
        if tag not in _EMPTY:
            self._open.append((tag, self._at))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)  # a browser does not close it either

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1][0] == tag:
            self._open.pop()
        else:
            self._found.append(Hidden(self._at, f"</{tag[:40]}> that closes nothing"))

    @property
    def _at(self) -> int:
        return self._line + self.getpos()[0] - 1


def _raw_html(token: "Token") -> Iterator[tuple[int, str]]:
    """The raw HTML of a token, each piece with its line."""
    line = token.map[0] + 1 if token.map else 1
    if token.type == "html_block":
        yield line, token.content
    for child in token.children or ():
        if child.type == "html_inline":
            yield line, child.content
        line += child.type in ("softbreak", "hardbreak")


def _hiding_math(token: "Token") -> Iterator[tuple[int, str]]:
    """The commands that hide something in the math of a token, each with its line."""
    line = token.map[0] + 1 if token.map else 1
    if token.type == "fence" and token.info.strip().lower() == "math":
        math = [(token.content, line + 1)]
    else:
        text = token.content if token.type == "html_block" else _typeset(token)
        math = [
            (found[0], line + text.count("\n", 0, found.start())) for found in _MATH.finditer(text)
        ]
    for text, first in math:
        for found in _HIDING.finditer(text):
            yield first + text.count("\n", 0, found.start()), found[0]


def _typeset(token: "Token") -> str:
    """The text of an inline token in which math is looked for: no escaped `$`, and no code."""
    parts: list[str] = []
    for child in token.children or ():
        before = parts[-1] if parts else ""
        if child.type in ("softbreak", "hardbreak"):
            parts.append("\n")
        elif child.type == "text_special":
            as_written = child.content in (child.markup, "\\")
            parts.append(child.content if as_written else " ")
        elif child.type != "code_inline" or before.endswith("$"):  # GitHub has math as $`...`$ too
            parts.append(child.content)
    return "".join(parts)


def _is_closed(fence: "Token", lines: Sequence[str]) -> bool:
    """Whether a fence of the outermost level has its second half."""
    first, end = fence.map or (0, 0)
    last = lines[end - 1].strip() if end - first > 1 else ""
    return len(last) >= len(fence.markup) and set(last) == {fence.markup[0]}


def _first(markup: str) -> str:
    return (markup.strip().splitlines() or [""])[0][:60]


def hiding(markdown: str) -> str | None:
    """What in a text could hide a heading after it, in words; None if nothing does.

    A fence that is not closed does, and raw HTML may: `<style>` and `<details>` hide the rest.
    """
    # Imported here because most commands need no Markdown parser.
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").parse(f"{markdown}\n\n## {_AFTER}\n")
    inner = [child for token in tokens for child in token.children or ()]
    raw = next((it for it in (*tokens, *inner) if it.type in {"html_block", "html_inline"}), None)
    if raw:
        return f"raw HTML, {raw.content.strip().splitlines()[0][:60]}"
    ends = len(tokens) > 2 and (tokens[-3].type, tokens[-3].tag, tokens[-3].level)
    if ends != ("heading_open", "h2", 0) or tokens[-2].content != _AFTER:
        return "something that does not end, such as a fence without its second half"
    return None
