"""The generated parts of the cards and of RELEASE_CALIBRATION.md, between markers.

`expected_blocks` and `expected_page_blocks` compute every block. `render` writes them; `check`
computes them again and compares. So a number that was edited by hand, or that belongs to another
calibration, is found. `generated_blocks` finds the blocks of a document.

The sources are calibration.json, the evidence, HISTORY.md, the evidence updates in addenda/,
comparison.json, and the waivers and thresholds of release.yaml.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nla_release.calibration.comparison import Comparison
from nla_release.calibration.contamination import contamination_sentence
from nla_release.calibration.label import CONDITIONS, clauses
from nla_release.calibration.multiplicity import adjusted_sentence, tried_sentence
from nla_release.calibration.questions import questions
from nla_release.calibration.report import CurrentCalibration
from nla_release.calibration.tables import tables, without_numbers
from nla_release.cards.compared import comparison_block, readers_block
from nla_release.cards.sentences import limitations, shown
from nla_release.diagnostics.ceiling import Ceiling
from nla_release.diagnostics.text_controls import TextControls
from nla_release.errors import InputError
from nla_release.evidence.parts import Evidence
from nla_release.evidence.runs import Headline, RunLog, Started
from nla_release.history.log import HistoryEntry
from nla_release.history.retractions import retracted_block, retracted_version_block
from nla_release.history.updates import EvidenceUpdate, last_update_block, updates_block
from nla_release.release.config import Gates, Waiver
from nla_release.statistics.row import HEADER
from nla_release.text.markdown import code_cell, inline
from nla_release.text.numbers import number, signed
from nla_release.text.sandbox import render_template

# The blocks of each document, but for the diagnostics', which a calibration of format 1 lacks.
CARD_NAMES = ("label", "shows", "calibration", "limitations")

PAGE_NAMES = ("label", "shows", "rule", "calibration", "gaps")

PROBES = "probes"

TABLES = "tables"

# What a card says shorter than RELEASE_CALIBRATION.md, under the same name.
_SHORT = {"calibration": "headline"}

_MARKER = re.compile(r"^<!-- nla-release:(begin|end) ([a-z]+) -->$", re.MULTILINE)

RUNS = "runs"

RUNS_HEADER = (
    "run",
    "started",
    "weights",
    "rows",
    "documents",
    "seed",
    "outcome",
    "cosine",
    "centred: own, same document, others",
    "label",
)

MOST_RUNS = 40


@dataclass(frozen=True)
class Gap:
    """One row of the table of gaps: a measurement, what it is compared with, the difference."""

    what: str
    here: str
    against: str
    gap: str
    n: int


def expected_blocks(
    calibration: CurrentCalibration,
    log: Sequence[HistoryEntry] = (),
    updates: Sequence[EvidenceUpdate] = (),
    version: str | None = None,
    comparison: Comparison | None = None,
) -> dict[str, str]:
    """The text between the markers of every generated block of a card, by name.

    Args:
        calibration: which the numbers are from.
        log: HISTORY.md; when it retracts anything, there is a block that says so.
        updates: to this version; when there is one, a block names the last.
        version: of the card; when the log withdraws it, there is a block for the top.
        comparison: with other releases; when several ARs read its claims, a block says what.
    """
    blocks = _blocks(CARD_NAMES, calibration, _SHORT)
    if calibration.multiplicity:
        blocks |= _block(
            PROBES,
            {
                "contamination": contamination_sentence(calibration.contamination),
                "tried": tried_sentence(calibration.multiplicity),
            },
        )
    later = (
        retracted_block(log) | retracted_version_block(log, version) | last_update_block(updates)
    )
    return blocks | later | readers_block(comparison)


def expected_page_blocks(
    calibration: CurrentCalibration,
    log: Sequence[HistoryEntry] = (),
    updates: Sequence[EvidenceUpdate] = (),
    comparison: Comparison | None = None,
    evidence: Evidence | None = None,
) -> dict[str, str]:
    """The same for RELEASE_CALIBRATION.md, which has the diagnostics in full.

    Args:
        calibration: with the numbers.
        log: HISTORY.md, for the list of what was retracted.
        updates: the evidence updates of this version, oldest first.
        comparison: with other releases.
        evidence: for the table of recorded runs; without it there is no such block.
    """
    blocks = _blocks(PAGE_NAMES, calibration, {})
    if calibration.multiplicity:
        found = [
            asdict(table) | {"rows": [row.cells for row in table.rows]}
            for table in tables(calibration.probes)
        ]
        remarks = [
            *without_numbers(calibration.probes, quoted=code_cell),
            inline(contamination_sentence(calibration.contamination)),
            inline(adjusted_sentence(calibration.multiplicity)),
        ]
        blocks |= _block(TABLES, {"header": HEADER, "tables": found, "remarks": remarks})
    later = retracted_block(log) | updates_block(updates) | comparison_block(comparison)
    return blocks | later | (runs_block(evidence) if evidence else {})


def _blocks(
    names: Sequence[str], calibration: CurrentCalibration, templates: Mapping[str, str]
) -> dict[str, str]:
    """Blocks by name; `templates` names the template of those that have another name."""
    context = {
        "calibration": calibration.model_dump(mode="json", by_alias=True),
        "clauses": [asdict(clause) for clause in clauses(calibration)],
        "header": HEADER,
        "questions": [
            asdict(each)
            | {"rows": [row.cells for row in each.rows], "more": [row.cells for row in each.more]}
            for each in questions(calibration)
        ],
        "limitations": limitations(calibration),
        "conditions": CONDITIONS,
        "gaps": [asdict(gap) for gap in gaps(calibration)],
        **asdict(shown(calibration)),
    }
    blocks: dict[str, str] = {}
    for name in names:
        blocks |= _block(name, context, templates.get(name))
    return blocks


def _block(name: str, context: Mapping[str, Any], template: str | None = None) -> dict[str, str]:
    return {name: render_template(f"blocks/{template or name}.md.jinja", context).strip()}


def runs_block(evidence: Evidence) -> dict[str, str]:
    """The block by its name: a table of the last runs, or that runs were not recorded."""
    text = render_template("blocks/runs.md.jinja", {"header": RUNS_HEADER, "runs": _rows(evidence)})
    return {RUNS: text.strip()}


def _rows(evidence: Evidence) -> list[tuple[str, ...]]:
    return [(*cells, inline(label)) for *cells, label in recorded_runs(evidence)]


def recorded_runs(evidence: Evidence) -> list[tuple[str, ...]]:
    """The last runs of the log as plain text, a cell for each column of `RUNS_HEADER`."""
    if evidence.runs is None:
        return []
    log, files = evidence.runs, evidence.run.files
    shown = log.started[-MOST_RUNS:]
    first = len(log.started) - len(shown) + 1
    return [_cells(log, position, run, files) for position, run in enumerate(shown, start=first)]


def _cells(log: RunLog, position: int, run: Started, files: dict[str, str]) -> tuple[str, ...]:
    finished = log.finished(run.run)
    found = finished.headline if finished else None
    return (
        str(position),
        run.time,
        "these" if run.pair == files else "others",
        f"{run.rows.asked} of {run.rows.available or 'unknown'}",
        f"{run.documents.asked} of {run.documents.available or 'unknown'}",
        str(run.seed),
        log.outcome(run.run),
        number(found.cosine) if found else "-",
        _centred(found),
        found.label if found else "-",
    )


def _centred(found: Headline | None) -> str:
    if found is None:
        return "-"
    values = (found.own, found.same_document, found.other_documents)
    return ", ".join("-" if value is None else number(value) for value in values)


def gaps(calibration: CurrentCalibration) -> list[Gap]:
    """How far the pair falls short, by the numbers that were measured; no other pair is compared.

    There is no row where the pair is as good as its comparison, or better.
    """
    return [*_of_reading(calibration), *_of_retrieval(calibration), *_of_failures(calibration)]


def _of_reading(calibration: CurrentCalibration) -> Iterator[Gap]:
    centred, fve = calibration.centred, calibration.fve
    read = calibration.probes.of(TextControls)
    for own, control, words in (
        (centred.mean, centred.controls.get("gold_text"), "the labelled explanation"),
        (
            read.real if read else None,
            read.controls.get("source_text") if read else None,
            "the source text itself",
        ),
    ):
        if control and control.difference < 0:
            yield Gap(
                "Centred cosine",
                number(own),
                f"{number(control.mean)}: {words}, read by this AR",
                signed(control.difference),
                control.n,
            )
    if fve.value is not None:
        yield Gap(
            "Variance explained (FVE)",
            number(fve.value),
            "1: a perfect reconstruction",
            signed(fve.value - 1),
            fve.n,
        )


def _of_retrieval(calibration: CurrentCalibration) -> Iterator[Gap]:
    found = calibration.retrieval
    if found.hits < found.n:
        yield Gap(
            "Own activation retrieved",
            f"{found.hits}/{found.n} = {number(found.top1)}",
            f"{found.n}/{found.n} = 1: every one",
            signed(found.top1 - 1),
            found.n,
        )
    raw = calibration.probes.of(Ceiling)
    if raw and raw.nearest_of_reconstructions.hits < raw.nearest.hits:
        seen, near = raw.nearest_of_reconstructions, raw.nearest
        yield Gap(
            "Nearest other activation is of the same document",
            f"{seen.hits}/{seen.n} = {number(seen.share)}",
            f"{near.hits}/{near.n} = {number(near.share)}: the raw activation itself",
            signed(seen.share - near.share),
            seen.n,
        )


def _of_failures(calibration: CurrentCalibration) -> Iterator[Gap]:
    asked = calibration.denominators
    if asked.ok < asked.rows:
        yield Gap(
            "Activations explained",
            f"{asked.ok}/{asked.rows} = {number(asked.ok / asked.rows)}",
            f"{asked.rows}/{asked.rows} = 1: every one",
            signed(asked.ok / asked.rows - 1),
            asked.rows,
        )


def waivers_section(waivers: Sequence[Waiver]) -> str:
    """Markdown for the limitations; empty without waivers. A check finds it again on the card."""
    if not waivers:
        return ""
    listed = [waiver.model_dump(mode="json") for waiver in waivers]
    return render_template("blocks/waivers.md.jinja", {"waivers": listed}).strip()


def loosened_section(gates: Gates) -> str:
    """Markdown for the limitations; empty at the defaults. A check finds it again on the card."""
    if not gates.loosened:
        return ""
    changed = "; ".join(
        f"`{name}` is {value:g} (default {usual:g})"
        for name, (value, usual) in gates.loosened.items()
    )
    return (
        "**The gate was loosened for this release.** Its author changed these thresholds of"
        f" `nla-release check`: {changed}. The numbers and the label do not depend on them."
    )


def marked(name: str, text: str) -> str:
    """A block between its markers, which are comments that no reader sees."""
    return f"<!-- nla-release:begin {name} -->\n{text}\n<!-- nla-release:end {name} -->"


def generated_blocks(readme: str) -> dict[str, str]:
    """The text between the markers found in a README, by name.

    Raises:
        InputError: a block is opened twice, nested, or left open.
    """
    return {name: readme[place].strip() for name, place in block_places(readme).items()}


def regenerated(readme: str, blocks: Mapping[str, str]) -> str:
    """The README with these texts between its markers; a block that it lacks is not added.

    Raises:
        InputError: a block is opened twice, nested, or left open.
    """
    places = block_places(readme)
    for name in sorted(places.keys() & blocks, key=lambda name: places[name].start, reverse=True):
        place = places[name]
        if readme[place].strip() != blocks[name]:
            readme = f"{readme[: place.start]}\n{blocks[name]}\n{readme[place.stop :]}"
    return readme


def marker_lines(readme: str) -> list[tuple[int, str]]:
    """Each marker's line, counted from 1, and the name of its block."""
    return [
        (readme.count("\n", 0, marker.start()) + 1, marker[2])
        for marker in _MARKER.finditer(readme)
    ]


def block_places(readme: str) -> dict[str, slice]:
    """Where each block's text stands, from the end of one marker to the start of the other.

    Raises:
        InputError: a block is opened twice, nested, or left open.
    """
    places: dict[str, slice] = {}
    opened: re.Match[str] | None = None
    for marker in _MARKER.finditer(readme):
        kind, name = marker.groups()
        if kind == "begin" and opened is None and name not in places:
            opened = marker
        elif kind == "end" and opened is not None and opened[2] == name:
            places[name] = slice(opened.end(), marker.start())
            opened = None
        else:
            raise InputError(f"the generated block {name!r} is out of place: {marker[0]}")
    if opened is not None:
        raise InputError(f"the generated block {opened[2]!r} is never closed")
    return places
