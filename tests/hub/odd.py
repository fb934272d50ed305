"""A server that is no Hub: it gives every request one answer, and remembers what it was asked."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    path: str
    authorization: str | None
    body: bytes


class OddServer:
    """Answers `status`, `body` and `headers`, whatever it is asked, for a `with` block."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 200, b"[]", dict[str, str]()
        self.asked: list[Asked] = []
        odd = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                authorization = self.headers.get("Authorization")
                odd.asked.append(Asked(self.path, authorization, self.rfile.read(length)))
                self.send_response(odd.status)
                for name, value in odd.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(odd.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(odd.body)

            do_HEAD = do_POST = do_PATCH = do_GET  # noqa: N815 - the library's spelling

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
