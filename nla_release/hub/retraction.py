"""What a retraction changes, as data: both repositories as they are on main, and as they will be.

The Hub has all that it takes, so that a version can be retracted long after the folder that it was
made in is gone. The retraction is an entry of HISTORY.md; cards, RELEASE_CALIBRATION.md and
release.json are brought in line with it.
"""

from dataclasses import dataclass

from nla_release.contract.sidecar import Role
from nla_release.errors import InputError, RefusedError
from nla_release.history.log import append, read_log
from nla_release.history.retractions import withdrawing
from nla_release.hub.adoption import released
from nla_release.hub.drift import CARD_NAME
from nla_release.hub.predecessor import other_logs
from nla_release.hub.withdrawing import Withdrawal, told_on_card, told_on_page, withdrawal_entry
from nla_release.hub_client.client_errors import DeniedError
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.remote_state import RemoteState
from nla_release.io.files import sha256_bytes
from nla_release.release.folder import HISTORY_FILE_NAME, ROLES, tag
from nla_release.release.manifest import (
    FILE_NAME,
    SIGNATURE_FILE_NAME,
    FileRecord,
    Manifest,
    dump_manifest,
)

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
    def removed(self) -> list[str]:
        """The signature on main, which is over the release.json before; at the tag it stays."""
        stale = self.files and SIGNATURE_FILE_NAME in self.state.files
        return [SIGNATURE_FILE_NAME] if stale else []

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
    note: str | None = None  # what the Hub would not tell

    @property
    def done(self) -> bool:
        """Whether both tell already."""
        return all(repo.done for repo in self.repos)


def plan_retraction(
    hub: Hub, repos: dict[Role, str], withdrawal: Withdrawal, history: str | None
) -> RetractionPlan:
    """What a retraction would change; reads only.

    The log that it is put into is the longest there is: the one beside release.yaml, or that of
    any version's repository. All the others must be beginnings of it.

    Args:
        hub: where the version is published.
        repos: the version's repositories.
        withdrawal: what is to be said.
        history: HISTORY.md beside release.yaml.

    Raises:
        ConfigError: the retraction cannot be recorded as it is worded.
        RefusedError: the version or its successor is not published, or that is retracted itself,
            or what is on main is no release or is damaged, or the logs do not agree.
        EnvironmentProblem: the Hub cannot be reached.
    """
    states = {role: _published(hub, repos[role], withdrawal.version) for role in ROLES}
    for repo in withdrawal.repos.values():
        _published(hub, repo, withdrawal.successor or "")
    found = {
        role: _Found(repos[role], state, _manifest(hub, repos[role], role, state))
        for role, state in states.items()
    }
    logs = {each.repo: _read(hub, each, HISTORY_FILE_NAME) for each in found.values()}
    others, note = _other_logs(hub, found["av"].manifest)
    here = {f"{HISTORY_FILE_NAME} here": history} if history is not None else {}
    longest = _longest({**others, **logs, **here})
    log = read_log(longest)
    if withdrawal.successor and withdrawing(log, withdrawal.successor):
        raise RefusedError(
            f"{tag(withdrawal.successor)} is retracted itself, and cannot be the successor",
            hint="name a version that stands, or none",
        )
    entry = withdrawal_entry(withdrawal, log)
    told = append(longest, "", [entry]) if entry else longest
    last = withdrawing(read_log(told), withdrawal.version)
    plans = []
    for role, each in found.items():
        said = withdrawing(read_log(logs[each.repo]), withdrawal.version)
        says = said is not None and last is not None and said.record == last.record
        plans.append(_told(hub, role, each, logs[each.repo] if says else told))
    return RetractionPlan(withdrawal, told, plans, note)


@dataclass(frozen=True)
class _Found:
    """A repository of the version as it is on main."""

    repo: str
    state: RemoteState
    manifest: Manifest


def _published(hub: Hub, repo: str, version: str) -> RemoteState:
    state = hub.state(repo)
    if state is None or tag(version) not in state.tags:
        raise RefusedError(
            f"{repo}: {tag(version)} is not published"
            + (f"; its tags are {', '.join(sorted(state.tags))}" if state and state.tags else ""),
            hint="what was never published needs no retraction; check the version and the names",
        )
    return state


def _other_logs(hub: Hub, manifest: Manifest) -> tuple[dict[str, str], str | None]:
    """The logs of other versions, or why they could not be seen."""
    try:
        return other_logs(hub, manifest), None
    except DeniedError as error:
        return {}, f"whether other versions have a longer log could not be seen: {error.message}"


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
                hint=f"put the longest published {HISTORY_FILE_NAME} beside release.yaml",
            )
    return logs[where]


def _told(hub: Hub, role: Role, found: _Found, history: str) -> Told:
    """What one repository has to change."""
    manifest, log = found.manifest, read_log(history)
    names = [CARD_NAME, HISTORY_FILE_NAME]
    if PAGE_NAME in found.state.files:
        names.append(PAGE_NAME)
    before = {name: _read(hub, found, name) for name in names}
    after = {
        **before,
        CARD_NAME: told_on_card(before[CARD_NAME], log, manifest),
        HISTORY_FILE_NAME: history,
    }
    if PAGE_NAME in before:
        after[PAGE_NAME] = told_on_page(before[PAGE_NAME], log)
    changed = {name: text for name, text in after.items() if text != before[name]}
    edited = manifest.files.get(CARD_NAME) != record_of(before[CARD_NAME])
    if not changed:
        return Told(role, found.repo, found.state, {}, manifest, edited)
    records = {name: record_of(text) for name, text in after.items()}
    if edited:  # what people wrote is not ours: the next push has to find it as drift
        del records[CARD_NAME]
    manifest = manifest.model_copy(update={"files": {**manifest.files, **records}})
    changed[FILE_NAME] = dump_manifest(manifest)
    return Told(role, found.repo, found.state, changed, manifest, edited)


def _read(hub: Hub, found: _Found, name: str) -> str:
    """A text file on main.

    Raises:
        RefusedError: it is gone or damaged.
    """
    try:
        if name not in found.state.files:
            raise InputError(f"{name} is gone")
        return hub.read(found.repo, name, found.state)
    except InputError as error:
        raise RefusedError(
            f"{found.repo}: on main ({found.state.head[:12]}), {error.message}",
            hint="somebody changed it since it was published: put it back first",
        ) from error


def _manifest(hub: Hub, repo: str, role: Role, state: RemoteState) -> Manifest:
    """The release.json on main.

    Raises:
        RefusedError: what is on main is no release of ours, or not of this role.
    """
    manifest = released(hub, repo, state)
    if manifest is None or (manifest.role, manifest.repo) != (role, repo):
        raise RefusedError(
            f"{repo}: main ({state.head[:12]}) has no {FILE_NAME} of this repository",
            hint="somebody changed it since it was published: put the release back first",
        )
    return manifest


def record_of(text: str) -> FileRecord:
    """What release.json says of a text file."""
    content = text.encode()
    return FileRecord(sha256=sha256_bytes(content), size=len(content))
