"""Statistics as the blocks of a report, each with the intervals of its format.

Intervals of format 3 of calibration.json use the variance clustered by document. Formats 1 and 2
resampled documents, and treated rows as independent in shares. That method is kept only to
recompute published releases.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from nla_release.statistics.blocks import (
    MIN_DOCUMENTS_OF_INTERVAL,
    AgainstChance,
    Control,
    Inconclusive,
    Permutation,
    Ranking,
    Ratio,
)
from nla_release.statistics.clustered import (
    mean_intervals,
    ratio_intervals_of_means,
    share_interval,
)
from nla_release.statistics.formulas import (
    DRAWS,
    Floats,
    Interval,
    bootstrap_ratio,
    clustered_bootstrap,
    permutation_p,
    permuted_hits,
    wilson,
)
from nla_release.statistics.places import Places

_Name = TypeVar("_Name", bound=str)

UNEQUAL = Inconclusive(
    inconclusive="no two documents have equally many candidates, so none can change places"
)


@dataclass(frozen=True)
class Measures:
    """How the intervals of a report are computed.

    `clustered`: by the clustered variance, as in format 3. Otherwise by resampling documents and,
    for shares, with independent rows, as in formats 1 and 2.
    """

    clustered: bool = True

    def intervals(self, values: Floats, documents: Sequence[str]) -> list[Interval | None]:
        """Of the means of K statistics [K, N]; None with few documents."""
        if len(set(documents)) < MIN_DOCUMENTS_OF_INTERVAL:
            return [None] * len(values)
        if self.clustered:
            return mean_intervals(values, documents)
        return clustered_bootstrap(values, documents)

    def ratio_intervals(
        self, numerators: Floats, denominator: Floats, documents: Sequence[str]
    ) -> list[Interval | None]:
        """Of K ratios of means, [K, N] over [N]; None with few documents."""
        if len(set(documents)) < MIN_DOCUMENTS_OF_INTERVAL:
            return [None] * len(numerators)
        if self.clustered:
            return ratio_intervals_of_means(numerators, denominator, documents)
        return bootstrap_ratio(numerators, denominator, documents)

    def share_interval(self, hits: npt.NDArray[np.bool_], documents: Sequence[str]) -> Interval:
        """Of the share of rows that hit."""
        if self.clustered:
            return share_interval(hits, documents)
        return wilson(int(hits.sum()), len(hits))

    def ratio(
        self, hits: Sequence[bool] | npt.NDArray[np.bool_], documents: Sequence[str]
    ) -> Ratio:
        """A share of rows with its interval."""
        marked = np.asarray(hits, dtype=np.bool_)
        count, n = int(marked.sum()), len(marked)
        interval = self.share_interval(marked, documents)
        return Ratio(hits=count, n=n, share=count / n, interval=interval)

    def controls(
        self,
        real: Floats,
        others: Mapping[_Name, Floats],
        documents: Sequence[str],
        failed: Mapping[_Name, int],
    ) -> dict[_Name, Control]:
        """Each control's cosines [N] against the real ones [N].

        A control whose texts mostly failed decides nothing.
        """
        if not others:
            return {}
        differences = np.stack([real - other for other in others.values()])
        found = {}
        for (name, other), difference, interval in zip(
            others.items(), differences, self.intervals(differences, documents), strict=True
        ):
            found[name] = Control(
                mean=other.mean(),
                difference=difference.mean(),
                interval=interval,
                n=len(other),
                failed=failed[name],
            )
            if 2 * failed[name] > len(other):
                reason = f"{failed[name]} of its {len(other)} texts failed"
                found[name] = found[name].model_copy(
                    update={"interval": None, "inconclusive": reason}
                )
        return found

    def against_chance(
        self,
        values: Floats,
        chance: float | Floats,
        documents: Sequence[str],
        document_alone: Floats | None = None,
    ) -> AgainstChance:
        """The mean of values [N] compared with chance, a number or [N].

        `document_alone` [N] is the value of a text that names only its document, where known.
        """
        differences = [values - chance]
        if document_alone is not None:
            differences.append(values - document_alone)
        interval, *above_document = self.intervals(np.stack(differences), documents)
        found = AgainstChance(
            mean=values.mean(),
            chance=float(np.mean(chance)),
            difference=differences[0].mean(),
            interval=interval,
            n=len(values),
        )
        if document_alone is None:
            return found
        return found.model_copy(
            update={
                "document_alone": round(float(document_alone.mean()), 6),
                "above_document_interval": rounded(above_document[0]),
            }
        )

    def ranking(
        self, places: Places, documents: Sequence[str], candidate_documents: Sequence[str]
    ) -> Ranking:
        """How well N rows of `documents` [N] find their own candidates among M >= 2.

        A row of zeros is a miss and ranks last. Ties count against the own candidate. The
        permutation exchanges `candidate_documents` [M].
        """
        n, candidates, rank, found = len(documents), places.candidates, places.rank, places.found
        hits = int(found.sum())
        alone = _document_alone(places.own, candidate_documents) if self.clustered else None
        return Ranking(
            hits=hits,
            n=n,
            candidates=candidates,
            top1=hits / n,
            interval=self.share_interval(found, documents),
            chance=1 / candidates,
            permutation=_permutation(places, candidate_documents, hits),
            mrr=self.against_chance(
                1 / rank,
                float(np.mean(1 / np.arange(1, candidates + 1))),
                documents,
                None if alone is None else alone.mrr,
            ),
            percentile=self.against_chance(
                (candidates - rank) / (candidates - 1),
                0.5,
                documents,
                None if alone is None else alone.percentile,
            ),
            **({} if alone is None else {"document_alone": float(alone.top1.mean())}),
        )


FORMAT_2 = Measures(clustered=False)
FORMAT_3 = Measures()


def rounded(interval: Interval | None) -> Interval | None:
    """As a report has it."""
    return None if interval is None else (round(interval[0], 6), round(interval[1], 6))


@dataclass(frozen=True)
class _DocumentAlone:
    """The expected scores, [N] each, of a text that names its document and nothing more."""

    top1: Floats
    mrr: Floats
    percentile: Floats


def _document_alone(
    own: npt.NDArray[np.intp], candidate_documents: Sequence[str]
) -> _DocumentAlone | None:
    """With k candidates in its document, the own one is equally likely at each of k places.

    None where every document has a single candidate: naming it names the candidate.
    """
    sizes = Counter(candidate_documents)
    if len(sizes) == len(candidate_documents):
        return None
    k = np.array([sizes[candidate_documents[at]] for at in own])
    candidates = len(candidate_documents)
    harmonic = np.cumsum(1 / np.arange(1, k.max() + 1))
    return _DocumentAlone(
        top1=1 / k,
        mrr=harmonic[k - 1] / k,
        percentile=(candidates - (k + 1) / 2) / (candidates - 1),
    )


def _permutation(places: Places, documents: Sequence[str], hits: int) -> Permutation | Inconclusive:
    sizes = Counter(documents).values()
    if len(set(sizes)) == len(sizes):
        return UNEQUAL
    null = permuted_hits(places.first, places.own, documents)
    if null.min() == null.max():
        return Inconclusive(
            inconclusive=f"every chance assignment gives the same {int(null[0])} hits, so that hits"
            " decide nothing"
        )
    return Permutation(p=permutation_p(null, hits), floor=1 / (DRAWS + 1), draws=DRAWS)
