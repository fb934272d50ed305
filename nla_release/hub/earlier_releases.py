"""What earlier pushes left on the Hub, and what others committed on top of it.

If every version has repositories of its own, earlier versions are found by the repository's name:
one that differs only in a lower version. Otherwise a lost HISTORY.md would start again unnoticed.
"""

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
from nla_release.io.layout import HISTORY_FILE, MANIFEST_FILE
from nla_release.io.schema import parse
from nla_release.release.folder import in_names, tag
from nla_release.release.manifest import Manifest, read_id, read_parent, title

_SHOWN = 5


def own_commit(
    hub: Hub, identity: str, folder: Path, manifest: Manifest, *, parent: str | None = None
) -> str | None:
    """The first commit with this release's id and exactly its files, or None.

    Args:
        hub: where the repository is.
        identity: the release id.
        folder: the rendered or staged release.
        manifest: its release.json.
        parent: the parent of the commit that this push sent. Some Hubs drop descriptions; there a
            commit on this parent with the title and files of the release counts too.
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
    for commit in reversed(found):  # `verify` accepts only the first
        state = hub.state(manifest.repo, commit.id)
        if state is not None and is_exactly(folder, manifest, state):
            return commit.id
    return None


def released(hub: Hub, repo: str, state: RemoteState) -> Manifest | None:
    """The release.json of a commit, or None if it is not a release."""
    if MANIFEST_FILE not in state.files:
        return None
    try:
        return manifest_in(hub.read(repo, MANIFEST_FILE, state))
    except InputError:  # not a text
        return None


def manifest_in(text: str) -> Manifest | None:
    """The manifest in a file of that name, or None if it is an unrelated or damaged file."""
    try:
        return parse(Manifest, parse_json(text, MANIFEST_FILE), MANIFEST_FILE)
    except InputError:
        return None


def unexpected_parent(
    listed: Sequence[RemoteCommit], commit: str, parent: str | None
) -> RemoteCommit | None:
    """The parent of a release's commit, if it is not the intended one.

    A Hub that honours `parentCommit` refuses such a commit. One that ignores it has overwritten a
    commit that somebody else made in between.

    Args:
        listed: the commits of main.
        commit: the release's commit.
        parent: the intended parent, if this push sent the commit. The description of a commit by an
            earlier push names it.
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
    """The commits on main since `parent` and the files that they changed, as a clause."""
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
    """A commit for messages: id, title and authors."""
    authors = ", ".join(commit.authors) or "unknown"
    return printable(f"{commit.id[:12]} '{commit.title}' by {authors}")


# A version in a repository's name is delimited, apart from a `v`: in L23-v2 it is 2, not 23.
_BEFORE, _AFTER = r"(?<![0-9A-Za-z])v?", r"(?![0-9A-Za-z])"
_ANY = r"([0-9][0-9A-Za-z_]*)"


def look_back(hub: Hub, folder: Path, manifest: Manifest) -> tuple[list[Blocker], list[str]]:
    """Check that HISTORY.md continues those of earlier versions in repositories of their own.

    Without a version in the repository's name no request is sent; without earlier versions, one.

    Returns:
        Blockers, and notes on what the Hub does not say.
    """
    try:
        return list(_lost_history(hub, folder, manifest)), []
    except DeniedError as error:
        what = f"{HISTORY_FILE} could not be compared with those of earlier versions"
        return [], [f"{what}: {error.message}"]


def other_logs(hub: Hub, manifest: Manifest) -> dict[str, str]:
    """The HISTORY.md of every other version with a repository of its own, by repository.

    Raises:
        DeniedError: the Hub does not list repositories.
        InputError: one of the files is not text.
    """
    reader = hub.reader()  # a trusted publisher has tokens only for its own repositories
    found = ((repo, _last_state(reader, repo, version)) for version, repo in _others(hub, manifest))
    return {repo: reader.read(repo, HISTORY_FILE, state) for repo, state in found if state}


def _lost_history(hub: Hub, folder: Path, manifest: Manifest) -> Iterator[Blocker]:
    """Compare with the logs of all lower versions: a retraction is in its own version's log."""
    reader = hub.reader()  # a trusted publisher has tokens only for its own repositories
    newest = Version(manifest.version)
    for version, repo in reversed(_others(hub, manifest)):
        state = _last_state(reader, repo, version) if version < newest else None
        if state and (found := list(other_history(reader, repo, state, folder))):
            yield from found
            return


def _others(hub: Hub, manifest: Manifest) -> list[tuple[Version, str]]:
    """The repositories of other versions, sorted by version."""
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
    """The newest state of a version, with its evidence updates; None if it is not published."""
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
    """The version in a name, without a local part, which names cannot express."""
    try:
        return Version(text.replace("_", "."))
    except InvalidVersion:
        return None
