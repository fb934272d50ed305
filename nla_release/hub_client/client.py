"""HTTP settings of the Hub client for commands: timeouts, bounded waits and answers, safe tokens.

The client itself has no timeout, and on a 429 it sleeps for as long as the server asks. One HTTP
client serves everything that `huggingface_hub` does in a process. So only the command line changes
it; a program that imports this package keeps its own.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from huggingface_hub import constants, set_client_factory
from huggingface_hub.utils import (
    _http,
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
    get_session,
    httpx,  # httpx or httpx2, by the client's major version
    parse_ratelimit_headers,
)

from nla_release.errors import ConfigError, EnvironmentProblem
from nla_release.hub_client.place import CANONICAL_ENDPOINT
from nla_release.hub_client.scope import current_call
from nla_release.io.log import log
from nla_release.io.masking import known_secrets

_CONNECT_SECONDS = 10
# The longest silence of a server, and the longest wait for all rate limits together, by default.
_SILENCE_SECONDS, _RATE_LIMIT_SECONDS = 300.0, 600.0
_JOB_URL = "ACTIONS_ID_TOKEN_REQUEST_URL"
# The wait after a 429 without a duration.
_DEFAULT_WAIT_SECONDS = 5
# After this answer the client repeats the request at once and without limit.
_BUSY_CREATING = "another conflicting operation is in progress"
# The maximum length of an answer that is not a file, or declares no length. A compressed answer may
# grow a thousandfold.
_LARGEST_ANSWER = 64 * 1024 * 1024
_LARGEST_COMPRESSED = 1024 * 1024
# The path from which huggingface.co serves small files.
_FILES = "/api/resolve-cache/"
# A page has up to a thousand entries, so a longer list is endless.
_MOST_PAGES = 1000
_NOT_A_HUB = "check HF_ENDPOINT: this server does not behave like a Hub"


class RateLimitWaits:
    """Waits as the Hub asks, reports it, and stops at a limit for all waits together."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._left = limit
        self._lock = threading.Lock()

    def after(self, response: httpx.Response) -> None:
        """Wait as an answer asks, so that the request may be repeated at once.

        Raises:
            EnvironmentProblem: it asks for a longer wait than is left.
        """
        if response.status_code == 429 or (
            response.status_code == 503 and "retry-after" in response.headers
        ):
            self._wait(_asked(response), "rate limited")
            for name in ("retry-after", "ratelimit"):  # so that the client does not wait again
                response.headers.pop(name, None)
        elif response.status_code == 409 and response.request.url.path == "/api/repos/create":
            response.read()
            if _BUSY_CREATING in response.text:
                self._wait(1, "the Hub is creating another repository")

    def _wait(self, seconds: float, why: str) -> None:
        with self._lock:
            if seconds > self._left:
                raise EnvironmentProblem(
                    f"the Hub asks to wait {seconds:.0f} s ({why}); {self._left:.0f} s of the"
                    f" allowed {self._limit:.0f} s are left",
                    hint="run the same command again later, or allow more with"
                    " NLA_RELEASE_RATE_LIMIT_WAIT=SECONDS",
                )
            self._left -= seconds
        log.info(f"waiting {seconds:.0f} s: {why}")
        time.sleep(seconds)


class Guard:
    """Sends tokens only to their own Hub, and limits what a hostile Hub can send.

    A Hub token is for the Hub in HF_ENDPOINT and for those allowed by `allow_tokens`. The token of
    `hf auth login` is for huggingface.co only. No other server gets them, even if an answer of the
    Hub points to it (`Link: next`).
    """

    def __init__(self) -> None:
        self._pages = 0

    def before(self, request: httpx.Request) -> None:
        """Remove a token from a request to any other server; request uncompressed answers."""
        request.headers["accept-encoding"] = "identity"  # compressed answers declare no length
        sent = request.headers.get("authorization", "").partition(" ")[2].strip()
        if sent and not _is_for(sent, _origin(str(request.url))):
            del request.headers["authorization"]

    def after(self, response: httpx.Response) -> None:
        """Limit the length of an answer, and the number of pages of a list.

        Raises:
            EnvironmentProblem: a list has too many pages. An answer that is too long raises it
                later, while it is read.
        """
        if "next" in response.links:
            self._pages += 1
            if self._pages > _MOST_PAGES:
                raise EnvironmentProblem(
                    f"{response.url.host} sends lists without end: more than {_MOST_PAGES} pages",
                    hint=_NOT_A_HUB,
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
    """A stream that raises an error after `limit` bytes."""

    def __init__(self, stream: Any, limit: int, host: str) -> None:
        self._stream, self._limit, self._host = stream, limit, host

    def __iter__(self) -> Iterator[bytes]:
        length = 0
        for piece in self._stream:
            length += len(piece)
            if length > self._limit:
                raise EnvironmentProblem(
                    f"{self._host} sent an answer of more than {self._limit:,} bytes",
                    hint=_NOT_A_HUB,
                )
            yield piece

    def close(self) -> None:
        """Close the wrapped stream."""
        self._stream.close()


_most: list[int] = []


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Limit the real size of every file that is downloaded in the block."""
    _most.append(size)
    try:
        yield
    finally:
        _most.remove(size)


_hubs: set[str] = set()


def allow_tokens(endpoint: str) -> None:
    """Allow tokens to be sent to a Hub other than that of HF_ENDPOINT, such as a local one."""
    _hubs.add(_origin(endpoint))


def reading_client() -> None:
    """Set the client up for a command, or for the length of a call of `nla_release.api`.

    Elsewhere, such as in `Pair.from_pretrained`, a program keeps its own.
    """
    if _set_up:
        return
    if click.get_current_context(silent=True) is not None:
        quiet_client()
    elif (call := current_call()) is not None:
        call.enter_context(_guarded())


@contextmanager
def _guarded() -> Iterator[None]:
    """Set the client up inside; afterwards it is as the program had it."""
    telemetry, quiet = constants.HF_HUB_DISABLE_TELEMETRY, are_progress_bars_disabled()
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    # The client has no public way to read it; both majors have this name.
    factory = _http._GLOBAL_CLIENT_FACTORY  # noqa: SLF001
    try:
        quiet_client()
        yield
    finally:
        _set_up.clear()
        set_client_factory(factory)
        logger.setLevel(level)
        constants.HF_HUB_DISABLE_TELEMETRY = telemetry
        if not quiet:
            enable_progress_bars()


def _is_for(token: str, origin: str) -> bool:
    """Whether a server may get this token: it is that server's own, or not a known Hub token."""
    if origin != CANONICAL_ENDPOINT and token == _login_token():
        return False
    given = os.environ.get("HF_TOKEN", "").strip()
    if token not in known_secrets() | {given} or origin in {_origin(constants.ENDPOINT), *_hubs}:
        return True
    return origin == _origin(os.environ.get(_JOB_URL, ""))  # a CI job's secret for its provider


def _login_token() -> str | None:
    """The token of `hf auth login`, unless HF_TOKEN has the same value, for any Hub."""
    try:
        kept = Path(constants.HF_TOKEN_PATH).read_text().strip()
    except (OSError, ValueError):
        return None
    return kept if kept and kept != os.environ.get("HF_TOKEN", "").strip() else None


def _origin(address: str) -> str:
    """Scheme, host and port of an address; empty if it is malformed."""
    try:
        parts = urlsplit(address)
        usual = parts.port in (None, {"http": 80, "https": 443}.get(parts.scheme))
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}" + ("" if usual else f":{parts.port}")


_set_up: list[bool] = []


def quiet_client() -> None:
    """Set the client up for a command: with timeouts, without progress bars, logs and telemetry.

    Raises:
        ConfigError: a limit in the environment is not a number.
    """
    silence = _seconds("NLA_RELEASE_TIMEOUT", _SILENCE_SECONDS)
    waits = RateLimitWaits(_seconds("NLA_RELEASE_RATE_LIMIT_WAIT", _RATE_LIMIT_SECONDS))
    guard = Guard()
    own_hooks = _own_request_hooks()
    _set_up.append(True)
    constants.HF_HUB_DISABLE_TELEMETRY = True
    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    set_client_factory(
        lambda: httpx.Client(
            event_hooks={
                "request": [*own_hooks, guard.before],
                "response": [waits.after, guard.after],
            },
            follow_redirects=True,
            timeout=httpx.Timeout(silence, connect=min(_CONNECT_SECONDS, silence)),
        )
    )


@cache
def _own_request_hooks() -> tuple[Callable[..., Any], ...]:
    """What the client does itself with every request: offline mode, request ids, counters."""
    return tuple(get_session().event_hooks["request"])


def _asked(response: httpx.Response) -> float:
    """The wait that an answer asks for, in seconds."""
    limit = parse_ratelimit_headers(response.headers)
    if limit is not None and limit.remaining == 0:
        return limit.reset_in_seconds + 1
    asked = response.headers.get("retry-after", "").strip()
    if asked.isdecimal():
        return float(asked)
    try:
        return max(0.0, (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # neither seconds nor a date with a time zone
        return _DEFAULT_WAIT_SECONDS


def _seconds(name: str, default: float) -> float:
    """The number of seconds in an environment variable.

    Raises:
        ConfigError: it is not a positive number.
    """
    text = os.environ.get(name) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"{name}={text} is not a number of seconds")
    return seconds
