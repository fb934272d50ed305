"""A row of a table: a value next to its control, in the same words everywhere."""

from dataclasses import dataclass

from nla_release.calibration.blocks import Ratio
from nla_release.text.numbers import interval, number, signed, unsigned

HEADER = ("measured", "value", "control", "difference", "95% CI of the difference", "n")

Bounds = tuple[float, float] | None


@dataclass(frozen=True)
class Row:
    """Cells as text. `baseline` is the control's value, `control` says what it is.

    A row without a control has neither, and its interval is that of the value.
    """

    name: str
    value: str
    baseline: str
    control: str
    difference: str
    interval: str
    n: int

    @property
    def cells(self) -> tuple[str, ...]:
        """One for each column of `HEADER`."""
        control = f"{self.baseline}: {self.control}" if self.control else "-"
        return self.name, self.value, control, self.difference, self.interval, str(self.n)


def compared(
    name: str,
    value: float | None,
    baseline: float | None,
    control: str,
    difference: float | None,
    bounds: Bounds,
    n: int,
    *,
    hits: int | None = None,
) -> Row:
    """A value against a control, with the interval of their difference."""
    shown = number(value) if hits is None else f"{hits}/{n} = {number(value)}"
    return Row(name, shown, number(baseline), control, signed(difference), interval(bounds), n)


def share_compared(
    name: str, found: Ratio, baseline: float | None = None, control: str = ""
) -> Row:
    """A share of rows, with its own interval; against another share where there is one."""
    value = f"{found.hits}/{found.n} = {number(found.share)}"
    if baseline is None:
        return Row(name, value, "", "", "-", f"{unsigned(found.interval)} (of the share)", found.n)
    low, high = found.interval
    return Row(
        name,
        value,
        number(baseline),
        control,
        signed(found.share - baseline),
        interval((low - baseline, high - baseline)),
        found.n,
    )
