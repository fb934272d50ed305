"""The generated parts of both documents: rendered from results alone, found again by markers.

All come from calibration.json, but for what was retracted, which HISTORY.md tells, and for what
addenda say of the numbers that they superseded, and what comparison.json says of other releases.

A check renders `expected_blocks` and `expected_page_blocks` again and compares them with the
`generated_blocks` of both documents, so a number that was edited by hand, or that comes from
another calibration, cannot stay.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nla_release.calibration.comparison import Comparison
from nla_release.calibration.contamination import contamination_sentence
from nla_release.calibration.label import CONDITIONS, clauses
from nla_release.calibration.multiplicity import tried_sentence
from nla_release.calibration.questions import questions
from nla_release.calibration.report import CurrentCalibration
from nla_release.calibration.tables import tables, without_numbers
from nla_release.cards.compared import comparison_block, readers_block
from nla_release.cards.gaps import gaps
from nla_release.cards.sentences import limitations
from nla_release.cards.shown import shown
from nla_release.errors import InputError
from nla_release.history.addenda import Addendum
from nla_release.history.log import Entry
from nla_release.history.retractions import retracted_block, withdrawn_block
from nla_release.history.superseded import addenda_block, addendum_block
from nla_release.statistics.row import HEADER
from nla_release.text.markdown import code_cell, inline
from nla_release.text.sandbox import render_template

# The blocks of each document, but for the diagnostics', which a calibration of format 1 lacks.
CARD_NAMES = ("label", "shows", "calibration", "limitations")
PAGE_NAMES = ("label", "shows", "rule", "calibration", "gaps")
PROBES = "probes"
TABLES = "tables"

# What a card says shorter than RELEASE_CALIBRATION.md, under the same name.
_SHORT = {"calibration": "headline"}

_MARKER = re.compile(r"^<!-- nla-release:(begin|end) ([a-z]+) -->$", re.MULTILINE)


def expected_blocks(
    calibration: CurrentCalibration,
    log: Sequence[Entry] = (),
    addenda: Sequence[Addendum] = (),
    version: str | None = None,
    comparison: Comparison | None = None,
) -> dict[str, str]:
    """The text between the markers of every generated block of a card, by name.

    Args:
        calibration: which the numbers are from.
        log: HISTORY.md; when it retracts anything, there is a block that says so.
        addenda: to this version; when there is one, a block names the last.
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
    later = retracted_block(log) | withdrawn_block(log, version) | addendum_block(addenda)
    return blocks | later | readers_block(comparison)


def expected_page_blocks(
    calibration: CurrentCalibration,
    log: Sequence[Entry] = (),
    addenda: Sequence[Addendum] = (),
    comparison: Comparison | None = None,
) -> dict[str, str]:
    """The same of RELEASE_CALIBRATION.md, which has the diagnostics in full."""
    blocks = _blocks(PAGE_NAMES, calibration, {})
    if calibration.multiplicity:
        found = [
            asdict(table) | {"rows": [row.cells for row in table.rows]}
            for table in tables(calibration.probes)
        ]
        remarks = [
            *without_numbers(calibration.probes, quoted=code_cell),
            inline(contamination_sentence(calibration.contamination)),
            inline(calibration.multiplicity.note),
        ]
        blocks |= _block(TABLES, {"header": HEADER, "tables": found, "remarks": remarks})
    return blocks | retracted_block(log) | addenda_block(addenda) | comparison_block(comparison)


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
