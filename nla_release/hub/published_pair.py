"""The two repositories of a published release: found by tag or commit, and downloaded."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nla_release.contract.sidecar import Role
from nla_release.errors import (
    ConfigError,
    EnvironmentProblem,
    InputError,
    NothingCheckedError,
    RefusedError,
)
from nla_release.gate.subject import RemoteHistory, Tagged
from nla_release.history.log import read_log
from nla_release.hub.blockers import altering_attributes
from nla_release.hub.earlier_releases import manifest_in
from nla_release.hub.staging import check_space
from nla_release.hub_client.client import at_most
from nla_release.hub_client.client_errors import DeniedError
from nla_release.hub_client.place import HubPlace, read_place
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.remote_state import RemoteState, unlisted
from nla_release.io.files import sha256_bytes
from nla_release.io.layout import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    HEAD_FILE,
    HISTORY_FILE,
    MANIFEST_FILE,
    SIDECAR_FILE,
    SIGNATURE_FILE,
)
from nla_release.release.manifest import Manifest

_MARKS_A_RELEASE = {MANIFEST_FILE, SIDECAR_FILE, ADAPTER_FILE, ADAPTER_CONFIG_FILE}
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# The client's bookkeeping in every download folder.
_BOOKKEEPING = ".cache"
_SHOWN = 6


@dataclass(frozen=True)
class PublishedRepo:
    """One repository of a pair, at a tag or commit."""

    place: HubPlace
    tagged: Tagged

    @property
    def state(self) -> RemoteState:
        """Its content on the Hub."""
        return self.tagged.state

    @property
    def role(self) -> Role:
        """The role in release.json; without that file, a repository with a value head is an AR."""
        if self.tagged.manifest is not None:
            return self.tagged.manifest.role
        return "ar" if HEAD_FILE in self.state.files else "av"


def find(hub: Hub, place: HubPlace) -> PublishedRepo:
    """The repository that a user named.

    Raises:
        ConfigError: the place names no tag and no commit.
        NothingCheckedError: it contains no release.
    """
    if place.revision is None or place.folder is not None:
        raise ConfigError(
            f"{place} does not name a release: give a repository and the release's tag",
            hint=f"for example {place.repo}@v0.0.1; main may have changed since a release",
        )
    main = hub.state(place.repo)
    if main is None:
        raise EnvironmentProblem(
            f"{place.repo} does not exist on the Hub, or the token may not see it",
            hint="check the name, HF_ENDPOINT and HF_TOKEN",
        )
    commit = main.tags.get(place.revision, place.revision)
    if not _COMMIT.fullmatch(commit):
        raise ConfigError(
            f"{place.repo} has no tag {place.revision}",
            hint=f"its tags are {', '.join(sorted(main.tags)) or 'none'}",
        )
    repo = _published_repo(hub, place, _at(hub, place.repo, commit, main), main)
    if repo.state.files.keys().isdisjoint(_MARKS_A_RELEASE):
        raise NothingCheckedError(f"{place} holds no release")
    return repo


def find_partner(hub: Hub, here: PublishedRepo) -> PublishedRepo | None:
    """The partner that release.json names, if it exists."""
    if here.tagged.manifest is None:
        return None
    repo, tag = here.tagged.manifest.partner.repo, here.tagged.manifest.partner_tag
    try:
        return _partner(hub, read_place(f"{repo}@{tag}"), tag)
    # Untrusted text: the name may be invalid, or its repository unreadable.
    except (ConfigError, RefusedError, DeniedError):
        return None


def _partner(hub: Hub, place: HubPlace, tag: str) -> PublishedRepo | None:
    main = hub.state(place.repo)
    if main is None or tag not in main.tags:
        return None
    return _published_repo(hub, place, _at(hub, place.repo, main.tags[tag], main), main)


def _at(hub: Hub, repo: str, commit: str, main: RemoteState) -> RemoteState:
    """A repository at a commit; read from the Hub unless that is the commit of main."""
    if commit == main.head:
        return main
    state = hub.state(repo, commit)
    if state is None:
        raise DeniedError(f"{repo} existed a moment ago, and the Hub no longer shows it")
    return state


def _published_repo(
    hub: Hub, place: HubPlace, state: RemoteState, main: RemoteState
) -> PublishedRepo:
    released = _bytes(hub, place.repo, MANIFEST_FILE, state)
    manifest = manifest_in(released.decode()) if released else None
    own, *earlier = hub.commits(place.repo, state.head)
    tagged = Tagged(
        place.repo,
        own,
        tuple(earlier),
        state,
        manifest,
        _alterations(hub, place.repo, state),
        _log(hub, place.repo, manifest, main),
        released,
        _bytes(hub, place.repo, SIGNATURE_FILE, state),
    )
    return PublishedRepo(place, tagged)


def _alterations(hub: Hub, repo: str, state: RemoteState) -> tuple[str, ...]:
    try:
        found = [each.message for each in altering_attributes(hub, repo, state)]
    except InputError as error:
        found = [error.message]
    return tuple(each.removeprefix(f"{repo}: ") for each in found)


def _log(hub: Hub, repo: str, manifest: Manifest | None, main: RemoteState) -> RemoteHistory:
    """HISTORY.md on main, and whether it continues the published one."""
    if HISTORY_FILE not in main.files:
        return RemoteHistory(problem=f"is not on main of {repo}")
    try:
        text = hub.read(repo, HISTORY_FILE, main)
        entries = tuple(read_log(text))
    except InputError:
        return RemoteHistory(problem=f"cannot be read on main of {repo}")
    published = manifest.files.get(HISTORY_FILE) if manifest else None
    if published and sha256_bytes(text.encode()[: published.size]) != published.sha256:
        return RemoteHistory(entries, f"on main of {repo} does not continue the published one")
    return RemoteHistory(entries)


def _bytes(hub: Hub, repo: str, name: str, state: RemoteState) -> bytes | None:
    """A text file of the release, or None if it is missing or not readable as text."""
    if name not in state.files:
        return None
    try:
        return hub.read(repo, name, state).encode()
    except InputError:
        return None


def download(hub: Hub, repo: PublishedRepo, folder: Path) -> None:
    """Download every file of the commit, without files that the client or the Hub adds.

    Raises:
        RefusedError: a file has an unsafe name, or release.json does not list it; then nothing is
            downloaded.
        EnvironmentProblem: there is no disk space, or the Hub cannot be reached.
    """
    manifest, names = repo.tagged.manifest, repo.state.files
    if wrong := [name for name in names if not _is_plain(name)]:
        raise RefusedError(f"{repo.place} contains the unsafe file name {wrong[0]!r}")
    if manifest is not None and (foreign := unlisted(manifest, repo.state)):
        listing = ", ".join(map(repr, foreign[:_SHOWN]))
        raise RefusedError(
            f"{repo.place} contains {listing}, and its {MANIFEST_FILE} does not list that",
            hint="nothing was downloaded; do not load it, and ask the publisher",
        )
    needed = sum(file.size for file in repo.state.files.values())
    check_space(folder.parent, needed, str(repo.place))
    with at_most(needed):
        hub.download(repo.tagged.repo, repo.state.head, folder)
    shutil.rmtree(folder / _BOOKKEEPING, ignore_errors=True)


def _is_plain(name: str) -> bool:
    """Whether a path stays inside its folder and outside the client's bookkeeping."""
    path = PurePosixPath(name)
    inside = not path.is_absolute() and ".." not in path.parts and "\\" not in name
    return inside and path.parts[0] != _BOOKKEEPING
