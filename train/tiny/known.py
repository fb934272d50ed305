"""Pairs of which it is known what they are worth, made from the tiny pair.

Each is given beforehand the label that it deserves and why, and the rules that must find it out.
All adapters are trained by the demo's recipe; what is wrong with one is wrong with the labels that
it learned from, or with the scale in its sidecar. Nothing is edited in the weights, because nobody
breaks a pair that way.
"""

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nla_release.calibration.report import LabelName
from train.tiny.corpus import PLACES, TOPICS

Lesson = Literal["own", "others", "one", "foreign"]


@dataclass(frozen=True)
class Known:
    """A pair: the lessons its adapters learned from, and what is to be found of it.

    The AV is run at `loudness` times the scale that it was trained at. `codes` are rules of
    `nla-release check` that must fire; a pair without any must pass all.
    """

    name: str
    made: str
    av: Lesson
    ar: Lesson
    deserves: tuple[LabelName, ...]
    because: str
    codes: tuple[str, ...] = ()
    loudness: float = 1.0


PAIRS = (
    Known(
        "good",
        "the demo's pair",
        av="own",
        ar="own",
        deserves=("content-reading",),
        because="its labels tell word, topic and place, and a linear probe finds all three in the"
        " activations",
    ),
    Known(
        "AR ignores its text",
        "an AR that learned from texts of other rows, with the good AV",
        av="own",
        ar="others",
        deserves=("format-only",),
        because="texts told that AR nothing in training, so that the mean is its best answer",
        codes=("NLA603", "NLA605"),
    ),
    Known(
        "AV ignores its vector",
        "an AV that learned to say labels of other rows, with the good AR",
        av="others",
        ar="own",
        deserves=("format-only",),
        because="vectors told that AV nothing in training, so that it says what is said most",
        codes=("NLA603", "NLA605"),
    ),
    Known(
        "AV says one thing",
        "an AV that learned the most frequent label for every row, with the good AR",
        av="one",
        ar="own",
        deserves=("format-only",),
        because="one text cannot tell two activations apart",
        codes=("NLA603", "NLA605", "NLA606", "NLA607"),
    ),
    Known(
        "labels shuffled",
        "both adapters learned from labels of other rows",
        av="others",
        ar="others",
        deserves=("format-only",),
        because="neither input told anything in training, though both losses fall",
        codes=("NLA603", "NLA605"),
    ),
    Known(
        "AR of another pair",
        "an AR that is sound in another language, where each word, topic and place stands for"
        " another, with the good AV",
        av="own",
        ar="foreign",
        deserves=("format-only",),
        because="it reads every text, the own as well as another row's, as something else",
        codes=("NLA603", "NLA605"),
    ),
    Known(
        "scale 100 times too small",
        "the good pair, its AV run at a hundredth of the scale that it was trained at",
        av="own",
        ar="own",
        deserves=("topic-level",),
        because="the first block normalises what it reads and hears the vector, but what it adds"
        " drowns it for the others: less comes through, and not nothing",
        codes=("NLA102",),
        loudness=0.01,
    ),
    Known(
        "scale 100 times too large",
        "the good pair, its AV run at a hundred times the scale that it was trained at",
        av="own",
        ar="own",
        deserves=("content-reading", "topic-level"),
        because="every block of this base normalises what it reads, so that the direction, which"
        " is the content, comes through; how well is not known beforehand",
        codes=("NLA102",),
        loudness=100.0,
    ),
)


def _own(labels: list[str], _seed: int) -> list[str]:
    return labels


def _others(labels: list[str], seed: int) -> list[str]:
    return random.Random(seed).sample(labels, len(labels))  # noqa: S311 - reproducible, not secret


def _one(labels: list[str], _seed: int) -> list[str]:
    ((most_frequent, _),) = Counter(labels).most_common(1)
    return [most_frequent] * len(labels)


def _foreign(labels: list[str], _seed: int) -> list[str]:
    return [re.sub(r"\w+", lambda word: _MEANING.get(word[0], word[0]), it) for it in labels]


def _next(names: list[str]) -> dict[str, str]:
    """Each name to the one after it in the alphabet, the last to the first."""
    ordered = sorted(set(names))
    return dict(zip(ordered, [*ordered[1:], ordered[0]], strict=True))


_MEANING = (
    _next([word for topic in TOPICS.values() for word in topic.words])
    | _next(list(TOPICS))
    | _next(list(PLACES))
)

LESSONS: dict[Lesson, Callable[[list[str], int], list[str]]] = {
    "own": _own,
    "others": _others,
    "one": _one,
    "foreign": _foreign,
}
"""What a lesson makes of all training labels, given a seed; the rows stay in their order."""
