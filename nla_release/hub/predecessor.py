"""The version before, when every version has repositories of its own.

Then nothing in the repository of a new version tells what was published before it, and a HISTORY.md
that was lost here would begin anew. What names it is the repository's name: another one that
differs in nothing but a lower version.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from packaging.version import InvalidVersion, Version

from nla_release.hub.adoption import released
from nla_release.hub.obstacles import Obstacle, other_history
from nla_release.hub_client.client_errors import DeniedError
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.remote_state import RemoteState
from nla_release.release.folder import HISTORY_FILE_NAME, in_names, tag
from nla_release.release.manifest import Manifest

# A version in a repository's name stands by itself, but for a `v`: in L23-v2, 2 does and 23 not.
_BEFORE, _AFTER = r"(?<![0-9A-Za-z])v?", r"(?![0-9A-Za-z])"
_ANY = r"([0-9][0-9A-Za-z_]*)"


def look_back(hub: Hub, folder: Path, manifest: Manifest) -> tuple[list[Obstacle], list[str]]:
    """Whether the HISTORY.md of a version without a repository goes on from the version before.

    One question when there is none before it, and none when the name does not hold the version.
    Of every version before it the log is read.

    Returns:
        What stands in the way, and what the Hub would not tell, as sentences.

    Raises:
        EnvironmentProblem: the Hub cannot be reached.
    """
    try:
        return list(_lost_history(hub, folder, manifest)), []
    except DeniedError as error:
        what = f"whether {HISTORY_FILE_NAME} goes on from an earlier version's could not be seen"
        return [], [f"{what}: {error.message}"]


def other_logs(hub: Hub, manifest: Manifest) -> dict[str, str]:
    """The HISTORY.md of every other version with a repository of its own, by repository.

    Raises:
        DeniedError: the Hub does not say what there is.
        InputError: one of them is no text.
        EnvironmentProblem: it cannot be reached.
    """
    reader = hub.reader()  # a trusted publisher's tokens are for the repositories it writes to
    found = ((repo, _last_state(reader, repo, version)) for version, repo in _others(hub, manifest))
    return {repo: reader.read(repo, HISTORY_FILE_NAME, state) for repo, state in found if state}


def _lost_history(hub: Hub, folder: Path, manifest: Manifest) -> Iterator[Obstacle]:
    """Against every lower version's log, for what is retracted stands in the one that it is of."""
    reader = hub.reader()  # a trusted publisher's tokens are for the repositories it writes to
    newest = Version(manifest.version)
    for version, repo in reversed(_others(hub, manifest)):
        state = _last_state(reader, repo, version) if version < newest else None
        if state and (found := list(other_history(reader, repo, state, folder))):
            yield from found
            return


def _others(hub: Hub, manifest: Manifest) -> list[tuple[Version, str]]:
    """The repositories of other versions."""
    namespace, _, name = manifest.repo.partition("/")
    own = re.compile(_BEFORE + re.escape(in_names(manifest.version)) + _AFTER)
    places = [match.span() for match in own.finditer(name)]
    if not places:
        return []
    found = set()
    for listed in hub.models(namespace, name[: places[0][0]], asked_for=manifest.repo):
        for begin, end in places:
            other = re.escape(name[:begin]) + "v?" + _ANY + re.escape(name[end:])
            if match := re.fullmatch(other, listed.partition("/")[2]):
                found.add((_version(match[1]), listed))
    return sorted((each, repo) for each, repo in found if each and repo != manifest.repo)


def _last_state(hub: Hub, repo: str, version: Version) -> RemoteState | None:
    """Where what was published with a version, and added since, is; None if it never was."""
    state = hub.state(repo)
    if state is None:
        return None
    manifest = released(hub, repo, state)
    is_on_main = manifest is not None and manifest.version == str(version)
    if is_on_main:
        return state
    commit = state.tags.get(tag(str(version)))
    return hub.state(repo, commit) if commit else None


def _version(text: str) -> Version | None:
    """The version that a name holds; one with a local part cannot be told."""
    try:
        return Version(text.replace("_", "."))
    except InvalidVersion:
        return None
