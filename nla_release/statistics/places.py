"""The rank of each row's own candidate among all, in blocks of rows: no [N, M] is ever held."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nla_release.statistics.formulas import (
    AT_ONCE,
    TIE,
    Floats,
    dots,
    row_blocks,
    unit_rows,
)

# Cosines in float32 have an error of about 1e-6. Where more than a few candidates of a row are this
# close to the score in question, all of its candidates are scored in float64.
ROUNDING = 1e-5
_FEW = 16

Vectors = npt.NDArray[np.floating[Any]]
Positions = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Places:
    """How N rows score M >= 2 candidates, [N] each.

    Attributes:
        candidates: M.
        own: the candidate that each row should find.
        score: of the own candidate.
        rank: of the own candidate, 1 for the best; last among equal scores.
        best: the candidate with the highest score.
        highest: its score.
        second: the highest score of all others.
    """

    candidates: int
    own: Positions
    score: Floats
    rank: npt.NDArray[np.int64]
    best: Positions
    highest: Floats
    second: Floats

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """[N] whether the own candidate is above all others; a tie is a miss."""
        found: npt.NDArray[np.bool_] = self.rank == 1
        return found

    @property
    def first(self) -> Positions:
        """[N] the candidate that is above all others; -1 for a tie."""
        return np.where(self.highest > self.second + TIE, self.best, -1)

    @property
    def nearest_other(self) -> Floats:
        """[N] the highest score of another candidate than the own one."""
        return np.where(self.best == self.own, self.second, self.highest)

    def in_order(self, order: Positions) -> "Places":
        """The same with the rows in another order, where the candidates are the rows themselves."""
        position = np.empty_like(order)
        position[order] = np.arange(len(order))
        return Places(
            self.candidates,
            position[self.own[order]],
            self.score[order],
            self.rank[order],
            position[self.best[order]],
            self.highest[order],
            self.second[order],
        )


def places(scores: Iterable[Floats], own: Positions) -> Places:
    """The places of the candidates `own` [N], from scores in blocks [rows, M] of all rows in order.

    The blocks are changed.
    """
    parts = []
    start = candidates = 0
    for block in scores:
        rows, candidates = np.arange(len(block)), block.shape[1]
        mine = own[start : start + len(block)]
        start += len(block)
        score = block[rows, mine]
        rank = np.count_nonzero(block >= score[:, np.newaxis] - TIE, axis=1)
        best = block.argmax(axis=1)
        highest = block[rows, best]
        block[rows, best] = -np.inf
        parts.append((score, rank, best, highest, block.max(axis=1)))
    return Places(candidates, own, *map(np.concatenate, zip(*parts, strict=True)))


def cosine_blocks(queries: Vectors, candidates: Vectors) -> Iterator[Floats]:
    """Cosines of queries [N, d] with candidates [M, d], in blocks [rows, M].

    A row of zeros has cosine 0 with all.
    """
    units = unit_rows(candidates).T
    for rows in row_blocks(len(queries), len(candidates), AT_ONCE):
        yield unit_rows(queries[rows]) @ units


def narrow_blocks(
    queries: Vectors,
    candidates: Vectors,
    close: Callable[[slice, npt.NDArray[np.float32]], npt.NDArray[np.bool_]],
    less: Vectors | None = None,
) -> Iterator[Floats]:
    """The same in float32, which takes half the time, with float64 where float32 is too imprecise.

    Args:
        queries: [N, d].
        candidates: [M, d].
        close: for some rows and their float32 cosines [rows, M], which ones float64 must compute:
            those within `ROUNDING` of the score in question.
        less: [d] subtracted from unit vectors first, for centred cosines.
    """
    units = unit_rows(candidates, less)
    narrow = units.astype(np.float32).T
    for rows in row_blocks(len(queries), len(candidates), AT_ONCE):
        wide = unit_rows(queries[rows], less)
        found = wide.astype(np.float32) @ narrow
        near, block = close(rows, found), found.astype(np.float64)
        many = np.count_nonzero(near, axis=1) > _FEW
        if many.any():
            block[many], near[many] = wide[many] @ units.T, False
        row, candidate = np.nonzero(near)
        block[row, candidate] = dots(wide, row, units, candidate)
        yield block


def own_places(reconstructed: Vectors, gold: Vectors, mean: Vectors | None = None) -> Places:
    """The place of row i of `gold` among all its rows for row i of `reconstructed`, by cosine.

    By centred cosine with the reference `mean` [d]. A row of zeros has cosine 0 with all.
    """
    blocks = narrow_blocks(reconstructed, gold, _own_and_first_two, mean)
    return places(blocks, np.arange(len(gold)))


def _own_and_first_two(rows: slice, found: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Where row i asks for candidate i: the scores near to its own, or to the first two."""
    at = np.arange(len(found))
    best = found.argmax(axis=1)
    highest, own = found[at, best], found[at, at + rows.start][:, np.newaxis]
    found[at, best] = -np.inf
    second = found.max(axis=1)[:, np.newaxis]
    found[at, best] = highest
    near: npt.NDArray[np.bool_] = (found >= own - ROUNDING) & (found <= own + ROUNDING)
    near |= found >= second - ROUNDING
    return near


def retrieved(
    reconstructed: Vectors, gold: Vectors, mean: Vectors | None = None
) -> npt.NDArray[np.bool_]:
    """[N] whether row i of `reconstructed` is closer to row i of `gold` than to any other row.

    By cosine, or by centred cosine with the reference `mean` [d]. A tie is a miss. A zero row
    retrieves nothing.
    """
    return own_places(reconstructed, gold, mean).found & reconstructed.any(axis=1)
