"""The scores of single rows with texts of other rows: the best of the document, and the others."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nla_release.evidence.parts import Evidence
from nla_release.statistics.contrasts import centred
from nla_release.statistics.formulas import AT_ONCE, Floats, cosine_rows, group_sums, row_blocks


@dataclass(frozen=True)
class Neighbours:
    """Scores of N rows: centred cosines, NaN where there is no such text or the row failed.

    Attributes:
        best: [N] position of the row of the same document whose text scores best, -1 without one.
        centred: [N] its score.
        plain: [N] the same as a plain cosine.
        others: [N] mean score of the texts of all other documents.
    """

    best: npt.NDArray[np.intp]
    centred: Floats
    plain: Floats
    others: Floats


def neighbours(evidence: Evidence) -> Neighbours:
    """Score each row with the texts of the others; the empty text replaces a failed one."""
    mean, failed = evidence.vectors["reference_mean"], evidence.failed("real")
    answers = np.where(failed[:, np.newaxis], evidence.vectors["empty"], evidence.vectors["real"])
    gold, read = centred(evidence.vectors["gold"], mean), centred(answers, mean)
    _, document, sizes = np.unique(evidence.documents, return_inverse=True, return_counts=True)
    best, score = np.full(len(gold), -1), np.full(len(gold), np.nan)
    order = np.argsort(document, kind="stable")
    for rows in np.split(order, np.cumsum(sizes)[:-1]):
        if len(rows) > 1:
            best[rows], score[rows] = _best(gold, read, rows)
    apart = np.einsum("ij,ij->i", gold, read.sum(axis=0) - group_sums(read, document)[document])
    elsewhere = len(gold) - sizes[document]
    others = np.divide(apart, elsewhere, out=np.full(len(gold), np.nan), where=elsewhere > 0)
    plain = np.where(best < 0, np.nan, cosine_rows(evidence.vectors["gold"], answers[best]))
    return Neighbours(best, *(np.where(failed, np.nan, each) for each in (score, plain, others)))


def _best(
    gold: Floats, read: Floats, rows: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.intp], Floats]:
    """For the rows of one document: the other row whose text scores best, and its score."""
    found, score = np.empty(len(rows), dtype=np.intp), np.empty(len(rows))
    for block in row_blocks(len(rows), len(rows), AT_ONCE):
        some = np.arange(block.start, block.stop)
        scores = gold[rows[some]] @ read[rows].T
        scores[np.arange(len(some)), some] = -np.inf
        # Rounded, so that the last bits of a machine do not decide between equal texts.
        nearest = np.argmax(np.round(scores, 6), axis=1)
        found[some], score[some] = rows[nearest], scores[np.arange(len(some)), nearest]
    return found, score
