"""Real against controls as SVG: a dot per control, and whiskers over its interval.

What is drawn is the paired difference, real - control. Two bars of cosine side by side would look
alike under any control that shares the layer's mean direction.
"""

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from nla_release.calibration.blocks import Control
from nla_release.calibration.controls import CONTROLS
from nla_release.calibration.report import ControlName
from nla_release.text.numbers import interval, signed

_WIDTH = 620
_LEFT, _RIGHT = 260.0, 530.0
_TOP, _ROW, _AXIS = 8, 30, 40
_TICKS = 5
_NAMED = 'aria-labelledby="figure-title figure-text"'


def controls_figure(controls: Mapping[ControlName, Control]) -> str:
    """The SVG element, without colours: classes name its parts, and CSS paints them.

    Args:
        controls: by name, in the order in which they are drawn.
    """
    ticks = _ticks([0.0] + [end for each in controls.values() for end in _ends(each)])
    bottom = _TOP + _ROW * len(controls)
    parts = [
        f'<svg class="figure" viewBox="0 0 {_WIDTH} {bottom + _AXIS}" role="img" {_NAMED}>',
        '<title id="figure-title">Cosine of the own explanation less that of each control</title>',
        f'<desc id="figure-text">{escape(controls_alt(controls))}</desc>',
    ]
    for tick in ticks:
        x = _x(tick, ticks)
        name = "zero" if tick == 0 else "grid"
        parts += [
            f'<line class="{name}" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>',
            f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>',
        ]
    for position, (name, control) in enumerate(controls.items()):
        parts += _row(name, control, _TOP + _ROW * (position + 0.5), ticks)
    middle = (_LEFT + _RIGHT) / 2
    parts += [
        f'<text x="{middle:.1f}" y="{bottom + 34}" text-anchor="middle">real - control</text>',
        "</svg>",
    ]
    return "\n".join(parts)


def controls_alt(controls: Mapping[ControlName, Control]) -> str:
    """The figure in words."""
    said = (
        f"{_words(name)} {signed(each.difference)} ({interval(each.interval)})"
        for name, each in controls.items()
    )
    return f"Real minus control with 95% interval: {'; '.join(said)}."


def _row(name: str, control: Control, y: float, ticks: Sequence[float]) -> list[str]:
    low, high = (f"{_x(end, ticks):.1f}" for end in _ends(control))
    top = f"{y - 5:.1f}"
    whiskers = f'<path class="whisker" d="M{low} {y:.1f}H{high}M{low} {top}v10M{high} {top}v10"/>'
    return [
        f'<text x="0" y="{y + 5:.1f}">{escape(_words(name))}</text>',
        *([whiskers] if control.interval else []),
        f'<circle class="dot" cx="{_x(control.difference, ticks):.1f}" cy="{y:.1f}" r="5"/>',
        f'<text x="{_WIDTH}" y="{y + 5:.1f}" text-anchor="end">{signed(control.difference)}</text>',
    ]


def _ends(control: Control) -> tuple[float, float]:
    return control.interval or (control.difference, control.difference)


def _x(value: float, ticks: Sequence[float]) -> float:
    return _LEFT + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (_RIGHT - _LEFT)


def _ticks(values: Sequence[float]) -> list[float]:
    """Round numbers around all values, in steps of 1, 2 or 5 times a power of ten."""
    low, high = min(values), max(values)
    raw = max(high - low, 0.01) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(number * step, 9) + 0.0 for number in range(first, max(last, first + 1) + 1)]


def _words(name: str) -> str:
    return CONTROLS[name].words
