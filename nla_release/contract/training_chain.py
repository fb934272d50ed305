"""The runs that an adapter was trained in, as its sidecar records them.

A training that continues from an earlier adapter records that one under `continued_from`, with the
earlier adapter's own `continued_from` inside. A training on top of an earlier adapter records that
one under `stacked_on` in the same way. The record is free-form and may come from others, so values
of another type count as not recorded.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# More runs than anybody continues; a longer record is read up to here.
MAX_RUNS = 100

CONTINUED_FROM = "continued_from"
STACKED_ON = "stacked_on"
# What a training records of each run before it, and of the adapter that it is stacked on.
RECORDED = ("trained_from", "steps", "seconds", "first_loss", "final_loss")

# Of steps, seconds and losses: what is larger, or no number, was not recorded by a training.
_LARGEST = 1e12

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class TrainingRun:
    """One run; None where it is not recorded. `continued_from` is an adapter's sha256."""

    steps: int | None
    seconds: float | None
    first_loss: float | None
    final_loss: float | None
    continued_from: str | None


@dataclass(frozen=True)
class TrainingChain:
    """The runs of one adapter, oldest first."""

    runs: tuple[TrainingRun, ...]

    @property
    def steps(self) -> int | None:
        """Of all runs together; None where a run does not record them."""
        total = _total([run.steps for run in self.runs])
        return None if total is None else int(total)

    @property
    def seconds(self) -> float | None:
        """Of all runs together; None where a run does not record them."""
        total = _total([run.seconds for run in self.runs])
        return None if total is None else round(total, 1)

    @property
    def steps_in_words(self) -> str:
        """`400`, or `700 in 3 runs: 400 + 200 + 100`."""
        return _in_words(self.steps, [run.steps for run in self.runs])

    @property
    def seconds_in_words(self) -> str:
        """The same of the time in seconds."""
        return _in_words(self.seconds, [run.seconds for run in self.runs])


def training_chain(training: Mapping[str, Any]) -> TrainingChain:
    """The runs that a sidecar's `nla_release.training` records, the last one included."""
    runs: list[TrainingRun] = []
    for record in _records(training):
        earlier = record.get(CONTINUED_FROM)
        digest = earlier.get("adapter_sha256") if isinstance(earlier, Mapping) else None
        steps = _number(record.get("steps"))
        runs.append(
            TrainingRun(
                steps=steps if isinstance(steps, int) else None,
                seconds=_number(record.get("seconds")),
                first_loss=_number(record.get("first_loss")),
                final_loss=_number(record.get("final_loss")),
                continued_from=digest
                if isinstance(digest, str) and _SHA256.fullmatch(digest)
                else None,
            )
        )
    return TrainingChain(tuple(reversed(runs)))


def chains_below(training: Mapping[str, Any]) -> list[TrainingChain]:
    """The chains of the adapters that it is stacked on, in the order of application.

    Only those that are recorded: the last one is of the adapter right below.
    """
    found: list[TrainingChain] = []
    record: Any = training
    while len(found) < MAX_RUNS:
        on = [each[STACKED_ON] for each in _records(record) if STACKED_ON in each]
        if not on or not isinstance(record := on[0], Mapping):
            break
        found.append(training_chain(record))
    return found[::-1]


def _records(training: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What is recorded of each run, the last one first."""
    record: Any = training
    for _ in range(MAX_RUNS):
        if not isinstance(record, Mapping):
            return
        yield record
        record = record.get(CONTINUED_FROM)


def _number(value: Any) -> int | float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return value if known and abs(value) < _LARGEST else None


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _in_words(total: float | None, parts: Sequence[float | None]) -> str:
    if len(parts) == 1:
        return _shown(total)
    each = " + ".join(map(_shown, parts))
    return f"{_shown(total)} in {len(parts)} runs: {each}"


def _shown(value: float | None) -> str:
    return "not recorded" if value is None else f"{value:g}" if abs(value) < 1e6 else str(value)
