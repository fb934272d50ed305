"""The requests that a Hub answered, for tests and dry runs. Headers and bodies are not kept."""

import re
from collections import deque
from typing import NamedTuple

# What a Hub that runs for weeks keeps.
_MOST = 100_000

# Read-only requests that the client sends by POST.
_QUESTIONS = re.compile(
    r"/api/validate-yaml|/oauth/token|.*/(?:preupload|paths-info)/[^/]+|.*\.git/info/lfs/objects/\w+"
)


class LoggedRequest(NamedTuple):
    """One answered request: `path` quoted, without query; `size` of the answer in bytes."""

    method: str
    path: str
    status: int
    size: int

    @property
    def writes(self) -> bool:
        """Whether it asked for a change."""
        return self.method not in {"GET", "HEAD"} and not _QUESTIONS.fullmatch(self.path)


class RequestLog:
    """The latest requests, in the order in which they were answered."""

    def __init__(self) -> None:
        self._requests: deque[LoggedRequest] = deque(maxlen=_MOST)

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
