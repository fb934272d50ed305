"""Hand-written notes: the sections of a card that the author writes."""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nla_release.errors import ConfigError
from nla_release.io.files import read_text
from nla_release.text.literals import literals
from nla_release.text.sandbox import render_note, tokens
from nla_release.text.visible import misplaced

# The first seven appear on both cards, the others in RELEASE_CALIBRATION.md.
NAMES = (
    "summary",
    "customizations",
    "datasets",
    "distinctive",
    "rationale",
    "limitations",
    "intended_use",
    "positioning",
    "gaps",
    "alternatives",
    "comparison",
    "acknowledgments",
)

# What replaces `{{ ... }}` where only the words of an author are read. No font has this character.
QUOTED = "\ue000"

# Whole numbers that an expression may calculate with, such as 100 * share or 1 - share.
_PLAIN = {"0", "1", "2", "100"}

# Names that are no value, and statements that show nothing of what they calculate.
_WORDS = {"and", "or", "not", "in", "is", "if", "else", "true", "false", "none"}
_CONDITIONS = {"if", "elif", "else", "endif", "endfor", "endset", "endmacro"}


@dataclass(frozen=True)
class Note:
    """A note as its author wrote it, without Jinja's comments, and as it is rendered."""

    source: str
    text: str


def read_notes(folder: Path | None, context: Mapping[str, Any]) -> dict[str, Note]:
    """The notes of a release by name.

    Args:
        folder: which holds the notes as `<name>.md`; None when the release has none.
        context: what `{{ ... }}` in a note may quote.

    Raises:
        ConfigError: the folder is missing, holds a Markdown file that is no note, or a note is
            broken or would hide what follows it.
    """
    if folder is None:
        return {}
    if not folder.is_dir():
        raise ConfigError(f"the notes folder {folder} of release.yaml does not exist")
    if unknown := sorted(path.name for path in folder.glob("*.md") if path.stem not in NAMES):
        raise ConfigError(
            f"{folder / unknown[0]} is not a note of any section",
            hint=f"notes are {', '.join(f'{name}.md' for name in NAMES)}",
        )
    paths = {name: folder / f"{name}.md" for name in NAMES}
    return {name: _note(path, context) for name, path in paths.items() if path.exists()}


def _note(path: Path, context: Mapping[str, Any]) -> Note:
    text = render_note(path, context)
    for hidden in misplaced(text):
        raise ConfigError(
            f"{path} line {hidden.line}: {hidden.what}; it would hide the text after it on the"
            " card, or make it part of another section",
            hint="close what is open, write links as [text](address) and headings with ###, and"
            " show markup as code between backticks",
        )
    return Note(without_comments(read_text(path)), text)


def without_comments(source: str) -> str:
    """A note without the comments `{# ... #}` of its author, which renders to the same text."""
    if "{#" not in source:
        return source.strip()
    kept = (text for _, kind, text in tokens(source) if not kind.startswith("comment"))
    return "".join(kept).strip()


def own_words(source: str) -> tuple[str, list[tuple[int, str]]]:
    """What the author of a note wrote without quoting anything.

    Args:
        source: of the note.

    Returns:
        The note, line by line, with `QUOTED` for each `{{ ... }}`; and each number that was typed
        into the braces instead of quoted, with its line.

    Raises:
        ConfigError: the note is not a valid template.
    """
    parts: list[str] = []
    typed: list[tuple[int, str]] = []
    inside: list[tuple[int, str, str]] | None = None
    for token in tokens(source) if "{" in source else [(1, "data", source)]:
        _, kind, text = token
        if kind == "data":
            parts.append(text)
        elif kind in ("variable_begin", "block_begin"):
            inside = []
        elif kind in ("variable_end", "block_end"):
            typed += _typed(inside or [])
            parts.append(QUOTED if kind == "variable_end" else "")
            inside = None
        elif inside is not None and kind != "whitespace":
            inside.append(token)
        if kind != "data":
            parts.append("\n" * text.count("\n"))
    return "".join(parts), typed


def _typed(expression: list[tuple[int, str, str]]) -> Iterator[tuple[int, str]]:
    """The constants of an expression that could be shown as a measurement."""
    if expression and expression[0][2] in _CONDITIONS:
        return
    quotes = any(
        kind == "name" and text not in _WORDS and (at == 0 or expression[at - 1][2] not in "|.")
        for at, (_, kind, text) in enumerate(expression)
    )
    for at, (line, kind, text) in enumerate(expression):
        plain = (quotes and text in _PLAIN) or _is_argument(expression, at)
        if kind == "float" or (kind == "integer" and not plain):
            yield line, text
        elif kind == "string" and _has_number(text):
            yield line, text[1:-1]


def _has_number(string: str) -> bool:
    """Whether a string shows a number, which `"%.1f"` does not; an escape may be a digit."""
    shown = unicodedata.normalize("NFKC", string[1:-1])
    return "\\" in shown.replace("\\n", "") or next(literals(shown), None) is not None


def _is_argument(expression: list[tuple[int, str, str]], at: int) -> bool:
    """Whether a constant is an index, `[0]`, or all of an argument, `round(2)`."""
    before = expression[at - 1][2] if at else ""
    after = expression[at + 1][2] if at + 1 < len(expression) else ""
    call = before == "(" and at > 1 and expression[at - 2][1] == "name"
    return (before == "[" or before == "," or call) and after in ("]", ")", ",")
