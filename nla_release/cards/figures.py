"""The five figures of a release, from the training log, the evidence and the calibration.

Each is a `Plot`: PNG and SVG, a CSV of the numbers that it shows, and an alternative text.
The same inputs give the same bytes.
"""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nla_release.adapter.training_log import Step, loss_trend
from nla_release.calibration.comparison import ReleaseFigures
from nla_release.calibration.questions import Question, questions
from nla_release.calibration.report import Calibration, CurrentCalibration, Retrieval
from nla_release.calibration.tables import rankings
from nla_release.cards.plot import (
    BLUE,
    GREY,
    MANY,
    VERMILION,
    Plot,
    canvas,
    legend_above,
    named_rows,
)
from nla_release.contract.sidecar import Role
from nla_release.evidence.controls import CONTROLS, centred_cosines
from nla_release.evidence.parts import Condition, Evidence
from nla_release.statistics.blocks import Ranking
from nla_release.statistics.formulas import Floats
from nla_release.statistics.row import Row
from nla_release.text.numbers import count, number, signed, unsigned

# A lower value is drawn at the edge, as an arrow; the line above it has the number.
_LOWEST = -0.25

# How many characters of this size fit into a line of the picture.
_LINE_WIDTH = 110

_SHOWN: tuple[Condition, ...] = ("shuffled", "random_vector", "empty")

_CONDITIONS: dict[Condition, str] = {
    "real": "its own explanation",
    **{name: CONTROLS[name].words for name in _SHOWN},
}

# Successive multiples of the golden ratio, modulo 1, spread points evenly without a random draw.
_GOLDEN_RATIO = (np.sqrt(5) - 1) / 2


def three_questions(calibration: CurrentCalibration) -> Plot:
    """Every row of a card's tables that has a control, with the interval of its difference."""
    asked = [each for each in questions(calibration) if _drawable(each)]
    words = " ".join(f"{each.question} {each.grade.capitalize()}." for each in asked)
    return Plot(
        "three_questions",
        f"{words} The picture shows the values, controls and intervals of the tables.",
        ("question", "measured", "value", "control", "control_value", "low", "high", "n"),
        [
            (
                each.name,
                row.name,
                row.value,
                row.control,
                row.baseline,
                *(row.interval or (None, None)),
                row.n,
            )
            for each in asked
            for row in _drawable(each)
        ],
        lambda: _drawn(asked),
    )


def _drawable(question: Question) -> list[Row]:
    return [
        row
        for row in question.rows
        if row.control and row.value is not None and row.baseline is not None
    ]


def _drawn(asked: list[Question]) -> Figure:
    rows = [[(row, _words(row)) for row in _drawable(each)] for each in asked]
    height = len(asked) + sum(_height(words) for block in rows for _, words in block)
    figure, axes = canvas(1.0 + 0.52 * height)
    place = 0.0
    for each, block in zip(asked, rows, strict=True):
        _write(axes, place + 0.2, f"{each.question} {each.grade.capitalize()}.", "bold")
        for row, words in block:
            place += _height(words)
            _write(axes, place, "\n".join(words), "normal")
            _mark(axes, -place, row)
        place += 1
    axes.set_ylim(0.5 - place, 0.8)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.axvline(0, color="#999999", linewidth=0.8, zorder=0)
    axes.set_xlim(left=axes.dataLim.x0 - 0.03, right=axes.dataLim.x1 + 0.03)
    axes.set_xlabel("value; the bar is the 95% CI of the difference, added to the control")
    legend_above(figure, 2)
    return figure


def _words(row: Row) -> list[str]:
    """The line above a row's marks, broken where it is too long."""
    words = f"{row.name}: {number(row.value)}; {row.control}: {number(row.baseline)}"
    return textwrap.wrap(words, _LINE_WIDTH)


def _height(words: list[str]) -> float:
    """Of a row, where 1 is one with a single line of words."""
    return 1 + 0.35 * (len(words) - 1)


def _write(axes: Axes, place: float, words: str, weight: str) -> None:
    """A line of text above the marks, over the whole width."""
    axes.text(
        0,
        0.22 - place,
        words,
        transform=axes.get_yaxis_transform(),
        fontsize=8.5,
        fontweight=weight,
        verticalalignment="bottom",
    )


def _mark(axes: Axes, height: float, row: Row) -> None:
    assert row.value is not None
    assert row.baseline is not None
    first = not axes.get_legend_handles_labels()[1]
    value, baseline = max(row.value, _LOWEST), max(row.baseline, _LOWEST)
    if row.interval:
        low, high = (max(row.baseline + bound, _LOWEST) for bound in row.interval)
        axes.hlines(height, low, high, color=BLUE, linewidth=5, alpha=0.35)
    axes.vlines(
        baseline, height - 0.2, height + 0.2, color=VERMILION, linewidth=3,
        label="its control" if first else "",
    )  # fmt: skip
    mark = "o" if row.value >= _LOWEST else "<"
    axes.plot(value, height, mark, color=BLUE, markersize=8, label="this pair" if first else "")


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


def retrieval_vs_chance(calibration: Calibration) -> Plot:
    """Shares retrieved with their Wilson intervals, each with its baselines."""
    rates = _rates(calibration)
    listed = "; ".join(
        f"{words}: {found.hits} of {found.n}, {number(found.top1)} (95% interval"
        f" {unsigned(found.interval)}), {_baselines(found)}"
        for words, found in rates.items()
    )
    return Plot(
        "retrieval_vs_chance",
        f"Share retrieved against baselines: {listed}.",
        (
            "retrieved",
            "hits",
            "n",
            "share",
            "interval_low",
            "interval_high",
            "document_alone",
            "chance",
        ),
        [
            (
                words,
                found.hits,
                found.n,
                found.top1,
                *found.interval,
                "" if (alone := _document_alone(found)) is None else alone,
                found.chance,
            )
            for words, found in rates.items()
        ],
        lambda: _drawn_retrieval(rates),
    )


def _rates(calibration: Calibration) -> dict[str, Retrieval | Ranking]:
    """Each measured retrieval by what is retrieved; the headline first."""
    headline = "Own activation is the nearest of all (top-1)"
    found: dict[str, Retrieval | Ranking] = {headline: calibration.retrieval}
    return found | {
        words: each for words, each in rankings(calibration.probes).items() if words != headline
    }


def _document_alone(found: Retrieval | Ranking) -> float | None:
    """What a text retrieves that says only its document; None where the document is the item."""
    return None if found.document_alone == 1 else found.document_alone


def _baselines(found: Retrieval | Ranking) -> str:
    chance, alone = f"chance {number(found.chance)}", _document_alone(found)
    return chance if alone is None else f"knowing the document alone {number(alone)}, {chance}"


def _drawn_retrieval(rates: Mapping[str, Retrieval | Ranking]) -> Figure:
    figure, axes = canvas(1.4 + 0.75 * len(rates))
    for place, found in enumerate(rates.values()):
        low, high = found.interval
        axes.hlines(-place, low, high, color=BLUE, linewidth=3)
        axes.plot(found.top1, -place, "o", color=BLUE, markersize=8)
        for baseline, color in ((found.chance, GREY), (_document_alone(found), VERMILION)):
            if baseline is not None:
                axes.vlines(baseline, -place - 0.3, -place + 0.3, color=color, linewidth=3)
    named_rows(
        axes,
        [
            f"{words}\n{found.hits}/{found.n} = {number(found.top1)}"
            for words, found in rates.items()
        ],
    )
    axes.set_xlim(left=-0.02 * axes.get_xlim()[1])  # a mark at 0 is whole
    axes.set_xlabel(
        "share of rows whose own item ranks first; bars: chance (grey), document alone (red)"
    )
    axes.set_title("Retrieval against its baselines, 95% intervals")
    return figure


def training_loss(role: Role, log: list[Step], run: str = "") -> Plot:
    """Raw loss per step, its least-squares line, and the verdict.

    Args:
        role: the adapter's.
        log: its training log, which is of one run.
        run: which run that is, such as `run 2 of 2`; empty when there was only one.
    """
    verdict = loss_trend(log)
    of_run = f" of {run}" if run else ""
    alt = (
        f"Raw {role.upper()} training loss{of_run} over {count(len(log), 'logged step')}, from"
        f" {number(log[0].loss)} to {number(log[-1].loss)}, with its least-squares line:"
        f" {signed(verdict.slope)} per step, R² {number(verdict.r2)}, {verdict.name}."
    )
    rows = [(each.step, each.loss, verdict.intercept + verdict.slope * each.step) for each in log]
    return Plot(
        "training_loss",
        alt,
        ("step", "loss", "line"),
        [(step, loss, round(line, 6)) for step, loss, line in rows],
        lambda: _drawn_loss(role, log, of_run),
    )


def _drawn_loss(role: Role, log: list[Step], of_run: str) -> Figure:
    verdict = loss_trend(log)
    steps = np.array([step.step for step in log])
    figure, axes = canvas(3.6)
    axes.plot(
        steps, [step.loss for step in log], ".", color=BLUE, markersize=5, alpha=0.6,
        label="loss of a step",
    )  # fmt: skip
    axes.plot(
        steps, verdict.intercept + verdict.slope * steps, color=VERMILION, linewidth=2,
        label="least-squares line",
    )  # fmt: skip
    axes.set_title(
        f"{role.upper()} training: {verdict.name} ({signed(verdict.slope)} per step,"
        f" R² {number(verdict.r2)})"
    )
    axes.set_xlabel(f"optimizer step{of_run}")
    axes.set_ylabel("raw loss")
    axes.legend(frameon=False)
    return figure


def versions_side_by_side(versions: Sequence[ReleaseFigures]) -> Plot:
    """Centred cosine of every version against texts of the same and of other documents."""
    told = ", ".join(
        f"{each.name} {number(others.first)} (texts of the same document"
        f" {number(each.within.second if each.within else None)}, of other documents"
        f" {number(others.second)}, n = {each.rows})"
        for each in versions
        if (others := each.above_others)
    )
    columns = (
        "version", "n", "documents", "centred_cosine", "same_document", "other_documents",
        "difference_low", "difference_high", "fve", "retrieved", "label",
    )  # fmt: skip
    return Plot(
        "versions",
        f"Centred cosine by version, each on its own rows: {told}.",
        columns,
        [
            (
                each.name,
                each.rows,
                each.documents,
                each.above_others.first if each.above_others else None,
                each.within.second if each.within else None,
                each.above_others.second if each.above_others else None,
                *((each.above_others and each.above_others.interval) or (None, None)),
                each.fve.value,
                each.retrieval.top1,
                each.label,
            )
            for each in versions
        ],
        lambda: _drawn_versions(versions),
    )


def _drawn_versions(versions: Sequence[ReleaseFigures]) -> Figure:
    figure, axes = canvas(2.0 + 0.7 * len(versions))
    named: set[str] = set()
    for place, each in enumerate(versions):
        if (others := each.above_others) is None:
            continue  # measured in an older format
        if others.interval:
            low, high = (others.second + bound for bound in others.interval)
            axes.hlines(-place, low, high, color=BLUE, linewidth=5, alpha=0.35)
        for value, mark, color, words in (
            (others.first, "o", BLUE, "own explanation"),
            (each.within.second if each.within else None, "s", GREY, "texts of the same document"),
            (others.second, "D", VERMILION, "texts of other documents"),
        ):
            if value is not None:
                label = None if words in named else words
                axes.plot(value, -place, mark, color=color, markersize=9, label=label)
                named.add(words)
    named_rows(axes, [f"{each.name}\n{each.label}, n = {each.rows}" for each in versions])
    axes.set_xlabel(
        "centred cosine; the bar is the 95% CI of the difference from other documents, added to"
        " their value"
    )
    axes.set_title("Versions, each on its own rows")
    legend_above(figure, 3)
    return figure
