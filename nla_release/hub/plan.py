"""What a push would do, as data: the rendered release against what is on the Hub."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nla_release.errors import InputError, RefusedError
from nla_release.files import read_text
from nla_release.hub.remote import Hub, RemoteState
from nla_release.manifest import FILE_NAME, Manifest, differences, read_manifest, record_files
from nla_release.release import HISTORY_FILE_NAME, ROLES, check_version
from nla_release.schema import parse
from nla_release.sidecar import Role

Change = Literal["add", "change", "remove", "keep"]
SYMBOLS: dict[Change, str] = {"add": "+", "change": "~", "remove": "-", "keep": "="}


@dataclass(frozen=True)
class FileChange:
    """What happens to one file; `size` in bytes, `sha256` of the new content."""

    name: str
    change: Change
    size: int
    sha256: str | None


@dataclass(frozen=True)
class RepoPlan:
    """What happens to one repository.

    `head` is the commit of main that the plan was made against, None when there is no repository;
    `tagged` the commit that the release's tag already points at.
    """

    role: Role
    repo: str
    folder: Path
    manifest: Manifest
    head: str | None
    tagged: str | None
    files: list[FileChange]

    def named(self, *changes: Change) -> list[str]:
        """Names of the files with one of these changes."""
        return [file.name for file in self.files if file.change in changes]


@dataclass(frozen=True)
class Plan:
    """Both repositories of one version."""

    version: str
    tag: str
    repos: list[RepoPlan]

    @property
    def done(self) -> bool:
        """Whether both tags are there already, with these bytes."""
        return all(repo.tagged is not None for repo in self.repos)


def make_plan(dist: Path, version: str, hub: Hub) -> Plan:
    """Compare `dist/av` and `dist/ar` with the Hub; reads only.

    Raises:
        InputError: dist is missing, of another version, or its files are not as listed.
        RefusedError: the tag exists with other bytes, the repository holds files of others, or
            its history is not the beginning of this one.
        EnvironmentProblem: the Hub cannot be reached.
    """
    check_version(version)
    folders = {role: dist / role for role in ROLES}
    manifests = {role: _checked_manifest(folder, version) for role, folder in folders.items()}
    repos = [_plan_repo(role, folders[role], manifests[role], hub) for role in ROLES]
    return Plan(version, manifests["av"].tag, repos)


def _checked_manifest(folder: Path, version: str) -> Manifest:
    manifest = read_manifest(folder)
    if manifest.version != version:
        raise InputError(
            f"{folder} was rendered as version {manifest.version}, not {version}",
            hint=f"run `nla-release render --version {version}` first",
        )
    if wrong := differences(manifest.files, record_files(folder)):
        raise InputError(
            f"{folder} is not as it was rendered: {'; '.join(wrong[:4])}",
            hint=f"run `nla-release render --version {version}` again",
        )
    return manifest


def _plan_repo(role: Role, folder: Path, manifest: Manifest, hub: Hub) -> RepoPlan:
    state = hub.state(manifest.repo)
    tagged = state.tags.get(manifest.tag) if state else None
    if tagged is not None:
        _refuse_other_bytes(hub, folder, manifest)
    files = compare(folder, manifest, state)
    if state is not None and tagged is None:
        _refuse_foreign_files(hub, manifest.repo, state, files)
        _refuse_lost_history(hub, folder, manifest.repo, state)
    return RepoPlan(
        role, manifest.repo, folder, manifest, state.head if state else None, tagged, files
    )


def _refuse_foreign_files(hub: Hub, repo: str, state: RemoteState, files: list[FileChange]) -> None:
    """Only what an earlier release put there may be removed."""
    removed = {file.name for file in files if file.change == "remove"}
    if removed and FILE_NAME in state.files:
        earlier = parse(Manifest, json.loads(hub.read(repo, FILE_NAME, state.head)), repo)
        removed -= earlier.files.keys()
    if removed:
        raise RefusedError(
            f"{repo} holds files that are no release's: {', '.join(sorted(removed)[:6])}",
            hint="move them elsewhere first; a push makes the repository exactly the release",
        )


def _refuse_lost_history(hub: Hub, folder: Path, repo: str, state: RemoteState) -> None:
    """What a tagged release said in its history stays."""
    if not state.tags or HISTORY_FILE_NAME not in state.files:
        return
    published = hub.read(repo, HISTORY_FILE_NAME, state.head)
    if not read_text(folder / HISTORY_FILE_NAME).startswith(published):
        raise RefusedError(
            f"{repo}: the published {HISTORY_FILE_NAME} is not the beginning of"
            f" {folder / HISTORY_FILE_NAME}",
            hint=f"put the published {HISTORY_FILE_NAME} beside release.yaml and render again",
        )


def _refuse_other_bytes(hub: Hub, folder: Path, manifest: Manifest) -> None:
    published = hub.state(manifest.repo, manifest.tag)
    assert published is not None, "a repository with a tag exists"
    changed = [file for file in compare(folder, manifest, published) if file.change != "keep"]
    if changed:
        listing = ", ".join(f"{SYMBOLS[file.change]} {file.name}" for file in changed[:6])
        raise RefusedError(
            f"{manifest.repo}: tag {manifest.tag} is published with other bytes ({listing})",
            hint="tags are never moved; render and push under a new version",
        )


def compare(folder: Path, manifest: Manifest, state: RemoteState | None) -> list[FileChange]:
    """What makes a remote tree, or none, exactly the release in `folder`: a change per file."""
    names = sorted([*manifest.files, FILE_NAME])
    remote = state.files if state else {}
    changes = []
    for name in names:
        path = folder / name
        record = manifest.files.get(name)
        if name not in remote:
            change: Change = "add"
        else:
            change = "keep" if remote[name].is_same_as(path) else "change"
        size = path.stat().st_size
        changes.append(FileChange(name, change, size, record.sha256 if record else None))
    removed = [
        FileChange(name, "remove", file.size, None)
        for name, file in sorted(remote.items())
        if name not in names
    ]
    return changes + removed
