"""What pushes have left on the Hub, of this release or an earlier one, and others on top of it."""

from collections.abc import Sequence
from pathlib import Path

from nla_release.errors import InputError, printable
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.remote_state import RemoteCommit, RemoteState, is_exactly
from nla_release.io.documents import parse_json
from nla_release.io.schema import parse
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
