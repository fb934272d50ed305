"""NLA104 and NLA619: waivers of rules, and thresholds that are less strict than the defaults.

Waivers are in release.yaml only. A repository that is checked without it, as anyone can download
it, is checked without waivers; its card lists them.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from nla_release.cards.blocks import loosened_section, waivers_section
from nla_release.errors import ConfigError
from nla_release.gate.adapter_folder import AdapterFolder
from nla_release.gate.findings import Problem
from nla_release.gate.model import RELEASES, Outcome, Rule, rule
from nla_release.io.layout import CARD_FILE, RELEASE_FILE
from nla_release.release.config import Waiver
from nla_release.release.folder import Release

LONGEST = timedelta(days=366)


def waivers_current(rules: Callable[[], Sequence[Rule]]) -> Rule:
    """NLA104, which needs the list of all rules, itself included."""

    @rule(
        "NLA104",
        "error",
        "waivers name known rules, are not expired, and are on the card",
        each=RELEASES,
    )
    def check(target: tuple[Release, tuple[AdapterFolder, ...]]) -> Iterator[Problem]:
        """Each waiver against the existing rules, today's date, and the cards.

        Checks: Each waiver in release.yaml names a rule that exists and can be waived. Its date
            `until` (UTC, or the date of SOURCE_DATE_EPOCH) is not past and at most a year ahead.
            Every rendered card lists it.
        Why: An exception without an end outlives its reason. One that only its author knows
            misleads everyone else: SolshineCode/nla-gemma-4-e2b left 8 of 50 failed rows out of its
            mean.
        Fix: Fix what the rule found and remove the waiver, or set a new date with a reason that
            still holds. Then run `nla-release render`. A rule whose page says `Never` cannot be
            waived, because other rules depend on it or the release is useless without it. A
            measurement that is too small cannot be waived either.
        Example: the waiver of NLA605 ended on 2026-06-30
        Waive: Never: it would waive the end of every waiver.
        """
        release, repositories = target
        path, known = release.folder / RELEASE_FILE, {each.code: each for each in rules()}
        for waiver in release.config.waivers:
            waived = known.get(waiver.code)
            if waived is None:
                yield Problem(path, f"there is no rule {waiver.code} to waive")
            elif not can_be_waived(waived):
                yield Problem(
                    path, f"the waiver of {waiver.code} is not allowed: {_why_not(waived)}"
                )
            elif today() > waiver.until:
                yield Problem(path, f"the waiver of {waiver.code} ended on {waiver.until}")
            elif not is_current(waiver):
                yield Problem(
                    path,
                    f"the waiver of {waiver.code} ends on {waiver.until}, more than a year ahead",
                )
        yield from _not_shown(waivers_section(release.config.waivers), "waivers", repositories)

    return check


def _not_shown(section: str, what: str, repositories: Sequence[AdapterFolder]) -> Iterator[Problem]:
    """The cards that lack a section."""
    for adapter in repositories if section else ():
        if section not in adapter.text(CARD_FILE):
            yield Problem(
                adapter.folder / CARD_FILE,
                f"does not show the {what} of release.yaml: run nla-release render again",
                severity="error",
            )


def apply_waivers(outcome: Outcome, waivers: Sequence[Waiver]) -> Outcome:
    """The outcome, with the waiver that covers its findings, if there is one."""
    for waiver in waivers:
        applies = waiver.code == outcome.rule.code and is_current(waiver)
        if applies and outcome.findings and can_be_waived(outcome.rule):
            return replace(outcome, waiver=waiver)
    return outcome


def can_be_waived(failed: Rule) -> bool:
    """Whether findings of a rule may be waived, for a time and with a reason."""
    return not failed.inconclusive and not failed.page.forbids_waivers


def _why_not(failed: Rule) -> str:
    """Why findings of a rule may never be waived."""
    if failed.page.forbids_waivers:
        return f"its page says {failed.page.waive}"
    return "no waiver replaces a measurement"


def is_current(waiver: Waiver) -> bool:
    """Whether the last day of a waiver is not past, and at most a year ahead."""
    return today() <= waiver.until <= today() + LONGEST


def today() -> date:
    """The UTC date, or the one that SOURCE_DATE_EPOCH sets (reproducible-builds.org).

    Raises:
        ConfigError: SOURCE_DATE_EPOCH is not a number of seconds.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        return datetime.now(UTC).date()
    try:
        return datetime.fromtimestamp(int(epoch), UTC).date()
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigError(
            f"SOURCE_DATE_EPOCH is {epoch!r}, not a number of seconds since 1970",
            hint="unset it, or set it as reproducible-builds.org says",
        ) from error


@rule(
    "NLA619",
    "warning",
    "thresholds are not lower than the defaults, or the card says so",
    each=RELEASES,
)
def loosened_gates_shown(target: tuple[Release, tuple[AdapterFolder, ...]]) -> Iterator[Problem]:
    """Each loosened gate, then the cards that do not list it.

    Checks: No threshold under gates in release.yaml is less strict than its default. A less strict
        one is a warning, and every rendered card must name it among the limitations; a card that
        does not is an error.
    Why: A verdict is only as good as its thresholds: one of SolshineCode's gates passed a pair with
        a single text in 68 rows.
    Fix: Remove the gate from release.yaml, or keep it and let the warning stand. Then run
        `nla-release render`.
    Example: gates.max_failed is 0.4, less strict than the default 0.2
    Waive: Never: the warning stops no release, and readers see it.
    """
    release, repositories = target
    for name, (value, usual) in release.config.gates.loosened.items():
        yield Problem(
            release.folder / RELEASE_FILE,
            f"gates.{name} is {value:g}, less strict than the default {usual:g}",
        )
    yield from _not_shown(loosened_section(release.config.gates), "loosened gates", repositories)
