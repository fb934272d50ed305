"""What is known of a pair, and its source: recorded in its files, answered, inferred, or unknown.

Nothing is filled in silently: a fact that no file records is inferred with its source named, or it
is a question.
"""

import difflib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from nla_release.contract.sidecar import Role
from nla_release.errors import ConfigError, PairError, printable
from nla_release.release.licences import LICENCE_KEYS
from nla_release.sidecar_formats.facts import FACTS
from nla_release.sidecar_formats.values import resolved, scale, shown, written

# Answered with `literal` if prompts were trained with escape sequences as characters.
ESCAPES = "escapes"

How = Literal["recorded", "answered", "inferred"]


@dataclass(frozen=True)
class Known:
    """A fact's value and its source."""

    value: Any
    how: How
    source: str


@dataclass(frozen=True)
class OpenQuestion:
    """A fact that only the user can supply, and a likely answer, if any."""

    name: str
    asks: str
    likely: str | None

    def __str__(self) -> str:
        """The question with the option that answers it."""
        if self.likely is None:
            return f"{self.asks}: --answer {self.name}=..."
        return f"{self.asks}: likely --answer {shlex.quote(f'{self.name}={self.likely}')}"


@dataclass(frozen=True)
class Report:
    """The sidecar formats of AV and AR, each fact with its source, and the open questions.

    `missing` are facts that no file records and that a canonical sidecar does not need. `notes` say
    where each adapter's copy is from, and how its files differ from the original.
    """

    formats: tuple[str, str]
    known: dict[str, Known]
    missing: tuple[str, ...]
    questions: tuple[OpenQuestion, ...]
    notes: Mapping[Role, Sequence[str]] = field(default_factory=dict)


class OpenQuestionsError(ConfigError):
    """Some facts are in no file; `report` is what is known of the pair."""

    def __init__(self, message: str, report: Report, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.report = report


class Ledger:
    """The facts of one pair so far; `width` is the activation's, according to the AR's head."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.known: dict[str, Known] = {}
        self._questions: dict[str, OpenQuestion] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.known

    def __getitem__(self, name: str) -> Any:
        return self.known[name].value

    def get(self, name: str) -> Any:
        """A fact's value; None when it is not known."""
        known = self.known.get(name)
        return known.value if known else None

    def record(self, name: str, value: Any, source: str) -> None:
        """Record what a file says.

        Raises:
            PairError: another file of the pair says otherwise.
        """
        if (before := self.known.get(name)) is None:
            self.known[name] = Known(value, "recorded", source)
        elif self._meant(name, before.value) != self._meant(name, value):
            raise PairError(
                f"{name} is {written(before.value)} by {before.source} but {written(value)} by"
                f" {source}",
                hint="correct the wrong one in a copy; both adapters of a pair share this fact",
            )

    def answer(self, answers: Mapping[str, Any]) -> bool:
        """Record the user's answers; returns whether escapes in prompts are meant literally.

        Raises:
            ConfigError: there is no such fact, the value is invalid, or a file has another value.
        """
        for name, text in answers.items():
            if name == ESCAPES:
                if text != "literal":
                    raise ConfigError(f"--answer {ESCAPES}: {shown(text)} is not literal")
                continue
            if name not in FACTS:
                keys = (*FACTS, *LICENCE_KEYS, ESCAPES)
                near = difflib.get_close_matches(name, keys, n=1)
                meant = f"; did you mean {near[0]}?" if near else ""
                raise ConfigError(
                    f"--answer {printable(name)}: there is no such fact{meant}",
                    hint=f"the facts are {', '.join(keys)}",
                )
            if name in self and self._says(name, text):
                continue
            if name in self:
                raise ConfigError(
                    f"--answer {name}: {self.known[name].source} already says {shown(self[name])}",
                    hint="leave the answer out; where the file is wrong, correct it in a copy",
                )
            try:
                value = FACTS[name].parse(text)
            except ValueError as error:
                raise ConfigError(
                    f"--answer {name}: {error}", hint=f"it is {FACTS[name].asks}"
                ) from error
            self.known[name] = Known(value, "answered", "the answer given")
        return ESCAPES in answers

    def _says(self, name: str, text: Any) -> bool:
        """Whether an answer equals what is known already."""
        try:
            return bool(self._meant(name, FACTS[name].parse(text)) == self._meant(name, self[name]))
        except ValueError:
            return False

    def infer(self, name: str, value: Any, source: str) -> None:
        """Infer a fact that is not known yet."""
        self.known.setdefault(name, Known(value, "inferred", source))

    def ask(self, name: str, likely: Any = None, *, remedy: str | None = None) -> None:
        """Ask for a fact, unless it is known or was asked for before.

        `remedy` says why the question is asked, or what would answer it.
        """
        if name not in self:
            answer = None if likely is None else str(likely)
            asks = f"{FACTS[name].asks}, {remedy}" if remedy else FACTS[name].asks
            self._questions.setdefault(name, OpenQuestion(name, asks, answer))

    def _meant(self, name: str, value: Any) -> Any:
        """A value to compare: a scale may be written as a number or as `sqrt_d_model`."""
        return resolved(value, self.width) if FACTS[name].parse is scale else value

    @property
    def questions(self) -> tuple[OpenQuestion, ...]:
        """The open questions, in the order of the facts."""
        return tuple(self._questions[name] for name in FACTS if name in self._questions)
