"""The rows: their centred cosines under each condition."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nla_release.calibration.evidence_folder import Condition, Evidence
from nla_release.calibration.report import CurrentCalibration
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
from nla_release.evidence.controls import CONTROLS, centred_cosines
from nla_release.statistics.formulas import Floats
from nla_release.text.numbers import count, number

_SHOWN: tuple[Condition, ...] = ("shuffled", "random_vector", "empty")
_CONDITIONS: dict[Condition, str] = {
    "real": "its own explanation",
    **{name: CONTROLS[name].words for name in _SHOWN},
}

# Successive multiples of the golden ratio, modulo 1, spread points evenly without a random draw.
_GOLDEN_RATIO = (np.sqrt(5) - 1) / 2


def cosine_distributions(evidence: Evidence, calibration: CurrentCalibration) -> Plot:
    """Centred cosine of the real explanation and of its controls, row by row, with means."""
    found = {condition: centred_cosines(evidence, condition) for condition in _CONDITIONS}
    means = {_CONDITIONS[name]: float(values.mean()) for name, values in found.items()}
    told = ", ".join(f"{number(mean)} for {words}" for words, mean in means.items())
    n = calibration.centred.n
    return Plot(
        "cosine_real_vs_controls",
        f"Centred cosine per row, n = {n}: mean {told}.",
        ("condition", "mean_centred_cosine", "n"),
        [(words, round(mean, 6), n) for words, mean in means.items()],
        lambda: _distributions(found, calibration),
    )


def _distributions(found: Mapping[Condition, Floats], calibration: CurrentCalibration) -> Figure:
    figure, axes = canvas(4.2)
    labels = []
    for place, (condition, values) in enumerate(found.items()):
        _strip(axes, -place, values, BLUE if condition == "real" else GREY)
        labels.append(f"{_CONDITIONS[condition]}\nmean {number(float(values.mean()))}")
    named_rows(axes, labels)
    axes.axvline(
        0, color=VERMILION, linewidth=2, linestyle="--", zorder=1, label="the mean scores 0"
    )
    axes.set_xlabel("centred cosine per row; a row without an explanation counts as 0")
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
