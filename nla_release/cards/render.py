"""`render`: a measured pair becomes two repositories in `dist/`, whole or not at all."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from nla_release.base.cache import base_facts
from nla_release.base.facts import FILE_NAME as BASE_NAME
from nla_release.base.facts import BaseFacts, dump_base_facts
from nla_release.calibration.evidence import ROWS_NAME, RUN_NAME, VECTORS_NAME
from nla_release.cards.blocks import marked
from nla_release.cards.context import PARTNERS, Context, pair_context, role_context
from nla_release.cards.environment import render_template
from nla_release.cards.figures import cosine_distributions, training_loss
from nla_release.cards.fragments import fragment_entry, pending, read_fragments
from nla_release.cards.history import append, read_history, read_log
from nla_release.cards.inputs import Inputs, read_inputs
from nla_release.cards.references import check_licence, licence_files
from nla_release.cards.retractions import retracted_block
from nla_release.files import dump_json, replacing_folder, write_atomic
from nla_release.manifest import FILE_NAME as MANIFEST_NAME
from nla_release.manifest import BaseRecord, Manifest, PartnerRecord, dump_manifest, record_files
from nla_release.release import (
    CALIBRATION_FILE_NAME,
    HISTORY_FILE_NAME,
    ROLES,
    Release,
    check_version,
    tag,
)
from nla_release.sidecar import FILE_NAME as SIDECAR_NAME
from nla_release.sidecar import HEAD_FILE_NAME, Partner, Role, dump_sidecar
from nla_release.training_log import FILE_NAME as TRAINING_LOG_NAME
from nla_release.weights import ADAPTER_FILE_NAME, CONFIG_FILE_NAME

Files = dict[str, str | bytes]


@dataclass(frozen=True)
class RenderedRelease:
    """What was made: the tag, and each repository's id and folder."""

    tag: str
    repos: dict[Role, str]
    folders: dict[Role, Path]


def render(release: Release, version: str) -> RenderedRelease:
    """Write `dist/av` and `dist/ar`, each a whole repository.

    The same inputs give the same bytes. When anything is wrong, an older `dist/` is as it was.

    Raises:
        ConfigError: the version, a note, a fragment, a citation or the licence is wrong, or
            release.yaml names another base than the pair was trained on.
        InputError: a file is missing or damaged.
        EvidenceError: the evidence is of other weights, or the calibration of other evidence.
        PairError: AV and AR are not one pair.
        RefusedError: HISTORY.md has this version with other results, or a fragment as it was before
            somebody edited it.
        EnvironmentProblem: `dist/` cannot be written, or base.json is missing and the base cannot
            be reached.
    """
    check_version(version)
    inputs = read_inputs(release)
    base = base_facts(release)
    shared = pair_context(inputs, version)
    _check_licence(release, base, shared)
    history = _history(inputs, shared)
    shared["blocks"] |= {
        name: marked(name, text) for name, text in retracted_block(read_log(history)).items()
    }
    documents = _pair_documents(inputs, base, shared) | {HISTORY_FILE_NAME: history}
    with replacing_folder(release.dist) as dist:
        for role in ROLES:
            _copy_measured(inputs, role, dist / role)
            for name, content in (documents | _role_documents(inputs, shared, role)).items():
                write_atomic(dist / role / name, content)
            manifest = _manifest(inputs, shared, role, dist / role)
            write_atomic(dist / role / MANIFEST_NAME, manifest)
    return RenderedRelease(
        tag(version), shared["release"]["repos"], {role: release.dist / role for role in ROLES}
    )


def _copy_measured(inputs: Inputs, role: Role, folder: Path) -> None:
    """What was trained and measured goes into the repository as it is."""
    release, adapter = inputs.release, inputs.adapters[role]
    trained = [ADAPTER_FILE_NAME]
    if adapter.log:
        trained.append(TRAINING_LOG_NAME)
    if role == "ar":
        trained.append(HEAD_FILE_NAME)
    (folder / "evidence").mkdir(parents=True)
    for name in trained:
        shutil.copyfile(adapter.folder / name, folder / name)
    for name in (ROWS_NAME, VECTORS_NAME, RUN_NAME):
        shutil.copyfile(release.evidence / name, folder / "evidence" / name)
    shutil.copyfile(release.calibration, folder / CALIBRATION_FILE_NAME)


def _check_licence(release: Release, base: BaseFacts, shared: Context) -> None:
    """Refuse what NLA506 would refuse of the finished repositories, unless it is waived."""
    if not any(waiver.code == "NLA506" for waiver in release.config.waivers):
        for repo in shared["release"]["repos"].values():
            check_licence(release.config.license, base.license, repo)


def _history(inputs: Inputs, shared: Context) -> str:
    """The log as last published, with this version's entry and those of new fragments."""
    release = inputs.release
    published = read_history(release.history)
    own = render_template("history_entry.md.jinja", shared)
    log = [*read_log(published or ""), *read_log(own)]
    new = pending(read_fragments(release.fragments), log)
    quotable = {name: shared[name] for name in ("version", "release", "calibration")}
    additions = [own, *(fragment_entry(fragment, quotable, log) for fragment in new)]
    return append(published, release.config.title, additions)


def _pair_documents(inputs: Inputs, base: BaseFacts, shared: Context) -> Files:
    """What is the same in both repositories."""
    return {
        **licence_files(inputs.release.config.license),
        "RELEASE_CALIBRATION.md": render_template("RELEASE_CALIBRATION.md.jinja", shared),
        BASE_NAME: dump_base_facts(base),
        "figures/cosine_real_vs_controls.png": cosine_distributions(
            inputs.evidence, inputs.calibration
        ),
    }


def _role_documents(inputs: Inputs, shared: Context, role: Role) -> Files:
    """What only one repository has."""
    log = inputs.adapters[role].log
    figures: Files = {"figures/training_loss.png": training_loss(role, log)} if log else {}
    return figures | {
        "README.md": render_template(f"{role}.md.jinja", role_context(inputs, shared, role)),
        SIDECAR_NAME: _sidecar(inputs, shared, role),
        CONFIG_FILE_NAME: _adapter_config(inputs, role),
    }


def _sidecar(inputs: Inputs, shared: Context, role: Role) -> str:
    """The sidecar with what only a release knows: the partner, and the scale evaluated."""
    sidecar, partner = inputs.adapters[role].sidecar, PARTNERS[role]
    ours = sidecar.nla_release
    scale = inputs.evidence.run.injection.scale
    released = ours.model_copy(
        update={
            "norms": ours.norms.model_copy(update={"scale_evaluated": scale}),
            "partner": Partner(
                repo=shared["release"]["repos"][partner],
                version=shared["version"],
                sha256=inputs.adapters[partner].sha256,
            ),
        }
    )
    return dump_sidecar(sidecar.model_copy(update={"nla_release": released}))


def _adapter_config(inputs: Inputs, role: Role) -> str | bytes:
    """PEFT's configuration, ready to be loaded by others: a Hub id, never a path of this machine.

    One that is ready already keeps its bytes, so that its hash stays the one in the evidence.
    """
    adapter = inputs.adapters[role]
    ready = adapter.config | {
        "base_model_name_or_path": inputs.release.config.base_model,
        "inference_mode": True,
    }
    if ready == adapter.config:
        return (adapter.folder / CONFIG_FILE_NAME).read_bytes()
    return dump_json(ready)


def _manifest(inputs: Inputs, shared: Context, role: Role, folder: Path) -> str:
    """What the repository is, and every other file that is in its folder by now."""
    config, partner, repos = inputs.release.config, PARTNERS[role], shared["release"]["repos"]
    return dump_manifest(
        Manifest(
            role=role,
            repo=repos[role],
            version=shared["version"],
            tag=shared["tag"],
            base=BaseRecord(id=config.base_model, revision=config.base_revision),
            files=record_files(folder),
            partner=PartnerRecord(
                repo=repos[partner],
                tag=shared["tag"],
                adapter_sha256=inputs.adapters[partner].sha256,
            ),
        )
    )
