"""Texts for a report that travels: nothing in them hides, and nothing tells where they were."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

# An explanation is a few sentences; a source text may be a book.
MAX_TEXT = 2000

_SHOWN_AS_THEY_ARE = "\n\t"
# What could end a script element inside of JSON's strings.
_IN_SCRIPTS = {ord(char): f"\\u{ord(char):04x}" for char in "<>&"}


def visible(text: str) -> str:
    """The text with controls, direction overrides and other unseen characters spelled out."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in _SHOWN_AS_THEY_ARE else ascii(char)[1:-1]
        for char in text
    )


def json_in_html(document: Any) -> str:
    """JSON in ASCII that ends no script element, whatever its strings hold."""
    text = json.dumps(document, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return text.translate(_IN_SCRIPTS)


def shortened(text: str, most: int = MAX_TEXT) -> str:
    """The beginning of a long text, and how much is left out."""
    left_out = len(text) - most
    return text if left_out <= 0 else f"{text[:most]} [... {left_out} more characters]"


def everywhere(change: Callable[[str], str], document: Any) -> Any:
    """Plain data with every string in it changed, keys too."""
    match document:
        case str():
            return change(document)
        case dict():
            return {change(key): everywhere(change, value) for key, value in document.items()}
        case list() | tuple():
            return [everywhere(change, each) for each in document]
        case _:
            return document


def placeless(folder: Path) -> Callable[[str], str]:
    """Takes the way to a folder out of messages: paths become relative to it.

    Args:
        folder: absolute.
    """
    ways = {str(Path.home()): "~"} | {
        str(parent): "/".join([".."] * steps)
        for steps, parent in enumerate(folder.parents, start=1)
        if parent != parent.parent
    }
    # The longest first, so that no folder is taken for one above it.
    names = "|".join(re.escape(way) for way in sorted({str(folder), *ways}, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w./-])({names})(?![\w-])(/?)")

    def relative(match: re.Match[str]) -> str:
        way, slash = match.groups()
        if way == str(folder):
            return "" if slash else folder.name
        return ways[way] + slash

    return lambda text: pattern.sub(relative, text)
