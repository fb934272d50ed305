"""A rule, its scope, and the verdict of all rules, which every output shows."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

from nla_release.calibration.remeasured import Remeasured
from nla_release.calibration.report import Label
from nla_release.gate.adapter_folder import AdapterFolder
from nla_release.gate.base_facts import AdapterOnBase
from nla_release.gate.findings import (
    Finding,
    Page,
    Problem,
    Severity,
    Skip,
    UnreadableError,
    Unverified,
    bounded_line,
)
from nla_release.gate.subject import MeasurementFolder, Subject
from nla_release.io.layout import RELEASE_FILE
from nla_release.release.config import Waiver
from nla_release.release.folder import Release

State = Literal["passed", "failed", "warned", "waived", "skipped"]
STATES: tuple[State, ...] = ("passed", "failed", "warned", "waived", "skipped")
Decision = Literal["pass", "fail", "inconclusive"]

EXIT_CODES: dict[Decision, int] = {"pass": 0, "fail": 1, "inconclusive": 3}

# If these fail, the numbers are not those of the evidence and of these files.
_RULES_OF_NUMBERS = ("NLA601", "NLA602")

Target = TypeVar("Target")


@dataclass(frozen=True)
class Scope(Generic[Target]):
    """The targets that a rule checks, and the reason for skipping it when there are none."""

    targets: Callable[[Subject], Sequence[Target]]
    absent: str


@dataclass(frozen=True)
class Rule:
    """A code that is never reused, its documentation, and the function that applies it.

    A finding of an `inconclusive` rule means that too little was measured to decide.
    """

    code: str
    severity: Severity
    title: str
    page: Page
    function: Callable[[Subject], Iterator[Problem | Skip | Unverified]]
    inconclusive: bool = False

    def apply(self, subject: Subject, *, strict: bool) -> "Outcome":
        """The rule's outcome on a subject. `strict` makes its warnings errors."""
        results = list(self.function(subject))
        findings = (self._finding(result) for result in results if isinstance(result, Problem))
        if strict and not self.inconclusive:
            findings = (replace(finding, severity="error") for finding in findings)
        reasons = (bounded_line(each.reason) for each in results if isinstance(each, Skip))
        unverified = (bounded_line(each.what) for each in results if isinstance(each, Unverified))
        return Outcome(
            self, tuple(findings), tuple(dict.fromkeys(reasons)), unverified=tuple(unverified)
        )

    def _finding(self, problem: Problem) -> Finding:
        return Finding(
            self.code,
            problem.severity or self.severity,
            bounded_line(str(problem.path)),
            bounded_line(problem.message),
        )


def rule(
    code: str,
    severity: Severity,
    title: str,
    *,
    each: Scope[Target],
    inconclusive: bool = False,
) -> Callable[[Callable[[Target], Iterable[Problem | Skip | Unverified]]], Rule]:
    """Make a rule of a function that checks one target of a scope.

    The function's docstring holds the rule's page, see `Page.of`.
    """

    def document(check: Callable[[Target], Iterable[Problem | Skip | Unverified]]) -> Rule:
        def apply(subject: Subject) -> Iterator[Problem | Skip | Unverified]:
            targets = each.targets(subject)
            if not targets:
                yield Skip(each.absent)
            for target in targets:
                try:
                    yield from check(target)
                except UnreadableError as unreadable:
                    yield _problem_or_skip(unreadable, code)

        return Rule(code, severity, title, Page.of(check.__doc__), apply, inconclusive)

    return document


@dataclass(frozen=True)
class Outcome:
    """The findings of one rule, and the reasons for what it skipped.

    With a `waiver` the findings are shown and decide nothing.
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
    """The outcome of every rule, and the verdict that follows.

    `measured` is the result of measuring rows again, if that was requested and done. `label` says
    how good the pair is, and is None without numbers that follow from the evidence. A format-only
    pair fails (NLA603), and an inconclusive label makes the verdict inconclusive (NLA608); no other
    label affects the verdict.
    """

    outcomes: tuple[Outcome, ...]
    measured: Remeasured | None = None
    label: Label | None = None

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
        """The waived findings, in the order of the rules."""
        return [
            (finding, outcome.waiver)
            for outcome in self.outcomes
            for finding in outcome.findings
            if outcome.waiver is not None
        ]

    @property
    def skipped(self) -> list[Outcome]:
        """The rules that were skipped in whole or in part."""
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
        """What the documents show and no file decides: texts and choices of people."""
        return [what for outcome in self.outcomes for what in outcome.unverified]

    @property
    def totals(self) -> dict[State, int]:
        """How many rules passed, failed, warned, were waived and were skipped."""
        states = Counter(outcome.state for outcome in self.outcomes)
        return {state: states[state] for state in STATES}

    @property
    def verdict(self) -> Decision:
        """Fail on any error; inconclusive if too little was measured, or nothing was checked."""
        if self.totals["failed"]:
            return "fail"
        undecided = any(outcome.rule.inconclusive and outcome.findings for outcome in self.outcomes)
        if undecided or self.totals["skipped"] == len(self.outcomes):
            return "inconclusive"
        return "pass"

    @property
    def doubts(self) -> list[str]:
        """The failed rules for which no number is shown, since it is not one of these files."""
        failed = (each.rule.code for each in self.outcomes if each.state == "failed")
        return [code for code in failed if code in _RULES_OF_NUMBERS]

    @property
    def exit_code(self) -> int:
        """The exit code of the process."""
        return EXIT_CODES[self.verdict]


def _problem_or_skip(unreadable: UnreadableError, code: str) -> Problem | Skip:
    if unreadable.rule == code:
        return Problem(unreadable.path, unreadable.message)
    return Skip(f"{bounded_line(str(unreadable.path))} cannot be used, see {unreadable.rule}")


ADAPTERS = Scope[AdapterFolder](lambda subject: subject.adapters, "there is no adapter here")

AVS = Scope[AdapterFolder](
    lambda subject: [each for each in subject.adapters if each.role == "av"], "there is no AV here"
)

ARS = Scope[AdapterFolder](
    lambda subject: [each for each in subject.adapters if each.role == "ar"], "there is no AR here"
)

ON_BASE = Scope[AdapterOnBase](
    lambda subject: [AdapterOnBase(each, subject) for each in subject.adapters], ADAPTERS.absent
)

AVS_ON_BASE = Scope[AdapterOnBase](
    lambda subject: [each for each in ON_BASE.targets(subject) if each.adapter.role == "av"],
    AVS.absent,
)

PAIRS = Scope[tuple[AdapterFolder, AdapterFolder]](
    lambda subject: subject.pairs, "AV and AR are not both here"
)

REPOSITORIES = Scope[AdapterFolder](
    lambda subject: subject.rendered, "nothing is rendered yet: run nla-release render"
)

# A repository, and the whole subject.
RENDERINGS = Scope[tuple[AdapterFolder, Subject]](
    lambda subject: [(each, subject) for each in subject.rendered], REPOSITORIES.absent
)

# A release, and the repositories rendered from it.
RELEASES = Scope[tuple[Release, tuple[AdapterFolder, ...]]](
    lambda subject: [(subject.release, subject.rendered)] if subject.release else [],
    f"there is no {RELEASE_FILE} here",
)

# The whole subject, for rules that compare its repositories with each other or release.yaml.
RENDERED = Scope[Subject](
    lambda subject: [subject] if subject.rendered else [], REPOSITORIES.absent
)

MEASUREMENTS = Scope[MeasurementFolder](
    lambda subject: subject.measurements, "there is no evidence yet: run nla-release roundtrip"
)

# Copies would only repeat the findings; NLA610 checks that they are copies.
MEASURED = Scope[MeasurementFolder](lambda subject: subject.measurements[:1], MEASUREMENTS.absent)

COPIES = Scope[tuple[MeasurementFolder, MeasurementFolder]](
    lambda subject: [(subject.measurements[0], copy) for copy in subject.measurements[1:]],
    "there are no copies of the evidence here",
)

SUBJECT = Scope[Subject](lambda subject: [subject], "there is nothing here")
