"""What a rule returns: problems, skips and unverified texts; and the page about the rule."""

import re
import sys
from dataclasses import dataclass
from functools import cached_property
from inspect import cleandoc
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, overload

from nla_release.errors import EnvironmentProblem, InputError, printable

Severity = Literal["error", "warning"]

_MAX_SHOWN = 500


@dataclass(frozen=True)
class Page:
    """What `nla-release explain` shows about a rule."""

    checks: str
    why: str
    fix: str
    example: str
    waive: str
    since: str = "0.1.0"

    @classmethod
    def of(cls, docstring: str | None) -> Self:
        """The page in the docstring of a rule's function: `Checks: ...`, `Why: ...` and so on.

        Raises:
            EnvironmentProblem: Python runs with -OO.
            TypeError: it lacks a section, or has one of another name.
        """
        if docstring is None and sys.flags.optimize > 1:
            raise EnvironmentProblem(
                "Python runs with -OO, which removes the rules' pages",
                hint="run it without -OO, and unset PYTHONOPTIMIZE",
            )
        _, *parts = re.split(r"^([A-Z][a-z]+): ", cleandoc(docstring or ""), flags=re.MULTILINE)
        sections = zip(parts[::2], parts[1::2], strict=True)
        return cls(**{name.lower(): " ".join(text.split()) for name, text in sections})

    @property
    def forbids_waivers(self) -> bool:
        """Whether findings of the rule can never be waived."""
        return self.waive.startswith("Never")

    def sections(self) -> list[tuple[str, str]]:
        """The page's headings, fixed for all rules, each with its text."""
        return [
            ("What it checks", self.checks),
            ("Why it matters", self.why),
            ("How to fix", self.fix),
            ("Example", self.example),
            ("When to waive", self.waive),
            ("Since version", self.since),
        ]


@dataclass(frozen=True)
class Problem:
    """What is wrong, and where; of the rule's severity unless it has its own."""

    path: Path | str
    message: str
    severity: Severity | None = None


@dataclass(frozen=True)
class Skip:
    """Why a rule, or a part of it, was not applied. Always shown, and never a pass."""

    reason: str


class UnreadableError(InputError):
    """A file cannot be read. `rule` reports it; other rules that need the file are skipped."""

    def __init__(self, rule: str, path: Path, message: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.path = path


Read = TypeVar("Read")


class read_once(cached_property[Read]):  # noqa: N801 - a decorator, as the one it extends
    """A `cached_property` that caches `UnreadableError` too: a damaged file is read once."""

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> Read: ...
    def __get__(self, instance: object, owner: type[Any] | None = None) -> Self | Read:
        if instance is None:
            return self
        failures = instance.__dict__.setdefault("_unreadable", {})
        if self.attrname in failures:
            raise failures[self.attrname].with_traceback(None)
        try:
            return super().__get__(instance, owner)
        except UnreadableError as error:
            failures[self.attrname] = error
            raise


@dataclass(frozen=True)
class Unverified:
    """Something that no file decides: a text or a choice of a person."""

    what: str


@dataclass(frozen=True)
class Finding:
    """One finding: rule, severity, path, and what is wrong there."""

    code: str
    severity: Severity
    path: str
    message: str


def bounded_line(text: str) -> str:
    """One line of bounded length, because untrusted names and values reach a terminal."""
    shown = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
    return printable(shown)
