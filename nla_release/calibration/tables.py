"""The tables of a calibration, for card, terminal and report; and all of them as plain text.

The text may quote explanations, which are untrusted: each output escapes it in its own way.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from nla_release.calibration.contamination import contamination_sentence
from nla_release.calibration.multiplicity import tried_sentence
from nla_release.calibration.questions import questions
from nla_release.calibration.report import CurrentCalibration, Denominators, Probes
from nla_release.diagnostics import registered
from nla_release.diagnostics.model import Diagnostic
from nla_release.statistics.blocks import Inconclusive, Ranking
from nla_release.statistics.row import HEADER, Row
from nla_release.text.numbers import count

_RIGHT = ("value", "difference", "n")


@dataclass(frozen=True)
class DiagnosticTable:
    """One diagnostic: its rows, each with its control, and its sentences."""

    title: str
    meaning: str
    rows: list[Row]
    sentences: list[str]


def measured(probes: Probes) -> Iterator[tuple[Diagnostic[Any], Any]]:
    """Each diagnostic with numbers, and its report."""
    for each in registered():
        if isinstance(report := getattr(probes, each.key), each.records):
            yield each, report


def tables(probes: Probes) -> list[DiagnosticTable]:
    """One table per diagnostic with numbers."""
    return [
        DiagnosticTable(
            each.title.capitalize(),
            each.meaning,
            list(each.rows(report)),
            list(each.sentences(report)),
        )
        for each, report in measured(probes)
    ]


def without_numbers(probes: Probes, quoted: Callable[[str], str] = str) -> list[str]:
    """The diagnostics without numbers, each with its reason as `quoted` writes it."""
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
    """Every ranking, by name."""
    return {
        name: ranking
        for each, report in measured(probes)
        for name, ranking in each.rankings(report).items()
    }


def calibration_table(calibration: CurrentCalibration) -> str:
    """The calibration as aligned text, without a final newline."""
    asked = questions(calibration)
    measured = tables(calibration.probes)
    blocks = iter(_blocks([each.rows for each in asked]))
    parts = [denominators_line(calibration.denominators)]
    for each in asked:
        lines = next(blocks)
        parts.append("\n".join([f"{each.question} {each.grade.capitalize()}.", *lines]))
    for table in measured:
        (lines,) = _blocks([table.rows])
        parts.append("\n".join([f"{table.title}: {table.meaning}", *lines, *table.sentences]))
    if without := without_numbers(calibration.probes):
        parts.append("\n".join(without))
    known = [contamination_sentence(calibration.contamination)]
    if tried := calibration.multiplicity:
        known.append(tried_sentence(tried))
    parts.append("\n".join(known))
    parts.append(calibration.label.sentence)
    return "\n\n".join(parts)


def denominators_line(denominators: Denominators) -> str:
    """The number of activations by outcome, on one line."""
    return (
        f"{count(denominators.rows, 'activation')}: {denominators.ok} explained,"
        f" {denominators.empty} empty, {denominators.truncated} truncated,"
        f" {denominators.unparsed} without tags"
    )


def _blocks(tables: list[list[Row]]) -> list[list[str]]:
    """Each table as lines, all with the same column widths."""
    cells = [[HEADER, *(row.cells for row in rows)] if rows else [] for rows in tables]
    every = [line for table in cells for line in table] or [HEADER]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    return [[_aligned(line, widths) for line in table] for table in cells]


def _aligned(line: tuple[str, ...], widths: list[int]) -> str:
    shown = (
        cell.rjust(width) if name in _RIGHT else cell.ljust(width)
        for name, cell, width in zip(HEADER, line, widths, strict=True)
    )
    return f"  {'  '.join(shown)}".rstrip()
