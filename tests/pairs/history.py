"""NLA505 and NLA510: the log, and the numbers that it retracts, broken in one way each."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nla_release.cards.render import render
from nla_release.files import dump_yaml, write_atomic
from nla_release.release import read_release
from tests.pairs.card import told
from tests.pairs.zoo import append_text, defect, edited_yaml, list_anew

RETRACTION = {
    "date": "2026-12-01",
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
    matter = {"date": "2026-12-01", "kind": "finding", "title": "More", "version": "0.0.1"}
    write_atomic(folder / "history" / "more.md", fragment_text(matter, "The cosine is 0.46."))
    render(read_release(folder), "0.0.1")


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
    told(folder / "dist", "Judges gave the content 1.23 of 5.")


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
        r"Round-trip cosine \| (\d\.\d+)", (folder / "dist/av/README.md").read_text()
    )
    assert number
    retracting(folder, "0.0.1", value=float(number[1]))
