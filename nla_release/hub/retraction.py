"""What a retraction changes, as data: both repositories as they are on main, and as they will be.

The Hub has all that it takes, so that a version can be retracted long after the folder that it was
made in is gone. The retraction is an entry of HISTORY.md; cards, RELEASE_CALIBRATION.md and
release.json are brought in line with it.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from nla_release.cards.history import append
from nla_release.errors import InputError, RefusedError
from nla_release.files import sha256_bytes, write_atomic
from nla_release.hub.remote import Hub
from nla_release.hub.remote_state import RemoteState
from nla_release.hub.withdrawing import (
    Withdrawal,
    log_with,
    told_on_card,
    told_on_page,
    withdrawal_entry,
)
from nla_release.manifest import FILE_NAME, FileRecord, Manifest, dump_manifest, read_manifest
from nla_release.release import HISTORY_FILE_NAME, ROLES, tag
from nla_release.sidecar import Role

CARD_NAME = "README.md"
PAGE_NAME = "RELEASE_CALIBRATION.md"


@dataclass(frozen=True)
class Told:
    """One repository as it is on main, and the files by which it will tell of the retraction."""

    role: Role
    repo: str
    state: RemoteState
    files: dict[str, str]
    manifest: Manifest
    edited: bool  # somebody edited the card on the Hub, which stays as it is but for the notice

    @property
    def done(self) -> bool:
        """Whether it tells already."""
        return not self.files


@dataclass(frozen=True)
class RetractionPlan:
    """Both repositories, and the log with the retraction."""

    withdrawal: Withdrawal
    history: str
    repos: list[Told]

    @property
    def done(self) -> bool:
        """Whether both tell already."""
        return all(repo.done for repo in self.repos)


def plan_retraction(
    hub: Hub, repos: dict[Role, str], withdrawal: Withdrawal, history: str | None
) -> RetractionPlan:
    """What a retraction would change; reads only.

    Args:
        hub: where the version is published.
        repos: the version's repositories.
        withdrawal: what is to be said.
        history: HISTORY.md beside release.yaml, which may tell of more than the repositories.

    Raises:
        ConfigError: the retraction cannot be recorded as it is worded.
        RefusedError: the version or its successor is not published, or what is on main is no
            release, or is damaged.
        EnvironmentProblem: the Hub cannot be reached.
    """
    states = {role: _published(hub, repos[role], withdrawal.version) for role in ROLES}
    if withdrawal.successor is not None:
        for repo in withdrawal.repos.values():
            _published(hub, repo, withdrawal.successor)
    logs = {
        f"{repos[role]} on the Hub": hub.read(repos[role], HISTORY_FILE_NAME, states[role].head)
        for role in ROLES
    }
    if history is not None:
        logs[f"{HISTORY_FILE_NAME} here"] = history
    longest = _longest(logs)
    entry = withdrawal_entry(withdrawal, log_with(longest, None))
    told = append(longest, "", [entry]) if entry else longest
    return RetractionPlan(
        withdrawal,
        told,
        [_told(hub, repos[role], role, states[role], told) for role in ROLES],
    )


def _published(hub: Hub, repo: str, version: str) -> RemoteState:
    state = hub.state(repo)
    if state is None or tag(version) not in state.tags:
        raise RefusedError(
            f"{repo}: {tag(version)} is not published"
            + (f"; its tags are {', '.join(sorted(state.tags))}" if state and state.tags else ""),
            hint="what was never published needs no retraction; check the version and the names",
        )
    return state


def _longest(logs: dict[str, str]) -> str:
    """The log that all the others are beginnings of.

    Raises:
        RefusedError: they are not.
    """
    where = max(logs, key=lambda name: len(logs[name]))
    for name, log in logs.items():
        if not logs[where].startswith(log):
            raise RefusedError(
                f"the logs do not agree: {name} is not the beginning of {where}",
                hint=f"put the published {HISTORY_FILE_NAME} beside release.yaml",
            )
    return logs[where]


def _told(hub: Hub, repo: str, role: Role, state: RemoteState, history: str) -> Told:
    """What one repository has to change."""
    manifest = _manifest(hub, repo, role, state)
    log = log_with(history, None)
    before = {
        name: hub.read(repo, name, state.head)
        for name in (CARD_NAME, PAGE_NAME, HISTORY_FILE_NAME)
        if name in state.files
    }
    card = before[CARD_NAME]
    after = {
        HISTORY_FILE_NAME: history,
        CARD_NAME: told_on_card(card, log, manifest.version, role),
        **({PAGE_NAME: told_on_page(before[PAGE_NAME], log)} if PAGE_NAME in before else {}),
    }
    changed = {name: text for name, text in after.items() if text != before.get(name)}
    edited = manifest.files.get(CARD_NAME) != record_of(card)
    if not changed:
        return Told(role, repo, state, {}, manifest, edited)
    records = {name: record_of(text) for name, text in after.items()}
    manifest = manifest.model_copy(update={"files": {**manifest.files, **records}})
    changed[FILE_NAME] = dump_manifest(manifest)
    return Told(role, repo, state, changed, manifest, edited)


def _manifest(hub: Hub, repo: str, role: Role, state: RemoteState) -> Manifest:
    """The release.json on main.

    Raises:
        RefusedError: what is on main is no release of ours, or not of this role.
    """
    if FILE_NAME not in state.files or CARD_NAME not in state.files:
        raise RefusedError(
            f"{repo}: main ({state.head[:12]}) lacks {FILE_NAME} or {CARD_NAME}",
            hint="somebody changed it since it was published: put the release back first",
        )
    with tempfile.TemporaryDirectory(prefix="nla-release-") as name:
        write_atomic(Path(name) / FILE_NAME, hub.read(repo, FILE_NAME, state.head))
        try:
            manifest = read_manifest(Path(name))
        except InputError as error:
            raise RefusedError(f"{repo}: on main, {error.message}") from error
    if (manifest.role, manifest.repo) != (role, repo):
        raise RefusedError(f"{repo}: {FILE_NAME} on main is of {manifest.repo}")
    return manifest


def record_of(text: str) -> FileRecord:
    """What release.json says of a text file."""
    content = text.encode()
    return FileRecord(sha256=sha256_bytes(content), size=len(content))
