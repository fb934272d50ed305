"""The Hub client's connections in a process of ours: they end, and they wait no longer than told.

The client itself has no timeout, and on a 429 it sleeps for as long as the server likes. One
client is shared by all that `huggingface_hub` does in a process, so only the command line sets it
up; a program that imports this package keeps its own.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from huggingface_hub import constants, set_client_factory
from huggingface_hub.utils import (
    disable_progress_bars,
    httpx,  # the client's own, whichever major version it is on
    parse_ratelimit_headers,
)
from huggingface_hub.utils._http import hf_request_event_hook

from nla_release.errors import ConfigError, EnvironmentProblem

_CONNECT_SECONDS = 10
# What is waited when a server says that it is too much, and not for how long.
_UNTOLD_SECONDS = 5
# The client repeats this answer's request at once and for ever.
_BUSY_CREATING = "another conflicting operation is in progress"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Limits:
    """How long a server may be silent, and how long all its rate limits may take, in seconds."""

    silence: float = 300
    rate_limit: float = 600

    @classmethod
    def from_environment(cls) -> "Limits":
        """The defaults, or what NLA_RELEASE_TIMEOUT and NLA_RELEASE_RATE_LIMIT_WAIT say.

        Raises:
            ConfigError: one of them is not a number of seconds.
        """
        return cls(
            _seconds("NLA_RELEASE_TIMEOUT", cls.silence),
            _seconds("NLA_RELEASE_RATE_LIMIT_WAIT", cls.rate_limit),
        )


class Patience:
    """Waits where the Hub asks for it, and says so, until the limit on all waiting is reached."""

    def __init__(self, limit: float, say: Say | None = None) -> None:
        self._limit = limit
        self._left = limit
        self._say = say
        self._lock = threading.Lock()

    def after(self, response: httpx.Response) -> None:
        """Wait as an answer asks; whoever repeats the request then may do so at once.

        Raises:
            EnvironmentProblem: it asks for more than is left.
        """
        if response.status_code == 429 or (
            response.status_code == 503 and "retry-after" in response.headers
        ):
            self._wait(_asked(response), "rate limited")
            for name in ("retry-after", "ratelimit"):  # the client would wait once more
                response.headers.pop(name, None)
        elif response.status_code == 409 and response.request.url.path == "/api/repos/create":
            response.read()
            if _BUSY_CREATING in response.text:
                self._wait(1, "the Hub is creating another repository")

    def _wait(self, seconds: float, why: str) -> None:
        with self._lock:
            if seconds > self._left:
                raise EnvironmentProblem(
                    f"the Hub asks to wait {seconds:.0f} s ({why}); of {self._limit:.0f} s that are"
                    f" allowed for this, {self._left:.0f} s are left",
                    hint="run the same command again later, or allow more with"
                    " NLA_RELEASE_RATE_LIMIT_WAIT=SECONDS",
                )
            self._left -= seconds
        if self._say is not None:
            self._say(f"waiting {seconds:.0f} s: {why}")
        time.sleep(seconds)


def quiet_client(say: Say | None = None) -> None:
    """Set the client up for a command: with timeouts, and without its bars, advice and reports.

    Args:
        say: is told of every wait.

    Raises:
        ConfigError: a limit in the environment is not a number.
    """
    limits = Limits.from_environment()
    patience = Patience(limits.rate_limit, say)
    constants.HF_HUB_DISABLE_TELEMETRY = True
    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    set_client_factory(
        lambda: httpx.Client(
            event_hooks={"request": [hf_request_event_hook], "response": [patience.after]},
            follow_redirects=True,
            timeout=httpx.Timeout(limits.silence, connect=min(_CONNECT_SECONDS, limits.silence)),
        )
    )


def _asked(response: httpx.Response) -> float:
    """How long an answer asks to wait, in seconds."""
    limit = parse_ratelimit_headers(response.headers)
    if limit is not None and limit.remaining == 0:
        return limit.reset_in_seconds + 1
    told = response.headers.get("retry-after", "").strip()
    if told.isdecimal():
        return float(told)
    try:
        return max(0.0, (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # neither seconds nor a date with its zone
        return _UNTOLD_SECONDS


def _seconds(name: str, default: float) -> float:
    text = os.environ.get(name) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"{name}={text} is not a number of seconds")
    return seconds
