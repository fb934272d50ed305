"""`render`: write both repositories of a measured pair into `dist/`, completely or not at all."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nla_release.adapter.stack import files as stacked_files
from nla_release.base_model.facts import BaseFacts, dump_base_facts
from nla_release.base_model.measure import base_facts
from nla_release.cards.compared import compared, compared_with_previous
from nla_release.cards.documents import (
    PARTNERS,
    Context,
    Sources,
    documents,
    own_entry,
    plots_of_pair,
    plots_of_role,
    quotable,
    shared_context,
    state,
)
from nla_release.cards.inputs import Inputs, read_inputs
from nla_release.cards.notes import read_notes
from nla_release.cards.plot import Plot
from nla_release.cards.snippet import round_trip
from nla_release.contract.sidecar import Partner, Role, dump_sidecar
from nla_release.errors import ConfigError, RefusedError
from nla_release.evidence.parts import evidence_files
from nla_release.history.fragments import fragment_entry, pending, read_fragments
from nla_release.history.log import append, entries, read_history, read_log
from nla_release.history.updates import (
    EvidenceUpdate,
    changed_files,
    contradictions,
    missing_from,
    not_added,
    read_updates,
    update_entry,
)
from nla_release.io.files import (
    dump_json,
    replacing_folder,
    sha256_bytes,
    sha256_file,
    write_atomic,
)
from nla_release.io.layout import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    ADDENDA_FOLDER,
    BASE_FILE,
    CALIBRATION_FILE,
    COMPARISON_FILE,
    HEAD_FILE,
    HISTORY_FILE,
    MANIFEST_FILE,
    ROUND_TRIP_FILE,
    SIDECAR_FILE,
    TRAINING_LOG_FILE,
)
from nla_release.release.folder import ROLES, Release, check_version, tag
from nla_release.release.licences import licence_files, misfits
from nla_release.release.manifest import (
    Manifest,
    ManifestBase,
    PartnerRecord,
    dump_manifest,
    record_files,
)

Files = dict[str, str | bytes]


@dataclass(frozen=True)
class RenderedRelease:
    """A rendered release: the tag to publish it under, and each repository's id and folder."""

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
    _check_licence(release, base, version)
    updates = read_updates(release.addenda(version), release.folder)
    if why := not_added(updates, version, inputs.calibration.evidence):
        raise RefusedError(
            why, hint='add the new measurement: nla-release calibrate --addendum "why"'
        )
    sidecars = [inputs.adapters[role].sidecar for role in ROLES]
    comparison = compared(release, version, inputs.evidence, sidecars)
    before = compared_with_previous(inputs, version)
    notes = read_notes(release.notes, quotable(inputs, version))
    own = {role: _own_files(inputs, version, role) for role in ROLES}
    example = round_trip(
        {role: inputs.adapters[role].sidecar for role in ROLES},
        inputs.evidence,
        {role: release.repo_id(role, version) for role in ROLES},
        tag(version),
    )
    files = _digests(inputs, base, own) | {ROUND_TRIP_FILE: sha256_bytes(example.encode())}
    stated = state(inputs, notes, before, files)
    sources = Sources(inputs, version, stated, before, (), updates, comparison)
    history = _history(sources)
    sources = replace(sources, log=read_log(history))
    shared = shared_context(sources)
    pair = {
        **licence_files(release.licence),
        BASE_FILE: dump_base_facts(base),
        HISTORY_FILE: history,
        ROUND_TRIP_FILE: example,
        **_files(plots_of_pair(inputs, before)),
    }
    if comparison:
        pair[COMPARISON_FILE] = comparison.dump()
    with replacing_folder(release.dist) as dist:
        for role in ROLES:
            _copy_measured(inputs, role, dist / role)
            if updates:
                shutil.copytree(release.addenda(version), dist / role / ADDENDA_FOLDER)
            figures = _files(plots_of_role(inputs, role))
            texts = documents(sources, shared, role)
            for name, content in (pair | own[role] | figures | texts).items():
                write_atomic(dist / role / name, content)
            manifest = _manifest(sources, shared, role, dist / role)
            _check_unchanged(updates, manifest)
            write_atomic(dist / role / MANIFEST_FILE, dump_manifest(manifest))
    return RenderedRelease(
        updates[-1].record.tag if updates else tag(version),
        shared["release"]["repos"],
        {role: release.dist / role for role in ROLES},
    )


def _copy_measured(inputs: Inputs, role: Role, folder: Path) -> None:
    """What was trained and measured goes into the repository as it is."""
    release, adapter = inputs.release, inputs.adapters[role]
    trained = [ADAPTER_FILE]
    if adapter.log:
        trained.append(TRAINING_LOG_FILE)
    if role == "ar":
        trained.append(HEAD_FILE)
    (folder / "evidence").mkdir(parents=True)
    for name in [*trained, *stacked_files(adapter.sidecar)]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(adapter.folder / name, folder / name)
    for name in evidence_files(release.evidence):
        shutil.copyfile(release.evidence / name, folder / "evidence" / name)
    shutil.copyfile(release.calibration, folder / CALIBRATION_FILE)


def _check_unchanged(updates: list[EvidenceUpdate], manifest: Manifest) -> None:
    """Refuse a repository whose weights or sidecar are not those that an addendum is to."""
    if changed := changed_files(updates, manifest):
        raise RefusedError(
            f"{', '.join(changed)} differs from the published {manifest.tag}",
            hint="restore the published pair; other weights need a new version",
        )


def _check_licence(release: Release, base: BaseFacts, version: str) -> None:
    """Refuse early what NLA506 reports for the finished repositories, unless it is waived."""
    if any(waiver.code == "NLA506" for waiver in release.config.waivers):
        return
    for role in ROLES:
        repo = release.repo_id(role, version)
        if problems := misfits(release.config.license, base.license, repo):
            raise ConfigError(
                "; ".join(problems),
                hint="change license or name in release.yaml; if the owner of the base gave you"
                " other terms in writing, waive NLA506",
            )


def _history(sources: Sources) -> str:
    """The log as last published, with the entries of this version, its updates and fragments."""
    release, updates, version = sources.inputs.release, sources.updates, sources.version
    published = read_history(release.history)
    own = own_entry(sources)
    if updates and (entry := entries(published or "").get(tag(version))):
        own = entry  # as it was published
    log = [*read_log(published or ""), *read_log(own)]
    if wrong := contradictions(log, version, updates):
        raise RefusedError(wrong[0], hint=f"restore {release.addenda(version)} as it was published")
    new = pending(read_fragments(release.fragments), log)
    quoted = quotable(sources.inputs, version)
    additions = [
        own,
        *map(update_entry, missing_from(log, updates)),
        *(fragment_entry(fragment, quoted, log) for fragment in new),
    ]
    return append(published, release.config.title, additions)


def _files(plots: Sequence[Plot]) -> Files:
    return {name: content for plot in plots for name, content in plot.files().items()}


def _own_files(inputs: Inputs, version: str, role: Role) -> Files:
    """What a release changes of an adapter's own files: the sidecar and PEFT's configuration."""
    return {
        SIDECAR_FILE: _sidecar(inputs, version, role),
        ADAPTER_CONFIG_FILE: _adapter_config(inputs, role),
    }


def _digests(inputs: Inputs, base: BaseFacts, own: Mapping[Role, Files]) -> dict[str, str]:
    """The sha256 of the files that the evidence does not hold to what they were."""
    files = {BASE_FILE: sha256_bytes(dump_base_facts(base).encode())}
    for role in ROLES:
        for name, content in own[role].items():
            data = content.encode() if isinstance(content, str) else content
            files[f"{role}/{name}"] = sha256_bytes(data)
        if inputs.adapters[role].log:
            log = inputs.adapters[role].folder / TRAINING_LOG_FILE
            files[f"{role}/{TRAINING_LOG_FILE}"] = sha256_file(log)
    return files


def _sidecar(inputs: Inputs, version: str, role: Role) -> str:
    """The sidecar with what only a release knows: the partner, and the scale evaluated."""
    sidecar, partner = inputs.adapters[role].sidecar, PARTNERS[role]
    ours = sidecar.nla_release
    scale = inputs.evidence.run.injection.scale
    released = ours.model_copy(
        update={
            "norms": ours.norms.model_copy(update={"scale_evaluated": scale}),
            "partner": Partner(
                repo=inputs.release.repo_id(partner, version),
                version=version,
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
        return (adapter.folder / ADAPTER_CONFIG_FILE).read_bytes()
    return dump_json(ready)


def _manifest(sources: Sources, shared: Context, role: Role, folder: Path) -> Manifest:
    """What the repository is, and every other file that is in its folder by now."""
    inputs, partner, repos = sources.inputs, PARTNERS[role], shared["release"]["repos"]
    config = inputs.release.config
    return Manifest(
        role=role,
        repo=repos[role],
        version=shared["version"],
        tag=shared["tag"],
        base=ManifestBase(id=config.base_model, revision=config.base_revision),
        files=record_files(folder),
        partner=PartnerRecord(
            repo=repos[partner],
            tag=shared["tag"],
            adapter_sha256=inputs.adapters[partner].sha256,
        ),
        stated=sources.stated,
    )
