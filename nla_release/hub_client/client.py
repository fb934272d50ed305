"""The Hub client's connections in a process of ours: they end, and they wait no longer than told.

The client itself has no timeout, and on a 429 it sleeps for as long as the server likes. One
client is shared by all that `huggingface_hub` does in a process, so only the command line sets it
up; a program that imports this package keeps its own.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from huggingface_hub import constants, set_client_factory
from huggingface_hub.utils import (
    disable_progress_bars,
    httpx,  # the client's own, whichever major version it is on
    parse_ratelimit_headers,
)
from huggingface_hub.utils._http import hf_request_event_hook

from nla_release.errors import ConfigError, EnvironmentProblem
from nla_release.hub_client.endpoint import CANONICAL_ENDPOINT
from nla_release.io.masking import known_secrets

_CONNECT_SECONDS = 10
_JOB_URL = "ACTIONS_ID_TOKEN_REQUEST_URL"
# What is waited when a server says that it is too much, and not for how long.
_UNTOLD_SECONDS = 5
# The client repeats this answer's request at once and for ever.
_BUSY_CREATING = "another conflicting operation is in progress"
# What an answer that is no file, or has no declared length, may bring. Packed, it may grow a
# thousand times.
_LARGEST_ANSWER = 64 * 1024 * 1024
_LARGEST_COMPRESSED = 1024 * 1024
# huggingface.co gives its smaller files there.
_FILES = "/api/resolve-cache/"
# A list of a thousand entries a page that goes on for longer has no end.
_MOST_PAGES = 1000

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


class Guard:
    """Keeps tokens where they belong, and bounds what a hostile Hub can send.

    A Hub token goes to the Hub that it is for: the one of HF_ENDPOINT, or one that this process
    was pointed at by `hub_at`. That of `hf auth login` is for huggingface.co alone. No other
    server gets either, also when an answer of the Hub points there (`Link: next`).
    """

    def __init__(self) -> None:
        self._pages = 0

    def before(self, request: httpx.Request) -> None:
        """Take a token out of a request to a server that it is not for; ask for plain bytes."""
        request.headers["accept-encoding"] = "identity"  # what comes packed has no length
        sent = request.headers.get("authorization", "").partition(" ")[2].strip()
        if sent and not _is_for(sent, _origin(str(request.url))):
            del request.headers["authorization"]

    def after(self, response: httpx.Response) -> None:
        """Bound the length of an answer, and the number of pages of a list.

        Raises:
            EnvironmentProblem: the Hub sends pages without end; or later, while it is read, more
                than an answer may have.
        """
        if "next" in response.links:
            self._pages += 1
            if self._pages > _MOST_PAGES:
                raise EnvironmentProblem(
                    f"{response.url.host} sends lists without end: more than {_MOST_PAGES} pages",
                    hint="check HF_ENDPOINT; this is no Hub to use",
                )
        path = response.url.path
        is_api = path.startswith("/api/") and not path.startswith(_FILES)
        is_file = response.is_success and not is_api
        limits = list(_most) if is_file else []
        if response.headers.get("content-encoding", "identity") != "identity":
            limits.append(_LARGEST_COMPRESSED)
        elif not is_file or "content-length" not in response.headers:
            limits.append(_LARGEST_ANSWER)
        if limits:
            response.stream = _Bounded(response.stream, min(limits), response.url.host)


class _Bounded(httpx.SyncByteStream):
    """A stream that ends with an error where it goes on for longer than `limit` bytes."""

    def __init__(self, stream: Any, limit: int, host: str) -> None:
        self._stream, self._limit, self._host = stream, limit, host

    def __iter__(self) -> Iterator[bytes]:
        length = 0
        for piece in self._stream:
            length += len(piece)
            if length > self._limit:
                raise EnvironmentProblem(
                    f"{self._host} sent an answer of more than {self._limit:,} bytes",
                    hint="check HF_ENDPOINT; this is no Hub to use",
                )
            yield piece

    def close(self) -> None:
        """Close the stream below."""
        self._stream.close()


_most: list[int] = []


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """In the block no file that is downloaded may have more bytes, whatever the Hub declared."""
    _most.append(size)
    try:
        yield
    finally:
        _most.remove(size)


_hubs: set[str] = set()


def hub_at(endpoint: str) -> None:
    """Let tokens go to a Hub that is not the one of HF_ENDPOINT, such as a local one."""
    _hubs.add(_origin(endpoint))


def reading_client() -> None:
    """In a command, set the client up before it reads; a program keeps its own."""
    if click.get_current_context(silent=True) is not None and not _set_up:
        quiet_client()


def _is_for(token: str, origin: str) -> bool:
    """Whether a server may get a token: any that is no Hub token of ours, or is its own."""
    if origin != CANONICAL_ENDPOINT and token == _login_token():
        return False
    given = os.environ.get("HF_TOKEN", "").strip()
    if token not in known_secrets() | {given} or origin in {_origin(constants.ENDPOINT), *_hubs}:
        return True
    return origin == _origin(os.environ.get(_JOB_URL, ""))  # a CI job's own, for its provider


def _login_token() -> str | None:
    """What `hf auth login` kept, unless HF_TOKEN gives the same for any Hub."""
    try:
        kept = Path(constants.HF_TOKEN_PATH).read_text().strip()
    except (OSError, ValueError):
        return None
    return kept if kept and kept != os.environ.get("HF_TOKEN", "").strip() else None


def _origin(address: str) -> str:
    """Scheme, host and port of an address; nothing of what is none."""
    try:
        parts = urlsplit(address)
        usual = parts.port in (None, {"http": 80, "https": 443}.get(parts.scheme))
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}" + ("" if usual else f":{parts.port}")


_set_up: list[bool] = []


def quiet_client(say: Say | None = None) -> None:
    """Set the client up for a command: with timeouts, and without its bars, advice and reports.

    Args:
        say: is told of every wait.

    Raises:
        ConfigError: a limit in the environment is not a number.
    """
    limits = Limits.from_environment()
    patience, guard = Patience(limits.rate_limit, say), Guard()
    _set_up.append(True)
    constants.HF_HUB_DISABLE_TELEMETRY = True
    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    set_client_factory(
        lambda: httpx.Client(
            event_hooks={
                "request": [hf_request_event_hook, guard.before],
                "response": [patience.after, guard.after],
            },
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
