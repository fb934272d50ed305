"""The journal of a push: one line of JSON for every finished step, in `dist/.nla-release`.

It is for people. The push itself reads the state from the Hub, never from the journal.
"""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from nla_release.errors import EnvironmentProblem, InputError
from nla_release.io.documents import parse_json
from nla_release.io.files import read_text

PATH = Path(".nla-release") / "journal.jsonl"

Step = Literal[
    "preflight", "sign", "create", "stage", "upload", "commit", "verify", "tag", "final-verify"
]


@dataclass(frozen=True)
class Line:
    """A finished step, with the repository if it concerns one. `at` is UTC."""

    at: str
    release_id: str
    step: Step
    repo: str | None
    commit: str | None
    endpoint: str


_LINE = TypeAdapter(Line)


class Journal:
    """The journal lines of one release on one Hub."""

    def __init__(self, dist: Path, release_id: str, endpoint: str) -> None:
        self.path = dist / PATH
        self._release_id = release_id
        self._endpoint = endpoint

    def finished(self, step: Step, *, repo: str | None = None, commit: str | None = None) -> None:
        """Append a line and sync it to the disk.

        Raises:
            EnvironmentProblem: it cannot be written.
        """
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        line = Line(at, self._release_id, step, repo, commit, self._endpoint)
        try:
            self.path.parent.mkdir(exist_ok=True)
            with self.path.open("ab") as file:
                # A killed process may have left an incomplete line.
                begun = file.tell() > 0 and not self.path.read_bytes().endswith(b"\n")
                file.write(b"\n" * begun + json.dumps(asdict(line)).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise EnvironmentProblem(
                f"{self.path} cannot be written: {error.strerror or error}"
            ) from error

    def lines(self) -> list[Line]:
        """The finished steps of earlier runs of this release on this Hub, oldest first."""
        try:
            texts = read_text(self.path).split("\n")
        except InputError:  # missing or unreadable: it is only information
            return []
        found = []
        for text in texts:
            with suppress(InputError, ValidationError):  # an incomplete line
                found.append(_LINE.validate_python(parse_json(text, self.path)))
        here = (self._release_id, self._endpoint)
        return [line for line in found if (line.release_id, line.endpoint) == here]
