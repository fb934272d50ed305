"""NLA5xx: the documents as a reader sees them."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from nla_release.cards.blocks import marker_lines
from nla_release.cards.markdown import unseen
from nla_release.cards.visible import view
from nla_release.rules.adapter import CALIBRATION_PAGE_NAME, CARD_FILE_NAME, Adapter
from nla_release.rules.model import Page, Problem, UnreadableError, rule
from nla_release.rules.prose import MAX_PROSE
from nla_release.rules.scopes import REPOSITORIES

# The first few tell enough of a document that hides more.
_MAX_FINDINGS = 20


@rule(
    "NLA513",
    "error",
    "everything on both documents can be seen",
    each=REPOSITORIES,
    page=Page(
        checks="README.md and RELEASE_CALIBRATION.md are read as a Markdown reader does. Each"
        " generated block and section is visible text of the outermost level. Nothing hides"
        " another part: no fence, comment or HTML element that does not end, no `<script>`,"
        " `<style>`, `<template>`, `<svg>`, `<math>` or `hidden`, no section inside `<details>`,"
        " no link definition, and no zero-width or bidirectional control character.",
        why="A note that ended in an open fence left 1 heading and no table of a card that has 14"
        " and 5, and every tool that read the card as text found all of it in place.",
        fix="Close in the note what it opens, and render again. The finding names the line where"
        " the hiding part begins.",
        example="a fence ``` that does not end",
        waive="Never: what cannot be seen was not published.",
    ),
)
def nothing_hidden(adapter: Adapter) -> Iterator[Problem]:
    """Both documents, taken apart by a Markdown parser."""
    for name in (CARD_FILE_NAME, CALIBRATION_PAGE_NAME):
        path, text = adapter.folder / name, adapter.text(name)
        if len(text) > MAX_PROSE:
            raise UnreadableError("NLA508", path, f"holds more prose than {MAX_PROSE} characters")
        yield from itertools.islice(_hidden(path, text), _MAX_FINDINGS)


def _hidden(path: Path, text: str) -> Iterator[Problem]:
    seen = view(text)
    for hidden in seen.hidden:
        yield Problem(f"{path}:{hidden.line}", f"{hidden.what}: it hides other parts")
    for line, char in unseen(text):
        yield Problem(f"{path}:{line}", f"{char}, which no reader sees")
    shown = {block.line: block for block in seen.blocks if block.kind == "html_block"}
    for line, name in marker_lines(text):
        if line not in shown:
            around = [block for block in seen.blocks if block.line < line]
            within = f", inside the {around[-1].kind} of line {around[-1].line}" if around else ""
            yield Problem(f"{path}:{line}", f"the generated block {name} is no text here{within}")
        elif shown[line].within:
            yield Problem(
                f"{path}:{line}", f"the generated block {name} is inside {shown[line].within}"
            )
