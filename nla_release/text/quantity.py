"""A number that prose about a calibration may state."""

from dataclasses import dataclass
from typing import Literal

Metric = Literal["cosine", "control", "mse", "fve", "retrieval", "diversity", "failure", "count"]


@dataclass(frozen=True)
class Quantity:
    """A number of a calibration, or one that follows from it.

    `derived` ones are not proposed to somebody who got a number wrong. An `edge` is the end or
    the half-width of an interval, a deviation, or what lies between two controls: stated only
    where a spread is spoken of. One of a `part` of the calibration, such as a diagnostic, is stated
    only where that part is spoken of.
    """

    metric: Metric
    name: str
    value: float
    derived: bool = False
    edge: bool = False
    part: str | None = None
