"""What was asked of the Hub, for tests and dry runs to look at: never headers, never bodies."""

import re
from typing import NamedTuple

# Questions that the client asks by POST; they change nothing.
_QUESTIONS = re.compile(
    r"/api/validate-yaml|/oauth/token|.*/(?:preupload|paths-info)/[^/]+|.*\.git/info/lfs/objects/\w+"
)


class LoggedRequest(NamedTuple):
    """One request as answered.

    `path` is as it was sent, still quoted, without the query; `size` the answer's length in bytes.
    """

    method: str
    path: str
    status: int
    size: int

    @property
    def writes(self) -> bool:
        """Whether it asked for something to change."""
        return self.method not in {"GET", "HEAD"} and not _QUESTIONS.fullmatch(self.path)


class RequestLog:
    """The requests so far, in the order of their answers."""

    def __init__(self) -> None:
        self._requests: list[LoggedRequest] = []

    def add(self, request: LoggedRequest) -> None:
        """Append one."""
        self._requests.append(request)

    @property
    def requests(self) -> tuple[LoggedRequest, ...]:
        """All of them."""
        return tuple(self._requests)

    @property
    def writes(self) -> tuple[LoggedRequest, ...]:
        """Those that asked for a change, granted or not."""
        return tuple(request for request in self._requests if request.writes)
