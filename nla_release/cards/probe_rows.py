"""Rows of the tables of probes: a number beside its control, with difference, interval and n."""

from collections.abc import Iterator

from nla_release.calibration.blocks import AgainstChance, Ranking, Ratio
from nla_release.text.numbers import interval, number, signed

Bounds = tuple[float, float] | None
Row = tuple[str, str, str, str, str, str]


def ranking_rows(name: str, found: Ranking) -> Iterator[Row]:
    """First places, reciprocal ranks and percentiles, each against chance."""
    yield first_row(f"{name}: first", found)
    yield against_chance_row(f"{name}: mean of 1 / rank", found.mrr)
    yield against_chance_row(f"{name}: share of the others that are farther", found.percentile)


def against_chance_row(name: str, found: AgainstChance) -> Row:
    """A mean beside what guessing gives."""
    value, chance = number(found.mean), f"{number(found.chance)}: chance"
    return row(name, value, chance, found.difference, found.interval, found.n)


def share_row(name: str, found: Ratio, control: float | None = None, words: str = "") -> Row:
    """A share, with its own interval; the control may be missing."""
    value = f"{found.hits}/{found.n} = {number(found.share)}"
    beside = "-" if control is None else f"{number(control)}: {words}"
    apart = "-" if control is None else signed(found.share - control)
    return name, value, beside, apart, unsigned(found.interval), str(found.n)


def row(name: str, value: str, control: str, difference: float, bounds: Bounds, n: int) -> Row:
    """A value, with the interval of its difference to the control."""
    return name, value, control, signed(difference), interval(bounds), str(n)


def unsigned(bounds: Bounds) -> str:
    """The interval of a share, which has no sign."""
    return "-" if bounds is None else f"{number(bounds[0])} to {number(bounds[1])}"


def first_row(name: str, found: Ranking) -> Row:
    """How often the own one comes first, against chance."""
    low, high = found.interval
    return row(
        name,
        f"{found.hits}/{found.n} = {number(found.top1)}",
        f"{number(found.chance)}: chance, 1 in {found.candidates}",
        found.top1 - found.chance,
        (low - found.chance, high - found.chance),
        found.n,
    )
