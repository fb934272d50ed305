"""The numbers of diagnostics that prose may state, and where: with the name of their diagnostic."""

import re
from collections.abc import Iterable, Iterator

from nla_release.calibration.report import Probes
from nla_release.calibration.tables import measured
from nla_release.diagnostics import registered
from nla_release.statistics.row import Row
from nla_release.text.quantity import Metric, Quantity

# The metric under which prose states a number of calibration.json, by the start of its name.
METRICS: dict[str, tuple[Metric, ...]] = {
    **{
        f"probes.{each.key}.{start}": metrics
        for each in registered()
        for start, metrics in each.metrics.items()
    },
    "contamination.clean": ("cosine",),
    "contamination": ("diversity",),
    "multiplicity": ("count",),
}

# Texts that are compared within a document, between documents, or at one token.
_COMPARED = (
    r"same\s(?:document|token)|other\sdocuments?|rows?\s(?:of\s(?:one|the|its)\sdocument|apart)"
    r"|documents?\sapart"
)

# How prose names a part of calibration.json next to the headline, by the start of its name.
_NAMED = {
    part: re.compile(rf"\b(?:{words})", re.IGNORECASE)
    for part, words in {
        **{f"probes.{each.key}": each.mentioned for each in registered()},
        "energy": r"energy|dimensions?\b",
        "centred": r"cent(?:r|er)ed",
        "contrasts": rf"cent(?:r|er)ed|{_COMPARED}",
        "plain_contrasts": _COMPARED,
        "contamination": r"contaminat|training\s(?:document|text)|trained\son|overlap|shared?\b",
        "multiplicity": r"attempts?\b|tried|checkpoints?\b|intervals?\b|multiplicity",
    }.items()
}


def part_of(name: str) -> str | None:
    """The diagnostic, or other part, that a number of calibration.json belongs to."""
    return next((part for part in _NAMED if name.startswith(f"{part}.")), None)


def spoken_of(text: str, known: Iterable[Quantity]) -> list[Quantity]:
    """The numbers that a text may state: the headline's, and those of the parts that it names."""
    parts = {None, *(part for part, words in _NAMED.items() if words.search(text))}
    return [each for each in known if each.part in parts]


def of_diagnostics(probes: Probes) -> Iterator[Quantity]:
    """What a card derives from the diagnostics, and prose may."""
    for each, report in measured(probes):
        part = f"probes.{each.key}"
        for metric in {metric for metrics in each.metrics.values() for metric in metrics}:
            for row in each.rows(report):
                yield from _of_row(metric, part, row)
            for value in each.stated(report):
                yield Quantity(metric, part, value, derived=True, part=part)


def _of_row(metric: Metric, part: str, row: Row) -> Iterator[Quantity]:
    name = f"{part}: {row.name}"
    for value in (row.value, row.baseline, row.difference):
        if value is not None:
            yield Quantity(metric, name, value, derived=True, part=part)
            yield Quantity(metric, name, -value, derived=True, part=part)
    for bound in row.interval or ():
        end = f"{name}, an end of the interval"
        yield Quantity(metric, end, bound, derived=True, edge=True, part=part)
