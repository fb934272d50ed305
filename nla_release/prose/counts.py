"""What a whole number of a sentence counts: rows or documents, or nothing of the calibration."""

import re

from nla_release.prose.literals import LiteralNumber
from nla_release.prose.reader import Sentence

_BEFORE_A_COUNT = re.compile(r"\b[nN]\s?(?:=|:|of)\s?$")
_COUNTED = re.compile(
    r"""\s(?:(?:held-out|evaluation|test|measured|scored|effective|failed|empty|truncated|unparsed
      |explained|other|single|random|of\s(?:the\s)?)\s){0,3}
    (?P<noun>rows | activations | documents | docs | samples)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_COUNTED_IN_A_CELL = re.compile(r"\bn\b|\b(?:rows|activations|documents|docs|samples)\b")
_PART_OF_THEM = re.compile(
    r"\b(?:first|last|top|every|each|per|other|at\sleast|at\smost|up\sto"
    r"|(?:batch(?:es)?|chunks?|groups?|shards?)\sof"
    r"|(?:fewer|less)\sthan(?:\s\d{1,9}\s\w{1,20}\sor)?)\s$",
    re.IGNORECASE,
)
_AT_A_TIME = re.compile(
    r"\s(?:at\s(?:a\stime|once)|(?:per|a|in\s(?:a|each|every))\s(?:batch|step|pass|forward|device))",
    re.IGNORECASE,
)
_AMONG_THEM = re.compile(r"\bof\s(?:(?:these|those|them),|which|whom)\s$", re.IGNORECASE)
_NUMBERED = re.compile(r"\b(?:layer|block|step|epoch|stage|part|page|version)\s$", re.IGNORECASE)
_OF_SOMETHING_ELSE = re.compile(
    r"\s?(?:[a-z-]{1,20}\s)?(?:layers|blocks|modules|heads|steps|epochs|tokens|features|claims"
    r"|judges|gpus|people|annotators|seeds|runs|models|languages|parameters|dimensions)\b",
    re.IGNORECASE,
)
_NEAR = 40


def counted(literal: LiteralNumber, sentence: Sentence) -> str | None:
    """What a whole number counts, by the words beside it or, alone in a cell, by its label."""
    text, before = sentence.text, _before(literal, sentence)
    if _PART_OF_THEM.search(before):
        return None
    if noun := _COUNTED.match(text, literal.end):
        return None if _AT_A_TIME.match(text, noun.end()) else noun["noun"].lower()
    if _BEFORE_A_COUNT.search(before):
        return None if _OF_SOMETHING_ELSE.match(text, literal.end) else "n"
    if text.strip() == literal.shown and (label := _COUNTED_IN_A_CELL.search(sentence.label)):
        return label[0]
    return None


def among_them(literal: LiteralNumber, sentence: Sentence) -> bool:
    """Whether a number is of some of the rows or documents, such as those of a kind."""
    return _AMONG_THEM.search(_before(literal, sentence)) is not None


def of_something_else(literal: LiteralNumber, sentence: Sentence) -> bool:
    """Whether a fraction is a place in a row of layers, or a part of what is not measured here."""
    return (
        _NUMBERED.search(_before(literal, sentence)) is not None
        or _OF_SOMETHING_ELSE.match(sentence.text, literal.end) is not None
    )


def _before(literal: LiteralNumber, sentence: Sentence) -> str:
    return sentence.text[max(0, literal.start - _NEAR) : literal.start]
