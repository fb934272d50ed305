"""NLA7xx: publishing, broken in one way each."""

from pathlib import Path

from tests.pairs.zoo import MANIFEST, defect, edited_json, edited_yaml, list_anew


@defect("NLA701", "dist")
def file_not_listed(dist: Path) -> None:
    (dist / "av" / "optimizer.md").write_text("left over\n")


@defect("NLA701", "dist")
def file_edited_after_rendering(dist: Path) -> None:
    path = dist / "ar" / "RELEASE_CALIBRATION.md"
    path.write_text(path.read_text() + "\nIt is very good.\n")


@defect("NLA701", "dist")
def figure_lost(dist: Path) -> None:
    (dist / "av" / "figures" / "training_loss.png").unlink()


@defect("NLA701", "dist")
def licence_file_never_rendered(dist: Path) -> None:
    (dist / "av" / "LICENSE").unlink()
    list_anew(dist / "av")


@defect("NLA701", "dist")
def manifest_lists_what_lies_outside(dist: Path) -> None:
    with edited_json(dist / "av" / MANIFEST) as manifest:
        manifest["files"]["../../release.yaml"] = {"sha256": "a" * 64, "size": 1}


@defect("NLA702", "dist")
def role_of_the_other(dist: Path) -> None:
    with edited_json(dist / "ar" / MANIFEST) as manifest:
        manifest["role"] = "av"


@defect("NLA702", "dist")
def base_of_another_commit(dist: Path) -> None:
    with edited_json(dist / "av" / MANIFEST) as manifest:
        manifest["base"]["revision"] = "1" * 40


@defect("NLA702", "release")
def repository_of_another_name(folder: Path) -> None:
    with edited_yaml(folder / "release.yaml") as document:
        document["name"] = "renamed"
