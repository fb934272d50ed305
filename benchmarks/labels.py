"""How often the label is wrong: simulated pairs of known truth, and the share of each label.

    python -m benchmarks.labels               the whole table, about 20 minutes
    python -m benchmarks.labels --pairs 50    fewer pairs of each kind
    python -m benchmarks.labels --truth document --truth row

An activation is the sum of a document's part, a token's, a token class's, a position's and the
row's own part, at random in 32 dimensions. A pair of known truth reconstructs some of these parts
and no others. What the label should be follows from which. No text is generated and no model is
run: `nla_release.calibration.reading` decides the level, from the arrays that evidence holds.

The shapes are those that make labels go wrong: few rows, one document with half of all rows, heavy
tails, a common direction that outweighs all else, rows of a document that hardly differ.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from nla_release.calibration.reading import Level, MeasuredRows, level_of
from nla_release.statistics.formulas import unit_rows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WIDTH = 32
REFERENCE_ROWS, REFERENCE_DOCUMENTS = 1000, 100
CLASSES = 6
TOPICS = 5
_DOCUMENT, _TOKEN, _POSITION = 1.0, 0.7, 0.5
# Of a row's own part, what a pair of the truth `row` reconstructs, and the noise of its AR.
OWN_PART, NOISE = 0.15, 0.1


@dataclass(frozen=True)
class Shape:
    """How many rows of how many documents, and what is unusual about them."""

    name: str
    rows: int
    documents: int
    giant: bool = False
    heavy: bool = False
    hub: float = 0.0
    own: float = 1.0

    def sizes(self) -> Ints:
        """[documents] rows of each."""
        if self.giant:
            other = max(1, self.rows // 2 // (self.documents - 1))
            sizes = np.full(self.documents, other)
            sizes[0] = self.rows - other * (self.documents - 1)
            return sizes
        sizes = np.full(self.documents, self.rows // self.documents)
        sizes[: self.rows - sizes.sum()] += 1
        return sizes


SHAPES = (
    Shape("20 rows, 10 documents", 20, 10),
    Shape("50 rows, 10 documents", 50, 10),
    Shape("100 rows, 15 documents", 100, 15),
    Shape("300 rows, 10 documents", 300, 10),
    Shape("300 rows, 60 documents", 300, 60),
    Shape("one document is half of 100 rows", 100, 10, giant=True),
    Shape("heavy tails", 100, 15, heavy=True),
    Shape("hub: the mean outweighs all else", 100, 15, hub=5.0),
    Shape("near duplicates within documents", 100, 15, own=0.05),
)


@dataclass
class World:
    """Activations of one evaluation, and the parts that they are made of."""

    activations: Floats
    documents: Ints
    tokens: Ints
    positions: Ints
    parts: dict[str, Floats]
    mean: Floats
    random: np.random.Generator = field(repr=False)

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.activations)

    def of(self, *names: str) -> Floats:
        """[N, d] the common direction and the named parts of every row."""
        return self.mean + sum((self.parts[name] for name in names), np.zeros(WIDTH))

    def noise(self, scale: float) -> Floats:
        """[N, d]."""
        return scale * self.random.standard_normal((self.rows, WIDTH))


def world(shape: Shape, random: np.random.Generator) -> World:
    """An evaluation of this shape."""
    sizes = shape.sizes()
    documents = np.repeat(np.arange(len(sizes)), sizes)
    rows, kinds = len(documents), 3 * len(sizes)
    often = 1 / np.arange(1, kinds + 1)  # Zipf, as tokens are
    tokens = random.choice(kinds, rows, p=often / often.sum())
    positions = np.concatenate([np.arange(size) for size in sizes])

    def drawn(count: int) -> Floats:
        return random.standard_normal((count, WIDTH))

    own = shape.own * drawn(rows)
    if shape.heavy:  # t with 2 degrees of freedom
        own *= np.sqrt(2 / random.chisquare(2, rows))[:, np.newaxis]
    parts = {
        "document": _DOCUMENT * drawn(len(sizes))[documents],
        "token": _TOKEN * drawn(kinds)[tokens],
        "class": _TOKEN * drawn(CLASSES)[tokens % CLASSES],
        "position": _POSITION * drawn(int(sizes.max()))[positions],
        "own": own,
    }
    mean = np.full(WIDTH, shape.hub)
    activations = mean + sum(parts.values(), np.zeros(WIDTH))
    return World(activations, documents, tokens, positions, parts, mean, random)


Answered = tuple[Floats, Iterable[Any]]


def _nothing(w: World) -> Answered:
    return w.mean + w.noise(1.0), range(w.rows)


def _one_text(w: World) -> Answered:
    return np.tile(w.mean + w.noise(1.0)[0], (w.rows, 1)), ["the same"] * w.rows


def _by(key: Callable[[World], Ints]) -> Callable[[World], Answered]:
    """A code: each value of the key has a text of its own, which the AR reads as anything."""

    def answer(w: World) -> Answered:
        values = key(w)
        return w.mean + w.random.standard_normal((values.max() + 1, WIDTH))[values], values

    return answer


def _part(key: Callable[[World], Ints], *names: str) -> Callable[[World], Answered]:
    """The named parts, which follow from the key; so do the texts."""
    return lambda w: (w.of(*names), key(w))


def _worded(noise: float, *names: str) -> Callable[[World], Answered]:
    """The named parts, in other words each time, which the AR reads with noise."""
    return lambda w: (w.of(*names) + w.noise(noise), range(w.rows))


def _first_row(w: World) -> Answered:
    first = np.unique(w.documents, return_index=True)[1][w.documents]
    return w.activations[first], w.documents


def _row(w: World) -> Answered:
    own = OWN_PART * w.parts["own"]
    return w.of("document") + own + w.noise(NOISE), range(w.rows)


def _norms(w: World) -> Ints:
    quarters: Ints = (4 * np.linalg.norm(w.activations, axis=1)).astype(np.int64)
    return quarters


def _documents(w: World) -> Ints:
    return w.documents


def _tokens(w: World) -> Ints:
    return w.tokens


NOTHING: tuple[Level, ...] = ("format-only",)
DOCUMENT: tuple[Level, ...] = ("document-level", "format-only")
TOKEN: tuple[Level, ...] = ("token-level", "format-only")


@dataclass(frozen=True)
class Truth:
    """What a simulated pair says, and the labels that do not flatter it."""

    said: str
    deserves: tuple[Level, ...]
    answer: Callable[[World], Answered]


TRUTHS: dict[str, Truth] = {
    "nothing": Truth("nothing: another vector for every row", NOTHING, _nothing),
    "one text": Truth("one text for all rows", NOTHING, _one_text),
    "few texts": Truth(
        "one of five texts at random", NOTHING, _by(lambda w: w.random.integers(0, 5, w.rows))
    ),
    "norm": Truth("the activation's norm, as a code", NOTHING, _by(_norms)),
    "document code": Truth(
        "its document, as a code that the AR misreads", NOTHING, _by(_documents)
    ),
    "topic code": Truth(
        "one of five topics, as a code that the AR misreads",
        NOTHING,
        _by(lambda w: w.documents % TOPICS),
    ),
    "document": Truth("its document", DOCUMENT, _part(_documents, "document")),
    "document, worded": Truth(
        "its document, in other words each time", DOCUMENT, _worded(0.3, "document")
    ),
    "first row": Truth("the first row of its document", DOCUMENT, _first_row),
    "token class": Truth("its token's class", TOKEN, _part(lambda w: w.tokens % CLASSES, "class")),
    "token": Truth("its token", TOKEN, _part(_tokens, "token", "class")),
    "token, worded": Truth(
        "its token, in other words each time", TOKEN, _worded(0.3, "token", "class")
    ),
    "position": Truth("its position", TOKEN, _part(lambda w: w.positions, "position")),
    "row": Truth(f"its document and {OWN_PART:.0%} of the row's own part", ("row-level",), _row),
}


def deserved(truth: Truth, shape: Shape) -> tuple[Level, ...]:
    """The labels that are not too good: near duplicates have almost no own part to tell apart."""
    hardly = shape.own < NOISE
    return DOCUMENT if truth is TRUTHS["row"] and hardly else truth.deserves


def label_of(truth: Truth, shape: Shape, seed: int) -> Level:
    """The label of one simulated pair."""
    random = np.random.default_rng(seed)
    w = world(shape, random)
    reference = world(
        Shape("reference", REFERENCE_ROWS, REFERENCE_DOCUMENTS, hub=shape.hub), random
    )
    real, texts = truth.answer(w)
    answers = MeasuredRows(
        gold=w.activations,
        real=real,
        empty=w.mean + random.standard_normal(WIDTH),
        mean=unit_rows(reference.activations).mean(axis=0),
        documents=[str(each) for each in w.documents],
        texts=[str(each) for each in texts],
        failed=np.zeros(w.rows, np.bool_),
        tokens=[str(each) for each in w.tokens],
    )
    return level_of(answers)


def table(truths: Sequence[str], pairs: int) -> Iterator[str]:
    """The table as Markdown, a line at a time."""
    yield "| what the explanations say | shape | wrong | labels |"
    yield "|---|---|---|---|"
    for name in truths:
        truth = TRUTHS[name]
        for number, shape in enumerate(SHAPES):
            found = Counter(
                label_of(truth, shape, 1_000_000 * number + pair) for pair in range(pairs)
            )
            wrong = sum(n for label, n in found.items() if label not in deserved(truth, shape))
            labels = ", ".join(f"{label} {n / pairs:.1%}" for label, n in found.most_common())
            yield f"| {truth.said} | {shape.name} | {wrong / pairs:.1%} | {labels} |"


@click.command
@click.option("--truth", "truths", multiple=True, type=click.Choice(list(TRUTHS)))
@click.option("--pairs", default=400, show_default=True, help="Simulated pairs of each kind.")
def main(truths: tuple[str, ...], pairs: int) -> None:
    """Print how often each label is given to simulated pairs of known truth."""
    for line in table(truths or tuple(TRUTHS), pairs):
        click.echo(line)


if __name__ == "__main__":
    main()
