"""Messages to the user: one `log` object over the standard logger `nla_release`.

Python programs see a message only if they configure `logging`, where its level is INFO, WARNING or
ERROR. The command line prints all of them on stderr, with the kind in front.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from nla_release.io.masking import shown

# Outside of a terminal, progress is reported when work starts, ends, or takes long.
SECONDS_BETWEEN_LINES = 15.0

logger = logging.getLogger("nla_release")
logger.addHandler(logging.NullHandler())


class Advance(Protocol):
    """Reports how many units are done, and optionally the latest figure."""

    def __call__(self, done: int, note: str = "") -> None:
        """`done` units of the total are done; `note` is shown next to the count."""


class Log:
    """Sends messages to the logger `nla_release`, masked and escaped by `shown`.

    The kind of a message is the attribute `kind` of its record: "info", "note", "warning", "hint"
    or "error". The text has no prefix.
    """

    # Draws progress, where something better than a line now and then can be shown.
    bar: Callable[[str, int, str], AbstractContextManager[Advance]] | None = None

    def info(self, text: str) -> None:
        """What was done or is being done."""
        self._emit(logging.INFO, "info", text)

    def note(self, text: str) -> None:
        """Something that the user may not expect, and that needs no action."""
        self._emit(logging.INFO, "note", text)

    def hint(self, text: str) -> None:
        """What to do next."""
        self._emit(logging.INFO, "hint", text)

    def warning(self, text: str) -> None:
        """Something that is probably wrong, although the work goes on."""
        self._emit(logging.WARNING, "warning", text)

    def error(self, text: str) -> None:
        """Why the work ended."""
        self._emit(logging.ERROR, "error", text)

    @contextmanager
    def progress(self, title: str, total: int, unit: str) -> Iterator[Advance]:
        """Report work of `total` units; the block gets a function to call as it advances."""
        with (self.bar or self._lines)(title, total, unit) as advance:
            yield advance

    @contextmanager
    def _lines(self, title: str, total: int, unit: str) -> Iterator[Advance]:
        started = reported = time.monotonic()
        last_note = ""

        def advance(done: int, note: str = "") -> None:
            nonlocal reported, last_note
            last_note = note
            now = time.monotonic()
            if done < total and now - reported >= SECONDS_BETWEEN_LINES:
                reported = now
                left = (now - started) / done * (total - done) if done else 0.0
                line = f"{title}: {done} of {total} {unit}, about {left:.0f} s left {note}"
                self.info(line.rstrip())

        yield advance
        seconds = time.monotonic() - started
        self.info(f"{title}: {total} {unit} in {seconds:.1f} s {last_note}".rstrip())

    def _emit(self, level: int, kind: str, text: str) -> None:
        if logger.isEnabledFor(level):
            logger.log(level, "%s", shown(text), extra={"kind": kind}, stacklevel=3)


log = Log()
