"""What a sentence says of measured quantities, and which of its numbers the calibration lacks.

A number is held to the calibration where the words around it leave little doubt what it is: a
decimal or a percentage in a sentence that names a metric, or a count of rows or documents.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from nla_release.prose.literals import LiteralNumber, literals
from nla_release.prose.quantities import Metric, Quantity
from nla_release.prose.reader import Passage, Sentence
from nla_release.release import CALIBRATION_FILE_NAME

# The words that name a metric. What "empty" names is a control, and a way to fail.
_MENTION = re.compile(
    r"""\b(?:
    (?P<cosine>(?:round[- ]trip\s)?cos(?:ines?)?\b | round[- ]trips?\b)
  | (?P<fve>fve | variance\sexplained | explained\svariance)
  | (?P<mse>mse\b | (?:mean\s)?squared\serror | error\sof\sunit\svectors | reconstruction\serror)
  | (?P<retrieval>top-?\s?1\b | retriev\w{1,10} | accuracy | hit\srate | argmax | chance\b)
  | (?P<control>shuffled | controls?\b | baselines?\b | structural | empty\b | zero\svector
      | another\srow | random\s(?:direction|vector) | labelled\sexplanation
      | predict\w{0,3}[- ](?:the[- ])?mean | mean\s(?:training\s)?(?:direction|activation|vector))
  | (?P<diversity>distinct | unique | diversity | different\s(?:text|explanation|beginning|prefix))
  | (?P<failure>fail(?:ed|ures?|s)?\b | truncated | unparsed)
  | (?P<interval>intervals?\b | ci\b | confidence)
    )""",
    re.IGNORECASE | re.VERBOSE,
)
# What to propose for a kind of number, a word or a metric; for the others, what is nearest.
_HEADLINES = {
    "spread": "cosine.sd",
    "retrieval factor": "retrieval.top1 / retrieval.chance",
    "structural": "controls.empty.mean / cosine.mean",
    "empty": "controls.empty.mean",
    "shuffled": "controls.shuffled.mean",
    "another row": "controls.shuffled.mean",
    "chance": "retrieval.chance",
    "cosine": "cosine.mean",
    "fve": "fve.value",
    "mse": "mse.mean",
    "retrieval": "retrieval.top1",
}
_ALSO: dict[str, set[Metric]] = {"control": {"cosine", "failure", "diversity"}}

# A passage that sets one thing beside another may state the controls as plain cosines. One that
# does not has room for the headline alone.
_COMPARES = re.compile(
    r"\b(?:against|beside|versus|vs|than|differen\w{2,4}|instead|without|nothing|constant|delta"
    r"|drop\w{0,3}|falls?|gain\w{0,3}|ceiling|labelled|gold|another|other|above|below|same|while"
    r"|whereas|but|share|ratio|shuffled|empty|zero|random|controls?|baselines?|mean\s(?!cosine)\w+)\b|Δ",
    re.IGNORECASE,
)
_SPREADS = re.compile(
    r"\b(?:intervals?|ci|confidence|bounds?|ends?|lower|upper|between|range\w{0,2}|deviation|sd|std"
    r"|standard\serror)\b",
    re.IGNORECASE,
)

# Numbers and what they count, whatever the sentence is about.
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
    r"|(?:fewer|less)\sthan(?:\s\d{1,9}\s\w{1,20}\sor)?)\s$",
    re.IGNORECASE,
)
_OF_TRAINING = re.compile(
    r"\btrained\b|\btraining\)?\s(?:on|set|data|corpus|rows|documents|activations|run)"
    r"|\bcorp(?:us|ora)\b|\bdatasets?\b",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"\b(?:layer|block|step|epoch|stage|part|page|version)\s$", re.IGNORECASE)
_OF_SOMETHING_ELSE = re.compile(
    r"\s?(?:layers|blocks|modules|heads|steps|epochs|tokens|features|claims|judges|gpus)\b",
    re.IGNORECASE,
)

# Decimals in a sentence about a metric that are no value of it.
_NAMED_OTHERWISE = re.compile(
    r"(?:\b(?:p|lr|learning\srate|loss|dropout|slope|temperature|top-p|decay|threshold|floor|bar"
    r"|scale|version|R2|r2|weight)|R²|R\^2)\s?(?:of|was|is|at|=|<|>|≤|≥|~|≈|:)?\s?$"
)
_UNIT = re.compile(
    r"\s?(?:[GMk]i?B|ms|seconds|minutes|hours|GPU|epochs?|million|billion|per\sstep|/\s?step"
    r"|(?:\w{1,20}\s)?(?:floor|threshold|bar|tripwire))\b"
)
_LEVEL = re.compile(r"\s(?:\w{1,20}\s){0,2}(?:intervals?|ci|confidence)\b", re.IGNORECASE)
_TIMES_WHAT = re.compile(
    r"\s(?:\w{1,20}\s){0,3}(?:chance|random|baseline|control|shuffled|empty|mean)\b", re.IGNORECASE
)
_NEAR = 40

# What counts are taken out of.
_WHOLES = (".n", ".rows", ".documents", ".ok", ".candidates")

_MAX_MSE = 4  # of unit vectors, 2 (1 - cos)
_EXACT = 1e-5  # of rates, which calibration.json rounds to six decimals


@dataclass(frozen=True)
class Unfounded:
    """A number that the calibration does not give: its line, and what is wrong with it."""

    line: int
    message: str


@dataclass(frozen=True)
class _Statement:
    """A sentence, the metrics that it names by where it does, and the quantities it may state."""

    sentence: Sentence
    mentions: list[tuple[int, str, str]]
    stated: list[Quantity]
    known: Collection[Quantity]
    level: float
    spreads: bool
    of_training: bool


def compares(passage: Passage) -> bool:
    """Whether a passage speaks of controls, so that a cosine in it need not be the headline."""
    return _COMPARES.search(passage.text) is not None


def unfounded(
    sentence: Sentence, known: Collection[Quantity], *, level: float, comparing: bool
) -> Iterator[Unfounded]:
    """The numbers of a sentence that the calibration does not give.

    Args:
        sentence: of prose, or a table cell with its label.
        known: what the calibration gives, and what follows from it.
        level: of the calibration's intervals, such as 0.95.
        comparing: whether the sentence stands in a passage that `compares`.
    """
    found = literals(sentence.text)
    if not found:
        return
    statement = _statement(sentence, known, level, comparing=comparing)
    for literal in found:
        if message := _objection(literal, statement):
            yield Unfounded(sentence.line + sentence.text.count("\n", 0, literal.start), message)


def _statement(
    sentence: Sentence, known: Collection[Quantity], level: float, *, comparing: bool
) -> _Statement:
    # A metric that the label names is named before all of the text.
    mentions = [
        (begin if begin is not None else found.start(), str(found.lastgroup), found[0])
        for text, begin in ((sentence.label, -1), (sentence.text, None))
        for found in _MENTION.finditer(text)
    ]
    named = {metric for _, metric, _ in mentions}
    stated = named.union(*(_ALSO.get(metric, set()) for metric in named))
    if "cosine" in named and (comparing or _COMPARES.search(sentence.label)):
        stated.add("control")
    words = f"{sentence.label} {sentence.text}"
    return _Statement(
        sentence,
        mentions,
        [each for each in known if each.metric in stated or named == {"interval"}],
        known,
        level,
        spreads=_SPREADS.search(words) is not None,
        of_training=_OF_TRAINING.search(words) is not None,
    )


def _objection(literal: LiteralNumber, statement: _Statement) -> str | None:
    """What is wrong with a number; None for the calibration's, and for what is not its business."""
    if literal.kind == "integer":
        return _count(literal, statement)
    if not statement.mentions:
        return None
    if literal.kind == "fraction":
        return _fraction(literal, statement)
    if literal.kind == "factor" and not _TIMES_WHAT.match(statement.sentence.text, literal.end):
        return None
    return _value(literal, statement)


def _count(literal: LiteralNumber, statement: _Statement) -> str | None:
    """A number of rows or documents, or an n."""
    noun = _counted(literal, statement.sentence)
    if noun is None or statement.of_training:
        return None
    of_documents = noun.startswith("doc")
    counts = [
        each
        for each in statement.known
        if each.metric == "count" and ("documents" in each.name) == of_documents
    ]
    if any(each.value == literal.value for each in counts):
        return None
    shown = f"n = {literal.shown}" if noun == "n" else f"{literal.shown} {noun}"
    return _says(shown, counts[0], literal)


def _counted(literal: LiteralNumber, sentence: Sentence) -> str | None:
    """What a whole number counts, by the words beside it or, alone in a cell, by its label."""
    text = sentence.text
    before = text[max(0, literal.start - _NEAR) : literal.start]
    if _PART_OF_THEM.search(before):
        return None
    if noun := _COUNTED.match(text, literal.end):
        return noun["noun"].lower()
    if _BEFORE_A_COUNT.search(before):
        return "n"
    if text.strip() == literal.shown and (label := _COUNTED_IN_A_CELL.search(sentence.label)):
        return label[0]
    return None


def _fraction(literal: LiteralNumber, statement: _Statement) -> str | None:
    """`57/60` or `57 of 60`: both are counts, or together they are a rate, such as chance."""
    text, (part, whole) = statement.sentence.text, literal.fraction or (0, 0)
    before = text[max(0, literal.start - _NEAR) : literal.start]
    if _NUMBERED.search(before) or _OF_SOMETHING_ELSE.match(text, literal.end):
        return None
    counts = [each for each in statement.known if each.metric == "count"]
    wholes = {each.value for each in counts if each.name.endswith(_WHOLES)}
    rates = (each.value for each in statement.stated if not each.derived)
    if part in {each.value for each in counts} and whole in wholes:
        return None
    if any(abs(rate - literal.value) < _EXACT for rate in rates):
        return None
    return _says(f"{_word(literal, statement)[1]} {literal.shown}", None, literal)


def _value(literal: LiteralNumber, statement: _Statement) -> str | None:
    """A value of a metric that the sentence names, at the precision that is written."""
    sentence = statement.sentence
    before = sentence.text[max(0, literal.start - _NEAR) : literal.start]
    if (
        _NAMED_OTHERWISE.search(before)
        or _UNIT.match(sentence.text, literal.end)
        or not (literal.kind == "factor" or _plausible(literal.value, statement))
        or (literal.means(statement.level) and _LEVEL.match(sentence.text, literal.end))
    ):
        return None
    edges = statement.spreads or literal.ranged or literal.spread
    if any(literal.means(each.value) for each in statement.stated if edges or not each.edge):
        return None
    return _no_value(literal, statement)


def _plausible(value: float, statement: _Statement) -> bool:
    """Whether a number can be one of the metrics: a norm, a loss or a version seldom can."""
    named = {metric for _, metric, _ in statement.mentions}
    return (
        abs(value) <= 1
        or ("mse" in named and 0 <= value <= _MAX_MSE)
        or ("fve" in named and value < 0)
    )


def _word(literal: LiteralNumber, statement: _Statement) -> tuple[str, str]:
    """The metric that a number speaks of, and its word there: the last before it, or the next."""
    _, metric, word = min(
        statement.mentions, key=lambda each: (each[0] > literal.start, abs(literal.start - each[0]))
    )
    return metric, " ".join(word.lower().split())


def _no_value(literal: LiteralNumber, statement: _Statement) -> str:
    """The objection to a value: what is said, and what the calibration gives there."""
    metric, word = _word(literal, statement)
    kinds = ("spread" if literal.spread else "", f"{metric} {literal.kind}", word, metric)
    name = next((_HEADLINES[kind] for kind in kinds if kind in _HEADLINES), None)
    own = [
        each
        for each in statement.stated
        if each.name == name or (name is None and each.metric == metric and not each.derived)
    ]
    given = min(own, key=lambda each: abs(each.value - literal.value), default=None)
    return _says(f"{word} {literal.shown}", given, literal)


def _says(shown: str, given: Quantity | None, literal: LiteralNumber) -> str:
    if given is None:
        return f"says {shown}, which {CALIBRATION_FILE_NAME} does not give"
    return (
        f"says {shown}; {CALIBRATION_FILE_NAME} gives {given.name} {literal.written(given.value)}"
    )
