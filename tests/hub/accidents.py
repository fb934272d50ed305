"""What can go wrong in the middle of a push, and when: the cases of the fault matrix."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from nla_release.io.layout import MANIFEST_FILE
from nla_release.release.folder import ROLES
from tests.hub.faults import Asked

Kind = Literal[
    "connection refused",
    "reset, nothing done",
    "reset, done",
    "500, nothing done",
    "500, done",
    "429",
    "no answer in time, done",
    "403",
    "Ctrl-C at the client",
    "kill -9 of the client",
    "kill -9 of the Hub",
    "disk full at the client",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

# Every request that a push of the smallest release makes of a Hub that has neither repository.
REQUESTS = (
    "GET av/refs",
    "GET models",
    "GET ar/refs",
    "POST validate-yaml",
    "POST validate-yaml",
    "POST repos/create",
    "GET av/refs",
    "GET av/revision",
    "GET av/tree",
    "GET av/auth-check",
    "POST repos/create",
    "GET ar/refs",
    "GET ar/revision",
    "GET ar/tree",
    "GET ar/auth-check",
    "POST av/preupload",
    "POST av/objects/batch",
    "PUT lfs",
    "POST av/objects/verify",
    "POST ar/preupload",
    "POST ar/objects/batch",
    "PUT lfs",
    "POST ar/objects/verify",
    "GET av/refs",
    "GET ar/refs",
    "POST validate-yaml",
    "POST av/commit",
    "POST validate-yaml",
    "POST ar/commit",
    "GET av/refs",
    "GET av/revision",
    "GET av/tree",
    "GET av/commits",
    "GET ar/refs",
    "GET ar/revision",
    "GET ar/tree",
    "GET ar/commits",
    "POST av/tag",
    "GET av/refs",
    "POST ar/tag",
    "GET ar/refs",
    "GET av/refs",
    "GET av/revision",
    "GET av/tree",
    "GET ar/refs",
    "GET ar/revision",
    "GET ar/tree",
)
_WRITES = re.compile(r"(PUT|POST) (?!validate-yaml|.*preupload|.*batch|.*verify)")

# The moments between them, by the steps that were just finished.
BOUNDARIES = (
    "preflight",
    "create av",
    "create ar",
    "stage av",
    "stage ar",
    "upload av",
    "upload ar",
    "commit av",
    "commit ar",
    "verify av",
    "verify ar",
    "tag av",
    "tag ar",
    "final-verify",
)

_SMALL = ("HISTORY.md", "LICENSE", "README.md", "adapter_config.json")
# The tests' two adapters have the same bytes, so that of the second only the head is sent.
FILES = {
    "av": (*_SMALL, "adapter_model.safetensors"),
    "ar": (*_SMALL, "adapter_model.safetensors", "value_head.safetensors"),
}
STAGED = tuple(f"{role}/{name}" for role in ROLES for name in (*FILES[role], MANIFEST_FILE))
_NAMES = {"request": REQUESTS, "boundary": BOUNDARIES, "file": STAGED}


@dataclass(frozen=True)
class Moment:
    """When it happens: at the request, boundary or staged file of this number, from 0."""

    what: Literal["request", "boundary", "file"]
    number: int

    def __str__(self) -> str:
        return f"{self.what} {self.number}, {_NAMES[self.what][self.number]}"

    @property
    def writes(self) -> bool:
        """Whether it is a request that changes what is on the Hub."""
        return self.what == "request" and _WRITES.match(REQUESTS[self.number]) is not None


@dataclass(frozen=True)
class Case:
    """One accident."""

    kind: Kind
    at: Moment
    before: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {'before' if self.before else 'at'} {self.at}"


def all_cases() -> Iterator[Case]:
    """Every accident at every moment that it can happen at."""
    for kind in KINDS:
        match kind:
            case "disk full at the client":
                moments = [*_moments("file"), *_moments("boundary")]
            case "kill -9 of the client" | "Ctrl-C at the client":
                moments = [*_moments("request"), *_moments("boundary")]
            case _:
                moments = _moments("request")
        yield from (Case(kind, moment) for moment in moments)
    for moment in _moments("request"):
        if moment.writes:
            yield Case("kill -9 of the Hub", moment, before=True)


def chosen_cases() -> Iterator[Case]:
    """A third of them: all at each request that writes, and one or two at each other moment."""
    by_moment: dict[Moment, list[Case]] = {}
    for case in all_cases():
        by_moment.setdefault(case.at, []).append(case)
    for moment, cases in by_moment.items():
        if moment.writes:
            yield from cases
        else:
            half = len(cases) // 2
            yield from {cases[(moment.number + shift) % len(cases)] for shift in (0, half)}


def _moments(what: Literal["request", "boundary", "file"]) -> list[Moment]:
    return [Moment(what, number) for number in range(len(_NAMES[what]))]


def named(asked: Asked) -> str:
    """A request without what differs from push to push."""
    path = re.sub(r"^/api/(models/)?", "", asked.path)
    path = re.sub(r"^/?[^/]+/[^/]*-(a[vr])-v[0-9_]+(\.git/info/lfs)?/", r"\1/", path)
    path = re.sub(r"^/lfs/.*", "lfs", path)
    path = re.sub(r"(auth-check|revision|tree|preupload|commits?|tag)/[^/]+$", r"\1", path)
    return f"{asked.method} {path}"
