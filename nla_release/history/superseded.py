"""What documents say of addenda: the numbers that are superseded next to those that are valid.

Two generated blocks: `addendum` on a card says where its numbers come from, `addenda` on
RELEASE_CALIBRATION.md tells every addendum. Both are computed from the records, and from the
calibrations and runs that were superseded.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from nla_release.calibration.questions import questions
from nla_release.calibration.report import CONTROL_NAMES, Calibration, CurrentCalibration
from nla_release.evidence.controls import CONTROLS
from nla_release.evidence.records import Run
from nla_release.evidence.settings import differing, run_settings
from nla_release.history.addenda import Addendum
from nla_release.text.numbers import interval, number, signed
from nla_release.text.sandbox import render_template

ADDENDUM = "addendum"
ADDENDA = "addenda"

# A shortened hash tells that something is another, and run.json which.
_SHOWN_OF_A_HASH = 12

_Cells = tuple[str, str, str, str, str]


def addendum_block(addenda: Sequence[Addendum]) -> dict[str, str]:
    """The block of a card by its name; nothing when nothing was added."""
    if not addenda:
        return {}
    text = render_template("blocks/addendum.md.jinja", _told(addenda[-1]))
    return {ADDENDUM: text.strip()}


def addenda_block(addenda: Sequence[Addendum]) -> dict[str, str]:
    """The block of RELEASE_CALIBRATION.md by its name; nothing when nothing was added."""
    if not addenda:
        return {}
    told = [_told(each) | {"stands": each is addenda[-1]} for each in addenda]
    return {ADDENDA: render_template("blocks/addenda.md.jinja", {"addenda": told}).strip()}


def _told(addendum: Addendum) -> dict[str, Any]:
    """One addendum, for a template."""
    former, added = addendum.former.calibration, addendum.added.calibration
    runs = addendum.former.run, addendum.added.run
    asked, asked_before = added.denominators, former.denominators
    return {
        "record": _named(addendum),
        "former": asked_before.model_dump(),
        "added": asked.model_dump(),
        "fewer": asked.rows < asked_before.rows,
        "labels": (former.label.name, added.label.name),
        "sentence": added.label.sentence,
        "figures": list(_figures(former, added)),
        "diagnostics": _diagnostics(*runs),
        "settings": [
            (each.setting, *(_short(value) for value in each.values))
            for each in differing([run_settings(run) for run in runs])
        ],
    }


def _named(addendum: Addendum) -> dict[str, Any]:
    """A record with the names that follow from it."""
    record = addendum.record
    return record.model_dump(mode="json") | {
        "name": record.name,
        "former_name": record.former_name,
        "sentence": record.text if record.text.endswith((".", "!", "?")) else f"{record.text}.",
    }


def _figures(former: Calibration, added: Calibration) -> Iterator[tuple[str, _Cells, _Cells]]:
    """Every metric beside its control: its name, the cells that are superseded, and the new."""
    before, after = dict(_cells(former)), dict(_cells(added))
    absent = ("not measured", "-", "-", "-", "-")
    for key in dict.fromkeys([*after, *before]):
        yield key, before.get(key, absent), after.get(key, absent)


def _cells(calibration: Calibration) -> Iterator[tuple[str, _Cells]]:
    """By metric and control: value, control, difference, interval of the difference, n."""
    if isinstance(calibration, CurrentCalibration):
        yield from _contrasts(calibration)
    for name in CONTROL_NAMES:
        if control := calibration.controls.get(name):
            yield (
                f"Plain cosine, against {CONTROLS[name].words}",
                (
                    number(calibration.cosine.mean),
                    number(control.mean),
                    signed(control.difference),
                    interval(control.interval),
                    str(control.n),
                ),
            )
    for words, fve in (("FVE", calibration.fve), ("FVE, mean-norm", calibration.fve_mean_norm)):
        value = number(fve.value)
        cells = (value, "0", signed(fve.value), interval(fve.interval), str(fve.n))
        yield f"{words}, against the mean", cells
    found, asked = calibration.retrieval, calibration.denominators
    alone = asked.documents / asked.rows
    yield (
        "Own activation is the nearest of all (top-1), against knowing the document",
        (
            f"{found.hits}/{found.n} = {number(found.top1)}",
            f"{number(alone)} (chance {number(found.chance)}, 1 in {found.candidates})",
            signed(found.top1 - alone),
            interval(found.above_document_interval),
            str(found.n),
        ),
    )


def _contrasts(calibration: CurrentCalibration) -> Iterator[tuple[str, _Cells]]:
    """The rows that decide the label, which calibrations of older formats do not have."""
    apart, read, _ = questions(calibration)
    for row in (*apart.rows, read.rows[0]):
        if "top-1" not in row.name:  # below, as every format has it
            yield (
                f"{row.name}, against {row.control}",
                (
                    row.shown,
                    number(row.baseline),
                    signed(row.difference),
                    interval(row.interval),
                    str(row.n),
                ),
            )


def _diagnostics(former: Run, added: Run) -> list[str]:
    """Diagnostics that only one of two runs has."""
    return [
        f"{words} {', '.join(sorted(names))}"
        for words, names in (
            ("New:", added.probed - former.probed),
            ("Not run again:", former.probed - added.probed),
        )
        if names
    ]


def _short(value: str | None) -> str:
    if value is None:
        return "not recorded"
    hashed = len(value) == 64 and not value.strip("0123456789abcdef")
    return f"{value[:_SHOWN_OF_A_HASH]}..." if hashed else value
