"""What was measured, diagnostic by diagnostic, for every output: card, terminal and report.

Everything is plain text. Explanations may be quoted in it, so each output makes it harmless in its
own way.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from nla_release.calibration.report import Probes
from nla_release.diagnostics import registered
from nla_release.diagnostics.model import Diagnostic
from nla_release.statistics.blocks import Inconclusive, Ranking
from nla_release.statistics.row import Row


@dataclass(frozen=True)
class Table:
    """One diagnostic: its numbers, each next to its control, and what follows from them."""

    title: str
    meaning: str
    rows: list[Row]
    sentences: list[str]


def measured(probes: Probes) -> Iterator[tuple[Diagnostic[Any], Any]]:
    """Each diagnostic that gives numbers, with its report."""
    for each in registered():
        if isinstance(report := getattr(probes, each.key), each.records):
            yield each, report


def tables(probes: Probes) -> list[Table]:
    """One per diagnostic that gives numbers."""
    return [
        Table(
            each.title.capitalize(),
            each.meaning,
            list(each.rows(report)),
            list(each.sentences(report)),
        )
        for each, report in measured(probes)
    ]


def without_numbers(probes: Probes, quoted: Callable[[str], str] = str) -> list[str]:
    """Which diagnostics give no number, each with its reason as `quoted` writes it."""
    why: dict[str, list[str]] = {}
    absent = []
    for each in registered():
        match getattr(probes, each.key):
            case Inconclusive(inconclusive=reason):
                why.setdefault(reason, []).append(each.title)
            case None:
                absent.append(each.title)
    said = [
        f"{', '.join(titles).capitalize()}: inconclusive, {quoted(reason)}."
        for reason, titles in why.items()
    ]
    return [*said, *([f"Not run: {', '.join(absent)}."] if absent else [])]


def rankings(probes: Probes) -> dict[str, Ranking]:
    """Every ranking, by what was retrieved."""
    return {
        name: ranking
        for each, report in measured(probes)
        for name, ranking in each.rankings(report).items()
    }
