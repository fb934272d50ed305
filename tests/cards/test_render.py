"""`render` as a whole: what it writes, and what it refuses to write about."""

import json
import os
import shutil
from pathlib import Path

import pytest

from nla_release.calibration.evidence_folder import read_evidence
from nla_release.calibration.report import Calibration
from nla_release.cards.render import render
from nla_release.contract.sidecar import contract_digest, read_sidecar
from nla_release.errors import ConfigError, EvidenceError, InputError, PairError
from nla_release.history.log import entries
from nla_release.io.files import dump_json, dump_yaml, read_json, sha256_file, write_atomic
from nla_release.release.folder import ROLES, Release, read_release
from nla_release.release.manifest import read_manifest, record_files
from tests.builders_pair import REVISION, SCALE, make_release, measure, release_document

SHARED = {
    "HISTORY.md",
    "LICENSE",
    "README.md",
    "RELEASE_CALIBRATION.md",
    "adapter_config.json",
    "adapter_model.safetensors",
    "base.json",
    "calibration.json",
    "evidence/rows.jsonl",
    "evidence/run.json",
    "evidence/runs.jsonl",
    "evidence/training_shingles.safetensors",
    "evidence/vectors.safetensors",
    "examples/round_trip.py",
    *(
        f"figures/{name}.{kind}"
        for name in (
            "cosine_real_vs_controls",
            "retrieval_vs_chance",
            "three_questions",
            "training_loss",
        )
        for kind in ("png", "svg", "csv")
    ),
    "nla_meta.yaml",
    "release.json",
    "training_log.jsonl",
}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_an_entry_has_date_headline_control_n_and_a_link(release: Release) -> None:
    log = (release.dist / "av" / "HISTORY.md").read_text(encoding="utf-8")
    entry = entries(log)["v0.0.1"]

    assert entry.startswith("## v0.0.1, 2026-11-22\n")
    assert "with explanations of other documents (difference +" in entry
    assert "for the mean training direction (difference" in entry
    assert "60 rows from 20 documents; 3 without an explanation" in entry
    assert "/blob/v0.0.1/RELEASE_CALIBRATION.md" in entry
    run = sha256_file(release.evidence / "run.json")
    assert f"\n* Evidence: `evidence/run.json` with sha256 `{run}`.\n" in entry


def test_each_repository_holds_exactly_what_a_release_needs(release: Release) -> None:
    assert set(contents(release.dist / "av")) == SHARED
    assert set(contents(release.dist / "ar")) == SHARED | {"value_head.safetensors"}


def test_rendering_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    render(release, "0.0.1")
    first = contents(release.dist)
    render(release, "0.0.1")

    assert contents(release.dist) == first


def test_nothing_of_this_machine_is_in_any_text(release: Release) -> None:
    texts = {
        name: data.decode()
        for name, data in contents(release.dist).items()
        if not name.endswith((".png", ".safetensors"))
    }

    assert [name for name, text in texts.items() if str(release.folder) in text] == []


def test_render_tells_what_it_made(tmp_path: Path) -> None:
    made = render(make_release(tmp_path), "0.1.0")

    assert made.tag == "v0.1.0"
    assert made.repos == {
        "av": "someone/tiny-nla-L3-av-v0_1_0",
        "ar": "someone/tiny-nla-L3-ar-v0_1_0",
    }
    assert made.folders == {role: tmp_path / "dist" / role for role in ROLES}


@pytest.mark.parametrize(("role", "partner"), [("av", "ar"), ("ar", "av")])
def test_the_manifest_lists_every_other_file_and_the_partner(
    release: Release, role: str, partner: str
) -> None:
    folder = release.dist / role
    manifest = read_manifest(folder)

    assert manifest.files == record_files(folder)
    assert set(manifest.files) == set(contents(folder)) - {"release.json"}
    assert (manifest.role, manifest.version, manifest.tag) == (role, "0.0.1", "v0.0.1")
    assert manifest.partner.repo == f"someone/tiny-nla-L3-{partner}-v0_0_1"
    assert manifest.partner.adapter_sha256 == sha256_file(
        release.dist / partner / "adapter_model.safetensors"
    )


@pytest.mark.parametrize(("role", "partner"), [("av", "ar"), ("ar", "av")])
def test_the_sidecar_names_the_partner_and_the_scale_measured_with(
    release: Release, role: str, partner: str
) -> None:
    released = read_sidecar(release.dist / role)
    ours = released.nla_release

    assert ours.partner is not None
    assert ours.partner.repo == f"someone/tiny-nla-L3-{partner}-v0_0_1"
    assert ours.partner.version == "0.0.1"
    assert ours.partner.sha256 == sha256_file(release.dist / partner / "adapter_model.safetensors")
    assert ours.norms.scale_evaluated == SCALE
    assert contract_digest(released) == contract_digest(read_sidecar(release.adapter(role)))


def test_the_evidence_still_belongs_to_what_is_published(release: Release) -> None:
    """A reader of the repository can hash its files and find them in run.json."""
    recorded = read_evidence(release.dist / "av" / "evidence").run.files

    for name in ("adapter_model.safetensors", "adapter_config.json"):
        for role in ROLES:
            assert recorded[f"{role}/{name}"] == sha256_file(release.dist / role / name)


def test_a_local_base_path_becomes_the_hub_id(tmp_path: Path) -> None:
    """PEFT writes where the base lay on the trainer's disk."""
    release = make_release(tmp_path)
    path = release.adapter("av") / "adapter_config.json"
    local = {"base_model_name_or_path": "/home/someone/tiny", "inference_mode": False}
    write_atomic(path, dump_json(read_json(path) | local))
    measure(release)
    render(release, "0.0.1")
    published = read_json(release.dist / "av" / "adapter_config.json")

    assert published == read_json(path) | {
        "base_model_name_or_path": "someone/tiny",
        "inference_mode": True,
    }


@pytest.mark.parametrize(
    "name",
    [
        "av/adapter_model.safetensors",
        "ar/adapter_model.safetensors",
        "av/adapter_config.json",
        "ar/value_head.safetensors",
    ],
)
def test_evidence_of_other_weights_is_refused(tmp_path: Path, name: str) -> None:
    release = make_release(tmp_path)
    path = tmp_path / "pair" / name
    changed = path.read_bytes()
    path.write_bytes(changed[:-1] + bytes([changed[-1] ^ 1]) if name[-4:] != "json" else b"")
    if name.endswith("json"):
        path.write_bytes(changed.replace(b'"lora_alpha": 4', b'"lora_alpha": 8'))

    with pytest.raises(EvidenceError, match=f"to other weights: {name} changed"):
        render(release, "0.0.1")


def test_evidence_of_another_sidecar_is_refused(tmp_path: Path) -> None:
    """The scale is in the sidecar: eight days were once lost to another one."""
    release = make_release(tmp_path)
    path = release.adapter("av") / "nla_meta.yaml"
    write_atomic(path, path.read_text().replace("39.25", "80000.0"))

    with pytest.raises(EvidenceError, match=r"to other weights: av/nla_meta\.yaml changed"):
        render(release, "0.0.1")


def test_a_calibration_that_was_edited_is_refused(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    document = read_json(release.calibration)
    document["cosine"]["mean"] = 0.999
    write_atomic(release.calibration, dump_json(document))

    with pytest.raises(EvidenceError, match="it was edited"):
        render(release, "0.0.1")


def test_a_calibration_of_other_evidence_is_refused(tmp_path: Path) -> None:
    release = make_release(tmp_path / "one")
    other = make_release(tmp_path / "two", seed=1)
    shutil.copyfile(other.calibration, release.calibration)

    with pytest.raises(EvidenceError, match="computed from other evidence"):
        render(release, "0.0.1")


def test_another_base_than_the_trained_one_is_refused(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    other = release_document() | {"base_revision": "1" * 40}
    write_atomic(tmp_path / "release.yaml", dump_yaml(other))

    with pytest.raises(ConfigError, match=f"was trained on someone/tiny at {REVISION}"):
        render(read_release(tmp_path), "0.0.1")

    assert not release.dist.exists()


def test_adapters_of_two_pairs_are_refused(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    path = release.adapter("ar") / "nla_meta.yaml"
    write_atomic(path, path.read_text().replace("injection_token_id: 160", "injection_token_id: 7"))

    with pytest.raises(PairError, match=r"not one pair: tokens\.injection_token_id"):
        render(release, "0.0.1")


@pytest.mark.parametrize("version", ["v0.0.1", "one", "0.00.1"])
def test_a_version_that_would_be_tagged_wrong_is_refused(tmp_path: Path, version: str) -> None:
    with pytest.raises(ConfigError, match="version"):
        render(make_release(tmp_path), version)


@pytest.mark.parametrize("name", ["adapter_config.json", "nla_meta.yaml"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    release = make_release(tmp_path)
    (release.adapter("ar") / name).unlink()

    with pytest.raises(InputError, match=rf"ar/{name} does not exist"):
        render(release, "0.0.1")


def test_an_empty_training_log_is_refused(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    write_atomic(release.adapter("av") / "training_log.jsonl", "")

    with pytest.raises(InputError, match="has no steps"):
        render(release, "0.0.1")


def test_a_damaged_training_log_is_refused(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    write_atomic(release.adapter("av") / "training_log.jsonl", '{"step": 1, "loss": "low"}\n')

    with pytest.raises(InputError, match=r"training_log\.jsonl line 1"):
        render(release, "0.0.1")


def test_an_adapter_without_a_training_log_is_released_without_one(tmp_path: Path) -> None:
    """Somebody else's adapter has none, and none is made up for it."""
    release = make_release(tmp_path)
    (release.adapter("ar") / "training_log.jsonl").unlink()
    render(release, "0.0.1")
    figures = {f"figures/training_loss.{kind}" for kind in ("png", "svg", "csv")}
    of_the_log = {"training_log.jsonl", *figures}

    assert set(contents(release.dist / "av")) == SHARED
    assert set(contents(release.dist / "ar")) == SHARED - of_the_log | {"value_head.safetensors"}
    assert read_manifest(release.dist / "ar").files == record_files(release.dist / "ar")


def test_a_failed_rendering_leaves_the_last_one_as_it_was(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    render(release, "0.0.1")
    before = contents(release.dist)
    write_atomic(
        tmp_path / "release.yaml", dump_yaml(release_document() | {"citations": ["nobody"]})
    )

    with pytest.raises(ConfigError, match="cites nobody"):
        render(read_release(tmp_path), "0.0.2")

    assert contents(release.dist) == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_published_numbers_are_those_of_the_calibration(release: Release) -> None:
    published = Calibration.read(release.dist / "ar" / "calibration.json")

    assert published == Calibration.read(release.calibration)
    assert json.loads(published.dump()) == read_json(release.calibration)


def under(folder: Path, *, base: str, **changes: object) -> Release:
    """A release whose base has this licence, and whose release.yaml is changed so."""
    make_release(folder)
    facts = read_json(folder / "base.json") | {"license": base}
    write_atomic(folder / "base.json", dump_json(facts))
    write_atomic(folder / "release.yaml", dump_yaml(release_document() | changes))
    return read_release(folder)


def test_a_licence_that_the_base_does_not_allow_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    release = under(tmp_path, base="gemma")

    with pytest.raises(ConfigError, match=r"license is apache-2\.0, expected gemma") as refused:
        render(release, "0.0.1")

    assert "waive NLA506" in str(refused.value.hint)
    assert not release.dist.exists()


def test_terms_given_in_writing_are_a_waiver(tmp_path: Path) -> None:
    waiver = {"code": "NLA506", "reason": "Given leave by its owner", "until": "2999-12-31"}
    release = under(tmp_path, base="gemma", waivers=[waiver])
    render(release, "0.0.1")

    assert (release.dist / "av" / "LICENSE").exists()


def test_what_the_licence_asks_for_is_in_both_repositories(tmp_path: Path) -> None:
    release = under(tmp_path, base="llama3.3", license="llama3.3", name="Llama-nla-L3")
    render(release, "0.0.1")

    for role in ROLES:
        readme = (release.dist / role / "README.md").read_text()
        assert "Built with Llama" in " ".join(readme.split())
        assert (release.dist / role / "NOTICE").read_text().startswith("Llama 3.3 is licensed")


@pytest.mark.parametrize(
    "name",
    [
        "notes/summary.md",
        "pair/av/adapter_config.json",
        "pair/ar/training_log.jsonl",
        "pair/ar/adapter_model.safetensors",
        "evidence/rows.jsonl",
        "calibration.json",
        "base.json",
        "HISTORY.md",
        "history/2026-11-23-note.md",
        "notes",
    ],
)
def test_what_a_link_points_to_is_not_published(tmp_path: Path, name: str) -> None:
    release = make_release(tmp_path / "release", notes={"summary": "Words."})
    path, elsewhere = release.folder / name, tmp_path / "elsewhere"
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        path.rename(elsewhere)
    else:
        elsewhere.write_text("a secret of the machine")
    path.symlink_to(elsewhere)

    with pytest.raises(InputError, match=rf"{path} is a symbolic link, and is not followed"):
        render(release, "0.0.1")

    assert not release.dist.exists()


def test_a_pipe_in_the_place_of_weights_is_not_waited_for(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    weights = release.adapter("av") / "adapter_model.safetensors"
    weights.unlink()
    os.mkfifo(weights)

    with pytest.raises(InputError, match="is not a regular file"):
        render(release, "0.0.1")
