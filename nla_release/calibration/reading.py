"""What explanations tell apart: rows, documents, tokens or nothing, computed from arrays.

This decides the label. `headline` publishes the numbers. `benchmarks/labels.py` measures, on
simulated pairs of known truth, how often the level is wrong.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from nla_release.calibration.report import Contrasts
from nla_release.statistics.blocks import MIN_DOCUMENTS_OF_INTERVAL
from nla_release.statistics.clustered import best_as_ties, lower, mean_intervals
from nla_release.statistics.contrasts import ArmContrasts, Contrast, centred, contrasts
from nla_release.statistics.formulas import AT_ONCE, TIE, Floats, Interval, row_blocks
from nla_release.statistics.places import Places, own_places, places

Level = Literal["row-level", "document-level", "token-level", "format-only"]
Vectors = npt.NDArray[np.floating[Any]]

_LAST_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class MeasuredRows:
    """The activations and reconstructions of N rows of width d.

    Attributes:
        gold: [N, d] activations.
        real: [N, d] reconstructions from the own text, zero where it failed.
        empty: [d] the reconstruction from the empty text.
        mean: [d] mean of the reference set's unit activations.
        documents: [N].
        texts: [N] the explanations.
        failed: [N] whether the explanation failed.
        tokens: [N] the token of each activation, or None where it is not known.
    """

    gold: Vectors
    real: Vectors
    empty: Vectors
    mean: Vectors
    documents: Sequence[str]
    texts: Sequence[str]
    failed: npt.NDArray[np.bool_]
    tokens: Sequence[str] | None


class Compared(Protocol):
    """A difference with its interval, computed or published."""

    @property
    def interval(self) -> Interval | None:
        """None with too few documents or too few different texts."""


def above_zero(found: Compared | None) -> bool:
    """Whether the comparison was made and its whole interval is above 0."""
    return found is not None and found.interval is not None and found.interval[0] > TIE


def level(
    pairs: ArmContrasts | Contrasts, in_document: Compared | None, nearness: Compared
) -> Level:
    """What the explanations tell apart; a comparison holds when its interval is above 0.

    * format-only: the own text does not do better than texts of other documents, or the
      reconstruction is not nearer to its own activation than to others.
    * row-level: the own text does better than texts of its document, those do better than texts of
      other documents, the own text does better than texts of other documents at the same token, and
      the reconstruction finds its activation among those of its document more often than by knowing
      the document.
    * document-level: texts of its document do better than those of others.
    * token-level: none of these.
    """
    if not (above_zero(pairs.above_others) and above_zero(nearness)):
        return "format-only"
    if not above_zero(pairs.between):
        return "token-level"
    more = map(above_zero, (pairs.within, pairs.above_token, in_document))
    return "row-level" if all(more) else "document-level"


def level_of(answers: MeasuredRows) -> Level:
    """The level, computed from arrays. A failed row is a tie in every comparison."""
    found = own_places(answers.real, answers.gold, answers.mean)
    return level(pair_contrasts(answers), in_document(answers), nearness(answers, found))


def pair_contrasts(answers: MeasuredRows) -> ArmContrasts:
    """The own text compared with texts of other rows, by cosines less `answers.mean`."""
    documents, texts, failed = answers.documents, answers.texts, answers.failed
    return contrasts(*_compared(answers), documents, texts, failed, answers.tokens)


def _compared(answers: MeasuredRows) -> tuple[Floats, Floats]:
    """[N, d] centred activations and reconstructions, of the empty text where a row failed."""
    read = np.where(answers.failed[:, np.newaxis], answers.empty, answers.real)
    return centred(answers.gold, answers.mean), centred(read, answers.mean)


def last_token(text: str) -> str:
    """The last word or punctuation mark of a text, which approximates its last token.

    A word of several tokens counts as one. Case counts, as it does in tokens.
    """
    found = _LAST_TOKEN.findall(text)
    return found[-1] if found else ""


def in_document(answers: MeasuredRows) -> Contrast | None:
    """How often a text retrieves its own activation among those of its document.

    The score of an activation is its centred cosine less its mean centred cosine over the texts of
    the document. Without this correction some activations (hubs) are near to every text of the
    document and are retrieved for any text, which hides small differences between rows. The control
    is knowing the document, which retrieves one row of it. A tie is a miss. Failed rows have no
    text: the others are compared among themselves, and a failed row counts as the control does.
    None with one row per document.

    Source: CSLS (Conneau et al. 2018, arXiv 1710.04087) corrects hubness in this way, but subtracts
    half of the mean over the k nearest texts. Here no k has to be chosen.
    """
    sizes = Counter(answers.documents)
    several = np.array([sizes[document] > 1 for document in answers.documents])
    if not several.any():
        return None
    gold, read = _compared(answers)
    rows_in: dict[str, list[int]] = {document: [] for document in answers.documents}
    for at in np.flatnonzero(~answers.failed).tolist():
        rows_in[answers.documents[at]].append(at)
    chance = np.array([1 / max(1, len(rows_in[document])) for document in answers.documents])
    hits = chance.copy()
    for rows in rows_in.values():
        if len(rows) > 1:
            apart, own = read[rows] - read[rows].mean(axis=0), np.arange(len(rows))
            blocks = row_blocks(len(rows), len(rows), AT_ONCE)
            hits[rows] = places((apart[some] @ gold[rows].T for some in blocks), own).found
    documents = [name for name, n in zip(answers.documents, several, strict=True) if n]
    return _against(hits[several], chance[several], documents, answers.failed[several])


def nearness(answers: MeasuredRows, found: Places) -> Contrast:
    """The share of the other activations that are farther than the own one; chance is 0.5.

    `found` has the ranks of the own activations of all rows.
    """
    others = found.candidates - 1
    shares: Floats = np.where(answers.failed, 0.5, (found.candidates - found.rank) / others)
    return _against(shares, np.full(len(shares), 0.5), answers.documents, answers.failed)


def _against(
    values: Floats, chance: Floats, documents: Sequence[str], failed: npt.NDArray[np.bool_]
) -> Contrast:
    """The mean of [N] values compared with [N] chances; no interval with few documents."""
    interval = None
    if len(set(documents)) >= MIN_DOCUMENTS_OF_INTERVAL:
        apart = values - chance
        interval = lower(
            mean_intervals(np.stack([apart, apart * best_as_ties(apart, failed)]), documents)
        )
    first, second = float(values.mean()), float(chance.mean())
    return Contrast(first, second, first - second, interval, len(values))
