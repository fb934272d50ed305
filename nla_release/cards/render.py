"""`render`: a measured pair becomes two repositories in `dist/`, whole or not at all."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nla_release.base.cache import base_facts
from nla_release.base.facts import FILE_NAME as BASE_NAME
from nla_release.base.facts import BaseFacts, dump_base_facts
from nla_release.calibration.evidence import ROWS_NAME, RUN_NAME, VECTORS_NAME
from nla_release.cards.addenda import FOLDER_NAME as ADDENDA_FOLDER_NAME
from nla_release.cards.addenda import (
    Addendum,
    addendum_entry,
    changed_files,
    contradictions,
    missing_from,
    not_added,
    read_addenda,
)
from nla_release.cards.blocks import marked
from nla_release.cards.compared import FILE_NAME as COMPARISON_NAME
from nla_release.cards.compared import compared, comparison_block
from nla_release.cards.context import PARTNERS, Context, pair_context, role_context
from nla_release.cards.environment import render_template
from nla_release.cards.figures import (
    Plot,
    cosine_distributions,
    own_against_other,
    retrieval_vs_chance,
    training_loss,
    versions_side_by_side,
)
from nla_release.cards.fragments import fragment_entry, pending, read_fragments
from nla_release.cards.history import append, entries, read_history, read_log
from nla_release.cards.inputs import Inputs, read_inputs
from nla_release.cards.released import Released, released
from nla_release.cards.retractions import new_version, retracted_block, withdrawn_block
from nla_release.cards.snippet import ROUND_TRIP_NAME, round_trip
from nla_release.cards.superseded import addenda_block, addendum_block
from nla_release.errors import RefusedError
from nla_release.files import dump_json, replacing_folder, write_atomic
from nla_release.licences import check_licence, licence_files
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
from nla_release.stack import files as stacked_files
from nla_release.training_log import FILE_NAME as TRAINING_LOG_NAME
from nla_release.weights import ADAPTER_FILE_NAME, CONFIG_FILE_NAME

Files = dict[str, str | bytes]


@dataclass(frozen=True)
class RenderedRelease:
    """What was made: the tag to publish it under, and each repository's id and folder."""

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
        RefusedError: HISTORY.md has this version with other results, or a fragment or addendum as
            it was before somebody edited it; or the evidence or a file of the pair is not what the
            last addendum says.
        EnvironmentProblem: `dist/` cannot be written, or base.json is missing and the base cannot
            be reached.
    """
    check_version(version)
    inputs = read_inputs(release)
    base = base_facts(release)
    before = released(inputs, version)
    plots = _pair_plots(inputs, before)
    shared = pair_context(inputs, version, plots, before)
    _check_licence(release, base, shared)
    addenda = read_addenda(release.addenda(version), release.folder)
    if why := not_added(addenda, version, inputs.calibration.evidence):
        raise RefusedError(
            why, hint='nla-release calibrate --addendum "..." adds what was measured since'
        )
    sidecars = [inputs.adapters[role].sidecar for role in ROLES]
    comparison = compared(release, version, inputs.evidence, sidecars)
    history = _history(inputs, shared, addenda)
    log = read_log(history)
    retracted, withdrawn = retracted_block(log), withdrawn_block(log, version)
    shared["successors"] = {
        role: new_version(log, version, role, repo)
        for role, repo in shared["release"]["repos"].items()
    }
    for blocks, later in (
        ("blocks", retracted | withdrawn | addendum_block(addenda)),
        ("page_blocks", retracted | addenda_block(addenda) | comparison_block(comparison)),
    ):
        shared[blocks] |= {name: marked(name, text) for name, text in later.items()}
    documents = _pair_documents(inputs, base, shared, plots) | {HISTORY_FILE_NAME: history}
    if comparison:
        documents[COMPARISON_NAME] = comparison.dump()
    with replacing_folder(release.dist) as dist:
        for role in ROLES:
            _copy_measured(inputs, role, dist / role)
            if addenda:
                shutil.copytree(release.addenda(version), dist / role / ADDENDA_FOLDER_NAME)
            for name, content in (documents | _role_documents(inputs, shared, role)).items():
                write_atomic(dist / role / name, content)
            manifest = _manifest(inputs, shared, role, dist / role)
            _check_unchanged(addenda, manifest)
            write_atomic(dist / role / MANIFEST_NAME, dump_manifest(manifest))
    return RenderedRelease(
        addenda[-1].record.tag if addenda else tag(version),
        shared["release"]["repos"],
        {role: release.dist / role for role in ROLES},
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
    for name in [*trained, *stacked_files(adapter.sidecar)]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(adapter.folder / name, folder / name)
    for name in (ROWS_NAME, VECTORS_NAME, RUN_NAME):
        shutil.copyfile(release.evidence / name, folder / "evidence" / name)
    shutil.copyfile(release.calibration, folder / CALIBRATION_FILE_NAME)


def _check_unchanged(addenda: list[Addendum], manifest: Manifest) -> None:
    """Refuse a repository whose weights or sidecar are not those that an addendum is to."""
    if changed := changed_files(addenda, manifest):
        raise RefusedError(
            f"{', '.join(changed)} would not be as {manifest.tag} was published",
            hint="restore the pair: an addendum is to the same weights, others are a new version",
        )


def _check_licence(release: Release, base: BaseFacts, shared: Context) -> None:
    """Refuse what NLA506 would refuse of the finished repositories, unless it is waived."""
    if not any(waiver.code == "NLA506" for waiver in release.config.waivers):
        for repo in shared["release"]["repos"].values():
            check_licence(release.config.license, base.license, repo)


def _history(inputs: Inputs, shared: Context, addenda: list[Addendum]) -> str:
    """The log as last published, with the entries of this version, its addenda and fragments."""
    release = inputs.release
    published = read_history(release.history)
    own = _own_entry(published, shared, addenda)
    log = [*read_log(published or ""), *read_log(own)]
    if wrong := contradictions(log, shared["version"], addenda):
        raise RefusedError(
            wrong[0], hint=f"restore {release.addenda(shared['version'])}: it is only added to"
        )
    new = pending(read_fragments(release.fragments), log)
    quotable = {name: shared[name] for name in ("version", "release", "calibration")}
    additions = [
        own,
        *map(addendum_entry, missing_from(log, addenda)),
        *(fragment_entry(fragment, quotable, log) for fragment in new),
    ]
    return append(published, release.config.title, additions)


def _own_entry(published: str | None, shared: Context, addenda: list[Addendum]) -> str:
    """The entry of this version, which tells what it was published with.

    After an addendum the numbers are others: the entry stays the one that is published, or is made
    from what the first addendum superseded.
    """
    if not addenda:
        return render_template("history_entry.md.jinja", shared)
    if entry := entries(published or "").get(shared["tag"]):
        return entry
    first = addenda[0]
    then = first.former.calibration.model_dump(mode="json", by_alias=True)
    return render_template(
        "history_entry.md.jinja",
        shared | {"calibration": then, "date": first.record.supersedes.measured},
    )


def _pair_plots(inputs: Inputs, before: Released | None) -> list[Plot]:
    """The figures of both repositories."""
    evidence, calibration = inputs.evidence, inputs.calibration
    plots = [
        cosine_distributions(evidence, calibration),
        own_against_other(evidence, calibration),
        retrieval_vs_chance(calibration),
    ]
    return [*plots, versions_side_by_side(before.versions)] if before else plots


def _files(plots: Sequence[Plot]) -> Files:
    return {name: content for plot in plots for name, content in plot.files().items()}


def _pair_documents(
    inputs: Inputs, base: BaseFacts, shared: Context, plots: Sequence[Plot]
) -> Files:
    """What is the same in both repositories."""
    page = shared | {"blocks": shared["page_blocks"]}
    return {
        **licence_files(inputs.release.licence),
        "RELEASE_CALIBRATION.md": render_template("RELEASE_CALIBRATION.md.jinja", page),
        BASE_NAME: dump_base_facts(base),
        ROUND_TRIP_NAME: round_trip(
            {role: adapter.sidecar for role, adapter in inputs.adapters.items()},
            inputs.evidence,
            shared["release"]["repos"],
            shared["tag"],
        ),
        **_files(plots),
    }


def _role_documents(inputs: Inputs, shared: Context, role: Role) -> Files:
    """What only one repository has."""
    log = inputs.adapters[role].log
    plots = [training_loss(role, log)] if log else []
    context = role_context(inputs, shared, role, plots)
    return {
        **_files(plots),
        "README.md": render_template(f"{role}.md.jinja", context),
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


def _manifest(inputs: Inputs, shared: Context, role: Role, folder: Path) -> Manifest:
    """What the repository is, and every other file that is in its folder by now."""
    config, partner, repos = inputs.release.config, PARTNERS[role], shared["release"]["repos"]
    return Manifest(
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
