"""Retracted numbers that prose still shows as if they stood."""

import re
from collections.abc import Collection, Iterator, Sequence

from nla_release.history.log import Superseded
from nla_release.prose.literals import LiteralNumber, literals
from nla_release.prose.mentions import metrics_named
from nla_release.prose.quantities import metric_of
from nla_release.prose.reader import Passage, Sentence
from nla_release.release.folder import HISTORY_FILE_NAME, tag
from nla_release.text.quantity import Quantity

# "Retracted" and not "it was not retracted"; "corrected to" and not "corrected for failures".
_REPORTS = re.compile(
    r"(?P<denied>(?:\b(?:not?|never|nor|neither|nobody|none|nothing|without|hardly)|n['’]t)\s+"
    r"(?:[\w-]{1,20}\s+){0,3})?\b(?:retract|supersed|withdr[ae]w)",
    re.IGNORECASE,
)
_CORRECTS = re.compile(r"(?<!-)\bcorrect(?:ed\s(?:to|by|in|from)|s|ions?)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{3,}")

# Fewer decimals than these are too common to be known by: 0.4 is no way to write 0.438.
_DECIMALS = 2


def restated(
    passage: Passage, retracted: Sequence[Superseded], own: Collection[Quantity]
) -> Iterator[tuple[int, LiteralNumber, Superseded]]:
    """Where a passage shows a retracted number: the line, how it is written there, and which it is.

    It does when it names the metric, or its sentence the version, and writes the value, at any
    precision that tells it from others, in a sentence that does not report a retraction.

    Args:
        passage: a paragraph, a list item or a row of a table.
        retracted: the numbers to look for.
        own: the numbers of the version that the passage is about. One of them, under its metric,
            is that version's own, even when it is the same as a retracted one, unless the sentence
            names the other version.
    """
    named = metrics_named(passage.words)
    about = [each for each in retracted if _names(passage.words, named, each.metric)]
    theirs = [each.value for each in own if _is_stated(each, named)] if about else []
    for sentence in passage.sentences:
        asked = [
            each
            for each in retracted
            if each in about or (each.decimals and _is_named(each.version, sentence))
        ]
        if not asked or _reports(sentence):
            continue
        for literal in literals(sentence.text):
            found = next((each for each in asked if _is(literal, each)), None)
            if found and (
                _is_named(found.version, sentence)
                or not any(literal.means(each) for each in theirs)
            ):
                line = sentence.line + sentence.text.count("\n", 0, literal.start)
                yield line, literal, found


def _reports(sentence: Sentence) -> bool:
    """Whether a sentence says that a number was retracted, or what was put in its place."""
    if any(not found["denied"] for found in _REPORTS.finditer(sentence.text)):
        return True
    corrects = _CORRECTS.search(sentence.text)
    linked = any(HISTORY_FILE_NAME in link for link in sentence.links)
    return corrects is not None and (linked or corrects[0].lower().startswith("corrected"))


def _is_named(version: str, sentence: Sentence) -> bool:
    """Whether a sentence, or the label of a cell, names a version by its tag."""
    named = rf"(?<![\w.]){re.escape(tag(version))}(?!\w|[.+]\w)"
    return re.search(named, f"{sentence.label} {sentence.text}") is not None


def _names(text: str, named: set[str], metric: str) -> bool:
    """Whether a text names a metric: by the words that documents use, or by any of its own."""
    known = metric_of(metric)
    if known not in (None, "count"):
        return known in named
    words = set(_WORD.findall(text.lower()))
    return not words.isdisjoint(_WORD.findall(metric.lower()))


def _is_stated(quantity: Quantity, named: set[str]) -> bool:
    metrics = named | ({"control"} if "cosine" in named else set())
    return quantity.metric in metrics and not (quantity.derived or quantity.edge)


def _is(literal: LiteralNumber, superseded: Superseded) -> bool:
    """Whether a literal writes the value, rounded to the fewer digits of the two."""
    written = superseded.decimals
    decimals = written if literal.kind == "fraction" else literal.decimals
    if decimals < min(_DECIMALS, written):
        return False
    # Both are rounded decimals: a last digit of 5 may lie on either side by the float's error.
    return abs(literal.value - superseded.value) <= 10.0 ** -min(decimals, written) / 2 + 1e-9
