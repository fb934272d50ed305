"""What the pair has said of vectors and read out of texts: nothing is asked twice.

Both adapters are functions here, decoding being greedy: the AV of a vector and its scale, the AR of
its text. Answers are kept in the checkpoint in pieces of a batch or a few, named by what was asked,
so that a killed run goes on where it was, and whatever else is asked for next time. Several
processes share the pieces.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from nla_release.contract.explanation import Explanation
from nla_release.engine.checkpoint import Checkpoint
from nla_release.engine.pair import Pair
from nla_release.engine.processes import main_first, share, take_over
from nla_release.io.files import dump_json, sha256_bytes
from nla_release.io.log import log

Floats = npt.NDArray[np.float32]
Item = TypeVar("Item")

# The AR reads texts of like length together, which takes more of them than fit one batch.
_BATCHES_PER_PIECE = 4


@dataclass
class _Pace:
    """How many were asked of one adapter, and how long it took."""

    count: int = 0
    seconds: float = 0.0

    def time_for(self, count: int) -> float | None:
        if count == 0:
            return 0.0
        return count * self.seconds / self.count if self.count else None


class Memory:
    """A pair that is asked only for what it has not answered yet."""

    def __init__(self, pair: Pair, work: Checkpoint, *, max_new_tokens: int, batch: int) -> None:
        self._pair = pair
        self._work = work
        self._max_new_tokens = max_new_tokens
        self._batch = batch
        self._said: dict[str, Explanation] = {}
        self._read: dict[str, Floats] = {}
        self._saying = _Pace()
        self._reading = _Pace()

    def recall_said(
        self, vectors: Floats, explanations: Iterable[Explanation], *, factor: float = 1.0
    ) -> None:
        """Take over what the AV is known to have said of vectors `[N, d]`."""
        self._said |= dict(zip(_keys(vectors, factor), explanations, strict=True))

    def recall_read(self, texts: Iterable[str | None], vectors: Floats) -> None:
        """Take over what the AR is known to have read out of N texts; None is no text."""
        pairs = zip(texts, vectors, strict=True)
        self._read |= {text: vector for text, vector in pairs if text is not None}

    def unsaid(self, vectors: Floats, *, factor: float = 1.0) -> list[int]:
        """The rows of `[N, d]` that the AV has not explained, equal ones once."""
        first: dict[str, int] = {}
        for row, key in enumerate(_keys(vectors, factor)):
            if key not in self._said:
                first.setdefault(key, row)
        return list(first.values())

    def unread(self, texts: Iterable[str | None]) -> list[str]:
        """The texts that the AR has not read, each once, shortest first."""
        missing = {text for text in texts if text is not None} - self._read.keys()
        return sorted(missing, key=lambda text: (len(text), text))

    def say(self, vectors: Floats, title: str, *, factor: float = 1.0) -> list[Explanation]:
        """What the AV says of vectors `[N, d]`, injected at `factor` times the sidecar's scale."""
        keys, rows = _keys(vectors, factor), self.unsaid(vectors, factor=factor)

        def say(piece: Sequence[int]) -> None:
            self._say_piece([keys[row] for row in piece], vectors[piece], factor)

        in_pieces(rows, self._batch, say, title, "vectors")
        return [self._said[key] for key in keys]

    def read(self, texts: Iterable[str | None], title: str) -> None:
        """Have the AR read texts."""
        size = self._batch * _BATCHES_PER_PIECE
        in_pieces(self.unread(texts), size, self._read_piece, title, "texts")

    def first_pieces(
        self, vectors: Floats, *, factors: Sequence[float], texts: Sequence[Sequence[str | None]]
    ) -> None:
        """Ask the first piece of the first of each that is not answered yet, to learn the pace."""
        for factor in factors:
            if rows := self.unsaid(vectors, factor=factor):
                piece = vectors[rows[: self._batch]]
                with main_first():
                    self._say_piece(_keys(piece, factor), piece, factor)
                break
        for column in texts:
            if missing := self.unread(column):
                with main_first():
                    self._read_piece(missing[: self._batch * _BATCHES_PER_PIECE])
                break

    def vectors(self, texts: Sequence[str | None]) -> Floats:
        """What the AR read out of N texts, `[N, d]`; zeros where there is no text."""
        width = self._pair.ar.d_model
        read = [np.zeros(width, np.float32) if it is None else self._read[it] for it in texts]
        return np.stack(read) if read else np.zeros((0, width), np.float32)

    def time_for(self, vectors: int, texts: int) -> float | None:
        """Seconds that so many more would take; None where nothing of a kind was asked yet."""
        saying, reading = self._saying.time_for(vectors), self._reading.time_for(texts)
        return None if saying is None or reading is None else saying + reading

    def _say_piece(self, keys: Sequence[str], vectors: Floats, factor: float) -> None:
        def compute() -> list[dict[str, str]]:
            said = self._pair.explain(
                vectors,
                max_new_tokens=self._max_new_tokens,
                batch_size=self._batch,
                scale_factor=factor,
            )
            return [asdict(item) for item in said]

        started = self._work.seconds
        answers = self._work.document(f"av-{_name(keys)}", compute)
        self._said |= dict(zip(keys, (Explanation(**item) for item in answers), strict=True))
        self._saying.count += len(keys)
        self._saying.seconds += self._work.seconds - started

    def _read_piece(self, texts: Sequence[str]) -> None:
        started = self._work.seconds
        compute = partial(self._pair.reconstruct, texts, batch_size=self._batch)
        self.recall_read(texts, self._work.tensor(f"ar-{_name(texts)}", compute).numpy())
        self._reading.count += len(texts)
        self._reading.seconds += self._work.seconds - started


def in_pieces(
    items: Sequence[Item], size: int, work: Callable[[Sequence[Item]], None], title: str, unit: str
) -> None:
    """Work on items in pieces, each in one of the processes, and show how far this one is.

    `work` keeps its result in the checkpoint, and takes it from there when it is done.
    """
    pieces = [items[at : at + size] for at in range(0, len(items), size)]
    mine = [piece for _, piece in share(pieces)]
    if mine:
        with log.progress(title, sum(map(len, mine)), unit) as advance:
            done = 0
            for piece in mine:
                work(piece)
                done += len(piece)
                advance(done)
    take_over(pieces, work)


def _keys(vectors: Floats, factor: float) -> list[str]:
    return [sha256_bytes(vector.tobytes() + repr(factor).encode()) for vector in vectors]


def _name(asked: Sequence[str]) -> str:
    return sha256_bytes(dump_json(asked).encode())[:32]
