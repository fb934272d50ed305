"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere, on stderr."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from nla_release.io.masking import shown

# A log that somebody scrolls through later wants a line when something starts, ends, or takes long.
SECONDS_BETWEEN_LINES = 15.0


class Advance(Protocol):
    """Tells how much is done so far, and optionally what the latest figure is."""

    def __call__(self, done: int, note: str = "") -> None:
        """`done` of the total are done; `note` is shown beside."""


def tell(line: str) -> None:
    """Say something about the work to come."""
    sys.stderr.write(f"{shown(line)}\n")
    sys.stderr.flush()


@contextmanager
def progress(title: str, total: int, unit: str) -> Iterator[Advance]:
    """Show work that has `total` steps; the block gets a function to report with."""
    shown = _bar if sys.stderr.isatty() else _lines
    with shown(title, total, unit) as advance:
        yield advance


@contextmanager
def _bar(title: str, total: int, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{unit} {{task.fields[note]}}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(shown(title), total=total, note="")
        yield lambda done, note="": bar.update(task, completed=done, note=shown(note))


@contextmanager
def _lines(title: str, total: int, unit: str) -> Iterator[Advance]:
    started = spoke = time.monotonic()
    last_note = ""

    def advance(done: int, note: str = "") -> None:
        nonlocal spoke, last_note
        last_note = note
        now = time.monotonic()
        if done < total and now - spoke >= SECONDS_BETWEEN_LINES:
            spoke = now
            left = (now - started) / done * (total - done) if done else 0.0
            tell(f"{title}: {done} of {total} {unit}, about {left:.0f} s left {note}".rstrip())

    yield advance
    tell(f"{title}: {total} {unit} in {time.monotonic() - started:.1f} s {last_note}".rstrip())
