"""Add an evidence update to a published version, or restore its published evidence."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import check_replaceable, read_evidence
from nla_release.calibration.report import Calibration, CurrentCalibration, EvidenceHashes
from nla_release.contract.sidecar import Role, adapter_digests, read_sidecar
from nla_release.errors import ConfigError, EvidenceError, InputError, NothingCheckedError
from nla_release.evidence.parts import evidence_files
from nla_release.evidence.records import Run
from nla_release.evidence.runs import Ended, RunLog, disagreement, read_runs
from nla_release.history.log import RESTORE, entries, read_history, read_log
from nla_release.history.updates import (
    MAX_UPDATES,
    EvidenceUpdate,
    EvidenceUpdateRecord,
    missing_from,
    read_updates,
    unchanged_files,
)
from nla_release.io.files import replacing_folder, sha256_file, write_atomic
from nla_release.io.layout import (
    ADDENDA_FOLDER,
    CALIBRATION_FILE,
    MANIFEST_FILE,
    RUN_FILE,
    RUNS_FILE,
)
from nla_release.io.schema import parse
from nla_release.release.folder import ROLES, Release, tag
from nla_release.release.manifest import Manifest, differences, read_manifest, record_files


@dataclass(frozen=True)
class AddedEvidence:
    """The record of a new evidence update, and the numbers before and after it."""

    record: EvidenceUpdateRecord
    former: Calibration
    calibration: CurrentCalibration


@dataclass(frozen=True, eq=False)
class _Published:
    """The version in dist/: its manifests, evidence, calibration and updates.

    `measured` is the folder that holds calibration.json and evidence/.
    """

    folder: Path
    measured: Path
    manifests: Mapping[Role, Manifest]
    run: Run
    calibration: Calibration
    updates: list[EvidenceUpdate]

    @property
    def version(self) -> str:
        return self.manifests[ROLES[0]].version

    @property
    def tag(self) -> str:
        return self.manifests[ROLES[0]].tag

    @property
    def name(self) -> str:
        """The name of its current evidence, such as `cal.0`."""
        return f"cal.{len(self.updates)}"


def add_evidence(release: Release, text: str, day: date) -> AddedEvidence:
    """Add the evidence here to the version in dist/, and keep the evidence that it supersedes.

    Writes calibration.json and the folder of the version's evidence updates. dist/ is unchanged
    until the next `render`, so the same command with the same inputs writes the same bytes. An
    update that was rendered but not published yet is replaced, not added a second time.

    Args:
        release: whose dist/ is the published version, and whose evidence/ is new.
        text: why evidence was added, in a sentence.
        day: of the update.

    Raises:
        ConfigError: there is no published version, or text or day are wrong.
        InputError: dist/ is not as it was rendered, or HISTORY.md cannot be read.
        EvidenceError: the new evidence is damaged, or of other weights, base or scale.
        NothingCheckedError: it has no new number, or is inconclusive where the old is not.
        EnvironmentProblem: the folder cannot be written.
    """
    published = _published(
        release,
        hint="for a version that was never rendered, run calibrate without --addendum",
    )
    evidence = read_evidence(release.evidence)
    _check_same_weights(release, published, evidence.run)
    calibration = calibrate(evidence)
    published = _before(release, published, calibration.evidence)
    _check_news(release, published, calibration)
    number = len(published.updates) + 1
    if number > MAX_UPDATES:
        raise ConfigError(
            f"{tag(published.version)} already has {MAX_UPDATES} evidence updates, the maximum"
        )
    record = parse(
        EvidenceUpdateRecord,
        {
            "number": number,
            "version": published.version,
            "date": str(day),
            "text": text,
            "supersedes": {
                "measured": published.run.finished_at[:10],
                "calibration_sha256": sha256_file(published.measured / CALIBRATION_FILE),
                "evidence": published.calibration.evidence,
            },
            "evidence": calibration.evidence,
            "weights": unchanged_files(*published.manifests.values()),
        },
        "the evidence update",
        error=ConfigError,
    )
    _check_day(published, record, evidence.run)
    with replacing_folder(release.addenda(published.version)) as folder:
        _keep(published, folder)
        write_atomic(folder / f"{record.name}.json", record.dump())
    write_atomic(release.calibration, calibration.dump())
    return AddedEvidence(record, published.calibration, calibration)


def restore_evidence(release: Release) -> str:
    """Restore the evidence and the calibration of the version in dist/; returns its tag.

    Raises:
        ConfigError: there is no version in dist/, or evidence/ holds other files.
        InputError: dist/ is not as it was rendered.
        EnvironmentProblem: a file cannot be written.
    """
    published = _published(
        release,
        hint="download both repositories of the version to dist/av and dist/ar, such as"
        f" `hf download {release.repo_id('av', '...')} --revision v... --local-dir dist/av`",
    )
    check_replaceable(release.evidence)
    log = _log_of_restoring(read_runs(release.evidence), published.folder / "evidence")
    with replacing_folder(release.evidence) as folder:
        for name in evidence_files(published.folder / "evidence"):
            shutil.copyfile(published.folder / "evidence" / name, folder / name)
        if log:
            write_atomic(folder / RUNS_FILE, log.dump())
    text = (published.folder / CALIBRATION_FILE).read_bytes()
    write_atomic(release.calibration, text)
    return published.tag


def _log_of_restoring(log: RunLog | None, published: Path) -> RunLog | None:
    """The local log of runs with one more line, if it continues the published one."""
    before = read_runs(published)
    if log is None or (before and log.lines[: len(before.lines)] != before.lines):
        return before
    run = read_evidence(published).run
    if disagreement(log, run.run_id, run.rows_sha256, run.vectors_sha256) is None:
        return log
    return log.adding(
        Ended(
            event="restored",
            run=run.run_id,
            time=max(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), log.lines[-1].time),
            rows_sha256=run.rows_sha256,
            vectors_sha256=run.vectors_sha256,
        )
    )


def replaced_version(release: Release) -> str | None:
    """The tag of the version in dist/ if it was published with other evidence than the current.

    A version counts as published if HISTORY.md next to release.yaml has its entry.
    """
    try:
        manifest = read_manifest(release.dist / ROLES[0])
        known = Calibration.read(release.dist / ROLES[0] / CALIBRATION_FILE).evidence
        now = sha256_file(release.evidence / RUN_FILE)
        published = entries(read_history(release.history) or "")
    except InputError:
        return None
    return manifest.tag if tag(manifest.version) in published and known.run_sha256 != now else None


def _published(release: Release, *, hint: str) -> _Published:
    folders = {role: release.dist / role for role in ROLES}
    if not all((folder / MANIFEST_FILE).is_file() for folder in folders.values()):
        raise ConfigError(f"{release.dist} holds no version with both repositories", hint=hint)
    manifests = {role: read_manifest(folder) for role, folder in folders.items()}
    for role, folder in folders.items():
        if changed := differences(manifests[role].files, record_files(folder)):
            raise InputError(
                f"{folder} is not as it was rendered: {changed[0]}",
                hint="restore it, from the Hub when it was published",
            )
    av, ar = (manifests[role] for role in ROLES)
    if av.version != ar.version:
        raise InputError(f"{release.dist} holds the AV of {av.tag} and the AR of {ar.tag}")
    folder = folders[ROLES[0]]
    return _Published(
        folder,
        folder,
        manifests,
        read_evidence(folder / "evidence").run,
        Calibration.read(folder / CALIBRATION_FILE),
        read_updates(folder / ADDENDA_FOLDER, folder),
    )


def _before(release: Release, published: _Published, evidence: EvidenceHashes) -> _Published:
    """The version without an update of the same evidence that was not published yet."""
    if not published.updates:
        return published
    *earlier, last = published.updates
    log = read_log(read_history(release.history) or "")
    if last.record.evidence != evidence or not missing_from(log, [last]):
        return published
    return replace(
        published,
        measured=published.folder / ADDENDA_FOLDER / last.record.former_name,
        run=last.former.run,
        calibration=last.former.calibration,
        updates=earlier,
    )


def _check_same_weights(release: Release, published: _Published, run: Run) -> None:
    """Refuse evidence that was not measured on the published files."""
    found: dict[str, str] = {}
    for role in ROLES:
        found |= adapter_digests(release.dist / role, read_sidecar(release.dist / role, role))
    names = sorted(found.keys() | run.files.keys())
    different = [name for name in names if found.get(name) != run.files.get(name)]
    for setting, before, now in (
        ("base", published.run.base.id, run.base.id),
        ("base revision", published.run.base.revision, run.base.revision),
        ("tokenizer", published.run.tokenizer_sha256, run.tokenizer_sha256),
        ("injection scale", published.run.injection.scale, run.injection.scale),
    ):
        if before != now:
            different.append(setting)
    if different:
        raise EvidenceError(
            f"{release.evidence} belongs to another pair than {tag(published.version)}:"
            f" {', '.join(different)} {'differs' if len(different) == 1 else 'differ'}",
            hint="measure the published weights with `nla-release roundtrip`; other weights are"
            " another version",
        )


def _check_news(release: Release, published: _Published, calibration: Calibration) -> None:
    """Refuse an update without new numbers, and an inconclusive one that supersedes a label."""
    here = [
        (published.name, published.calibration),
        *((each.record.former_name, each.former.calibration) for each in published.updates),
    ]
    for name, known in here:
        if _numbers(known) == _numbers(calibration):
            raise NothingCheckedError(
                f"nothing to add: {release.evidence} gives the numbers of"
                f" {tag(published.version)}, {name}, again",
                hint=f"{RESTORE} puts the published evidence back; to add evidence, measure more"
                " rows, other diagnostics or other activations with `nla-release roundtrip`",
            )
    before, now = published.calibration.label.name, calibration.label.name
    if now == "inconclusive" and before != now:
        raise NothingCheckedError(
            f"the new evidence is inconclusive, {published.name} was not:"
            f" {calibration.label.sentence}",
            hint=f"measure more than {published.calibration.denominators.rows} rows, or put the"
            f" published evidence back with {RESTORE}",
        )


def _numbers(calibration: Calibration) -> dict[str, Any]:
    """The numbers of a calibration, without the tool version and the hashes of the evidence."""
    return {
        name: value
        for name, value in calibration.leaves().items()
        if name != "tool_version" and not name.startswith("evidence.")
    }


def _check_day(published: _Published, record: EvidenceUpdateRecord, run: Run) -> None:
    earliest = [("the evidence was measured", run.finished_at[:10])]
    if published.updates:
        last = published.updates[-1].record
        earliest.append((f"{last.name} was added", last.date))
    for what, day in earliest:
        if record.date < day:
            raise ConfigError(
                f"the evidence update is dated {record.date}, but {what} on {day}",
                hint="leave out --date to use today (UTC)",
            )


def _keep(published: _Published, folder: Path) -> None:
    """Copy the updates so far into a folder, and the current evidence as superseded."""
    kept = published.folder / ADDENDA_FOLDER
    for each in (update.record for update in published.updates):
        shutil.copyfile(kept / f"{each.name}.json", folder / f"{each.name}.json")
        shutil.copytree(kept / each.former_name, folder / each.former_name)
    former = folder / published.name
    (former / "evidence").mkdir(parents=True)
    files = evidence_files(published.measured / "evidence")
    for name in (CALIBRATION_FILE, *(f"evidence/{name}" for name in files)):
        shutil.copyfile(published.measured / name, former / name)
