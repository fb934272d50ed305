"""Where a sentence names a metric, and which of those names a number in it belongs to."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nla_release.prose.literals import LiteralNumber
from nla_release.prose.reader import Sentence

# The words that name a metric. What "empty" names is a control, and a way to fail.
_MENTION = re.compile(
    r"""\b(?:
    (?P<cosine>(?:round[- ]trip\s)?
        cos(?:ines?)?(?:[\s_-]?sim(?:ilarit(?:y|ies))?)?\b
        (?!\s(?:[\w-]{1,20}\s){0,2}(?:schedul\w{1,3}|decay|anneal\w{0,3}|lr|warm-?up)\b)
      | round[- ]trips?\b | fidelity\b
      | (?<!jaccard\s)(?<!text\s)(?<!string\s)(?<!lexical\s)(?<!semantic\s)similarit(?:y|ies)\b)
  | (?P<fve>fve | variance\sexplained | explained\svariance | of\s(?:the\s|its\s|all\s)?variance)
  | (?P<r2>r(?:2|²|\^2)(?!\w))
  | (?P<mse>mse\b | (?:mean\s)?squared\serror | error\sof\sunit\svectors | reconstruction\serror)
  | (?P<retrieval>top-?\s?1\b | retriev\w{1,10} | accuracy | hit\srate | argmax | chance\b
      | nearest\sof\b | found\samong\b | finds\sits\sown\b)
  | (?P<control>shuffled | controls?\b | baselines?\b | structural | empty\b | zero\svector
      | another\srow | random\s(?:direction|vector) | labelled\sexplanation
      | predict\w{0,3}[- ](?:the[- ])?mean | mean\s(?:training\s)?(?:direction|activation|vector))
  | (?P<diversity>distinct | unique | diversity | different\s(?:text|explanation|beginning|prefix))
  | (?P<failure>fail(?:ed|ures?|s)?\b | truncated | unparsed)
  | (?P<interval>intervals?\b | ci\b | confidence)
    )""",
    re.IGNORECASE | re.VERBOSE,
)

# R² is of a reconstruction, the same as the variance explained, or of a line through a loss.
_OF_A_FIT = re.compile(
    r"\b(?:loss|slope|trend|lr|learning|steps?|regress\w{0,5})\b|\bp\s?[=<]", re.IGNORECASE
)

_BETWEEN_CLAUSES = re.compile(r"[;(\[]|,\s|\s[-–—]\s")

# A clause is no longer to either side: the time to read a sentence grows with its numbers only.
_REACH = 200

# A label tells what all of a cell is about, and stands before it.
_IN_THE_LABEL = -1


@dataclass(frozen=True)
class Mention:
    """The name of a metric in a sentence, from `start` to `end`, or in its label."""

    start: int
    end: int
    metric: str
    word: str


@dataclass(frozen=True)
class Clause:
    """The part of a sentence in which a number stands, from `start` to `end`."""

    start: int
    end: int


def of_a_fit(sentence: Sentence) -> bool:
    """Whether an R² in a sentence tells how well a line fits a loss."""
    return _OF_A_FIT.search(f"{sentence.label} {sentence.text}") is not None


def mentions(sentence: Sentence) -> Iterator[Mention]:
    """Every metric that a sentence or its label names, in order; the label stands first."""
    fitted = of_a_fit(sentence)
    for text, in_label in ((sentence.label, True), (sentence.text, False)):
        for found in _MENTION.finditer(text):
            metric, word = str(found.lastgroup), " ".join(found[0].lower().split())
            if metric == "r2" and fitted:
                continue
            place = (_IN_THE_LABEL, _IN_THE_LABEL) if in_label else found.span()
            yield Mention(*place, "fve" if metric == "r2" else metric, word)


def metrics_named(text: str) -> set[str]:
    """The metrics that a text names by their words."""
    named = {str(found.lastgroup) for found in _MENTION.finditer(text)}
    return {"fve" if metric == "r2" else metric for metric in named}


def clause(literal: LiteralNumber, text: str) -> Clause:
    """What stands between the commas, opening brackets and dashes around a number."""
    first, last = max(0, literal.start - _REACH), min(len(text), literal.end + _REACH)
    before = _BETWEEN_CLAUSES.finditer(text, first, literal.start)
    after = _BETWEEN_CLAUSES.search(text, literal.end, last)
    return Clause(
        max((found.end() for found in before), default=first), after.start() if after else last
    )


def inside(named: Sequence[Mention], within: Clause) -> Sequence[Mention]:
    """The metrics that are named in a clause, of those that a sentence names in order."""
    first = bisect_left(named, within.start, key=lambda each: each.start)
    return named[first : bisect_left(named, within.end, key=lambda each: each.start)]


def nearest(literal: LiteralNumber, named: Sequence[Mention], within: Clause) -> Mention | None:
    """The metric that is named nearest to a number in its clause, or else by its label."""

    def distance(mention: Mention) -> tuple[int, bool]:
        after = mention.start >= literal.end
        return mention.start - literal.end if after else literal.start - mention.end, after

    by_label = named[0] if named and named[0].start == _IN_THE_LABEL else None
    return min(inside(named, within), key=distance, default=by_label)
