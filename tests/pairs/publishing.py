"""NLA7xx: publishing, broken in one way each."""

import base64
import hashlib
import json
from pathlib import Path

from nla_release.io.layout import SIGNATURE_FILE
from tests.pairs.zoo import (
    HEAD,
    MANIFEST_FILE,
    append_text,
    defect,
    edited_json,
    edited_yaml,
    list_anew,
)


@defect("NLA701", "dist")
def file_not_listed(dist: Path) -> None:
    (dist / "av" / "figures" / "left_over.png").write_bytes(b"")


@defect("NLA701", "dist")
def file_edited_after_rendering(dist: Path) -> None:
    path = dist / "ar" / "RELEASE_CALIBRATION.md"
    path.write_text(path.read_text() + "\nIt is very good.\n")


@defect("NLA701", "dist")
def figure_lost(dist: Path) -> None:
    (dist / "av" / "figures" / "training_loss.png").unlink()


@defect("NLA701", "dist")
def facts_of_the_base_never_rendered(dist: Path) -> None:
    (dist / "av" / "base.json").unlink()
    list_anew(dist / "av")


@defect("NLA701", "dist")
def manifest_lists_what_lies_outside(dist: Path) -> None:
    with edited_json(dist / "av" / MANIFEST_FILE) as manifest:
        manifest["files"]["../../release.yaml"] = {"sha256": "a" * 64, "size": 1}


@defect("NLA702", "dist")
def role_of_the_other(dist: Path) -> None:
    with edited_json(dist / "ar" / MANIFEST_FILE) as manifest:
        manifest["role"] = "av"


@defect("NLA702", "dist")
def base_of_another_commit(dist: Path) -> None:
    with edited_json(dist / "av" / MANIFEST_FILE) as manifest:
        manifest["base"]["revision"] = "1" * 40


@defect("NLA702", "release")
def repository_of_another_name(folder: Path) -> None:
    with edited_yaml(folder / "release.yaml") as document:
        document["name"] = "renamed"


@defect("NLA703", "dist")
def settings_left_behind(dist: Path) -> None:
    foreign(dist / "av" / ".env")


@defect("NLA703", "dist")
def log_left_behind(dist: Path) -> None:
    foreign(dist / "ar" / "train.log")


@defect("NLA703", "dist")
def checkpoint_left_behind(dist: Path) -> None:
    foreign(dist / "ar" / "checkpoint-250" / "trainer_state.json")


@defect("NLA703", "dist")
def ignored_by_the_hub(dist: Path) -> None:
    foreign(dist / "av" / ".gitignore")


@defect("NLA703", "dist")
def code_that_begins_like_a_file_of_the_hub(dist: Path) -> None:
    foreign(dist / "av" / ".gitattributes.evil.py")


@defect("NLA703", "dist")
def folder_that_begins_like_a_file_of_the_hub(dist: Path) -> None:
    foreign(dist / "av" / ".gitattributes.d" / "modeling.py")


@defect("NLA703", "dist")
def file_of_the_hub_with_a_blank_that_nobody_sees(dist: Path) -> None:
    foreign(dist / "av" / ".gitattributes\u200b")


@defect("NLA703", "dist")
def numbers_among_the_figures(dist: Path) -> None:
    foreign(dist / "av" / "figures" / "_release_stats.json")


@defect("NLA703", "dist")
def head_beside_the_av(dist: Path) -> None:
    head = (dist / "ar" / HEAD).read_bytes()
    (dist / "av" / HEAD).write_bytes(head)
    list_anew(dist / "av")


@defect("NLA703", "dist")
def card_twice_in_two_cases(dist: Path) -> None:
    foreign(dist / "av" / "readme.md")


@defect("NLA703", "dist")
def figure_twice_in_two_cases(dist: Path) -> None:
    foreign(dist / "av" / "figures" / "Training_Loss.png")


@defect("NLA703", "dist")
def name_in_wide_letters(dist: Path) -> None:
    foreign(dist / "ar" / "ＬＩＣＥＮＳＥ")


@defect("NLA703", "dist")
def name_that_moves_the_cursor(dist: Path) -> None:
    foreign(dist / "ar" / "figures" / "loss\x1b[2K.png")


@defect("NLA709", "dist")
def signature_of_what_was_rendered_before(dist: Path) -> None:
    sign(dist, "av", {"av/release.json": "0" * 64, "ar/release.json": digest(dist / "ar")})
    sign(dist, "ar", {"av/release.json": "0" * 64, "ar/release.json": digest(dist / "ar")})


@defect("NLA709", "dist")
def signature_in_one_repository_alone(dist: Path) -> None:
    sign(dist, "av", {f"{role}/release.json": digest(dist / role) for role in ("av", "ar")})


@defect("NLA709", "dist")
def signature_of_a_model_that_is_no_pair(dist: Path) -> None:
    for role in ("av", "ar"):
        sign(dist, role, {"model.safetensors": "0" * 64})


@defect("NLA709", "dist")
def signature_that_is_none(dist: Path) -> None:
    for role in ("av", "ar"):
        (dist / role / SIGNATURE_FILE).write_text("-----BEGIN PGP SIGNATURE_FILE-----\n")


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / MANIFEST_FILE).read_bytes()).hexdigest()


def sign(dist: Path, role: str, named: dict[str, str]) -> None:
    """What a signature says of files, signed by nobody: who signed is not asked of files."""
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "resources": [
                {"name": name, "algorithm": "sha256", "digest": value}
                for name, value in named.items()
            ]
        },
    }
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    bundle = {"dsseEnvelope": {"payload": payload, "signatures": []}}
    (dist / role / SIGNATURE_FILE).write_text(json.dumps(bundle))


def foreign(path: Path) -> None:
    """A file that tells nothing and belongs to no release, listed as if it did."""
    path.parent.mkdir(exist_ok=True)
    append_text(path, "{}\n")
