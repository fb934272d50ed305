"""Evidence updates: new measurements of a published version, and what they supersede.

The folder `addenda/v0.0.1` next to release.yaml, or `addenda` in a repository, has for one version:

* `cal.1.json`, `cal.2.json`, ...: an `EvidenceUpdateRecord` each: what was added, when and why;
* `cal.0/`, `cal.1/`, ...: the superseded calibration.json and evidence, complete, so that every
  superseded number can be computed again.

The evidence of the last update is not in the folder: it is the current calibration.json and
evidence/ of the version.

Every record has the hashes of the evidence that it superseded and of the evidence that it added, so
the records form a chain. HISTORY.md records the hash of every record. So no update can be changed,
removed or inserted unnoticed.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

import nla_release
from nla_release.calibration.questions import questions
from nla_release.calibration.report import (
    CONTROL_NAMES,
    Calibration,
    CurrentCalibration,
    EvidenceHashes,
)
from nla_release.errors import InputError
from nla_release.evidence.controls import CONTROLS
from nla_release.evidence.records import Run, Sha256
from nla_release.evidence.settings import differing, run_settings
from nla_release.history.log import HistoryEntry, Line, NormalVersion, Record, sentence
from nla_release.io.files import dump_json, read_json, sha256_file
from nla_release.io.layout import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    CALIBRATION_FILE,
    HEAD_FILE,
    HISTORY_FILE,
    ROWS_FILE,
    RUN_FILE,
    SIDECAR_FILE,
    VECTORS_FILE,
)
from nla_release.io.schema import Strict, parse
from nla_release.release.folder import tag
from nla_release.release.manifest import Manifest
from nla_release.text.markdown import inline
from nla_release.text.numbers import interval, number, signed
from nla_release.text.sandbox import render_template

# The files of a repository that an evidence update leaves as they are.
UNCHANGED = (ADAPTER_FILE, ADAPTER_CONFIG_FILE, HEAD_FILE, SIDECAR_FILE)

# A bound for untrusted input; no version is measured so often.
MAX_UPDATES = 99

_RECORD_NAME = re.compile(r"cal\.([1-9]\d?)\.json")

_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9._-]")

_ENTRY_ID = re.compile(r"v.*-cal\.[1-9]\d?")

# The generated blocks: on a card the last update, in RELEASE_CALIBRATION.md all of them.
LAST_UPDATE = "addendum"

UPDATES = "addenda"

# A hash is shortened: it shows that two files differ, and run.json has the whole.
_SHOWN_OF_A_HASH = 12

_Cells = tuple[str, str, str, str, str]


def _is_day(text: str) -> str:
    date.fromisoformat(text)
    return text


Day = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$"), AfterValidator(_is_day)]


class SupersededEvidence(Strict):
    """What an update superseded: a calibration, its evidence, and the day it was measured."""

    measured: Day
    calibration_sha256: Sha256
    evidence: EvidenceHashes


class EvidenceUpdateRecord(Strict):
    """The keys of `cal.N.json`.

    `evidence` is what was added. `weights` are the sha256 of the published files that no update
    changes, such as `av/adapter_model.safetensors`.
    """

    schema_: Literal[1] = Field(1, alias="schema")
    tool_version: str = nla_release.__version__
    number: int = Field(ge=1, le=MAX_UPDATES)
    version: NormalVersion
    date: Day
    text: Line
    supersedes: SupersededEvidence
    evidence: EvidenceHashes
    weights: dict[str, Sha256]

    @property
    def name(self) -> str:
        """What was added, such as `cal.1`."""
        return f"cal.{self.number}"

    @property
    def former_name(self) -> str:
        """What it superseded, such as `cal.0`."""
        return f"cal.{self.number - 1}"

    @property
    def tag(self) -> str:
        """The git tag of the version with it, such as `v0.0.1+cal.1`."""
        return f"{tag(self.version)}+{self.name}"

    @property
    def entry_id(self) -> str:
        """The id of its entry in HISTORY.md."""
        return _NOT_IN_AN_ID.sub("_", f"{tag(self.version)}-{self.name}")

    def dump(self) -> str:
        """Its JSON text."""
        return dump_json(self.model_dump(mode="json", by_alias=True))


@dataclass(frozen=True, eq=False)
class EvidenceState:
    """The calibration of a version at one time, and the run that it was computed from."""

    calibration: Calibration
    run: Run


@dataclass(frozen=True, eq=False)
class EvidenceUpdate:
    """A record, the hash of its file, and the state of the evidence before and after it."""

    record: EvidenceUpdateRecord
    sha256: str
    former: EvidenceState
    added: EvidenceState


def unchanged_files(*manifests: Manifest) -> dict[str, str]:
    """The sha256 of every published file that an update leaves as it is, by role and name."""
    return {
        f"{manifest.role}/{name}": manifest.files[name].sha256
        for manifest in manifests
        for name in UNCHANGED
        if name in manifest.files
    }


def changed_files(updates: Sequence[EvidenceUpdate], manifest: Manifest) -> list[str]:
    """The files of one repository that changed although an update must leave them as they are."""
    found = unchanged_files(manifest)
    return sorted(
        {
            name
            for update in updates
            for name, digest in update.record.weights.items()
            if name.startswith(f"{manifest.role}/") and found.get(name) != digest
        }
    )


def read_updates(folder: Path, now: Path) -> list[EvidenceUpdate]:
    """The evidence updates in a folder, in order and checked; none when there is no folder.

    Args:
        folder: of the updates.
        now: where the version's current calibration.json and evidence/ are.

    Raises:
        InputError: a file is missing, damaged, changed or foreign; says which.
    """
    if not folder.exists():
        return []
    names = sorted(path.name for path in folder.iterdir())
    amount = sum(1 for name in names if _RECORD_NAME.fullmatch(name))
    expected = {
        *(f"cal.{number}.json" for number in range(1, amount + 1)),
        *(f"cal.{number}" for number in range(amount)),
    }
    if missing := sorted(expected - {*names}):
        raise InputError(f"{folder / missing[0]} is missing")
    if foreign := sorted({*names} - expected):
        raise InputError(f"{folder / foreign[0]} does not belong to an evidence update")
    if not amount:
        raise InputError(f"{folder} is empty")
    records = [_read_record(folder, number) for number in range(1, amount + 1)]
    for before, after in itertools.pairwise(records):
        _check_follows(folder, before, after)
    states = [_read_state(folder / record.former_name) for record in records]
    states.append(_read_state(now))
    return [
        EvidenceUpdate(record, sha256_file(folder / f"{record.name}.json"), *before_and_after)
        for record, before_and_after in zip(records, itertools.pairwise(states), strict=True)
    ]


def not_added(
    updates: Sequence[EvidenceUpdate], version: str, evidence: EvidenceHashes
) -> str | None:
    """Why the current evidence of a version is not what its last update added, if it is not."""
    if not updates:
        return None
    last = updates[-1].record
    if last.version != version:
        return (
            f"{last.name}.json is an evidence update of {tag(last.version)}, not of {tag(version)}"
        )
    if last.evidence != evidence:
        return f"the evidence is not what {last.tag} added"
    return None


def missing_from(
    log: Sequence[HistoryEntry], updates: Sequence[EvidenceUpdate]
) -> list[EvidenceUpdate]:
    """The evidence updates that have no entry in the log yet."""
    logged = {entry.record.id for entry in log if entry.record}
    return [each for each in updates if each.record.entry_id not in logged]


def contradictions(
    log: Sequence[HistoryEntry], version: str, updates: Sequence[EvidenceUpdate]
) -> list[str]:
    """Contradictions between the log and the evidence updates of a version, as sentences."""
    found = {each.record.entry_id: each for each in updates}
    sentences = []
    for record in (entry.record for entry in log if entry.record):
        if record.version != version or not _ENTRY_ID.fullmatch(record.id):
            continue
        if (update := found.get(record.id)) is None:
            sentences.append(
                f"{HISTORY_FILE} has the evidence update {record.id}, which is missing"
            )
        elif update.sha256 != record.source:
            sentences.append(f"{update.record.name}.json differs from the hash in {HISTORY_FILE}")
    return sentences


def update_entry(update: EvidenceUpdate) -> str:
    """The text of an update's entry in HISTORY.md."""
    record = update.record
    logged = Record(
        id=record.entry_id,
        date=date.fromisoformat(record.date),
        kind="finding",
        version=record.version,
        source=update.sha256,
    )
    return render_template(
        "history_fragment.md.jinja",
        {
            "comment": logged.comment(),
            "about": tag(record.version),
            "supersedes": None,
            "date": record.date,
            "kind": logged.kind,
            "title": f"new evidence, {record.tag}",
            "prose": f"{inline(record.text)}\n\nThe weights are the same. RELEASE_CALIBRATION.md"
            " compares the numbers before and after, under Addenda.",
        },
    )


def _read_record(folder: Path, number: int) -> EvidenceUpdateRecord:
    path, former = folder / f"cal.{number}.json", folder / f"cal.{number - 1}"
    record = parse(EvidenceUpdateRecord, read_json(path), path)
    if record.number != number:
        raise InputError(f"{path} says number {record.number}")
    superseded, evidence = record.supersedes, former / "evidence"
    for file, recorded in (
        (former / CALIBRATION_FILE, superseded.calibration_sha256),
        (evidence / ROWS_FILE, superseded.evidence.rows_sha256),
        (evidence / VECTORS_FILE, superseded.evidence.vectors_sha256),
        (evidence / RUN_FILE, superseded.evidence.run_sha256),
    ):
        if sha256_file(file) != recorded:
            raise InputError(f"{file} is not what {path.name} superseded")
    return record


def _read_state(folder: Path) -> EvidenceState:
    path = folder / "evidence" / RUN_FILE
    return EvidenceState(
        Calibration.read(folder / CALIBRATION_FILE), parse(Run, read_json(path), path)
    )


def _check_follows(folder: Path, before: EvidenceUpdateRecord, after: EvidenceUpdateRecord) -> None:
    path = folder / f"{after.name}.json"
    if after.version != before.version:
        raise InputError(f"{path} belongs to {tag(after.version)}, not to v{before.version}")
    if after.supersedes.evidence != before.evidence:
        raise InputError(f"{path} does not supersede what {before.name}.json added")
    if after.date < before.date:
        raise InputError(f"{path} is of {after.date}, before {before.name}.json of {before.date}")


def last_update_block(updates: Sequence[EvidenceUpdate]) -> dict[str, str]:
    """The block of a card on the last update, by its name; nothing without an update."""
    if not updates:
        return {}
    text = render_template("blocks/last_update.md.jinja", _for_template(updates[-1]))
    return {LAST_UPDATE: text.strip()}


def updates_block(updates: Sequence[EvidenceUpdate]) -> dict[str, str]:
    """The block of RELEASE_CALIBRATION.md, by its name; nothing without an update."""
    if not updates:
        return {}
    shown = [_for_template(each) | {"stands": each is updates[-1]} for each in updates]
    return {UPDATES: render_template("blocks/updates.md.jinja", {"updates": shown}).strip()}


def _for_template(update: EvidenceUpdate) -> dict[str, Any]:
    record, former, added = update.record, update.former.calibration, update.added.calibration
    runs = update.former.run, update.added.run
    asked, asked_before = added.denominators, former.denominators
    return {
        "record": record.model_dump(mode="json")
        | {
            "name": record.name,
            "former_name": record.former_name,
            "sentence": sentence(record.text),
        },
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


def _figures(former: Calibration, added: Calibration) -> Iterator[tuple[str, _Cells, _Cells]]:
    """Every metric with its control: its name, the superseded cells, and the new ones."""
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
