"""Two figures of a release, drawn from the training log and the evidence.

The object API of matplotlib on its Agg canvas, in its default style whatever the user's own is: no
display, no date in the file, so the same inputs give the same bytes. Colours are Okabe and Ito's,
told apart by colour-blind readers and always named beside.
"""

import io

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nla_release.calibration.evidence import Condition, Evidence
from nla_release.calibration.report import Calibration
from nla_release.calibration.statistics import Floats, cosine_rows
from nla_release.cards.numbers import count, number, signed
from nla_release.sidecar import Role
from nla_release.training_log import Step, judge

_BLUE, _VERMILION, _GREY = "#0072B2", "#D55E00", "#595959"
_CONDITIONS: dict[Condition, str] = {
    "real": "its own explanation",
    "shuffled": "another row's explanation",
    "random_vector": "a random direction's explanation",
    "empty": "the empty explanation",
}

# 1350 pixels wide, twice what a README column shows, so that it stays sharp on dense screens.
_WIDTH, _DPI = 9.0, 150
_FONT = {"size": 12}

# Successive multiples of the golden ratio, modulo 1, spread points evenly without a random draw.
_GOLDEN_RATIO = (np.sqrt(5) - 1) / 2


def training_loss(role: Role, log: list[Step]) -> bytes:
    """PNG: raw loss per step, its least-squares line, and the verdict."""
    with style.context("default"):
        return _png(_draw_training_loss(role, log))


def training_loss_alt(role: Role, log: list[Step]) -> str:
    """What `training_loss` shows, for readers who do not see it."""
    verdict = judge(log)
    return (
        f"Raw {role.upper()} training loss over {count(len(log), 'logged step')}, from"
        f" {number(log[0].loss)} to {number(log[-1].loss)}, with its least-squares line:"
        f" {signed(verdict.slope)} per step, R² {number(verdict.r2)}, {verdict.name}."
    )


def cosine_distributions(evidence: Evidence, calibration: Calibration) -> bytes:
    """PNG: per-row cosine of the real explanation and of its controls, with means."""
    with style.context("default"):
        return _png(_draw_cosine_distributions(evidence, calibration))


def cosine_distributions_alt(calibration: Calibration) -> str:
    """What `cosine_distributions` shows, for readers who do not see it."""
    means = {
        "another row's explanation": calibration.controls["shuffled"].mean,
        "the explanation of a random direction": calibration.controls["random_vector"].mean,
        "the empty explanation": calibration.controls["empty"].mean,
        "the mean training direction": calibration.controls["predict_mean"].mean,
    }
    controls = ", ".join(f"{number(mean)} for {words}" for words, mean in means.items())
    return (
        f"Cosine per row, n = {calibration.cosine.n}: mean {number(calibration.cosine.mean)} for"
        f" the row's own explanation, {controls}."
    )


def _draw_training_loss(role: Role, log: list[Step]) -> Figure:
    verdict = judge(log)
    steps = np.array([step.step for step in log])
    figure, axes = _canvas(4.0)
    axes.plot(steps, [step.loss for step in log], ".", color=_BLUE, markersize=4, alpha=0.6)
    axes.plot(steps, verdict.intercept + verdict.slope * steps, color=_VERMILION, linewidth=2)
    axes.set_title(
        f"{role.upper()} training: {verdict.name} ({signed(verdict.slope)} per step,"
        f" R² {number(verdict.r2)})",
        fontdict=_FONT,
    )
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("raw loss")
    axes.legend(["loss of a step", "least-squares line"], frameon=False)
    return figure


def _draw_cosine_distributions(evidence: Evidence, calibration: Calibration) -> Figure:
    figure, axes = _canvas(5.0)
    mean = calibration.controls["predict_mean"].mean
    axes.axvline(mean, color=_VERMILION, linewidth=2, linestyle="--", zorder=1)
    axes.annotate(
        f"predict the mean {number(mean)}",
        (mean, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 4),
        textcoords="offset points",
        ha="center",
        color=_VERMILION,
    )
    labels = []
    for place, (condition, words) in enumerate(_CONDITIONS.items()):
        cosines = cosine_rows(evidence.vectors["gold"], evidence.vectors[condition])
        _strip(axes, -place, cosines, _BLUE if condition == "real" else _GREY)
        labels.append(f"{words}\nmean {number(cosines.mean())}")
    axes.set_yticks([-place for place in range(len(labels))], labels)
    axes.set_ylim(0.5 - len(_CONDITIONS), 0.5)
    axes.set_xlabel("cosine of activation and reconstruction; a failed explanation counts as 0")
    asked = calibration.denominators
    axes.set_title(
        f"Round trip and its controls, n = {count(asked.rows, 'row')} of"
        f" {count(asked.documents, 'document')}",
        fontdict=_FONT,
        pad=24,
    )
    return figure


def _strip(axes: Axes, height: float, cosines: Floats, color: str) -> None:
    """One point per row, spread around `height`, and their mean as a tick."""
    spread = 0.5 * ((np.arange(len(cosines)) * _GOLDEN_RATIO) % 1) - 0.25
    axes.plot(
        cosines, height + spread, "o", color=color, markersize=4, alpha=0.45, markeredgewidth=0
    )
    axes.vlines(cosines.mean(), height - 0.36, height + 0.36, color="black", linewidth=3)


def _canvas(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#E0E0E0", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
