"""NLA617: what was added to a published version, and what it superseded."""

from collections.abc import Iterator

from nla_release.calibration.calibrate import calibrate, format_of
from nla_release.calibration.evidence_folder import read_evidence
from nla_release.gate.adapter import Adapter, reading
from nla_release.gate.evidence import not_as_computed
from nla_release.gate.findings import Page, Problem, listed
from nla_release.gate.model import RENDERED, rule
from nla_release.gate.subject import Subject
from nla_release.history.addenda import (
    FOLDER_NAME,
    Addendum,
    changed_files,
    contradictions,
    missing_from,
    not_added,
)
from nla_release.release.folder import CALIBRATION_FILE_NAME, HISTORY_FILE_NAME, Release
from nla_release.release.manifest import FILE_NAME as MANIFEST_FILE_NAME
from nla_release.release.manifest import FileRecord, record_files


@rule(
    "NLA617",
    "error",
    "addenda stay as they were published, with all that they superseded",
    each=RENDERED,
    page=Page(
        checks="The addenda of both repositories are the same, numbered without a gap, in the order"
        " of their dates, and those that HISTORY.md records by hash; with release.yaml, they are"
        " those of addenda/ beside it. Each one supersedes what the one before it added, the last"
        " one added the evidence that is there now, and adapters, head, configurations and sidecars"
        " are the files that each was made to. What was superseded is kept whole, and its numbers"
        " are what its evidence gives.",
        why="SolshineCode/nla-gemma-4-e2b extended its calibration from n = 10 to n = 50 by dated"
        " addenda to a card that was already public. A reader who cites the first number must still"
        " find it, see that it was superseded, and know that the weights are the same.",
        fix="Restore addenda/ as it was published, and render. What was measured since is added by"
        ' `nla-release calibrate --addendum "..."`.',
        example="cal.1.json is not as HISTORY.md tells",
        waive="Never: a number that was public is superseded, and not replaced.",
    ),
)
def addenda_kept(subject: Subject) -> Iterator[Problem]:
    """Each repository in itself, then the addenda of the first against the other's and ours."""
    first, *others = subject.rendered
    for adapter in subject.rendered:
        yield from _in_itself(adapter)
    for addendum in first.addenda:
        yield from _not_recomputed(first, addendum)
    kept = _kept(first)
    for other in others:
        if _kept(other) != kept:
            yield Problem(other.folder / FOLDER_NAME, f"is not {first.folder / FOLDER_NAME}")
    if subject.release:
        yield from _against_ours(subject.release, first, kept)


def _in_itself(adapter: Adapter) -> Iterator[Problem]:
    addenda, manifest = adapter.addenda, adapter.manifest
    folder, history = adapter.folder / FOLDER_NAME, adapter.folder / HISTORY_FILE_NAME
    for sentence in contradictions(adapter.log, manifest.version, addenda):
        yield Problem(folder, sentence)
    for each in missing_from(adapter.log, addenda):
        yield Problem(history, f"does not tell of {each.record.tag}")
    if addenda and (why := not_added(addenda, manifest.version, adapter.calibration.evidence)):
        yield Problem(folder, why)
    for name in changed_files(addenda, manifest):
        yield Problem(adapter.folder / MANIFEST_FILE_NAME, f"{name} is not what the addenda are to")


def _not_recomputed(adapter: Adapter, addendum: Addendum) -> Iterator[Problem]:
    folder = adapter.folder / FOLDER_NAME / addendum.record.former_name
    former = addendum.former.calibration
    with reading(folder, "NLA617"):
        recomputed = calibrate(read_evidence(folder / "evidence"), format_of(former.schema_))
    if differing := not_as_computed(former, recomputed):
        yield Problem(folder / CALIBRATION_FILE_NAME, listed(differing))


def _kept(adapter: Adapter) -> dict[str, FileRecord]:
    """Every file of a repository's addenda, by its path in their folder."""
    prefix = f"{FOLDER_NAME}/"
    return {
        name.removeprefix(prefix): record
        for name, record in adapter.manifest.files.items()
        if name.startswith(prefix)
    }


def _against_ours(
    release: Release, adapter: Adapter, kept: dict[str, FileRecord]
) -> Iterator[Problem]:
    ours = release.addenda(adapter.manifest.version)
    with reading(ours, "NLA617"):
        found = record_files(ours)
    if found != kept:
        yield Problem(ours, f"is not {adapter.folder / FOLDER_NAME}: render again")
