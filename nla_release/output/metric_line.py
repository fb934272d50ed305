"""One metric beside its control, as the cells of a table's line."""

from nla_release.calibration.blocks import AgainstChance, Control, Ranking, Ratio
from nla_release.calibration.report import Fve, Retrieval

HEADER = ("metric", "value", "control", "", "difference", "95% interval of it", "n")
NONE = "-"

_NUMERIC_COLUMNS = (1, 3, 4, 6)

Line = tuple[str, str, str, str, str, str, str]


def aligned(lines: list[Line]) -> list[str]:
    """The lines as text, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if position in _NUMERIC_COLUMNS else cell.ljust(width)
            for position, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def line(
    metric: str,
    value: float,
    control: str,
    baseline: float,
    interval: tuple[float, float] | None,
    n: int,
) -> Line:
    """A value, a baseline, and the interval of their difference."""
    return (
        metric,
        _plain(value),
        control,
        _plain(baseline),
        _signed(value - baseline),
        _interval(interval),
        str(n),
    )


def cosine_line(value: float, name: str, control: Control) -> Line:
    """The cosine beside the same with the meaning taken out."""
    return (
        "cosine",
        _plain(value),
        name.replace("_", " "),
        _plain(control.mean),
        _signed(control.difference),
        _interval(control.interval),
        str(control.n),
    )


def fve_line(metric: str, control: str, fve: Fve) -> Line:
    """Explaining nothing is 0 by definition, so the difference is the value."""
    value = NONE if fve.value is None else _plain(fve.value)
    difference = NONE if fve.value is None else _signed(fve.value)
    return (metric, value, control, _plain(0), difference, _interval(fve.interval), str(fve.n))


def retrieval_line(metric: str, found: Retrieval | Ranking) -> Line:
    """Hits, and their share beside chance."""
    return line(
        f"{metric} {found.hits}/{found.n}",
        found.top1,
        f"chance 1/{found.candidates}",
        found.chance,
        (found.interval[0] - found.chance, found.interval[1] - found.chance),
        found.n,
    )


def chance_line(metric: str, found: AgainstChance) -> Line:
    """A mean beside what guessing gives."""
    return line(metric, found.mean, "chance", found.chance, found.interval, found.n)


def ratio_line(metric: str, found: Ratio, control: str = "none", baseline: float = 0) -> Line:
    """A share beside another one, of which no sampling error is counted."""
    low, high = found.interval
    return line(
        f"{metric} {found.hits}/{found.n}",
        found.share,
        control,
        baseline,
        (low - baseline, high - baseline),
        found.n,
    )


def _plain(value: float) -> str:
    return f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{round(value, 3) + 0.0:+.3f}"  # the sum turns -0.0 into 0.0


def _interval(interval: tuple[float, float] | None) -> str:
    return f"{interval[0]:+.3f} to {interval[1]:+.3f}" if interval else NONE
