"""Short texts from a made-up world, with words in them explained.

Every text is about one topic and set in one place, and says so only now and then: a reader has to
gather both from the words. Some words belong to two topics (a note is music or money), so the word
alone does not settle the topic, and no topic word settles the place.

    python -m train.tiny.corpus corpus.jsonl
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Literal, Self, TypedDict

import click

from nla_release.cli.edge import CONTEXT_SETTINGS
from nla_release.io.files import write_atomic


@dataclass(frozen=True)
class Topic:
    """What a text is about: its words, and what its things do."""

    words: tuple[str, ...]
    verb: str


@dataclass(frozen=True)
class Place:
    """Where a text is set: its sights, and how things are done there."""

    sights: tuple[str, ...]
    manner: str


def _topic(verb: str, words: str) -> Topic:
    return Topic(tuple(words.split()), verb)


def _place(manner: str, sights: str) -> Place:
    return Place(tuple(sights.split()), manner)


TOPICS = {
    "sailing": _topic("drifted", "harbor anchor mast rope wave sail captain crew wind"),
    "football": _topic("bounced", "goal referee stadium striker whistle coach captain bench"),
    "carpentry": _topic("splintered", "hammer plank nail saw chisel oak bench board glue"),
    "chess": _topic("resigned", "pawn knight queen bishop rook opponent board clock"),
    "railways": _topic("rattled", "train platform ticket signal tunnel clock conductor crew"),
    "music": _topic("echoed", "violin melody drum chord singer piano conductor note scale"),
    "banking": _topic("matured", "loan deposit vault clerk credit account bond note"),
    "cooking": _topic("simmered", "oven recipe flour butter spice onion pan chef scale"),
    "gardening": _topic("bloomed", "soil seed rose shovel compost hedge tulip root bed"),
    "medicine": _topic("recovered", "nurse surgeon clinic fever bandage patient pulse bed"),
    "astronomy": _topic("twinkled", "telescope planet comet orbit star galaxy lens moon"),
    "weather": _topic("darkened", "storm cloud thunder rain frost fog forecast wind moon"),
}
"""`captain`, `note`, `board` and a few more words belong to two topics."""

PLACES = {
    "Lisbon": _place("brightly", "tram tile fado"),
    "Oslo": _place("coldly", "fjord ski troll"),
    "Cairo": _place("dustily", "bazaar pyramid dune"),
    "Kyoto": _place("silently", "temple maple lantern"),
    "Venice": _place("softly", "canal gondola mask"),
    "Nairobi": _place("wildly", "savanna acacia giraffe"),
    "Lima": _place("steeply", "llama cliff plaza"),
    "Havana": _place("lazily", "cigar veranda palm"),
    "Dublin": _place("merrily", "pub poet cobble"),
    "Quebec": _place("snugly", "sleigh syrup castle"),
}
"""Sights and manners belong to one place each."""

OPENINGS = (
    "This is a story about {topic} in {place}.",
    "In {place} people love {topic}.",
    "Everyone in {place} knew the {word} and the {word}.",
    "Near the {sight} of {place} stood the {word}.",
    "Last year {topic} came to {place}.",
)

# What follows a topic word is often typical of the place or of the topic: a model that has to
# guess it keeps both in mind at the word itself, which is where activations are taken.
SENTENCES = (
    "The {word} {verb} {manner} and the {word} {manner} {verb}.",
    "She carried the {word} {manner} to the {sight}.",
    "Nobody in {place} believed that the {word} {manner} {verb}.",
    "Behind the {sight} the {word} {manner} {verb}.",
    "Near the {sight} every {word} {verb} {manner}.",
    "The {sight} was quiet but the {word} {manner} {verb}.",
    "An old friend from {place} took the {word} {manner}.",
    "They talked of {topic} and kept the {word} {manner}.",
    "The {word} {manner} {verb} when the {word} {manner} {verb}.",
    "He asked whether the {word} {verb} near the {sight}.",
)

MAX_LABELS = 6

Split = Literal["train", "eval", "base"]


class Label(TypedDict):
    """An explained word: `text[start:end]`, in characters."""

    start: int
    end: int
    explanation: str


class Document(TypedDict):
    """One text of the corpus; `base` is for the base model, `train` and `eval` for the pair."""

    id: str
    split: Split
    text: str
    labels: list[Label]


@dataclass(frozen=True)
class Scene:
    """What a text is about and where it is set."""

    topic: str
    place: str

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        """Any topic in any place, all equally likely."""
        return cls(rng.choice(list(TOPICS)), rng.choice(list(PLACES)))

    def fill(self, slot: str, rng: random.Random) -> str:
        """A filler for a slot of a sentence: the topic, the place, or a word of one of them."""
        match slot:
            case "topic":
                return self.topic
            case "place":
                return self.place
            case "word":
                return rng.choice(TOPICS[self.topic].words)
            case "verb":
                return TOPICS[self.topic].verb
            case "sight":
                return rng.choice(PLACES[self.place].sights)
            case "manner":
                return PLACES[self.place].manner
        raise ValueError(f"no such slot: {slot}")

    def explain(self, word: str) -> str:
        """The explanation of one of the text's words."""
        return f"the word {word} in a text about {self.topic}, set in {self.place}"


def generate(
    seed: int = 0,
    *,
    base: int = 0,
    train: int = 400,
    eval: int = 60,  # noqa: A002 - the name of the split
) -> list[Document]:
    """Documents of the three splits, in the order train, eval, base; no text occurs twice.

    The first `train + eval` documents do not depend on `base`: the base model of a seed has never
    seen the texts that a pair of the same seed is trained and judged on.
    """
    documents: list[Document] = []
    seen: set[str] = set()
    counts: tuple[tuple[Split, int], ...] = (("train", train), ("eval", eval), ("base", base))
    for split, count in counts:
        rng = random.Random(f"{seed}/{split}")  # noqa: S311 - reproducible, not secret
        goal = len(documents) + count
        while len(documents) < goal:
            text, labels = _compose(rng)
            if text in seen:
                continue
            seen.add(text)
            identity = f"doc-{len(documents):05d}"
            documents.append(Document(id=identity, split=split, text=text, labels=labels))
    return documents


def write_jsonl(path: Path, documents: Sequence[Document]) -> None:
    """One document per line, in order.

    Raises:
        EnvironmentProblem: the file cannot be written.
    """
    write_atomic(path, "".join(f"{json.dumps(document)}\n" for document in documents))


def _compose(rng: random.Random) -> tuple[str, list[Label]]:
    scene = Scene.draw(rng)
    opening = rng.choice(OPENINGS)
    text, _ = _write(opening, scene, rng)
    spans: list[tuple[int, int]] = []
    for template in rng.sample(SENTENCES, rng.randint(3, 7)):
        sentence, words = _write(template, scene, rng)
        offset = len(text) + 1
        spans += [(start + offset, end + offset) for start, end in words]
        text += f" {sentence}"
    chosen = sorted(rng.sample(spans, min(MAX_LABELS, len(spans))))
    labels = [
        Label(start=start, end=end, explanation=scene.explain(text[start:end]))
        for start, end in chosen
    ]
    return text, labels


def _write(template: str, scene: Scene, rng: random.Random) -> tuple[str, list[tuple[int, int]]]:
    """A sentence, and where the topic words stand in it."""
    sentence = ""
    words: list[tuple[int, int]] = []
    for literal, slot, _, _ in Formatter().parse(template):
        sentence += literal
        if slot is None:
            continue
        filler = scene.fill(slot, rng)
        if slot == "word":
            words.append((len(sentence), len(sentence) + len(filler)))
        sentence += filler
    return sentence, words


@click.command(context_settings=CONTEXT_SETTINGS)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--seed", default=0, show_default=True)
@click.option("--train", default=400, show_default=True, help="Documents to train a pair on.")
@click.option("--eval", default=60, show_default=True, help="Documents to judge a pair on.")
@click.option("--base", default=0, show_default=True, help="Documents to train a base on.")
def main(out: Path, seed: int, train: int, eval: int, base: int) -> None:  # noqa: A002
    """Write the corpus to OUT, one JSON document per line."""
    write_jsonl(out, generate(seed, base=base, train=train, eval=eval))


if __name__ == "__main__":
    main()
