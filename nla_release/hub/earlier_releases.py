"""What pushes have left on the Hub, of this release or an earlier one, and others on top of it."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.version import InvalidVersion, Version

from nla_release.errors import InputError, printable
from nla_release.hub.blockers import Blocker, other_history
from nla_release.hub_client.client_errors import DeniedError
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.remote_state import RemoteCommit, RemoteState, is_exactly
from nla_release.io.documents import parse_json
from nla_release.io.schema import parse
from nla_release.release.folder import HISTORY_FILE_NAME, in_names, tag
from nla_release.release.manifest import FILE_NAME, Manifest
from nla_release.release.release_id import read_id, read_parent, title

_SHOWN = 5


def own_commit(
    hub: Hub, identity: str, folder: Path, manifest: Manifest, *, parent: str | None = None
) -> str | None:
    """The commit with this release's id and exactly its files, the first of them; or None.

    Args:
        hub: where.
        identity: the release id.
        folder: the release, as rendered or staged.
        manifest: its release.json.
        parent: what this push sent a commit on top of. Where no commit has the id, the one there
            with the title and files of the release is its own too: some Hubs drop descriptions.

    Raises:
        EnvironmentProblem: the Hub cannot be reached.
    """
    listed = hub.commits(manifest.repo)
    found = [each for each in listed if read_id(each.description) == identity]
    if not found and parent is not None:
        own = title(manifest.published_tag)
        found = [
            each
            for each in listed
            if (each.parent, each.title, read_id(each.description)) == (parent, own, None)
        ]
    for commit in reversed(found):  # `verify` accepts none that was made again
        state = hub.state(manifest.repo, commit.id)
        if state is not None and is_exactly(folder, manifest, state):
            return commit.id
    return None


def released(hub: Hub, repo: str, state: RemoteState) -> Manifest | None:
    """The release.json of a commit, when it is one of ours.

    Raises:
        EnvironmentProblem: the Hub cannot be reached.
    """
    if FILE_NAME not in state.files:
        return None
    try:
        return parse(Manifest, parse_json(hub.read(repo, FILE_NAME, state), repo), repo)
    # somebody else's file of that name: so are all the others
    except InputError:
        return None


def intruder(
    listed: Sequence[RemoteCommit], commit: str, parent: str | None
) -> RemoteCommit | None:
    """The commit directly under a release's commit, when it is not the one that was meant to be.

    A Hub that heeds `parentCommit` refuses such a commit. One that ignores it has just overwritten
    what somebody else committed in between.

    Args:
        listed: the commits of main.
        commit: the release's.
        parent: what it was sent on top of, if this push sent it; a commit of an earlier push says
            in its description what it was meant to be put on.
    """
    commits = {each.id: each for each in listed}
    released = commits.get(commit)
    if released is None or released.parent is None:
        return None
    for meant in (parent, read_parent(released.description)):
        if meant not in (None, released.parent):
            return commits[released.parent]
    return None


def changed_since(hub: Hub, repo: str, parent: str) -> str:
    """What others did on the branch since `parent`: their commits and the files, as a clause.

    Raises:
        EnvironmentProblem: the Hub cannot be reached.
    """
    above: list[RemoteCommit] = []
    for commit in hub.commits(repo):
        if commit.id == parent:
            break
        above.append(commit)
    commits = ", ".join(described(commit) for commit in above[:_SHOWN])
    before, after = hub.state(repo, parent), hub.state(repo)
    old, new = (state.files if state else {} for state in (before, after))
    files = [printable(name) for name in sorted(old | new) if old.get(name) != new.get(name)]
    return f"{len(above)} commits since {parent[:12]}: {commits}; files: {', '.join(files[:10])}"


def described(commit: RemoteCommit) -> str:
    """A commit for people: its id, title and authors."""
    authors = ", ".join(commit.authors) or "nobody named"
    return printable(f"{commit.id[:12]} '{commit.title}' by {authors}")


# A version in a repository's name stands by itself, but for a `v`: in L23-v2, 2 does and 23 not.
_BEFORE, _AFTER = r"(?<![0-9A-Za-z])v?", r"(?![0-9A-Za-z])"
_ANY = r"([0-9][0-9A-Za-z_]*)"


def look_back(hub: Hub, folder: Path, manifest: Manifest) -> tuple[list[Blocker], list[str]]:
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


def _lost_history(hub: Hub, folder: Path, manifest: Manifest) -> Iterator[Blocker]:
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
