"""What a rule is, what it can find, and the one verdict that every rendering shows."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, overload

from nla_release.calibration.remeasured import Remeasured
from nla_release.errors import InputError, printable
from nla_release.release.config import Waiver

if TYPE_CHECKING:
    from nla_release.calibration.report import Label
    from nla_release.gate.subject import Subject

Severity = Literal["error", "warning"]
State = Literal["passed", "failed", "warned", "waived", "skipped"]
STATES: tuple[State, ...] = ("passed", "failed", "warned", "waived", "skipped")
Decision = Literal["pass", "fail", "inconclusive"]

EXIT_CODES: dict[Decision, int] = {"pass": 0, "fail": 1, "inconclusive": 3}

_MAX_SHOWN = 500
# Without these, numbers are those of other files, or of no evidence at all.
_NUMBERS_STAND_BY = ("NLA601", "NLA602")

Target = TypeVar("Target")


@dataclass(frozen=True)
class Page:
    """What `nla-release explain` shows of a rule."""

    checks: str
    why: str
    fix: str
    example: str
    waive: str
    since: str = "0.1.0"

    @property
    def forbids_waivers(self) -> bool:
        """Whether the rule is one of those that no release can do without."""
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
    """What a rule's function found, and where; of the rule's severity unless it names another."""

    path: Path | str
    message: str
    severity: Severity | None = None


@dataclass(frozen=True)
class Skip:
    """Why a rule, or a part of it, could not be applied. Always shown, and never a pass."""

    reason: str


class UnreadableError(InputError):
    """A file cannot be read. The rule `rule` says so; the others that need it are skipped."""

    def __init__(self, rule: str, path: Path, message: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.path = path


Read = TypeVar("Read")


class read_once(cached_property[Read]):  # noqa: N801 - a decorator, as the one it extends
    """A `cached_property` that does not read a damaged file again: every rule would, in vain."""

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
class Scope(Generic[Target]):
    """What a rule looks at, target after target, and the reason to give when there is none."""

    targets: "Callable[[Subject], Sequence[Target]]"
    absent: str


@dataclass(frozen=True)
class Unverified:
    """What a rule looked at and no file decides: somebody's words or choice."""

    what: str


@dataclass(frozen=True)
class Finding:
    """One finding: rule, severity, the file a person can open, and what is wrong there."""

    code: str
    severity: Severity
    path: str
    message: str


@dataclass(frozen=True)
class Rule:
    """A code that is never reused, its documentation, and the function that applies it.

    A finding of an `inconclusive` rule says that too little was measured to decide.
    """

    code: str
    severity: Severity
    title: str
    page: Page
    function: "Callable[[Subject], Iterator[Problem | Skip | Unverified]]"
    inconclusive: bool = False

    def apply(self, subject: "Subject", *, strict: bool) -> "Outcome":
        """The rule's outcome on a subject. `strict` makes its warnings errors."""
        results = list(self.function(subject))
        findings = (self._finding(result) for result in results if isinstance(result, Problem))
        if strict and not self.inconclusive:
            findings = (replace(finding, severity="error") for finding in findings)
        return Outcome(
            self,
            tuple(findings),
            tuple(
                dict.fromkeys(_printable(skip.reason) for skip in results if isinstance(skip, Skip))
            ),
            unverified=tuple(
                _printable(result.what) for result in results if isinstance(result, Unverified)
            ),
        )

    def _finding(self, problem: Problem) -> Finding:
        return Finding(
            self.code,
            problem.severity or self.severity,
            _printable(str(problem.path)),
            _printable(problem.message),
        )


def rule(
    code: str,
    severity: Severity,
    title: str,
    *,
    each: Scope[Target],
    page: Page,
    inconclusive: bool = False,
) -> Callable[[Callable[[Target], Iterable[Problem | Skip | Unverified]]], Rule]:
    """Make a rule of a function that checks one target of a scope."""

    def document(check: Callable[[Target], Iterable[Problem | Skip | Unverified]]) -> Rule:
        def apply(subject: "Subject") -> Iterator[Problem | Skip | Unverified]:
            targets = each.targets(subject)
            if not targets:
                yield Skip(each.absent)
            for target in targets:
                try:
                    yield from check(target)
                except UnreadableError as unreadable:
                    yield _told(unreadable, code)

        return Rule(code, severity, title, page, apply, inconclusive)

    return document


@dataclass(frozen=True)
class Outcome:
    """What became of one rule: its findings, and the reasons for whatever it skipped.

    With a `waiver` the findings stand, are shown, and decide nothing.
    """

    rule: Rule
    findings: tuple[Finding, ...]
    skipped: tuple[str, ...]
    waiver: Waiver | None = None
    unverified: tuple[str, ...] = ()

    @property
    def state(self) -> State:
        """A rule that skipped anything and found nothing is skipped, not passed."""
        if self.findings and self.waiver:
            return "waived"
        if any(finding.severity == "error" for finding in self.findings):
            return "failed"
        if self.findings:
            return "warned"
        return "skipped" if self.skipped else "passed"


@dataclass(frozen=True)
class Verdict:
    """The outcome of every rule, and what follows from them.

    `measured` is what measuring rows again found, where that was asked for and done. `label` says
    how good the pair is, which is another question and decides nothing here: a complete and honest
    release can be of a pair that reads nothing. None without numbers that the evidence gives.
    """

    outcomes: tuple[Outcome, ...]
    measured: Remeasured | None = None
    label: "Label | None" = None

    @property
    def findings(self) -> list[Finding]:
        """All findings that count, errors first, in the order of the rules."""
        findings = [
            finding
            for outcome in self.outcomes
            for finding in outcome.findings
            if outcome.waiver is None
        ]
        return sorted(findings, key=lambda finding: finding.severity != "error")

    @property
    def waived(self) -> list[tuple[Finding, Waiver]]:
        """The findings that a waiver lets stand, in the order of the rules."""
        return [
            (finding, outcome.waiver)
            for outcome in self.outcomes
            for finding in outcome.findings
            if outcome.waiver is not None
        ]

    @property
    def skipped(self) -> list[Outcome]:
        """The rules that were not applied, or not to everything."""
        return [outcome for outcome in self.outcomes if outcome.state == "skipped"]

    @property
    def reasons(self) -> dict[str, list[str]]:
        """Every reason to skip, with the codes of the rules that gave it."""
        codes: dict[str, list[str]] = {}
        for outcome in self.outcomes:
            for reason in outcome.skipped:
                codes.setdefault(reason, []).append(outcome.rule.code)
        return codes

    @property
    def unverified(self) -> list[str]:
        """What the documents show and nothing was compared with: people's words and choices."""
        return [what for outcome in self.outcomes for what in outcome.unverified]

    @property
    def totals(self) -> dict[State, int]:
        """How many rules passed, failed, warned, were waived and were skipped."""
        states = Counter(outcome.state for outcome in self.outcomes)
        return {state: states[state] for state in STATES}

    @property
    def verdict(self) -> Decision:
        """Fail on any error; inconclusive when too little, or nothing at all, was looked at."""
        if self.totals["failed"]:
            return "fail"
        undecided = any(outcome.rule.inconclusive and outcome.findings for outcome in self.outcomes)
        if undecided or self.totals["skipped"] == len(self.outcomes):
            return "inconclusive"
        return "pass"

    @property
    def doubts(self) -> list[str]:
        """The rules by which the numbers are not what these files gave: then none is shown."""
        failed = (each.rule.code for each in self.outcomes if each.state == "failed")
        return [code for code in failed if code in _NUMBERS_STAND_BY]

    @property
    def exit_code(self) -> int:
        """The process exit code that says the same."""
        return EXIT_CODES[self.verdict]


def listed(names: Sequence[str]) -> str:
    """The first of many names, for a message."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _told(unreadable: UnreadableError, code: str) -> Problem | Skip:
    if unreadable.rule == code:
        return Problem(unreadable.path, unreadable.message)
    return Skip(f"{_printable(str(unreadable.path))} cannot be used, see {unreadable.rule}")


def _printable(text: str) -> str:
    """One line of bounded length: names and values come from strangers, and reach a terminal."""
    shown = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
    return printable(shown)
