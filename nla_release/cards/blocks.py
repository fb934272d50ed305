"""The generated parts of a card: rendered from results alone, and found again by markers.

All come from calibration.json, but for the list of retracted numbers, which is HISTORY.md's.

A check renders `expected_blocks` again and compares them with the `generated_blocks` of a README,
so a number that was edited by hand, or that comes from another calibration, cannot stay.
"""

import re
from collections.abc import Mapping, Sequence

from nla_release.calibration.report import Calibration
from nla_release.cards.environment import render_template
from nla_release.cards.history import Entry
from nla_release.cards.retractions import retracted_block
from nla_release.cards.sentences import limitations
from nla_release.errors import InputError

NAMES = ("label", "calibration", "limitations")

_MARKER = re.compile(r"^<!-- nla-release:(begin|end) ([a-z]+) -->$", re.MULTILINE)


def expected_blocks(calibration: Calibration, log: Sequence[Entry] = ()) -> dict[str, str]:
    """The text between the markers of every generated block, by name.

    Args:
        calibration: which the numbers are from.
        log: HISTORY.md; when it retracts a number, there is a block that says so.
    """
    context = {
        "calibration": calibration.model_dump(mode="json", by_alias=True),
        "limitations": limitations(calibration),
    }
    blocks = {name: render_template(f"blocks/{name}.md.jinja", context).strip() for name in NAMES}
    return blocks | retracted_block(log)


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
