"""What pushes have left on the Hub, of this release or an earlier one, and others on top of it."""

import json
from pathlib import Path

from nla_release.errors import InputError, printable
from nla_release.hub.comparison import is_exactly
from nla_release.hub.release_id import read_id, read_parent
from nla_release.hub.remote import Hub
from nla_release.hub.remote_state import RemoteCommit, RemoteState
from nla_release.manifest import FILE_NAME, Manifest
from nla_release.schema import parse

_SHOWN = 5


def own_commit(hub: Hub, identity: str, folder: Path, manifest: Manifest) -> str | None:
    """The newest commit with this release's id and exactly its files, or None.

    Raises:
        EnvironmentProblem: the Hub cannot be reached.
    """
    for commit in hub.commits(manifest.repo):
        if read_id(commit.description) == identity:
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
        return parse(Manifest, json.loads(hub.read(repo, FILE_NAME, state)), repo)
    # somebody else's file of that name: so are all the others
    except (ValueError, RecursionError, InputError):
        return None


def intruder(hub: Hub, repo: str, commit: str) -> RemoteCommit | None:
    """The commit directly under a release's commit, when it is not the one that was meant to be.

    A Hub that heeds `parentCommit` refuses such a commit. One that ignores it has just overwritten
    what somebody else committed in between.

    Raises:
        EnvironmentProblem: the Hub cannot be reached.
    """
    commits = {each.id: each for each in hub.commits(repo)}
    released = commits.get(commit)
    meant = read_parent(released.description) if released else None
    if released is None or meant is None or released.parent in (meant, None):
        return None
    return commits[released.parent]


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
