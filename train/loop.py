"""The optimisation that both adapters share: micro-batches, accumulation, one log line a step."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from nla_release.errors import NlaReleaseError
from nla_release.progress import progress
from nla_release.training_log import Step
from train.recipe import Adapter

# Loss of the rows with these indices.
Loss = Callable[[list[int]], torch.Tensor]

# A single outlying batch must not undo the steps before it.
MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class Fit:
    """What an optimisation left behind besides the weights."""

    steps: list[Step]
    seconds: float
    optimizer: str


def fit(
    title: str, parameters: list[torch.nn.Parameter], loss: Loss, rows: int, settings: Adapter
) -> Fit:
    """Optimise `parameters` on `rows` rows for the recipe's number of steps.

    Raises:
        NlaReleaseError: the loss is not finite; names the step and the rows.
    """
    torch.manual_seed(settings.seed)
    optimizer, name = _optimizer(parameters, settings)
    batches = _batches(rows, settings)
    started = time.monotonic()
    steps = []
    with progress(title, settings.steps, "steps") as advance:
        for number in range(1, settings.steps + 1):
            rate = _rate(number, settings)
            for group in optimizer.param_groups:
                group["lr"] = rate
            total = 0.0
            for _ in range(settings.gradient_accumulation):
                batch = next(batches)
                value = loss(batch) / settings.gradient_accumulation
                if not torch.isfinite(value):
                    raise NlaReleaseError(
                        f"{title}: loss is {value.item()} at step {number}, on rows {batch[:8]}",
                        hint="lower the learning rate, or look at those rows and the scale",
                    )
                value.backward()  # type: ignore[no-untyped-call]
                total += value.item()
            torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
            optimizer.step()
            optimizer.zero_grad()
            steps.append(Step(step=number, loss=total, lr=rate))
            advance(number, f"loss {total:.4f}")
    return Fit(steps, time.monotonic() - started, name)


def _batches(rows: int, settings: Adapter) -> Iterator[list[int]]:
    """Row indices, a micro-batch at a time: every row once before any row twice."""
    generator = np.random.default_rng(settings.seed)
    queue: list[int] = []
    while True:
        while len(queue) < settings.micro_batch:
            queue += generator.permutation(rows).tolist()
        yield queue[: settings.micro_batch]
        del queue[: settings.micro_batch]


def _rate(step: int, settings: Adapter) -> float:
    if settings.schedule == "constant":
        return settings.learning_rate
    return settings.learning_rate * (1 - (step - 1) / settings.steps)


def _optimizer(
    parameters: list[torch.nn.Parameter], settings: Adapter
) -> tuple[torch.optim.Optimizer, str]:
    if settings.optimizer == "adamw_8bit":
        if parameters[0].is_cuda:
            from bitsandbytes.optim import AdamW8bit

            return AdamW8bit(parameters, lr=settings.learning_rate), "adamw_8bit"
        sys.stderr.write("warning: 8-bit AdamW needs a GPU; using AdamW in full precision\n")
    return torch.optim.AdamW(parameters, lr=settings.learning_rate), "adamw"
