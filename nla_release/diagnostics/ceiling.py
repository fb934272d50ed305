"""What the activations themselves allow, which separates a poor pair from a poor layer.

Two measurements of the raw activations, without the pair: is the nearest other activation of the
same document, and can a linear map predict the document? Where even these are at chance, no
explanation could do better, and the data or the layer is the problem. The first is measured for the
reconstructions too. Nearness is by centred cosine; by plain cosine before format 3.
"""

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt

from nla_release.diagnostics.model import Diagnostic
from nla_release.evidence.parts import Evidence
from nla_release.io.schema import Strict
from nla_release.statistics.blocks import Inconclusive, Proportion, Ratio, too_few
from nla_release.statistics.formulas import (
    AT_ONCE,
    TIE,
    Floats,
    group_sums,
    row_blocks,
    unit_rows,
    wilson,
)
from nla_release.statistics.measures import FORMAT_3, Measures
from nla_release.statistics.places import ROUNDING, Vectors, narrow_blocks
from nla_release.statistics.row import Row, share_row

# Of the mean variance per direction that the rows span. It is fixed beforehand: chosen on these
# rows, it would fit them.
RIDGE = 0.1


class Ceiling(Strict):
    """How well raw activations identify their document, over documents of two or more rows."""

    documents: PositiveInt = Field(description="of two or more rows")
    nearest: Ratio = Field(description="activations whose nearest other is of their document")
    nearest_chance: Proportion = Field(description="of it, for a neighbour at random")
    nearest_of_reconstructions: Ratio = Field(
        description="reconstructions whose nearest activation, except their own, is of their"
        " document; failures are misses"
    )
    probe: Ratio = Field(
        description="activations whose document a linear map predicts, fitted without them"
    )
    probe_chance: Proportion = Field(
        description="of it, for always predicting the largest document"
    )


def report(evidence: Evidence, measures: Measures = FORMAT_3) -> Ceiling | Inconclusive:
    """Ties are misses; a row that is alone in its document is left out."""
    sizes = Counter(evidence.documents)
    rows = [i for i, document in enumerate(evidence.documents) if sizes[document] > 1]
    documents = [evidence.documents[i] for i in rows]
    if few := too_few(documents, "rows that share their document"):
        return few
    gold, real = (evidence.vectors[name][rows] for name in ("gold", "real"))
    mean = evidence.vectors["reference_mean"].astype(np.float64)
    less = mean if measures.clustered else None
    names, labels = np.unique(documents, return_inverse=True)
    counts = np.bincount(labels)
    n = len(rows)
    return Ceiling(
        documents=len(names),
        nearest=measures.ratio(_nearest(gold, gold, labels, less), documents),
        nearest_chance=float(np.mean((counts[labels] - 1) / (n - 1))),
        nearest_of_reconstructions=measures.ratio(_nearest(real, gold, labels, less), documents),
        probe=measures.ratio(_predicted(unit_rows(gold) - mean, labels), documents),
        probe_chance=counts.max() / n,
    )


def _nearest(
    queries: Vectors, gold: Vectors, labels: npt.NDArray[np.intp], less: Floats | None
) -> npt.NDArray[np.bool_]:
    """[n] whether the best other candidate of its document beats every other document's."""
    best = np.empty(len(labels))
    for rows in _documents(labels):
        scores = unit_rows(queries[rows], less) @ unit_rows(gold[rows], less).T
        np.fill_diagonal(scores, -np.inf)
        best[rows] = scores.max(axis=1)

    def as_near(rows: slice, found: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        asked = best[rows, np.newaxis].astype(np.float32)
        near: npt.NDArray[np.bool_] = np.abs(found - asked) <= ROUNDING
        return near

    elsewhere = list[float]()
    for block in narrow_blocks(queries, gold, as_near, less):
        own = labels[len(elsewhere) :][: len(block), np.newaxis]
        elsewhere += np.max(block, axis=1, where=labels != own, initial=-np.inf).tolist()
    found: npt.NDArray[np.bool_] = best > np.array(elsewhere) + TIE
    return found


def _documents(labels: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    """The rows of each document."""
    return np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])


def _predicted(features: Floats, labels: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """[n] whether ridge regression on one-hot labels gives the label when fitted without the row.

    With the hat matrix H, the fit without row i gives it `(H y)_i - h_ii y_i` over `1 - h_ii`. H is
    `X (X'X + r I)^-1 X'`, or `(X X' + r I)^-1 X X'`, whichever inverse is smaller. As `A B'`, it
    needs no matrix of [n, n] for many rows.

    Source: Allen, Technometrics 16 (1974); Hastie, Tibshirani and Friedman, The Elements of
    Statistical Learning (2009), equation 7.64.
    """
    rows, width = features.shape
    ridge = RIDGE * float(np.vdot(features, features)) / min(rows, width)
    if ridge == 0:
        return np.zeros(rows, np.bool_)
    if width < rows:
        from scipy.linalg import solve_triangular  # takes a while to import, and few rows need none

        root = np.linalg.cholesky(features.T @ features + ridge * np.eye(width))
        left = right = solve_triangular(root, features.T, lower=True, check_finite=False).T
    else:
        left = np.eye(rows)
        right = np.linalg.solve(features @ features.T + ridge * left, features @ features.T)
    own = np.einsum("ij,ij->i", left, right)
    weights = group_sums(right, labels)
    found = np.empty(rows, np.bool_)
    for some in row_blocks(rows, len(weights), AT_ONCE):
        predicted = left[some] @ weights.T
        mine = np.arange(len(predicted)), labels[some]
        predicted[mine] -= own[some]
        predicted /= 1 - own[some, np.newaxis]
        own_label = predicted[mine]
        predicted[mine] = -np.inf
        found[some] = own_label > predicted.max(axis=1) + TIE
    return found


def _rows(found: Ceiling) -> Iterator[Row]:
    near = "Nearest activation is of the same document"
    yield share_row(f"{near}, raw activations", found.nearest, found.nearest_chance, "chance")
    yield share_row(
        f"{near}, reconstructions",
        found.nearest_of_reconstructions,
        found.nearest_chance,
        "chance",
    )
    yield share_row(
        "Document predicted by a linear map of raw activations",
        found.probe,
        found.probe_chance,
        "the largest document",
    )


def _sentences(found: Ceiling) -> Iterator[str]:
    """Whether the layer or the data may explain a low score."""
    tested = ((found.nearest, found.nearest_chance), (found.probe, found.probe_chance))
    if any(_above_chance(share, chance, found.documents) for share, chance in tested):
        yield (
            "Raw activations identify their document better than chance, so the layer alone would"
            " not explain a score at chance."
        )
    else:
        yield (
            "Raw activations are not shown to identify their document either, so a low score may be"
            " due to the layer or the data and not to the pair."
        )


def _above_chance(found: Ratio, chance: float, documents: int) -> bool:
    """Whether a share is above chance even if all rows of a document hit or miss together."""
    low, _ = wilson(math.floor(found.share * documents), documents)
    return low > chance


DIAGNOSTIC = Diagnostic(
    name="ceiling",
    title="ceiling",
    meaning="what raw activations would allow",
    records=Ceiling,
    report=report,
    rows=_rows,
    sentences=_sentences,
)
