"""The two repositories of a release on a Hub, as a stranger meets them: by a tag, at a commit."""

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nla_release.cards.history import Entry, read_log
from nla_release.errors import (
    ConfigError,
    EnvironmentProblem,
    InputError,
    NothingCheckedError,
    RefusedError,
)
from nla_release.files import write_atomic
from nla_release.hub.obstacles import altering_attributes
from nla_release.hub.place import Place, read_place
from nla_release.hub.release_id import read_id
from nla_release.hub.remote import SERVER_FILES, Hub
from nla_release.hub.remote_state import RemoteState
from nla_release.manifest import FILE_NAME, Manifest, read_manifest
from nla_release.release import HISTORY_FILE_NAME
from nla_release.rules.published import Tagged
from nla_release.sidecar import FILE_NAME as SIDECAR_FILE_NAME
from nla_release.sidecar import HEAD_FILE_NAME, Role
from nla_release.weights import ADAPTER_FILE_NAME, CONFIG_FILE_NAME

_MARKS_A_RELEASE = {FILE_NAME, SIDECAR_FILE_NAME, ADAPTER_FILE_NAME, CONFIG_FILE_NAME}
_COMMIT = re.compile(r"[0-9a-f]{40}")
# Where the client keeps its books, in every folder that it downloads into.
_BOOKKEEPING = ".cache"
_MARGIN_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Half:
    """One repository of a pair on the Hub."""

    place: Place
    tagged: Tagged
    state: RemoteState

    @property
    def role(self) -> Role:
        """What it says it is; without a release.json, only an AR has a head."""
        if self.tagged.manifest is not None:
            return self.tagged.manifest.role
        return "ar" if HEAD_FILE_NAME in self.state.files else "av"


def find(hub: Hub, place: Place) -> Half:
    """The repository that a person named.

    Raises:
        ConfigError: at no tag and no commit.
        NothingCheckedError: it holds no release.
        EnvironmentProblem: it cannot be seen.
    """
    if place.revision is None or place.folder is not None:
        raise ConfigError(
            f"{place} is not a release: name a repository and the release's tag",
            hint=f"such as {place.repo}@v0.0.1; main may have moved on since a release",
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
    half = _half(hub, place, _at(hub, place.repo, commit, main), main)
    if half.state.files.keys().isdisjoint(_MARKS_A_RELEASE):
        raise NothingCheckedError(f"{place} holds no release")
    return half


def find_partner(hub: Hub, here: Half) -> Half | None:
    """What release.json names as the partner, if it is there.

    Raises:
        EnvironmentProblem: the Hub cannot be reached.
    """
    if here.tagged.manifest is None:
        return None
    repo, tag = here.tagged.manifest.partner.repo, here.tagged.manifest.partner_tag
    try:
        place = read_place(f"{repo}@{tag}")
    except ConfigError:  # a stranger's words: no repository can have this name
        return None
    main = hub.state(place.repo)
    if main is None or tag not in main.tags:
        return None
    return _half(hub, place, _at(hub, place.repo, main.tags[tag], main), main)


def _at(hub: Hub, repo: str, commit: str, main: RemoteState) -> RemoteState:
    """A repository at a commit, which is asked for unless it is that of main."""
    if commit == main.head:
        return main
    state = hub.state(repo, commit)
    assert state is not None, "main is there"
    return state


def _half(hub: Hub, place: Place, state: RemoteState, main: RemoteState) -> Half:
    manifest = _manifest(hub, place.repo, state)
    own, *earlier = hub.commits(place.repo, state.head)
    identity = read_id(own.description)
    others = [
        each.id
        for each in earlier
        if each.title == own.title and read_id(each.description) not in (None, identity)
    ]
    weights = state.files.get(ADAPTER_FILE_NAME)
    tagged = Tagged(
        place.repo,
        state.head,
        state.tags,
        identity,
        tuple(others),
        weights.sha256 if weights else None,
        manifest,
        _alterations(hub, place.repo, manifest, state),
        _log(hub, place.repo, main),
    )
    return Half(place, tagged, state)


def _alterations(
    hub: Hub, repo: str, manifest: Manifest | None, state: RemoteState
) -> tuple[str, ...]:
    if manifest is None:
        return ()
    here = manifest.model_copy(update={"repo": repo})  # which a stranger's may not name
    try:
        return tuple(each.message for each in altering_attributes(hub, here, state))
    except InputError as error:
        return (error.message,)


def _log(hub: Hub, repo: str, main: RemoteState) -> tuple[Entry, ...] | None:
    """HISTORY.md on main; nothing when there is none, None when it cannot be read."""
    if HISTORY_FILE_NAME not in main.files:
        return ()
    try:
        return tuple(read_log(hub.read(repo, HISTORY_FILE_NAME, main.head)))
    except InputError:
        return None


def _manifest(hub: Hub, repo: str, state: RemoteState) -> Manifest | None:
    if FILE_NAME not in state.files:
        return None
    with tempfile.TemporaryDirectory(prefix="nla-release-") as name:
        try:
            write_atomic(Path(name) / FILE_NAME, hub.read(repo, FILE_NAME, state.head))
            return read_manifest(Path(name))
        except InputError:  # NLA701 says so
            return None


def download(hub: Hub, half: Half, folder: Path) -> None:
    """Every file of the commit, and nothing that the client or the Hub adds.

    Raises:
        RefusedError: a file cannot have its name in a folder of ours.
        EnvironmentProblem: no room, or the Hub cannot be reached.
    """
    names = half.state.files
    if wrong := [name for name in names if not _is_plain(name)]:
        raise RefusedError(f"{half.place} holds {wrong[0]!r}, which no release does")
    needed = sum(file.size for file in half.state.files.values())
    if shutil.disk_usage(folder.parent).free < needed + _MARGIN_BYTES:
        raise EnvironmentProblem(
            f"{half.place} has {needed:,} bytes, for which {folder.parent} has no room",
            hint="make room there, or name another folder in TMPDIR",
        )
    hub.download(half.tagged.repo, half.tagged.commit, folder)
    shutil.rmtree(folder / _BOOKKEEPING, ignore_errors=True)
    for name in SERVER_FILES:
        (folder / name).unlink(missing_ok=True)


def _is_plain(name: str) -> bool:
    """Whether a path stays in its folder, and out of where the client keeps its books."""
    path = PurePosixPath(name)
    inside = not path.is_absolute() and ".." not in path.parts and "\\" not in name
    return inside and path.parts[0] != _BOOKKEEPING
