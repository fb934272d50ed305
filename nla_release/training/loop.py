"""The optimisation that both adapters share: the steps of a training, on one process or several.

A step has `micro_batch * gradient_accumulation` rows and one loss, the mean over what is learned
from them (of an AV tokens, of an AR rows). Micro-batches and processes only divide the work: they
change the order of sums, and so the figures by rounding. Two micro-batches, which have no order,
give the same bytes on one process and on two, on a CPU. Another `micro_batch` also changes where
dropout draws its random numbers, which is once per micro-batch.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from nla_release.adapter.training_log import Step, Tripwire
from nla_release.engine.processes import (
    add_up,
    any_process,
    is_main,
    process_count,
    share,
    shared_progress,
)
from nla_release.errors import EnvironmentProblem, NlaReleaseError
from nla_release.io.log import log
from nla_release.training.checkpoints import Checkpoints, Fit
from nla_release.training.optimizer import new_optimizer, set_rate
from nla_release.training.settings import AdapterSettings

# A single outlying batch must not undo the steps before it.
MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class Draw:
    """The rows of one optimizer step, which are the same on every process."""

    number: int
    rows: list[int]


class Task(Protocol):
    """What is learned from `rows` rows."""

    rows: int

    def loss(self, rows: list[int], draw: Draw) -> torch.Tensor:
        """Sum of what these rows of a draw lose, to be divided by the weight of the draw."""

    def weight(self, rows: list[int]) -> float:
        """How much these rows count: their tokens, or their number."""

    def longest(self, rows: list[int]) -> int:
        """Tokens of the longest of these rows, the prompt included."""

    def about(self, rows: list[int]) -> str:
        """What to look at when these rows go wrong."""


# Tests the adapter on held-out rows in its current state.
Watch = Callable[[], Tripwire]


def fit(
    title: str,
    parameters: Mapping[str, torch.nn.Parameter],
    task: Task,
    settings: AdapterSettings,
    *,
    checkpoints: Checkpoints | None = None,
    watch: Watch | None = None,
) -> Fit:
    """Optimise `parameters` on the task's rows for the recipe's number of steps.

    Continues from the newest checkpoint. The result is that of an uninterrupted training: on a CPU
    to the bit.

    Raises:
        NlaReleaseError: loss or gradient is not finite, which names the step and the rows; or the
            tripwire stopped the training.
        ConfigError: a checkpoint has other inputs.
        DataError: a checkpoint is damaged.
        EnvironmentProblem: the card's memory ran out.
    """
    changed = list(parameters.values())
    optimizer, name = new_optimizer(changed, settings)
    done = Fit([], 0.0, name)
    if checkpoints:
        done = checkpoints.resume(parameters, optimizer, name)
    steps, before = [*done.steps], len(done.steps)
    started = time.monotonic() - done.seconds
    draws = _draws(task.rows, settings)
    if before:
        title = f"{title} from step {before + 1}"
    with shared_progress(title, settings.steps - before, "steps") as advance:
        for draw in itertools.islice(draws, before, settings.steps):
            rate = set_rate(optimizer, draw.number, settings)
            with _within_memory(title, task, draw):
                loss = _learn(title, changed, task, draw, settings)
                optimizer.step()
                optimizer.zero_grad()
                shown = watch() if watch and _is_watched(draw.number, settings) else None
            steps.append(Step(step=draw.number, loss=loss, lr=rate, tripwire=shown))
            done = Fit(steps, time.monotonic() - started, name)
            if shown:
                _act_upon(shown, title, done, settings, checkpoints)
            if checkpoints and checkpoints.are_due(draw.number):
                checkpoints.keep(done, parameters, optimizer)
            advance(draw.number - before, f"loss {loss:.4f}")
    return done


def _learn(
    title: str,
    changed: list[torch.nn.Parameter],
    task: Task,
    draw: Draw,
    settings: AdapterSettings,
) -> float:
    """Leave the gradient of a draw in the parameters, clipped; gives its loss."""
    weight = task.weight(draw.rows)
    losses = []
    mine = list(share(_pieces(draw.rows, settings, task)))
    for number, rows in mine:
        _seed(settings.seed, draw.number, number)
        loss = task.loss(rows, draw) / weight
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
    total = add_up(changed, torch.stack(losses).sum() if losses else changed[0].new_zeros(()))
    norm = torch.nn.utils.clip_grad_norm_(changed, MAX_GRADIENT_NORM)
    if not (torch.isfinite(total) and torch.isfinite(norm)):
        wrong = [rows for (_, rows), it in zip(mine, losses, strict=True) if not it.isfinite()]
        rows = wrong[0] if wrong else draw.rows
        what = "gradient" if torch.isfinite(total) else "loss"
        raise NlaReleaseError(
            f"{title}: {what} is {(norm if what == 'gradient' else total).item()} at step"
            f" {draw.number}, on rows {rows[:8]}: {task.about(rows[:8])}",
            hint="lower the learning rate, or look at those rows and the scale",
        )
    return float(total)


@contextmanager
def _within_memory(title: str, task: Task, draw: Draw) -> Iterator[None]:
    """Report which settings to lower when the card is too small.

    Raises:
        EnvironmentProblem: its memory ran out: in the step, or in the tripwire's look after it.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise EnvironmentProblem(
            f"{title}: the card's memory ran out at step {draw.number}, whose longest row has"
            f" {task.longest(draw.rows)} tokens",
            hint="lower max_tokens, lower micro_batch and raise gradient_accumulation, or set"
            " gradient_checkpointing; `nla-release train plan` says what a training takes",
        ) from error


def _draws(rows: int, settings: AdapterSettings) -> Iterator[Draw]:
    """The rows of each step from the first on: every row once before any row twice."""
    generator = np.random.default_rng(settings.seed)
    endless = itertools.chain.from_iterable(
        generator.permutation(rows).tolist() for _ in itertools.repeat(None)
    )
    size = settings.micro_batch * settings.gradient_accumulation
    for number in itertools.count(1):
        yield Draw(number, list(itertools.islice(endless, size)))


def _pieces(rows: list[int], settings: AdapterSettings, task: Task) -> list[list[int]]:
    """A draw in micro-batches, made smaller when there are more processes than micro-batches.

    Rows of one length share a micro-batch, so that little of it is padding.
    """
    size = min(settings.micro_batch, -(-len(rows) // process_count()))
    if size < len(rows):
        rows = sorted(rows, key=lambda row: task.longest([row]))
    return [rows[at : at + size] for at in range(0, len(rows), size)]


def _seed(seed: int, step: int, piece: int) -> None:
    """Random numbers of one micro-batch, the same whatever ran before it and wherever it runs."""
    words = np.random.SeedSequence([seed, step, piece]).generate_state(1, np.uint64)
    torch.manual_seed(int(words[0]) >> 1)


def _is_watched(step: int, settings: AdapterSettings) -> bool:
    return settings.tripwire is not None and step % settings.tripwire.every == 0


def _act_upon(
    shown: Tripwire,
    title: str,
    done: Fit,
    settings: AdapterSettings,
    checkpoints: Checkpoints | None,
) -> None:
    """Warn, or stop and keep the current adapter, when the held-out rows failed.

    Raises:
        NlaReleaseError: the recipe says stop.
    """
    assert settings.tripwire is not None, "nothing is shown without one"
    step = len(done.steps)
    if not any_process(bool(shown.failures)) or step < settings.tripwire.from_step:
        return
    complaint = f"{title}: tripwire at step {step}: {'; '.join(shown.failures)}"
    if settings.tripwire.on_failure == "warn":
        if is_main():
            log.warning(complaint)
        return
    if checkpoints:
        checkpoints.keep_adapter(done)
        complaint += f"; the current adapter is in {checkpoints.folder}"
    raise NlaReleaseError(
        complaint,
        hint="docs/reference/training.md, Tripwire, lists the usual cause of each failure",
    )
