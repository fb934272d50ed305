"""How well a row's own text fits its activation, against the texts of other rows.

The AR is a function of its text, so what it makes of every text is known from one run, and each
activation can be compared with every text: N^2 scores for N answers. An arm is a rule that says
which texts stand in for a row's own one. No text is drawn at random: an arm's score of a row is the
mean over all texts that its rule names.

* `own`: the row's own text.
* `same_document`: the other rows of its document. What they score, the document gives away.
* `other_documents`: the rows of all other documents. What they score, any text gives away.
* `same_token`: the rows of other documents that end in the same token. What they score, the token
  gives away.

A row whose explanation failed reads nothing, so it decides nothing: it counts as a tie, in all arms
alike. Rows that would have done worst may be the ones that fail, which would flatter the others: so
an interval reaches down to where it lies with as many of the best rows as ties. As a text that
stands in for others it is the empty text, which is what the AR was given.
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

    `interval` is None where the rows are of too few documents, or say too few different things.
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

    The interval of a contrast takes whole documents out, one at a time, with their rows and with
    their texts (jackknife). Texts that several documents share are not independent either, so the
    same is done with whole texts, and the variance that texts add to that of documents is added.
    The degrees of freedom are the effective number of documents or texts, whichever is smaller,
    less 1. Documents and texts without a row that has both arms do not count for that.

    Scores are linear in what is read and in the activations. So rows that have equally many texts
    to compare with are summed into one vector, and texts that are taken out together into another:
    no pair of two rows is scored.

    Args:
        activations: [N, d].
        read: [N, d] what the AR made of each row's text. Row i's score with the text of row j is
            `activations[i] @ read[j]`: a cosine where both are unit vectors.
        documents: [N].
        texts: [N] what the AV said of each row.
        failed: [N] whether it said nothing.
        tokens: [N] the token that each activation was read at, where it is known.
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
    """[N, d] unit vectors of `vectors` [N, d] as unit vectors less `mean` [d].

    `mean` is the mean of the reference set's unit vectors. Where one direction holds most of every
    activation's energy, plain cosines are near 1 whatever is read, and only centred ones tell rows
    apart. With `mean` zero these are the plain unit vectors. A zero row, which is a failure, stays
    zero.
    """
    return unit_rows(vectors, mean.astype(np.float64))


_Positions = npt.NDArray[np.intp]

# How much each of the three arms of `_Arms` counts.
_OWN_LESS_NEAR, _NEAR_LESS_FAR, _OWN_LESS_FAR = (1, -1, 0), (0, 1, -1), (1, 0, -1)


class _Cells:
    """One way to take N things together, by labels [N]."""

    def __init__(self, labels: _Positions) -> None:
        _, self.first, self.label, self.sizes = np.unique(
            labels, return_index=True, return_inverse=True, return_counts=True
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def and_by(self, other: "_Cells") -> "_Cells":
        """By both: each cell lies in one of these and in one of the others."""
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

    A failed row says nothing, which is shared with nobody.
    """
    by_text = _numbered(at if failed[at] else text for at, text in enumerate(texts))
    both = documents.and_by(by_text)
    return (documents,) if len(both) == len(by_text) else (documents, by_text, both)


@dataclass(frozen=True)
class _Sums:
    """Scores summed over rows that have equally many texts in each arm: M such sums.

    Attributes:
        group: [M] which group these rows and texts are without.
        totals: [3, M] by arm, over all texts of all rows.
        counts: [3, M] texts of one row.
        rows: [M] how many. What other sums stand for instead has negative totals and rows.
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
        """Some of them, for the groups that are taken out of each."""
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
        """Less these scores, of so many texts of each row, in the second and third arm."""
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
        """The arm with sign 1 against the arm with sign -1."""
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
        """Of the mean; None where there are too few documents, or too few different texts."""
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
        """Of all rows with their weights [N]; and what changes without a group, by grouping."""
        inside = self._inside
        totals = inside.sums(self._totals * weights)
        whole = _Sums(
            np.zeros(len(inside), np.intp), totals, self._counts, inside.sizes.astype(np.float64)
        )
        asked = inside.vectors(self._activations, weights)
        return [whole, *(self._changes(each, weights, whole, asked) for each in self._groupings)]

    def _changes(self, grouping: _Cells, weights: Floats, whole: _Sums, asked: Floats) -> _Sums:
        """What changes in the sums, by group, when one is taken out.

        Args:
            grouping: the groups.
            weights: [N] of rows.
            whole: sums of the inner cells.
            asked: [cells, d] activations summed by inner cell, with their weights.
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
    """All pairs of a row of `a` and one of `b` that are of one cell, and their products.

    Args:
        a: [., d].
        cells: the cell of each row, in order.
        b: [., d].
        other_cells: the same of `b`.
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
