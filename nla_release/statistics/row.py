"""A row of a table: a value next to its control, in the same words everywhere."""

from dataclasses import dataclass

from nla_release.statistics.blocks import Difference, Ratio
from nla_release.text.numbers import interval, number, signed, unsigned

HEADER = ("measured", "value", "control", "difference", "95% CI of the difference", "n")

Bounds = tuple[float, float] | None


@dataclass(frozen=True)
class Row:
    """A value, what it is compared with, and their difference.

    A row without a control has no `baseline` and no `difference`; its interval is that of the
    value.

    Attributes:
        name: what was measured.
        value: None where it cannot be computed.
        n: rows that it is of.
        hits: of a share, how many of the n.
        control: what `baseline` is, empty without one.
        baseline: what the control gives.
        difference: value - baseline, unless failed rows count otherwise in it.
        interval: 95%, of the difference.
    """

    name: str
    value: float | None
    n: int
    hits: int | None = None
    control: str = ""
    baseline: float | None = None
    difference: float | None = None
    interval: Bounds = None

    @property
    def shown(self) -> str:
        """The value as text, a share with its hits."""
        value = number(self.value)
        return value if self.hits is None else f"{self.hits}/{self.n} = {value}"

    @property
    def bounds(self) -> str:
        """The interval as text, marked where it is not that of a difference."""
        if self.control:
            return interval(self.interval)
        return f"{unsigned(self.interval)} (of the value)" if self.interval else "-"

    @property
    def cells(self) -> tuple[str, ...]:
        """One for each column of `HEADER`."""
        control = f"{number(self.baseline)}: {self.control}" if self.control else "-"
        return (
            self.name, self.shown, control, signed(self.difference), self.bounds, str(self.n),
        )  # fmt: skip


def difference_row(
    name: str, value: float, control: str, baseline: float, found: Difference
) -> Row:
    """A value next to that of its control, with their difference as it was computed."""
    return Row(
        name,
        value,
        found.n,
        control=control,
        baseline=baseline,
        difference=found.difference,
        interval=found.interval,
    )


def share_row(name: str, found: Ratio, baseline: float | None = None, control: str = "") -> Row:
    """A share of rows, with its own interval; against another share where there is one."""
    if baseline is None:
        return Row(name, found.share, found.n, found.hits, interval=found.interval)
    low, high = found.interval
    return Row(
        name,
        found.share,
        found.n,
        found.hits,
        control,
        baseline,
        found.share - baseline,
        (low - baseline, high - baseline),
    )
