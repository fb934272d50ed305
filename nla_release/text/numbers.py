"""How numbers and lists are formatted, in every document and on the terminal."""

import math
from collections.abc import Sequence

_DECIMALS = 3
# calibration.json holds six decimals; the slope of a loss may be finer.
_MOST_DECIMALS = 12


def number(value: float | None) -> str:
    """`0.438`, or two significant digits where there is less: `0.00031`. A dash for None."""
    if value is None:
        return "-"
    value += 0.0  # turns -0.0 into 0.0
    if value == 0 or abs(value) >= 0.01:
        return f"{value:.{_DECIMALS}f}"
    decimals = 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{min(decimals, _MOST_DECIMALS)}f}"


def signed(value: float | None) -> str:
    """`+0.141`, for differences."""
    return number(value) if value is None or value < 0 else f"+{number(value)}"


def interval(bounds: tuple[float, float] | None) -> str:
    """`+0.120 to +0.163`; a dash when there is none."""
    return "-" if bounds is None else f"{signed(bounds[0])} to {signed(bounds[1])}"


def unsigned(bounds: tuple[float, float] | None) -> str:
    """`0.120 to 0.163`, of a share, which has no sign."""
    return "-" if bounds is None else f"{number(bounds[0])} to {number(bounds[1])}"


def count(amount: int, noun: str) -> str:
    """`1 document`, `2 documents`."""
    return f"{amount} {noun}" if amount == 1 else f"{amount} {noun}s"


def listed(names: Sequence[str]) -> str:
    """The first three of many names."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
