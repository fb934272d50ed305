"""What the package says while it works, as the command line shows it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nla_release.cli.edge import rendered
from nla_release.io.log import logger


class _Listener(logging.Handler):
    def __init__(self, hear: Callable[[str], None]) -> None:
        super().__init__()
        self._hear = hear

    def emit(self, record: logging.LogRecord) -> None:
        self._hear(rendered(record))


@contextmanager
def heard(react: Callable[[str], None] | None = None) -> Iterator[list[str]]:
    """The messages inside the block; `react` is called with each, and may raise."""
    messages: list[str] = []

    def hear(message: str) -> None:
        messages.append(message)
        if react is not None:
            react(message)

    listener = _Listener(hear)
    logger.addHandler(listener)
    try:
        yield messages
    finally:
        logger.removeHandler(listener)
