"""The rows: their cosines under each condition, and with their own text against another's."""

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nla_release.calibration.controls import cosines
from nla_release.calibration.evidence import Condition, Evidence
from nla_release.calibration.report import Calibration
from nla_release.calibration.statistics import Floats
from nla_release.cards.figures.plot import (
    BLUE,
    GREY,
    MANY,
    VERMILION,
    Plot,
    canvas,
    legend_above,
    named_rows,
)
from nla_release.text.numbers import count, number

_CONDITIONS: dict[Condition, str] = {
    "real": "its own explanation",
    "shuffled": "another row's explanation",
    "random_vector": "a random direction's explanation",
    "empty": "the empty explanation",
}

# Successive multiples of the golden ratio, modulo 1, spread points evenly without a random draw.
_GOLDEN_RATIO = (np.sqrt(5) - 1) / 2


def cosine_distributions(evidence: Evidence, calibration: Calibration) -> Plot:
    """Cosine of the real explanation and of its controls, row by row, with means."""
    controls = calibration.controls
    means = {
        "the row's own explanation": calibration.cosine.mean,
        "another row's explanation": controls["shuffled"].mean,
        "the explanation of a random direction": controls["random_vector"].mean,
        "the empty explanation": controls["empty"].mean,
        "the mean training direction": controls["predict_mean"].mean,
    }
    told = ", ".join(f"{number(mean)} for {words}" for words, mean in means.items())
    n = calibration.cosine.n
    return Plot(
        "cosine_real_vs_controls",
        f"Cosine per row, n = {n}: mean {told}.",
        ("condition", "mean_cosine", "n"),
        [(words, mean, n) for words, mean in means.items()],
        lambda: _distributions(evidence, calibration),
    )


def own_against_other(evidence: Evidence, calibration: Calibration) -> Plot:
    """Each row's cosine with its own explanation against that with another row's."""
    own, other = cosines(evidence, "real"), cosines(evidence, "shuffled")
    shuffled = calibration.controls["shuffled"]
    alt = (
        f"Each row's cosine with its own explanation, mean {number(calibration.cosine.mean)},"
        f" against that with another row's, mean {number(shuffled.mean)}, n = {shuffled.n}. Where"
        " the text belongs to its activation, points lie above the diagonal."
    )
    rows = [
        (line, row.status, round(float(mine), 6), round(float(others), 6))
        for line, (row, mine, others) in enumerate(zip(evidence.rows, own, other, strict=True), 1)
    ]
    return Plot(
        "own_vs_another",
        alt,
        ("line_of_rows_jsonl", "status", "cosine_own", "cosine_another_rows"),
        rows,
        lambda: _scatter(own, other, evidence.failed("real")),
    )


def _distributions(evidence: Evidence, calibration: Calibration) -> Figure:
    figure, axes = canvas(4.2)
    mean = calibration.controls["predict_mean"].mean
    axes.axvline(
        mean, color=VERMILION, linewidth=2, linestyle="--", zorder=1,
        label=f"the mean direction scores {number(mean)}",
    )  # fmt: skip
    labels = []
    for place, (condition, words) in enumerate(_CONDITIONS.items()):
        found = cosines(evidence, condition)
        _strip(axes, -place, found, BLUE if condition == "real" else GREY)
        labels.append(f"{words}\nmean {number(found.mean())}")
    named_rows(axes, labels)
    axes.set_xlabel("cosine per row; a row without an explanation counts as 0")
    asked = calibration.denominators
    axes.set_title(
        f"Round trip and its controls, n = {count(asked.rows, 'row')} of"
        f" {count(asked.documents, 'document')}"
    )
    legend_above(figure, 1)
    return figure


def _strip(axes: Axes, height: float, values: Floats, color: str) -> None:
    """One point per row, spread around `height`, and their mean as a tick."""
    spread = 0.5 * ((np.arange(len(values)) * _GOLDEN_RATIO) % 1) - 0.25
    axes.plot(
        values,
        height + spread,
        "o",
        color=color,
        markersize=4,
        alpha=0.45,
        markeredgewidth=0,
        rasterized=len(values) > MANY,
    )
    axes.vlines(values.mean(), height - 0.36, height + 0.36, color="black", linewidth=3)


def _scatter(own: Floats, other: Floats, failed: npt.NDArray[np.bool_]) -> Figure:
    figure, axes = canvas(4.8)
    low, high = float(min(own.min(), other.min())), float(max(own.max(), other.max()))
    axes.plot(
        [low, high], [low, high], color=VERMILION, linewidth=2, linestyle="--", zorder=1,
        label="equal; above, the own explanation is better",
    )  # fmt: skip
    for rows, mark, color, words in (
        (~failed, "o", BLUE, "explained"),
        (failed, "X", "black", "without an explanation"),
    ):
        if rows.any():
            axes.plot(
                other[rows], own[rows], mark, color=color, markersize=6, alpha=0.55,
                markeredgewidth=0, label=words, rasterized=len(own) > MANY,
            )  # fmt: skip
    axes.grid(axis="y", color="#E0E0E0", linewidth=0.8)
    axes.set_xlabel("cosine with another row's explanation")
    axes.set_ylabel("cosine with its own explanation")
    axes.set_title(f"Own explanation against another's, n = {count(len(own), 'row')}")
    legend_above(figure, 3)
    return figure
