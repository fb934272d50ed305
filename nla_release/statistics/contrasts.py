"""How well a row's own text fits its activation, compared with the texts of other rows.

The AR is a function of its text, so its reconstruction of every text is known from one run. Each
activation can be compared with every text: N^2 scores from N reconstructions. An arm is a rule that
names the texts used in place of a row's own one. No text is drawn at random: the score of a row in
an arm is the mean over all of these texts.

* `own`: the row's own text.
* `same_document`: the other rows of its document, which share what the document gives away.
* `other_documents`: the rows of all other documents, which share what any text gives away.
* `same_token`: the rows of other documents that end in the same token.

A row whose explanation failed counts as a tie in all arms. The rows that fail may be those that
would have scored worst. So each interval is also computed with as many of the best rows as ties,
and its lower end is the lower one of both. In place of other texts, a failed explanation is the
empty text, which the AR was given.
"""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nla_release.statistics.blocks import MIN_DOCUMENTS_OF_INTERVAL
from nla_release.statistics.clustered import (
    best_as_ties,
    effective_number,
    jackknife_variance,
    lower,
    t_quantile,
)
from nla_release.statistics.formulas import LEVEL, Floats, Interval, dots, group_sums, unit_rows


@dataclass(frozen=True)
class Contrast:
    """The mean difference of two arms over the rows that have both.

    `interval` is None where there are too few documents or too few different texts.
    """

    first: float
    second: float
    difference: float
    interval: Interval | None
    n: int


@dataclass(frozen=True)
class ArmContrasts:
    """What a row's own text adds; `token` is None where no token is known."""

    within: Contrast  # own - same document
    between: Contrast  # same document - other documents
    above_others: Contrast  # own - other documents
    above_token: Contrast | None  # own - same token of other documents


def contrasts(
    activations: Floats,
    read: Floats,
    documents: Sequence[str],
    texts: Sequence[str],
    failed: npt.NDArray[np.bool_],
    tokens: Sequence[str] | None = None,
    *,
    level: float = LEVEL,
) -> ArmContrasts:
    """All four contrasts.

    The interval of a contrast is a jackknife over documents: each is removed with its rows and its
    texts. Documents that share texts are not independent, so the same is done with texts, and the
    variance that they add to that of documents is added. The degrees of freedom are the effective
    number of documents or texts, whichever is smaller, minus 1. Documents and texts without a row
    that has both arms do not count.

    Scores are linear in reconstructions and activations. So rows with equally many texts to compare
    with are summed into one vector, and texts that are removed together into another: no pair of
    rows is scored.

    Args:
        activations: [N, d].
        read: [N, d] the reconstructions of each row's text. The score of row i with the text of row
            j is `activations[i] @ read[j]`: a cosine where both are unit vectors.
        documents: [N].
        texts: [N] the explanations.
        failed: [N] whether the explanation failed.
        tokens: [N] the token of each activation, where it is known.
        level: of the intervals.

    Source: Efron and Stein, Annals of Statistics 9 (1981), for the jackknife; Cameron, Gelbach and
    Miller, Journal of Business and Economic Statistics 29 (2011), for two ways of clustering.
    """
    by_document, everything = _numbered(documents), _Cells(np.zeros(len(read), np.intp))
    groupings = _groupings(by_document, texts, failed)
    arms = _Arms(activations, read, by_document, everything, groupings, failed)
    within, between, above_others = (
        arms.contrast(signs, level) for signs in (_OWN_LESS_NEAR, _NEAR_LESS_FAR, _OWN_LESS_FAR)
    )
    above_token = None
    if tokens is not None:
        by_token = _numbered(tokens)
        both = by_token.and_by(by_document)
        arms = _Arms(activations, read, both, by_token, groupings, failed)
        above_token = arms.contrast(_OWN_LESS_FAR, level)
    return ArmContrasts(within, between, above_others, above_token)


def centred(vectors: npt.NDArray[np.floating[Any]], mean: npt.NDArray[np.floating[Any]]) -> Floats:
    """[N, d] the unit vectors of `vectors` [N, d] minus `mean` [d], at norm 1 again.

    `mean` is the mean of the reference set's unit vectors; with zero these are the plain unit
    vectors. A zero row, which is a failure, stays zero.
    """
    return unit_rows(vectors, mean.astype(np.float64))


_Positions = npt.NDArray[np.intp]

# How much each of the three arms of `_Arms` counts.
_OWN_LESS_NEAR, _NEAR_LESS_FAR, _OWN_LESS_FAR = (1, -1, 0), (0, 1, -1), (1, 0, -1)


class _Cells:
    """A grouping of N things by labels [N]."""

    def __init__(self, labels: _Positions) -> None:
        _, self.first, self.label, self.sizes = np.unique(
            labels, return_index=True, return_inverse=True, return_counts=True
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def and_by(self, other: "_Cells") -> "_Cells":
        """The grouping by both."""
        return _Cells(self.label * len(other) + other.label)

    def sums(self, values: npt.NDArray[Any]) -> Floats:
        """[K, cells] of values [K, N]."""
        return np.stack([np.bincount(self.label, row, len(self)) for row in values])

    def vectors(self, vectors: Floats, weights: Floats | None = None) -> Floats:
        """[cells, d] sums of vectors [N, d], each times its weight."""
        return group_sums(vectors, self.label, weights)


def _numbered(names: Iterable[Hashable]) -> _Cells:
    """By name."""
    numbers: dict[Hashable, int] = {}
    return _Cells(np.array([numbers.setdefault(name, len(numbers)) for name in names], np.intp))


def _groupings(
    documents: _Cells, texts: Sequence[str], failed: npt.NDArray[np.bool_]
) -> tuple[_Cells, ...]:
    """By document; and by text and by both, unless no two documents share a text.

    A failed row shares its text with no other.
    """
    by_text = _numbered(at if failed[at] else text for at, text in enumerate(texts))
    both = documents.and_by(by_text)
    return (documents,) if len(both) == len(by_text) else (documents, by_text, both)


@dataclass(frozen=True)
class _Sums:
    """Scores summed over rows that have equally many texts in each arm: M such sums.

    Attributes:
        group: [M] the group that was removed from these rows and texts.
        totals: [3, M] by arm, over all texts of all rows.
        counts: [3, M] texts of one row.
        rows: [M] their number. Sums that others replace have negative totals and rows.
    """

    group: _Positions
    totals: Floats
    counts: Floats
    rows: Floats

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(
            *(
                np.concatenate([getattr(self, each.name), getattr(other, each.name)], axis=-1)
                for each in fields(self)
            )
        )

    def __neg__(self) -> "_Sums":
        return _Sums(self.group, -self.totals, self.counts, -self.rows)

    def at(self, positions: _Positions, group: _Positions) -> "_Sums":
        """Some of the sums, each for the group that is removed from it."""
        return _Sums(
            group, self.totals[:, positions], self.counts[:, positions], self.rows[positions]
        )

    def less(
        self,
        *,
        near: Floats | int = 0,
        near_texts: npt.NDArray[Any] | int = 0,
        far: Floats,
        far_texts: npt.NDArray[Any],
    ) -> "_Sums":
        """Without these scores, of so many texts per row, in the second and third arm."""
        own, *totals = self.totals
        one, *counts = self.counts
        return replace(
            self,
            totals=np.stack([own, totals[0] - near, totals[1] - far]),
            counts=np.stack([one, counts[0] - near_texts, counts[1] - far_texts]),
        )

    def differences(self, signs: Sequence[int], groups: int) -> Floats:
        """[2, groups] the sum of signed means over rows with a text in each arm; and those rows."""
        used = np.flatnonzero(signs)
        known = (self.counts[used] > 0).all(axis=0)
        means = self.totals[used][:, known] / self.counts[used][:, known]
        values = np.asarray(signs, np.float64)[used] @ means
        return np.stack(
            [np.bincount(self.group[known], each, groups) for each in (values, self.rows[known])]
        )


class _Arms:
    """Three arms of each row: its own text, the others of its cell, those around the cell.

    The cells `inside` lie in those of `around`. Rows of one cell have equally many texts in each
    arm. What is [3, ...] is by arm, in this order.
    """

    def __init__(
        self,
        activations: Floats,
        read: Floats,
        inside: _Cells,
        around: _Cells,
        groupings: Sequence[_Cells],
        failed: npt.NDArray[np.bool_],
    ) -> None:
        self._activations, self._read, self._failed = activations, read, failed
        self._inside, self._around, self._groupings = inside, around, groupings
        own = np.einsum("ij,ij->i", activations, read)
        near, far = (
            dots(activations, np.arange(len(read)), each.vectors(read), each.label)
            for each in (inside, around)
        )
        self._totals = np.stack([own, near - own, far - near])
        # The cell around each inner one, and inner ones with equally many texts in the same one.
        self._outer = around.label[inside.first]
        self._alike = _Cells(self._outer * (len(read) + 1) + inside.sizes)
        sizes, wider = inside.sizes, around.sizes[self._outer]
        self._counts = np.stack([np.ones_like(sizes), sizes - 1, wider - sizes]).astype(np.float64)
        self._explained = np.where(failed, 0.0, 1.0)
        self._summed = self._sums(self._explained)

    def contrast(self, signs: Sequence[int], level: float) -> Contrast:
        """The arm with sign 1 compared with the arm with sign -1."""
        counts = self._counts[:, self._inside.label]
        both = np.all(counts[np.flatnonzero(signs)] > 0, axis=0)
        if not both.any():
            return Contrast(math.nan, math.nan, math.nan, None, 0)
        one, other = (
            self._totals[arm, both] / counts[arm, both] for arm in map(signs.index, (1, -1))
        )
        interval = self._interval(signs, both, self._summed, level)
        if self._failed.any():
            weights = self._explained.copy()
            weights[both] = best_as_ties(one - other, self._failed[both])
            interval = lower([interval, self._interval(signs, both, self._sums(weights), level)])
        first, second = (float(np.mean(arm * self._explained[both])) for arm in (one, other))
        return Contrast(first, second, first - second, interval, len(one))

    def _interval(
        self,
        signs: Sequence[int],
        both: npt.NDArray[np.bool_],
        summed: Sequence[_Sums],
        level: float,
    ) -> Interval | None:
        """The interval of the mean; None with too few documents or too few different texts."""
        sizes = [np.bincount(each.label[both]) for each in self._groupings]
        if np.count_nonzero(sizes[0]) < MIN_DOCUMENTS_OF_INTERVAL:
            return None
        sizes += [each.sizes for each in self._groupings]
        freedom = min(map(effective_number, sizes)) - 1
        if freedom < 1:
            return None
        whole = summed[0].differences(signs, 1)
        variances = []
        for grouping, changes in zip(self._groupings, summed[1:], strict=True):
            total, rows = whole + changes.differences(signs, len(grouping))
            if (rows < 0.5).any():
                return None  # nothing is left without some group
            variances.append(jackknife_variance(total / rows))
        variance = variances[0]
        if len(variances) == 3:
            variance += max(0.0, variances[1] - variances[2])
        difference = float(whole[0, 0] / whole[1, 0])
        margin = t_quantile(freedom, level) * math.sqrt(variance)
        return difference - margin, difference + margin

    def _sums(self, weights: Floats) -> list[_Sums]:
        """Sums of all rows with weights [N]; then the changes without each group, by grouping."""
        inside = self._inside
        totals = inside.sums(self._totals * weights)
        whole = _Sums(
            np.zeros(len(inside), np.intp), totals, self._counts, inside.sizes.astype(np.float64)
        )
        asked = inside.vectors(self._activations, weights)
        return [whole, *(self._changes(each, weights, whole, asked) for each in self._groupings)]

    def _changes(self, grouping: _Cells, weights: Floats, whole: _Sums, asked: Floats) -> _Sums:
        """The changes of the sums `whole` of the inner cells without each group.

        `weights` [N] are those of rows, `asked` [cells, d] the weighted activations summed by inner
        cell.
        """
        inner, outer = self._inside.and_by(grouping), self._around.and_by(grouping)
        read = outer.vectors(self._read)

        # Rows of a cell lose the group's texts around it.
        alike = self._alike
        together = _Sums(
            np.empty(len(alike), np.intp),
            alike.sums(whole.totals),
            whole.counts[:, alike.first],
            alike.sums(whole.rows[np.newaxis])[0],
        )
        at, out, scores = _products(
            alike.vectors(asked), self._outer[alike.first], read, self._around.label[outer.first]
        )
        before = together.at(at, grouping.label[outer.first[out]])
        changes = before.less(far=scores, far_texts=outer.sizes[out]) + -before

        # Where the group has rows in the cell itself, others are left, with fewer texts inside it.
        cell, out = self._inside.label[inner.first], outer.label[inner.first]
        before = whole.at(cell, grouping.label[inner.first])
        scores = dots(asked, cell, read, out)
        changes += -before.less(far=scores, far_texts=outer.sizes[out])
        if len(inner) > len(self._inside):
            near_read, rows = inner.vectors(self._read), np.arange(len(weights))
            of_rows = [
                weights * dots(self._activations, rows, each, to)
                for each, to in ((near_read, inner.label), (read, outer.label))
            ]
            of_cells = [dots(asked, cell, near_read, np.arange(len(inner))), scores]
            near, far = np.stack(of_cells) - inner.sums(np.stack(of_rows))
            left = replace(
                before,
                totals=before.totals - inner.sums(self._totals * weights),
                rows=before.rows - inner.sizes,
            )
            changes += left.less(
                near=near,
                near_texts=inner.sizes,
                far=far - near,
                far_texts=outer.sizes[out] - inner.sizes,
            )
        return changes


def _products(
    a: Floats, cells: _Positions, b: Floats, other_cells: _Positions
) -> tuple[_Positions, _Positions, Floats]:
    """All pairs of a row of `a` [., d] and one of `b` [., d] in one cell, and their products.

    `cells` and `other_cells` are the cells of their rows, in order.
    """
    found = []
    for cell in range(cells[-1] + 1):
        (start, end), (first, last) = (
            np.searchsorted(each, [cell, cell + 1]) for each in (cells, other_cells)
        )
        rows, others = np.indices((end - start, last - first)).reshape(2, -1)
        found.append((rows + start, others + first, (a[start:end] @ b[first:last].T).ravel()))
    rows, others, products = (np.concatenate(each) for each in zip(*found, strict=True))
    return rows, others, products
