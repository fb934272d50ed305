"""The three questions of a release at a glance: each value against its control."""

import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nla_release.calibration.questions import Question, questions
from nla_release.calibration.report import CurrentCalibration
from nla_release.cards.figures.plot import BLUE, VERMILION, Plot, canvas, legend_above
from nla_release.statistics.row import Row
from nla_release.text.numbers import number

# What lies below is drawn at the edge, as an arrow; its value is in the line above it.
_LOWEST = -0.25

# So many characters of this size fit into a line of the picture.
_LINE_WIDTH = 110


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
