"""NLA505 and NLA510: the log, and the numbers that it retracts, broken in one way each."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nla_release.cards.render import render
from nla_release.io.files import dump_yaml, read_json, write_atomic
from nla_release.release.folder import read_release
from tests.builders_pair import measure
from tests.pairs.card import told
from tests.pairs.zoo import (
    PREVIOUS,
    ROWS,
    append_text,
    defect,
    edited_json,
    edited_yaml,
    list_anew,
)

RETRACTION = {
    "date": "2026-11-23",
    "kind": "retraction",
    "title": "The cosine of v0.0.1",
    "supersedes": {
        "version": "0.0.1",
        "metric": "cosine.mean",
        "value": 0.438,
        "reason": "measured at the wrong injection scale",
    },
}


def fragment_text(matter: Mapping[str, Any], body: str = "") -> str:
    """A fragment as it is written by hand, dates without quotes."""
    front = re.sub(r"'(\d{4}-\d\d-\d\d)'", r"\1", dump_yaml(dict(matter)))
    return f"---\n{front}---\n{body}"


def retracting(folder: Path, version: str = "0.0.2", **superseded: Any) -> None:
    """Retract a number of v0.0.1, and render a version."""
    matter = RETRACTION | {"supersedes": RETRACTION["supersedes"] | superseded}
    write_atomic(folder / "history" / "scale.md", fragment_text(matter))
    render(read_release(folder), version)


def told_in_history(folder: Path, body: str, rendered: str = "0.0.1", **matter: Any) -> None:
    """Say something in a fragment, and render a version."""
    matter = {"date": "2026-11-23", "kind": "finding", "title": "More"} | matter
    write_atomic(folder / "history" / "more.md", fragment_text(matter, body))
    render(read_release(folder), rendered)


def published_before(folder: Path) -> None:
    """Leave a repository as it was published, of evidence of its own, in `before`."""
    before = folder / "before"
    shutil.copytree(folder / PREVIOUS, before / "evidence")
    for name in ("HISTORY.md", "release.json"):
        shutil.copyfile(folder / "dist" / "av" / name, before / name)


def rendered_after(folder: Path, previous: str | None) -> None:
    """Render a version with this `previous`, and name the release in `before` afterwards."""
    with edited_yaml(folder / "release.yaml") as document:
        document["previous"] = previous
    render(read_release(folder), "0.0.2")
    with edited_yaml(folder / "release.yaml") as document:
        document["previous"] = "before"


def without_the_list(document: Path) -> None:
    """Take the list of retracted numbers out of a document."""
    before, rest = document.read_text().split("<!-- nla-release:begin retracted -->")
    document.write_text(before + rest.split("<!-- nla-release:end retracted -->")[1])
    list_anew(document.parent)


@defect("NLA505", "release")
def history_rewritten(folder: Path) -> None:
    path = folder / "HISTORY.md"
    path.write_text(path.read_text().replace("Append-only", "append-only"))


@defect("NLA505", "dist")
def version_without_an_entry(dist: Path) -> None:
    path = dist / "ar" / "HISTORY.md"
    path.write_text(path.read_text().replace("## v0.0.1,", "## v0.0.0,"))
    list_anew(dist / "ar")


@defect("NLA505", "dist")
def record_of_nothing(dist: Path) -> None:
    append_text(dist / "av" / "HISTORY.md", "\n<!-- nla-release:entry {} -->\n## Nothing\n")


@defect("NLA505", "dist")
def record_cut_short(dist: Path) -> None:
    append_text(dist / "av" / "HISTORY.md", '\n<!-- nla-release:entry {"id": "sc\n')


@defect("NLA505", "dist")
def entry_hidden_in_a_fence(dist: Path) -> None:
    """Nobody who opens the page learns of the retraction."""
    retracting(dist.parent)
    path = dist / "ar" / "HISTORY.md"
    path.write_text(
        path.read_text().replace("<!-- nla-release:entry", "~~~\n\n<!-- nla-release:entry")
    )
    list_anew(path.parent)


@defect("NLA505", "dist")
def entry_hidden_in_html(dist: Path) -> None:
    append_text(dist / "av" / "HISTORY.md", "\n<details><summary>More</summary>\n\n")


@defect("NLA505", "dist")
def one_entry_twice(dist: Path) -> None:
    retracting(dist.parent)
    path = dist / "ar" / "HISTORY.md"
    entry = path.read_text().partition("<!-- nla-release:entry")
    append_text(path, "\n" + "".join(entry[1:]))


@defect("NLA505", "dist")
def retraction_of_an_unknown_version(dist: Path) -> None:
    retracting(dist.parent)
    path = dist / "av" / "HISTORY.md"
    path.write_text(path.read_text().replace("## v0.0.1,", "## v0.0.0,"))
    list_anew(dist / "av")


@defect("NLA505", "release")
def published_measurement_replaced(folder: Path) -> None:
    """Every number of the entry is the same, to the digits shown; the evidence is another."""
    published = (folder / "HISTORY.md").read_bytes()
    (folder / "HISTORY.md").unlink()
    release = read_release(folder)
    measure(release, **ROWS, probes=["injection"])
    render(release, "0.0.1")
    (folder / "HISTORY.md").write_bytes(published)


@defect("NLA505", "release")
def history_emptied(folder: Path) -> None:
    (folder / "HISTORY.md").write_text("")


@defect("NLA505", "release")
def history_is_a_folder(folder: Path) -> None:
    (folder / "HISTORY.md").unlink()
    (folder / "HISTORY.md").mkdir()


@defect("NLA505", "release")
def history_never_ends(folder: Path) -> None:
    (folder / "HISTORY.md").unlink()
    (folder / "HISTORY.md").symlink_to("/dev/zero")


@defect("NLA505", "release")
def history_of_the_previous_release_begun_anew(folder: Path) -> None:
    """The file that was published is gone, and so is all that it told."""
    published_before(folder)
    (folder / "HISTORY.md").unlink()
    rendered_after(folder, None)


@defect("NLA505", "release")
def history_of_the_previous_release_rewritten(folder: Path) -> None:
    published_before(folder)
    path = folder / "HISTORY.md"
    path.write_text(path.read_text().replace("Append-only", "append-only"))
    rendered_after(folder, "before")


@defect("NLA505", "release")
def previous_version_not_in_the_history(folder: Path) -> None:
    published_before(folder)
    with edited_json(folder / "before" / "release.json") as manifest:
        manifest["tag"] = "v0.0.0"
    rendered_after(folder, None)


@defect("NLA505", "release")
def fragments_are_a_file(folder: Path) -> None:
    (folder / "history").write_text("Nothing.")


@defect("NLA505", "release")
def fragment_not_rendered(folder: Path) -> None:
    write_atomic(folder / "history" / "scale.md", fragment_text(RETRACTION))


@defect("NLA505", "release")
def fragment_edited_after_rendering(folder: Path) -> None:
    retracting(folder)
    path = folder / "history" / "scale.md"
    path.write_text(path.read_text().replace("wrong", "right"))


@defect("NLA505", "release")
def fragment_of_no_date(folder: Path) -> None:
    matter = {key: value for key, value in RETRACTION.items() if key != "date"}
    write_atomic(folder / "history" / "scale.md", fragment_text(matter))


@defect("NLA508", "release")
def number_of_nothing_in_a_fragment(folder: Path) -> None:
    told_in_history(folder, "The cosine is 0.46.", version="0.0.1")


@defect("NLA508", "release")
def number_of_nothing_in_a_fragment_about_no_version(folder: Path) -> None:
    told_in_history(folder, "The FVE is 0.99.")


@defect("NLA508", "release")
def number_of_nothing_in_a_fragment_about_a_version_that_is_none(folder: Path) -> None:
    told_in_history(folder, "The FVE is 0.99.", version="9.9.9")


@defect("NLA508", "release")
def number_of_nothing_in_a_correction(folder: Path) -> None:
    write_atomic(folder / "history" / "scale.md", fragment_text(RETRACTION, "FVE: 0.99."))
    render(read_release(folder), "0.0.1")


@defect("NLA507", "release")
def best_of_all_in_a_fragment(folder: Path) -> None:
    told_in_history(folder, "It is the best NLA.", "0.0.2", version="0.0.1")


@defect("NLA510", "release")
def retracted_number_in_a_fragment(folder: Path) -> None:
    retracting(folder)
    told_in_history(folder, "The cosine of v0.0.1 is 0.438.", "0.0.2", version="0.0.1")


@defect("NLA510", "release")
def retracted_number_under_another_version(folder: Path) -> None:
    """The evidence is the same, so the number is: a version is no new measurement."""
    calibration = read_json(folder / "calibration.json")
    run = calibration["evidence"]["run_sha256"]
    retracting(folder, value=calibration["cosine"]["mean"], run_sha256=run)


@defect("NLA502", "release")
def card_without_the_retraction(folder: Path) -> None:
    retracting(folder)
    without_the_list(folder / "dist" / "av" / "README.md")


@defect("NLA510", "release")
def page_without_the_retraction(folder: Path) -> None:
    retracting(folder)
    without_the_list(folder / "dist" / "ar" / "RELEASE_CALIBRATION.md")


@defect("NLA510", "release")
def page_with_another_retraction(folder: Path) -> None:
    retracting(folder)
    path = folder / "dist" / "av" / "RELEASE_CALIBRATION.md"
    path.write_text(path.read_text().replace("the wrong injection scale", "another scale"))
    list_anew(path.parent)


@defect("NLA510", "release")
def retracted_number_on_a_later_card(folder: Path) -> None:
    retracting(folder)
    told(folder / "dist", "Round-trip cosine: v0.0.1 reached 0.438.")


@defect("NLA510", "release")
def retracted_number_rounded(folder: Path) -> None:
    retracting(folder)
    told(folder / "dist", "v0.0.1 reached a cosine of 0.44.", "RELEASE_CALIBRATION.md", "ar")


@defect("NLA510", "release")
def retracted_number_in_a_table(folder: Path) -> None:
    retracting(folder)
    told(folder / "dist", "| | cosine |\n|---|---|\n| [then](https://example.org/x) | 43.8% |")


@defect("NLA510", "release")
def retracted_number_in_html(folder: Path) -> None:
    retracting(folder)
    told(folder / "dist", "<p>v0.0.1: cosine <b>0.4380</b></p>", role="ar")


@defect("NLA510", "release")
def retracted_number_of_a_metric_of_ones_own(folder: Path) -> None:
    retracting(folder, metric="content match", value=1.23)
    told(folder / "dist", "In v0.0.1 judges gave the content 1.23 of 5.")


@defect("NLA510", "release")
def retracted_number_in_a_note(folder: Path) -> None:
    """The cards are from before somebody wrote the note."""
    retracting(folder)
    write_atomic(folder / "notes" / "summary.md", "The cosine of v0.0.1 was 0.438.\n")
    with edited_yaml(folder / "release.yaml") as document:
        document["notes"] = "notes"


@defect("NLA510", "release")
def own_number_retracted(folder: Path) -> None:
    """Only the next version can have another one."""
    number = re.search(
        r"Plain cosine \(failures count 0\) \| (\d\.\d+)",
        (folder / "dist/av/README.md").read_text(),
    )
    assert number
    retracting(folder, "0.0.1", value=float(number[1]))
