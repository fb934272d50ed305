"""Run the local Hub in a thread of this process.

It binds to 127.0.0.1 only. starlette and uvicorn belong to the `hub` extra, and are imported when a
Hub starts.
"""

import errno
import importlib
import os
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from nla_release.errors import EnvironmentProblem, InputError, install_hint
from nla_release.io.files import read_text, unwritable
from nla_release.local_hub.log import RequestLog
from nla_release.local_hub.publishers import TrustedPublishers
from nla_release.local_hub.store import Store

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

HOST = "127.0.0.1"
_TOKEN_FILE_NAME = "token"  # noqa: S105 - a name
_START_SECONDS = 300
# How long running requests may take after the Hub is told to stop.
_STOP_SECONDS = 5


class LocalHub:
    """A local Hub that runs for the length of a `with` block.

    Args:
        root: the folder of its repositories; it may be used again.
        port: 0 picks a free one.
        token: what a writer must present; by default a new random one.

    `publishers` are the CI jobs that may write to one repository each.
    """

    endpoint: str
    store: Store
    log: RequestLog

    def __init__(self, root: Path, *, port: int = 0, token: str | None = None) -> None:
        self.root = root
        self.token = token or f"hf_{secrets.token_hex(16)}"
        self.publishers = TrustedPublishers()
        self._port = port

    def __enter__(self) -> Self:
        """Start the Hub.

        Raises:
            EnvironmentProblem: the `hub` extra is missing, the port is taken, or `root` cannot be
                written.
        """
        _require_extra()
        self.store, self.log = Store(self.root), RequestLog()
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Finish the requests that are running, and stop."""
        self.stop()

    def application(self) -> "ASGIApp":
        """The ASGI application."""
        from nla_release.local_hub.app import create_app

        return create_app(self.store, token=self.token, publishers=self.publishers, log=self.log)

    def start(self) -> None:
        """Accept connections; after `stop`, at the same address as before.

        Raises:
            EnvironmentProblem: the port is taken.
        """
        listener = _bind(self._port)
        self._port = listener.getsockname()[1]
        self.endpoint = f"http://{HOST}:{self._port}"
        self._server = self._make_server()
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="local-hub", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise EnvironmentProblem(f"the local Hub did not start on {self.endpoint}")
            time.sleep(0.01)

    def wait(self) -> None:
        """Serve until something interrupts this thread, such as Ctrl-C."""
        while self._thread.is_alive():
            self._thread.join(1)  # without a limit, Windows would not notice Ctrl-C

    def stop(self) -> None:
        """Finish the requests that are running, and accept no more."""
        self._server.should_exit = True
        self._thread.join()

    def _make_server(self) -> "uvicorn.Server":
        import uvicorn

        return uvicorn.Server(
            uvicorn.Config(
                self.application(),
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_STOP_SECONDS,
            )
        )


def _require_extra() -> None:
    """Report the missing extra instead of the missing module.

    Raises:
        EnvironmentProblem: starlette or uvicorn is not installed.
    """
    try:
        for module in ("starlette", "uvicorn"):
            importlib.import_module(module)
    except ImportError as error:
        raise EnvironmentProblem(
            f"the local Hub needs the hub extra ({error.name} is not installed)",
            hint=install_hint("hub"),
        ) from error


def _bind(port: int) -> socket.socket:
    """A listening socket: clients may connect from now on.

    Raises:
        EnvironmentProblem: the port is taken or not permitted.
    """
    # With an explicit IPPROTO_TCP, asyncio turns Nagle's algorithm off: 40 ms less per answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            # Allows a restart on the same port; elsewhere the option would steal the port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise EnvironmentProblem(
                f"port {port} on {HOST} is in use, perhaps by another local Hub",
                hint="stop that program, or choose another port (0 picks a free one)",
            ) from error
        raise EnvironmentProblem(
            f"port {port} on {HOST} cannot be used: {error.strerror}"
        ) from error
    return listener


def token_file(root: Path) -> Path:
    """The file with the owner's token of the Hub in `root`. Only its user may read it."""
    return root.absolute() / _TOKEN_FILE_NAME


def owner_token(root: Path) -> str:
    """The owner's token of the Hub in `root`, created if there is none. It is never printed.

    Raises:
        InputError: the file is empty.
        EnvironmentProblem: it cannot be written.
    """
    path = token_file(root)
    if not path.exists():
        _write_new(path, f"hf_{secrets.token_hex(16)}\n")
    elif path.is_file() and path.stat().st_mode & 0o077:
        path.chmod(0o600)
    token = read_text(path).strip()
    if not token:
        raise InputError(f"{path} is empty", hint="delete it; the next start makes a new one")
    return token


def _write_new(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write(text)
    except OSError as error:
        raise unwritable(path, error) from error
