"""The training log beside an adapter, and the verdict computed from it.

One JSON line per optimizer step: `{"step": 1, "loss": 2.31, "lr": 0.001}`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, FiniteFloat, PositiveInt

from nla_release.errors import InputError
from nla_release.files import read_text
from nla_release.schema import Strict, parse

FILE_NAME = "training_log.jsonl"

# The loss verdict of the release that this tool grew out of (SolshineCode/nla-gemma-4-e2b).
# Collapsed runs pass it too: it tells that something was learned, not what.
MAX_SLOPE = -0.002
MIN_R2 = 0.10
RULE = f"slope <= {MAX_SLOPE} per step and R2 >= {MIN_R2:.2f}"


class Step(Strict):
    """One optimizer step."""

    step: PositiveInt
    loss: FiniteFloat
    lr: FiniteFloat = Field(ge=0)


@dataclass(frozen=True)
class Verdict:
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
    path = folder / FILE_NAME
    steps = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        where = f"{path} line {number}"
        try:
            steps.append(parse(Step, json.loads(line), where))
        except ValueError as error:
            raise InputError(f"{where} is not valid JSON: {error}") from error
    return steps


def judge(steps: list[Step]) -> Verdict:
    """The loss verdict; fewer than three steps are never descending."""
    x = np.array([step.step for step in steps], dtype=np.float64)
    y = np.array([step.loss for step in steps], dtype=np.float64)
    if len(steps) < 3 or y.std() == 0:
        return Verdict("not descending", 0.0, float(y.mean()) if len(y) else 0.0, 0.0, len(steps))
    slope, intercept = (float(value) for value in np.polyfit(x, y, 1))
    residual = y - (slope * x + intercept)
    r2 = 1.0 - float(np.square(residual).sum() / np.square(y - y.mean()).sum())
    descending = slope <= MAX_SLOPE and r2 >= MIN_R2
    return Verdict(
        "descending" if descending else "not descending", slope, intercept, r2, len(steps)
    )
