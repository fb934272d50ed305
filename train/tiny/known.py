"""Pairs of which it is known what they are worth, made from the tiny pair.

Each is given beforehand the label that it deserves and why, and the rules that must find it out.
All adapters are trained by the demo's recipe; what is wrong with one is wrong with the labels that
it learned from, or with the scale in its sidecar. Nothing is edited in the weights, because nobody
breaks a pair that way.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from nla_release.calibration.report import LabelName
from train.tiny.corpus import MAX_LABELS, PLACES, TOPICS, Document, Label

Lesson = Literal["own", "others", "one", "foreign", "document", "token", "class"]
At = Literal["topic words", "function words"]


@dataclass(frozen=True)
class Known:
    """A pair: the lessons its adapters learned from, and what is to be found of it.

    The AV is run at `loudness` times the scale that it was trained at. `codes` are rules of
    `nla-release check` that must fire; a pair without any must pass all. `at` says where the
    activations are read: a topic word gives away what its document is about, and a function word
    occurs in every document alike.
    """

    name: str
    made: str
    av: Lesson
    ar: Lesson
    deserves: tuple[LabelName, ...]
    because: str
    codes: tuple[str, ...] = ()
    loudness: float = 1.0
    at: At = "topic words"


PAIRS = (
    Known(
        "good",
        "the demo's pair",
        av="own",
        ar="own",
        deserves=("row-level",),
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
        deserves=("document-level", "row-level"),
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
        deserves=("row-level", "document-level"),
        because="every block of this base normalises what it reads, so that the direction, which"
        " is the content, comes through; how well is not known beforehand",
        codes=("NLA102",),
        loudness=100.0,
    ),
    Known(
        "code",
        "both adapters learned the other language",
        av="foreign",
        ar="foreign",
        deserves=("row-level",),
        because="it reads as the good pair does, in words that mean something else to everybody but"
        " its own AR",
        codes=("NLA626",),
    ),
    Known(
        "document only",
        "both adapters learned the topic and the place alone",
        av="document",
        ar="document",
        deserves=("document-level", "row-level"),
        because="all rows of a document have one label, whose two facts are in the activations;"
        " where the AV errs, it errs row by row, and then its texts tell rows apart by a little",
    ),
    Known(
        "token only",
        "both adapters learned the token alone, at function words",
        av="token",
        ar="token",
        deserves=("token-level", "format-only"),
        because="a function word occurs in every document alike, so that it says nothing of any",
        codes=("NLA626",),
        at="function words",
    ),
    Known(
        "token class only",
        "both adapters learned one of four classes of the token alone, at function words",
        av="class",
        ar="class",
        deserves=("token-level", "format-only"),
        because="the class of a function word says less than the word, and nothing of any document",
        codes=("NLA626",),
        at="function words",
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


def _document(labels: list[str], _seed: int) -> list[str]:
    return [label.split(" in ", 1)[1] for label in labels]


def _token(labels: list[str], _seed: int) -> list[str]:
    return [label.split(" in ", 1)[0] for label in labels]


def _class(labels: list[str], _seed: int) -> list[str]:
    return [f"the word {_CLASS_OF[label.split()[2]]}" for label in labels]


def _next(names: list[str]) -> dict[str, str]:
    """Each name to the one after it in the alphabet, the last to the first."""
    ordered = sorted(set(names))
    return dict(zip(ordered, [*ordered[1:], ordered[0]], strict=True))


_MEANING = (
    _next([word for topic in TOPICS.values() for word in topic.words])
    | _next(list(TOPICS))
    | _next(list(PLACES))
)

# Each class by the word that stands for it; all of them occur whatever a document is about.
_CLASSES = {
    "the": ("the", "an", "every", "old", "quiet"),
    "near": ("near", "in", "of", "from", "to"),
    "and": ("and", "but", "when", "that", "whether"),
    "took": ("took", "kept", "was", "carried", "believed", "asked", "talked"),
}
_CLASS_OF = {word: name for name, words in _CLASSES.items() for word in words}
_FUNCTION_WORD = re.compile(rf"\b({'|'.join(_CLASS_OF)})\b")


def at_function_words(documents: Sequence[Document], seed: int) -> list[Document]:
    """The documents with up to as many labels as before, of different function words each."""
    rng = random.Random(f"{seed}/function words")  # noqa: S311 - reproducible, not secret
    return [_relabelled(document, rng) for document in documents]


def _relabelled(document: Document, rng: random.Random) -> Document:
    scene = document["labels"][0]["explanation"].split(" in ", 1)[1]
    # Two documents may begin alike; their third sentences never did.
    start = document["text"].index(". ", document["text"].index(". ") + 1)
    places = {found[0]: found for found in _FUNCTION_WORD.finditer(document["text"], start)}
    chosen = rng.sample(sorted(places), min(MAX_LABELS, len(places)))
    labels = [
        Label(start=at.start(), end=at.end(), explanation=f"the word {at[0]} in {scene}")
        for at in sorted((places[word] for word in chosen), key=lambda at: at.start())
    ]
    return Document(
        id=document["id"], split=document["split"], text=document["text"], labels=labels
    )


LESSONS: dict[Lesson, Callable[[list[str], int], list[str]]] = {
    "own": _own,
    "others": _others,
    "one": _one,
    "foreign": _foreign,
    "document": _document,
    "token": _token,
    "class": _class,
}
"""What a lesson makes of all training labels, given a seed; the rows stay in their order."""
