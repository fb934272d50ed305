"""A question's numbers as SVG: each value, its control, and the interval of their difference.

Every row has its value and its control in words above the marks, like a small table, so that the
picture needs no legend. A dot is the pair, an upright bar its control, and the band the 95%
confidence interval of the difference, added to the control.
"""

import textwrap
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from nla_release.statistics.row import Row
from nla_release.text.numbers import number

_WIDTH = 360
_LEFT, _RIGHT = 14.0, 350.0
_LINE, _MARKS, _GAP, _AXIS = 16, 20, 10, 22
_CHARACTERS = 38
_TICKS = (0, 0.25, 0.5, 0.75, 1)

# What lies below is an arrow at the edge; its value is in the words above it.
_LOWEST = -0.25


def drawable(rows: Sequence[Row]) -> list[Row]:
    """The rows that can be drawn: those that have a value."""
    return [row for row in rows if row.value is not None]


def lowest(rows: Sequence[Row]) -> float:
    """Where an axis begins that holds all rows; figures next to each other share it."""
    return max(_LOWEST, min([-0.03, *(end for row in drawable(rows) for end in _ends(row))]))


def rows_figure(name: str, title: str, rows: Sequence[Row], low: float) -> str:
    """The SVG element, without colours: classes name its parts, and CSS paints them.

    Args:
        name: of the figure in the page, for its ids.
        title: what it is about.
        rows: at least one that is `drawable`.
        low: where the axis begins; it ends at 1.
    """
    parts: list[str] = []
    height = 4
    for row in drawable(rows):
        parts += _words("value", row.name, number(row.value), height)
        height += _LINE * len(_lines(row.name))
        if row.control:
            parts += _words("control", row.control, number(row.baseline), height)
            height += _LINE * len(_lines(row.control))
        parts += _grid(height, low)
        parts += _marks(row, height + _MARKS / 2, low)
        height += _MARKS + _GAP
    named = f'aria-labelledby="{name}-title {name}-text"'
    return "\n".join(
        [
            f'<svg class="figure" viewBox="0 0 {_WIDTH} {height + _AXIS}" role="img" {named}>',
            f'<title id="{name}-title">{escape(title)}</title>',
            f'<desc id="{name}-text">{escape(rows_alt(rows))}</desc>',
            *parts,
            *_axis(height, low),
            "</svg>",
        ]
    )


def rows_alt(rows: Sequence[Row]) -> str:
    """The figure in words."""
    said = (
        f"{row.name} {row.shown}; control {number(row.baseline)}, {row.control};"
        f" 95% CI of the difference {row.bounds}"
        if row.control
        else f"{row.name} {row.shown}; 95% CI {row.bounds}"
        for row in drawable(rows)
    )
    return f"{'. '.join(said)}."


def _grid(top: float, low: float) -> Iterator[str]:
    """Behind the marks only, so that no line crosses words."""
    for tick in _TICKS:
        kind, x = "zero" if tick == 0 else "grid", f"{_x(tick, low):.1f}"
        yield f'<path class="{kind}" d="M{x} {top}v{_MARKS}"/>'


def _axis(top: float, low: float) -> Iterator[str]:
    for tick in _TICKS:
        x = f"{_x(tick, low):.1f}"
        yield f'<text x="{x}" y="{top + 12}" text-anchor="middle">{tick:g}</text>'


def _words(kind: str, words: str, value: str, top: float) -> Iterator[str]:
    """Which mark it is, its name on as many lines as it takes, and the number at the end."""
    middle = top + _LINE / 2
    yield (
        f'<circle class="dot" cx="5" cy="{middle:.1f}" r="4"/>'
        if kind == "value"
        else f'<path class="baseline" d="M5 {middle - 6:.1f}v12"/>'
    )
    for line, text in enumerate(_lines(words)):
        y = top + _LINE * line + 12
        yield f'<text class="{kind}" x="14" y="{y}">{escape(text)}</text>'
    yield f'<text class="{kind}" x="{_WIDTH}" y="{top + 12}" text-anchor="end">{value}</text>'


def _marks(row: Row, y: float, low: float) -> Iterator[str]:
    assert row.value is not None
    if row.interval:
        start, end = (_x(each, low) for each in _band(row))
        yield f'<path class="whisker" d="M{start:.1f} {y:.1f}H{end:.1f}"/>'
    if row.baseline is not None:
        yield f'<path class="baseline" d="M{_x(row.baseline, low):.1f} {y - 8:.1f}v16"/>'
    if row.value < low:
        yield f'<path class="dot" d="M{_LEFT - 5:.1f} {y:.1f}l9 -6v12z"/>'
    else:
        yield f'<circle class="dot" cx="{_x(row.value, low):.1f}" cy="{y:.1f}" r="5"/>'


def _band(row: Row) -> tuple[float, float]:
    """The interval where it belongs on the axis: that of a difference goes on the control."""
    assert row.interval
    start = row.baseline or 0.0
    return start + row.interval[0], start + row.interval[1]


def _ends(row: Row) -> list[float]:
    given = [row.value, row.baseline, *(_band(row) if row.interval else ())]
    return [each for each in given if each is not None]


def _x(value: float, low: float) -> float:
    inside = min(max(value, low), 1.0)
    return _LEFT + (inside - low) / (1 - low) * (_RIGHT - _LEFT)


def _lines(words: str) -> list[str]:
    return textwrap.wrap(words, _CHARACTERS)
