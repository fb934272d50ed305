"""How numbers are written in every document: three decimals, or six where three would say zero."""

import math


def number(value: float | None) -> str:
    """`0.438`; a dash for what could not be computed."""
    if value is None:
        return "-"
    value += 0.0  # turns -0.0 into 0.0
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.0005 else f"{value:.6f}"


def signed(value: float | None) -> str:
    """`+0.141`, for differences."""
    return number(value) if value is None or value < 0 else f"+{number(value)}"


def rate(value: float) -> str:
    """`-0.00053` or `-0.017`: signed, to three decimals or, where these are fewer, two digits."""
    decimals = 3 if value == 0 else max(3, 1 - math.floor(math.log10(abs(value))))
    return f"{value + 0.0:+.{min(decimals, 12)}f}"


def interval(bounds: tuple[float, float] | None) -> str:
    """`+0.120 to +0.163`; a dash when nothing could be resampled."""
    return "-" if bounds is None else f"{signed(bounds[0])} to {signed(bounds[1])}"


def count(amount: int, noun: str) -> str:
    """`1 document`, `2 documents`."""
    return f"{amount} {noun}" if amount == 1 else f"{amount} {noun}s"
