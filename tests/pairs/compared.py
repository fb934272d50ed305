"""NLA618: what is said of other releases, broken in one way each."""

from pathlib import Path

from nla_release.calibration.evidence_folder import write_evidence
from nla_release.cards.render import render
from nla_release.release.folder import ROLES, read_release
from tests.builders import evidence_parts
from tests.builders_pair import WIDTH
from tests.pairs.zoo import PREVIOUS, ROWS, defect, edited_json, edited_yaml, list_anew


def comparing(folder: Path) -> None:
    """Set the good release beside the evidence of the one before it, and render."""
    with edited_yaml(folder / "release.yaml") as document:
        document["compared_with"] = [PREVIOUS]
    render(read_release(folder), "0.0.1")


@defect("NLA618", "release")
def comparison_not_rendered(folder: Path) -> None:
    with edited_yaml(folder / "release.yaml") as document:
        document["compared_with"] = [PREVIOUS]


@defect("NLA618", "release")
def comparison_with_what_changed_since(folder: Path) -> None:
    comparing(folder)
    parts = evidence_parts(**ROWS, width=WIDTH, noise=2.9)
    write_evidence(folder / PREVIOUS, *parts)


@defect("NLA618", "release")
def comparison_with_nothing(folder: Path) -> None:
    with edited_yaml(folder / "release.yaml") as document:
        document["compared_with"] = ["nowhere"]


@defect("NLA618", "dist")
def comparison_of_other_numbers(dist: Path) -> None:
    """In both, and on the page that is made from it."""
    comparing(dist.parent)
    for role in ROLES:
        with edited_json(dist / role / "comparison.json") as comparison:
            comparison["releases"][0]["documents"] += 1
        page = dist / role / "RELEASE_CALIBRATION.md"
        rows, documents = ROWS["rows"], ROWS["documents"]
        before, after = (f"| {rows} | {each} |" for each in (documents, documents + 1))
        page.write_text(page.read_text().replace(before, after, 1))
        list_anew(dist / role)


@defect("NLA618", "dist")
def comparison_that_is_none(dist: Path) -> None:
    comparing(dist.parent)
    for role in ROLES:
        (dist / role / "comparison.json").write_text("[]")
        list_anew(dist / role)


@defect("NLA502", "dist")
def figure_of_another_release_edited(dist: Path) -> None:
    comparing(dist.parent)
    page = dist / "av" / "RELEASE_CALIBRATION.md"
    text = page.read_text()
    line = next(each for each in text.splitlines() if each.startswith("| B | evidence |"))
    page.write_text(text.replace(line, line.replace("| 0.", "| 0.9", 1)))
    list_anew(dist / "av")
