"""NLA617: an addendum to a version, broken in one way each."""

import shutil
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from nla_release.cards.render import render
from nla_release.history.add_evidence import add_evidence
from nla_release.io.files import sha256_file, write_atomic
from nla_release.release.folder import ROLES, Release, read_release
from tests.builders_pair import measure
from tests.pairs.zoo import append_text, defect, edited_json, edited_yaml, list_anew

MORE = {"rows": 72, "documents": 12}
DAY = date(2026, 11, 23)


# The good release with an addendum, kept by the first defect that needs it.
_KEPT = TemporaryDirectory(prefix="nla-release-")


def added(folder: Path) -> Release:
    """Add new evidence of the same weights to the good release, render it and publish its log."""
    kept = Path(_KEPT.name) / "release"
    if not kept.exists():
        shutil.copytree(folder, kept)
        added_again(kept, DAY)
    shutil.copytree(kept, folder, dirs_exist_ok=True)
    return read_release(folder)


def added_again(folder: Path, day: date, **options: int) -> Release:
    """The same on another day, with other evidence."""
    release = read_release(folder)
    # The activations are others, so there is nothing in common with the release before.
    with edited_yaml(folder / "release.yaml") as document:
        document.pop("previous", None)
    measure(release, **MORE | options)
    add_evidence(release, "Measured on more activations", day)
    release = read_release(folder)
    render(release, "0.0.1")
    write_atomic(release.history, (release.dist / "av" / "HISTORY.md").read_bytes())
    return release


def everywhere(folder: Path) -> list[Path]:
    """The addenda of the release and of both repositories."""
    return [folder / "addenda" / "v0.0.1", *(folder / "dist" / role / "addenda" for role in ROLES)]


def listed(folder: Path) -> None:
    """Both repositories list what they hold by now."""
    for role in ROLES:
        list_anew(folder / "dist" / role)


@defect("NLA617", "release")
def addendum_not_rendered(folder: Path) -> None:
    release = added(folder)
    measure(release, **MORE | {"seed": 3})
    add_evidence(release, "Measured again", date(2026, 11, 23))
    # What is measured is what is rendered, but for the addendum.
    shutil.rmtree(release.evidence)
    shutil.copytree(release.dist / "av" / "evidence", release.evidence)
    shutil.copyfile(release.dist / "av" / "calibration.json", release.calibration)


@defect("NLA617", "release")
def addendum_reworded(folder: Path) -> None:
    """Everywhere alike, but not in the log; the documents would show the new words."""
    added(folder)
    for place in everywhere(folder):
        with edited_json(place / "cal.1.json") as record:
            record["tool_version"] = "9.9.9"
    listed(folder)


@defect("NLA617", "dist")
def addendum_of_one_repository(dist: Path) -> None:
    added(dist.parent)
    path = dist / "ar" / "addenda" / "cal.0" / "calibration.json"
    path.write_text(path.read_text() + "\n")
    list_anew(dist / "ar")


@defect("NLA617", "dist")
def superseded_numbers_edited(dist: Path) -> None:
    """With the hash in the record, and the hash of the record in the log."""
    added(dist.parent)
    for role in ROLES:
        folder = dist / role / "addenda"
        with edited_json(folder / "cal.0" / "calibration.json") as calibration:
            calibration["cosine"]["median"] = 0.999
        _record_anew(folder)
    listed(dist.parent)


@defect("NLA617", "dist")
def superseded_evidence_lost(dist: Path) -> None:
    added(dist.parent)
    for role in ROLES:
        shutil.rmtree(dist / role / "addenda" / "cal.0" / "evidence")
    listed(dist.parent)


@defect("NLA617", "dist")
def superseded_evidence_cut(dist: Path) -> None:
    added(dist.parent)
    for role in ROLES:
        path = dist / role / "addenda" / "cal.0" / "evidence" / "rows.jsonl"
        path.write_bytes(path.read_bytes()[:-40])
    listed(dist.parent)


@defect("NLA617", "dist")
def earlier_addendum_lost(dist: Path) -> None:
    release = added(dist.parent)
    added_again(dist.parent, date(2026, 11, 23), seed=3)
    for role in ROLES:
        (release.dist / role / "addenda" / "cal.1.json").unlink()
    listed(dist.parent)


@defect("NLA617", "dist")
def addendum_without_an_entry(dist: Path) -> None:
    added(dist.parent)
    for role in ROLES:
        path = dist / role / "HISTORY.md"
        path.write_text(path.read_text().partition("\n<!-- nla-release:entry")[0])
    listed(dist.parent)


@defect("NLA617", "dist")
def entry_of_an_addendum_that_never_was(dist: Path) -> None:
    entry = (
        '{"date": "2026-11-23", "id": "v0.0.1-cal.1", "kind": "finding",'
        f' "source": "{"0" * 64}", "version": "0.0.1"}}'
    )
    for role in ROLES:
        path = dist / role / "HISTORY.md"
        append_text(path, f"\n<!-- nla-release:entry {entry} -->\n## 2026-11-23, finding: none\n")


@defect("NLA617", "dist")
def record_that_is_none(dist: Path) -> None:
    added(dist.parent)
    for role in ROLES:
        (dist / role / "addenda" / "cal.1.json").write_text("[" * 100_000)
    listed(dist.parent)


@defect("NLA617", "dist")
def record_of_no_date(dist: Path) -> None:
    added(dist.parent)
    for role in ROLES:
        with edited_json(dist / role / "addenda" / "cal.1.json") as record:
            record["date"] = "2026-13-01"
    listed(dist.parent)


@defect("NLA502", "dist")
def superseded_number_taken_off_the_page(dist: Path) -> None:
    added(dist.parent)
    path = dist / "av" / "RELEASE_CALIBRATION.md"
    before, _, after = path.read_text().partition("cal.0, superseded |")
    path.write_text(before + after)
    list_anew(dist / "av")


@defect("NLA502", "dist")
def card_without_the_addendum(dist: Path) -> None:
    added(dist.parent)
    path = dist / "ar" / "README.md"
    path.write_text(
        path.read_text().replace("**These numbers are from evidence update", "**Ignore")
    )
    list_anew(dist / "ar")


@defect("NLA505", "release")
def addendum_rendered_over_another_log(folder: Path) -> None:
    """The log that was published told of the addendum in other words."""
    release = added(folder)
    path = release.history
    path.write_text(path.read_text().replace("Measured on more activations", "Measured anew"))


def _record_anew(folder: Path) -> None:
    """Make the first record, and the log, agree with a superseded calibration as it is now."""
    before = sha256_file(folder / "cal.1.json")
    with edited_json(folder / "cal.1.json") as record:
        path = folder / "cal.0" / "calibration.json"
        record["supersedes"]["calibration_sha256"] = sha256_file(path)
    history = folder.parent / "HISTORY.md"
    history.write_text(history.read_text().replace(before, sha256_file(folder / "cal.1.json")))
