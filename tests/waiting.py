"""Waiting for what happens elsewhere, however busy the machine is.

A test waits for the thing itself, never for a number of seconds in which it should have come. What
hangs is ended after half an hour, which no machine is slow enough to need.
"""

import time
from collections.abc import Callable

LONGEST = 1800.0


def wait_until(come: Callable[[], object], *, alive: Callable[[], bool] = lambda: True) -> None:
    """Return when `come` says so; fail when whoever should make it come is not alive any more."""
    end = time.monotonic() + LONGEST
    while not come():
        # Asked once more: it may have come just before the end.
        assert alive() or come(), "it ended before"
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)
