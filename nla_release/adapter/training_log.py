"""The training log next to an adapter, and the loss trend computed from it.

One JSON line per optimizer step: `{"step": 1, "loss": 2.31, "lr": 0.001}`. If held-out rows were
tried after a step, its line has the results under `tripwire`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt

from nla_release.io.files import read_json_lines
from nla_release.io.layout import TRAINING_LOG_FILE
from nla_release.io.schema import Strict, parse

# The criterion of the release that this tool grew out of (SolshineCode/nla-gemma-4-e2b).
# Collapsed runs pass it too: something was learned, but it may be the wrong thing.
MAX_SLOPE = -0.002
MIN_R2 = 0.10
RULE = f"slope <= {MAX_SLOPE} per step and R2 >= {MIN_R2:.2f}"


# Of float32, in which losses are computed. The squares of larger ones overflow.
_LARGEST = 3.5e38


class Tripwire(Strict):
    """Results of a half-trained adapter on held-out rows; null where it cannot be measured.

    The differences are means over rows, in `unit`, and positive if the row's own input is best.
    For an AV: how much likelier the row's label is than with another row's vector, a random one or
    zero. For an AR: how much nearer the row's vector is than with another row's label. `distinct`
    and `same_as_random` count an AV's outputs. `failures` say what was wrong.
    """

    rows: PositiveInt
    unit: Literal["nats per token", "cosine"]
    real_minus_shuffled: FiniteFloat | None
    real_minus_random: FiniteFloat | None = None
    real_minus_zero: FiniteFloat | None = None
    distinct: NonNegativeInt | None = None
    same_as_random: NonNegativeInt | None = None
    failures: list[str]


class Step(Strict):
    """One optimizer step."""

    step: PositiveInt
    loss: FiniteFloat = Field(ge=-_LARGEST, le=_LARGEST)
    lr: FiniteFloat = Field(ge=0, le=_LARGEST)
    tripwire: Tripwire | None = None


@dataclass(frozen=True)
class LossTrend:
    """Least-squares line through raw loss over steps: slope per step, intercept, and R2."""

    name: Literal["descending", "not descending"]
    slope: float
    intercept: float
    r2: float
    steps: int


def read_log(folder: Path) -> list[Step]:
    """The log in an adapter's folder.

    Raises:
        InputError: missing, or a line is not a step.
    """
    path = folder / TRAINING_LOG_FILE
    return [parse(Step, document, where) for where, document in read_json_lines(path)]


def dump_log(steps: list[Step]) -> str:
    """A log as text, always the same for the same steps."""
    return "".join(f"{step.model_dump_json(exclude_none=True)}\n" for step in steps)


def loss_trend(steps: list[Step]) -> LossTrend:
    """The trend of the loss; with fewer than three steps it is not descending."""
    x = np.array([step.step for step in steps], dtype=np.float64)
    y = np.array([step.loss for step in steps], dtype=np.float64)
    if len(steps) < 3 or y.std() == 0:
        return LossTrend("not descending", 0.0, float(y.mean()) if len(y) else 0.0, 0.0, len(steps))
    slope, intercept = (float(value) for value in np.polyfit(x, y, 1))
    residual = y - (slope * x + intercept)
    r2 = 1.0 - float(np.square(residual).sum() / np.square(y - y.mean()).sum())
    descending = slope <= MAX_SLOPE and r2 >= MIN_R2
    return LossTrend(
        "descending" if descending else "not descending", slope, intercept, r2, len(steps)
    )
