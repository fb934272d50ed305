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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nla_release.statistics.clustered import best_as_ties, jackknife_variance, lower, t_quantile
from nla_release.statistics.enough import MIN_DOCUMENTS_OF_INTERVAL
from nla_release.statistics.formulas import AT_ONCE, Floats, Interval, row_blocks, unit_rows


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
class Contrasts:
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
    level: float = 0.95,
) -> Contrasts:
    """All four contrasts, in one pass over the rows.

    The interval of a contrast takes whole documents out, one at a time, with their rows and with
    their texts (jackknife). Texts that several documents share are not independent either, so the
    same is done with whole texts, and the variance that texts add to that of documents is added.
    The degrees of freedom are the effective number of documents or texts, whichever is smaller,
    less 1. Documents and texts without a row that has both arms do not count for that.

    Scores are linear in what is read, so that a whole document is one vector, and no matrix of
    [N, N] is needed: 10,000 rows take seconds.

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
    groupings = _groupings(documents, texts, failed)
    pairs = [_OWN_SAME, _SAME_OTHER, _OWN_OTHER, *([_OWN_TOKEN] if tokens is not None else [])]
    arms = _Arms(activations, read, groupings, tokens)
    sums = _summed_up(arms, groupings, dict.fromkeys(pairs, (~failed).astype(np.float64)))
    found = [sums[pair].contrast(level) for pair in pairs]
    if failed.any():
        weights = {pair: sums[pair].without_best(failed) for pair in pairs}
        without_best = _summed_up(arms, groupings, weights)
        found = [
            replace(each, interval=lower([each.interval, without_best[pair].interval(level)]))
            for pair, each in zip(pairs, found, strict=True)
        ]
    return Contrasts(found[0], found[1], found[2], found[3] if len(found) == 4 else None)


def centred(vectors: npt.NDArray[np.floating[Any]], mean: npt.NDArray[np.floating[Any]]) -> Floats:
    """[N, d] unit vectors of `vectors` [N, d] as unit vectors less `mean` [d].

    `mean` is the mean of the reference set's unit vectors. Where one direction holds most of every
    activation's energy, plain cosines are near 1 whatever is read, and only centred ones tell rows
    apart. With `mean` zero these are the plain unit vectors.
    """
    return unit_rows(unit_rows(vectors) - mean.astype(np.float64))


_Arm = Literal["own", "same_document", "other_documents", "same_token"]
_OWN_SAME: tuple[_Arm, _Arm] = ("own", "same_document")
_SAME_OTHER: tuple[_Arm, _Arm] = ("same_document", "other_documents")
_OWN_OTHER: tuple[_Arm, _Arm] = ("own", "other_documents")
_OWN_TOKEN: tuple[_Arm, _Arm] = ("own", "same_token")


class _Grouping:
    """One way to take rows together, and to take a whole group out."""

    def __init__(self, names: Sequence[object]) -> None:
        _, self.label, self.sizes = np.unique(
            np.asarray(names), return_inverse=True, return_counts=True
        )
        self.groups = len(self.sizes)
        self.effective = _effective(self.sizes.astype(np.float64))
        self._order = np.argsort(self.label, kind="stable")
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)])

    def rows(self, label: int) -> npt.NDArray[np.intp]:
        """The rows of a group."""
        return self._order[self._starts[label] : self._starts[label + 1]]

    def members(self, rows: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], ...]:
        """Pairs of a row, as its place in `rows`, and each row of its group."""
        sizes = self.sizes[self.label[rows]]
        place = np.repeat(np.arange(len(rows)), sizes)
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return place, self._order[np.repeat(self._starts[self.label[rows]], sizes) + within]

    def gather(
        self,
        rows: int,
        place: npt.NDArray[np.intp],
        other: npt.NDArray[np.intp],
        values: Floats,
    ) -> Floats:
        """[rows, groups] sums of a value per pair, by the place and the group of the other row."""
        flat = place * self.groups + self.label[other]
        return _summed(flat, values, rows * self.groups).reshape(rows, self.groups)


def _groupings(
    documents: Sequence[str], texts: Sequence[str], failed: npt.NDArray[np.bool_]
) -> tuple[_Grouping, ...]:
    """By document; and by text and by both, unless no two documents share a text.

    A failed row says nothing, which is shared with nobody.
    """
    said = [f"failed {at}" if failed[at] else f"said {text}" for at, text in enumerate(texts)]
    by_document, by_text = _Grouping(documents), _Grouping(said)
    both = _Grouping((by_document.label * by_text.groups + by_text.label).tolist())
    return (by_document,) if both.groups == by_text.groups else (by_document, by_text, both)


@dataclass(frozen=True)
class _Scores:
    """One arm's mean score of some rows, [rows], and the same without each group of texts."""

    whole: Floats
    without: Sequence[Floats]  # a [rows, groups] or [rows, 1] for each grouping


class _Arms:
    """The scores of every arm, some rows at a time."""

    def __init__(
        self,
        activations: Floats,
        read: Floats,
        groupings: Sequence[_Grouping],
        tokens: Sequence[str] | None,
    ) -> None:
        self._activations = activations
        self._read = read
        self._groupings = groupings
        self._document = groupings[0]
        self._token = None if tokens is None else _Grouping(tokens)
        self._all = read.sum(axis=0)
        self._by_group = [_group_sums(read, grouping) for grouping in groupings]

    def pieces(self) -> Iterator[slice]:
        """Rows that are taken together, all of them."""
        widest = max(
            [grouping.groups for grouping in self._groupings]
            + [int(each.sizes.max()) for each in (self._document, self._token) if each is not None]
        )
        yield from row_blocks(len(self._activations), widest, AT_ONCE)

    def of(self, rows: slice) -> dict[_Arm, _Scores]:
        """The arms' scores of these rows."""
        places = np.arange(rows.start, rows.stop)
        own = np.einsum("ij,ij->i", self._activations[rows], self._read[rows])
        place, other = self._document.members(places)
        scores = self._pairs(places, self._document)
        apart = other != places[place]
        found: dict[_Arm, _Scores] = {
            "own": _Scores(own, [own[:, np.newaxis]] * len(self._groupings)),
            "same_document": self._few(len(places), place[apart], other[apart], scores[apart]),
            "other_documents": self._others(rows, place, other, scores),
        }
        if self._token is not None:
            place, other = self._token.members(places)
            elsewhere = self._document.label[other] != self._document.label[places[place]]
            scores = self._pairs(places, self._token)[elsewhere]
            found["same_token"] = self._few(len(places), place[elsewhere], other[elsewhere], scores)
        return found

    def _pairs(self, places: npt.NDArray[np.intp], grouping: _Grouping) -> Floats:
        """[pairs] scores of the pairs that `grouping.members(places)` gives, a group at a time."""
        labels = grouping.label[places]
        ends = np.cumsum(grouping.sizes[labels])
        found = np.empty(int(ends[-1]))
        order = np.argsort(labels, kind="stable")
        for some in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
            rows = grouping.rows(int(labels[some[0]]))
            block = self._activations[places[some]] @ self._read[rows].T
            found[(ends[some] - len(rows))[:, np.newaxis] + np.arange(len(rows))] = block
        return found

    def _few(
        self,
        rows: int,
        place: npt.NDArray[np.intp],
        other: npt.NDArray[np.intp],
        scores: Floats,
    ) -> _Scores:
        """An arm of few texts for each row, given pair by pair."""
        total = _summed(place, scores, rows)
        count = np.bincount(place, minlength=rows).astype(np.float64)
        without = [
            _mean(
                total[:, np.newaxis] - grouping.gather(rows, place, other, scores),
                count[:, np.newaxis] - grouping.gather(rows, place, other, np.ones(len(scores))),
            )
            for grouping in self._groupings
        ]
        return _Scores(_mean(total, count), without)

    def _others(
        self,
        rows: slice,
        place: npt.NDArray[np.intp],
        inside: npt.NDArray[np.intp],
        scores: Floats,
    ) -> _Scores:
        """The arm of all texts but those of the row's document, `inside`, with these scores."""
        size, n = rows.stop - rows.start, len(self._read)
        total: Floats = self._activations[rows] @ self._all
        total -= np.bincount(place, weights=scores)
        count = n - np.bincount(place).astype(np.float64)
        without = []
        for grouping, sums in zip(self._groupings, self._by_group, strict=True):
            outside = self._activations[rows] @ sums.T
            outside -= grouping.gather(size, place, inside, scores)
            counts = grouping.sizes - grouping.gather(size, place, inside, np.ones(len(scores)))
            without.append(_mean(total[:, np.newaxis] - outside, count[:, np.newaxis] - counts))
        return _Scores(_mean(total, count), without)


def _effective(sizes: Floats) -> float:
    """`D / (1 + CV^2)` of the sizes of D groups, as `clustered.effective_documents`."""
    return float(sizes.sum() ** 2 / np.sum(sizes**2))


def _group_sums(read: Floats, grouping: _Grouping) -> Floats:
    """[groups, d] sums of what the AR made of each group's texts."""
    sums = np.zeros((grouping.groups, read.shape[1]))
    np.add.at(sums, grouping.label, read)
    return sums


def _summed(places: npt.NDArray[np.intp], values: Floats, count: int) -> Floats:
    """[count] sums of values by place."""
    sums: npt.NDArray[Any] = np.bincount(places, weights=values, minlength=count)
    return sums


def _mean(total: Floats, count: Floats) -> Floats:
    """NaN where there is nothing to take the mean of."""
    unknown = np.full(total.shape, np.nan)
    found: Floats = np.divide(total, count, out=unknown, where=count > 0.5)
    return found


def _summed_up(
    arms: _Arms,
    groupings: Sequence[_Grouping],
    weights: Mapping[tuple[_Arm, _Arm], Floats],
) -> dict[tuple[_Arm, _Arm], "_Sums"]:
    """The contrasts of some arms over all rows, with the weight [N] of each row; a tie has 0."""
    sums = {pair: _Sums(groupings) for pair in weights}
    for rows in arms.pieces():
        scores = arms.of(rows)
        for (first, second), total in sums.items():
            total.add(rows, scores[first], scores[second], weights[first, second][rows])
    return sums


class _Sums:
    """A contrast under way: sums over rows, whole and without each group."""

    def __init__(self, groupings: Sequence[_Grouping]) -> None:
        self._groupings = groupings
        self._first = self._second = self._difference = 0.0
        self._n = 0
        self._apart: list[Floats] = []
        self._without = [np.zeros((2, grouping.groups)) for grouping in groupings]
        self._sizes = [np.zeros(grouping.groups) for grouping in groupings]

    def add(self, rows: slice, first: _Scores, second: _Scores, weights: Floats) -> None:
        """Take some more rows."""
        has_both = ~np.isnan(first.whole + second.whole)
        self._n += int(has_both.sum())
        self._apart.append(first.whole - second.whole)
        self._first += float((first.whole * weights)[has_both].sum())
        self._second += float((second.whole * weights)[has_both].sum())
        for at, grouping in enumerate(self._groupings):
            labels = grouping.label[rows]
            self._sizes[at] += np.bincount(labels[has_both], minlength=grouping.groups)
            apart = (first.without[at] - second.without[at]) * weights[:, np.newaxis]
            kept = ~np.isnan(first.without[at] + second.without[at])
            kept = np.broadcast_to(kept, (len(weights), grouping.groups)).copy()
            kept[np.arange(len(weights)), labels] = False
            self._without[at][0] += np.sum(np.where(kept, apart, 0.0), axis=0)
            self._without[at][1] += kept.sum(axis=0)

    def without_best(self, failed: npt.NDArray[np.bool_]) -> Floats:
        """[N] weights that take as many of the best rows as ties as failed, of those with both."""
        apart = np.concatenate(self._apart)
        weights: Floats = (~failed).astype(np.float64)
        known = ~np.isnan(apart)
        weights[known] = best_as_ties(apart[known], failed[known])
        return weights

    def contrast(self, level: float) -> Contrast:
        """The mean and its interval, when all rows are in."""
        if not self._n:
            return Contrast(math.nan, math.nan, math.nan, None, 0)
        first, second = self._first / self._n, self._second / self._n
        return Contrast(
            first=first,
            second=second,
            difference=first - second,
            interval=self.interval(level),
            n=self._n,
        )

    def interval(self, level: float) -> Interval | None:
        """Of the mean; None where there are too few documents, or too few different texts."""
        if np.count_nonzero(self._sizes[0]) < MIN_DOCUMENTS_OF_INTERVAL:
            return None
        difference = (self._first - self._second) / self._n
        effective = [_effective(sizes) for sizes in self._sizes]
        freedom = min(*(grouping.effective for grouping in self._groupings), *effective) - 1
        if freedom < 1:
            return None
        variances = []
        for sums, counts in self._without:
            if (counts == 0).any():
                return None  # nothing is left without some group
            variances.append(jackknife_variance(sums / counts))
        variance = variances[0]
        if len(variances) == 3:
            variance += max(0.0, variances[1] - variances[2])
        margin = t_quantile(freedom, level) * math.sqrt(variance)
        return difference - margin, difference + margin
