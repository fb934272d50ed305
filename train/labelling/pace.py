"""When the next request may start: a rate that is kept, and pauses that all requests heed."""

import asyncio
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_LONGEST_BACKOFF = 60.0


class Pace:
    """Lets requests start one after the other, in the order in which they ask."""

    def __init__(self, requests_per_minute: float | None) -> None:
        self._between = 60 / requests_per_minute if requests_per_minute else 0.0
        self._next = 0.0
        self._lock = asyncio.Lock()

    async def turn(self) -> None:
        """Wait until one more request may start."""
        async with self._lock:
            while (wait := self._next - time.monotonic()) > 0:
                await asyncio.sleep(wait)  # a pause may come meanwhile
            self._next = time.monotonic() + self._between

    def pause(self, seconds: float) -> None:
        """Let no request start for a while."""
        self._next = max(self._next, time.monotonic() + seconds)


def backoff(first: float, retry: int) -> float:
    """Seconds before a retry, counted from 0: doubled each time, up to a minute, and spread.

    Half of it is left to chance, so that requests that failed together do not return together.
    """
    return min(first * 2.0**retry, _LONGEST_BACKOFF) * random.uniform(0.5, 1)  # noqa: S311


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """The seconds that `Retry-After` asks for, as a number or as a date; None without it."""
    asked = headers.get("retry-after", "").strip()
    if asked.replace(".", "", 1).isdecimal():
        return float(asked)
    try:
        until = parsedate_to_datetime(asked)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
