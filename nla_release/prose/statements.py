"""What a sentence says of measured quantities, and which of its numbers the calibration lacks.

A number is held to the calibration where the words around it leave little doubt what it is: a
decimal or a percentage in a sentence that names a metric, or a count of rows or documents.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from nla_release.prose.counts import among_them, counted, of_something_else
from nla_release.prose.literals import LiteralNumber, literals
from nla_release.prose.mentions import Clause, Mention, clause, inside, mentions, nearest, of_a_fit
from nla_release.prose.otherwise import named_otherwise
from nla_release.prose.reader import Passage, Sentence
from nla_release.release.folder import CALIBRATION_FILE_NAME
from nla_release.text.quantity import Metric, Quantity

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

_OF_TRAINING = re.compile(
    r"\btrained\b|\btraining\)?\s(?:on|set|data|corpus|rows|documents|activations|run)"
    r"|\bcorp(?:us|ora)\b|\bdatasets?\b",
    re.IGNORECASE,
)

# What a cosine is said to be right away is that of the pair, unless a control is named nearer.
_COSINE_IS = re.compile(
    r"\bcos(?:ines?)?(?:[\s_-]?sim(?:ilarity)?)?"
    r"\s?(?:(?:of|is|was|:|=)\s?)?(?:(?:about|around|roughly|only|~|≈)\s?)?$",
    re.IGNORECASE,
)
_ANOTHER_NUMBER = re.compile(r"\d|;")
_TIMES_WHAT = re.compile(
    r"\s(?:\w{1,20}\s){0,3}(?:chance|random|baseline|control|shuffled|empty|mean)\b", re.IGNORECASE
)
_FAR = 200

# What counts are taken out of, and which counts can be part of them in a sentence about a metric.
_WHOLES = (".n", ".rows", ".documents", ".ok", ".candidates")
_PARTS = {
    "failure": ("rows without an explanation", ".empty", ".truncated", ".unparsed", ".failed"),
    "retrieval": (".hits", "rows not retrieved"),
}
_NEGATION = re.compile(r"\b(?:not|never|no|without|nothing|none|\w{1,8}n['’]t)\b", re.IGNORECASE)

_MAX_MSE = 4  # of unit vectors, 2 (1 - cos)
_EXACT = 1e-5  # of rates, which calibration.json rounds to six decimals


@dataclass(frozen=True)
class Unfounded:
    """A number that the calibration does not give: its line, and what is wrong with it."""

    line: int
    message: str


@dataclass(frozen=True)
class _Statement:
    """A sentence, the metrics that it names and where, and the quantities it may state."""

    sentence: Sentence
    mentions: list[Mention]
    metrics: set[str]
    stated: list[Quantity]
    known: Collection[Quantity]
    level: float
    spreads: bool
    of_training: bool
    of_a_fit: bool

    def clause(self, literal: LiteralNumber) -> Clause:
        return clause(literal, self.sentence.text)

    def nearest(self, literal: LiteralNumber) -> Mention | None:
        """The metric that a number speaks of."""
        return nearest(literal, self.mentions, self.clause(literal))


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
    found = list(mentions(sentence))
    named = {mention.metric for mention in found}
    stated = named.union(*(_ALSO.get(metric, set()) for metric in named))
    if "cosine" in named and (comparing or _COMPARES.search(sentence.label)):
        stated.add("control")
    words = f"{sentence.label} {sentence.text}"
    return _Statement(
        sentence,
        found,
        named,
        [each for each in known if each.metric in stated or named == {"interval"}],
        known,
        level,
        spreads=_SPREADS.search(words) is not None,
        of_training=_OF_TRAINING.search(words) is not None,
        of_a_fit=of_a_fit(sentence),
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
    noun = counted(literal, statement.sentence)
    if noun is None or statement.of_training:
        return None
    counts = _counts(statement, of_documents=noun.startswith("doc"))
    values = {each.value for each in counts}
    some = among_them(literal, statement.sentence) and "failure" not in statement.metrics
    if literal.value in values or (some and literal.value < max(values)):
        return None
    shown = f"n = {literal.shown}" if noun == "n" else f"{literal.shown} {noun}"
    return _says(shown, counts[0], literal)


def _counts(statement: _Statement, *, of_documents: bool) -> list[Quantity]:
    return [
        each
        for each in statement.known
        if each.metric == "count" and ("documents" in each.name) == of_documents
    ]


def _fraction(literal: LiteralNumber, statement: _Statement) -> str | None:
    """`57/60` or `57 of 60`: both are counts, or together they are a rate, such as chance."""
    if of_something_else(literal, statement.sentence) or _is_counted(literal, statement):
        return None
    rates = (each.value for each in statement.stated if not each.derived)
    if any(abs(rate - literal.value) < _EXACT for rate in rates):
        return None
    return _no_value(literal, statement, propose=False)


def _is_counted(literal: LiteralNumber, statement: _Statement) -> bool:
    """Whether a fraction is of rows, or of documents, and its part one that its metric has."""
    part, whole = literal.fraction or (0, 0)
    noun = counted(literal, statement.sentence)
    mention, near = statement.nearest(literal), statement.clause(literal)
    parts = _PARTS.get(mention.metric, ("",)) if mention else ("",)
    if _NEGATION.search(statement.sentence.text, near.start, near.end):
        parts = (*parts, ".ok")
    return any(
        part in {each.value for each in counts if each.name.endswith(parts)}
        and whole in {each.value for each in counts if each.name.endswith(_WHOLES)}
        for of_documents in (False, True)
        if noun is None or noun == "n" or noun.startswith("doc") == of_documents
        for counts in [_counts(statement, of_documents=of_documents)]
    )


def _value(literal: LiteralNumber, statement: _Statement) -> str | None:
    """A value of a metric that the sentence names, at the precision that is written."""
    text = statement.sentence.text
    if named_otherwise(literal, text, level=statement.level, of_a_fit=statement.of_a_fit) or not (
        literal.kind == "factor" or _plausible(literal.value, statement.metrics)
    ):
        return None
    before = text[max(0, literal.start - _FAR) : literal.start]
    edges = statement.spreads or literal.ranged or literal.spread
    headline = _COSINE_IS.search(before) is not None and not _beside_a_control(literal, statement)
    for each in statement.stated:
        possible = (edges or not each.edge) and (not headline or each.metric == "cosine")
        if possible and literal.means(each.value):
            return None
    return _no_value(literal, statement, propose=True)


def _beside_a_control(literal: LiteralNumber, statement: _Statement) -> bool:
    """Whether a control is named between the number before and the end of the clause."""
    sentence, first = statement.sentence, max(0, literal.start - _FAR)
    others = [
        found.end() for found in _ANOTHER_NUMBER.finditer(sentence.text, first, literal.start)
    ]
    near = Clause(max(others, default=first), statement.clause(literal).end)
    words = f"{sentence.label} {sentence.text[near.start : near.end]}"
    return _COMPARES.search(words) is not None or any(
        mention.metric == "control" for mention in inside(statement.mentions, near)
    )


def _plausible(value: float, metrics: Collection[str]) -> bool:
    """Whether a number can be one of the metrics: a norm, a loss or a version seldom can."""
    return (
        abs(value) <= 1
        or ("mse" in metrics and 0 <= value <= _MAX_MSE)
        or ("fve" in metrics and value < 0)
    )


def _no_value(literal: LiteralNumber, statement: _Statement, *, propose: bool) -> str:
    """The objection to a value: what is said, and what the calibration gives there."""
    mention = statement.nearest(literal)
    if mention is None:
        word = statement.mentions[0].word
        return _says(f"{literal.shown} where it speaks of {word}", None, literal)
    metric, word = mention.metric, mention.word
    kinds = ("spread" if literal.spread else "", f"{metric} {literal.kind}", word, metric)
    name = next((_HEADLINES[kind] for kind in kinds if kind in _HEADLINES), None)
    own = [
        each
        for each in statement.stated
        if each.name == name or (name is None and each.metric == metric and not each.derived)
    ]
    given = min(own, key=lambda each: abs(each.value - literal.value), default=None)
    return _says(f"{word} {literal.shown}", given if propose else None, literal)


def _says(shown: str, given: Quantity | None, literal: LiteralNumber) -> str:
    if given is None:
        return f"says {shown}, which {CALIBRATION_FILE_NAME} does not give"
    return (
        f"says {shown}; {CALIBRATION_FILE_NAME} gives {given.name} {literal.written(given.value)}"
    )
