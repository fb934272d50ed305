"""Retracting a version that is published: both cards say so, and nothing is deleted.

Each repository gets one commit on top of main. Tags stay where they are. The same command continues
a retraction that was cut off: what a repository says already is not said again.
"""

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from nla_release.errors import (
    NlaReleaseError,
    PartlyPublishedError,
    RefusedError,
    one_line,
)
from nla_release.hub.act import A_DEFECT, AGAIN
from nla_release.hub.adoption import changed_since, described, intruder
from nla_release.hub.drift import CARD_NAME
from nla_release.hub.payload import checked_payload
from nla_release.hub.retraction import RetractionPlan, Told, record_of
from nla_release.hub_client.client import Say
from nla_release.hub_client.client_errors import ConflictError, OutcomeUnknownError
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.remote_state import RemoteState
from nla_release.io.files import write_atomic
from nla_release.release.folder import tag
from nla_release.release.release_id import release_id, trailers

_TRIES = 3
_PAUSE_SECONDS = 1.0


def retract(plan: RetractionPlan, hub: Hub, say: Say) -> None:
    """Say it in both repositories.

    Raises:
        RefusedError: somebody commits meanwhile, or the Hub refuses the files.
        EnvironmentProblem: the token may not write, or the Hub cannot be reached.
        PartlyPublishedError: one of these, after one repository told of it.
        KeyboardInterrupt: after saying which repositories tell of it.
    """
    if plan.done:
        say(f"retracted already, nothing to do: {' and '.join(each.repo for each in plan.repos)}")
        return
    examine(plan, hub)
    for repo in plan.repos:
        if not repo.done and (note := hub.check_write(repo.repo)):
            say(f"note: {note}")
    identity = release_id(repo.manifest for repo in plan.repos)
    act = _Act(hub, say, f"Retract {tag(plan.withdrawal.version)}", identity)
    with tempfile.TemporaryDirectory(prefix="nla-release-") as name:
        folders = {repo.role: _staged(repo, Path(name) / repo.role) for repo in plan.repos}
        try:
            for repo in plan.repos:
                if repo.done:
                    act.public.append(f"{repo.repo} tells of it already")
                    continue
                _check(act, repo, folders[repo.role], _commit(act, repo, folders[repo.role]))
                say(f"retracted {tag(plan.withdrawal.version)} in {act.public[-1]}")
        except KeyboardInterrupt:
            say(f"interrupted. Public so far: {act.known}")
            raise
        except Exception as error:  # of whatever kind: it hides nothing that is public
            if not (act.public or act.unsure):
                raise
            what, hint = one_line(error), AGAIN
            if not isinstance(error, NlaReleaseError | OSError):
                what, hint = f"{type(error).__name__}: {what}", f"{AGAIN}; {A_DEFECT}"
            elif isinstance(error, RefusedError) and error.hint:
                hint = error.hint
            raise PartlyPublishedError(f"{what}. Public so far: {act.known}", hint=hint) from error


def examine(plan: RetractionPlan, hub: Hub) -> None:
    """All that can be known of the new files before anything is written.

    Raises:
        RefusedError: one of them tells a secret, or the Hub refuses a card.
        EnvironmentProblem: the Hub cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix="nla-release-") as name:
        for repo in plan.repos:
            if not repo.done:
                checked_payload(_staged(repo, Path(name) / repo.role), repo.role)
                if CARD_NAME in repo.files:
                    hub.check_card(repo.repo, repo.files[CARD_NAME])


@dataclass
class _Act:
    """A retraction under way: what it is carried out with, and what is public by now."""

    hub: Hub
    say: Say
    message: str
    identity: str
    public: list[str] = field(default_factory=list)
    # The repository that a commit was sent to, as long as nobody knows what became of it.
    unsure: str | None = None

    @property
    def known(self) -> str:
        """What anybody can see already, in words."""
        left = [f"whether {self.unsure} tells of it is not known"] if self.unsure else []
        return "; ".join([*self.public, *left]) or "nothing"


def _staged(repo: Told, folder: Path) -> Path:
    """The files that are to be uploaded."""
    folder.mkdir()
    for name, text in repo.files.items():
        write_atomic(folder / name, text)
    return folder


def _commit(act: _Act, repo: Told, folder: Path) -> str:
    """The commit that tells of the retraction, whoever made it: this try, or one before it."""
    for left in reversed(range(_TRIES)):
        act.unsure = repo.repo
        try:
            made = _send(act, repo, folder)
        except NlaReleaseError as error:  # of whatever kind: the commit may be there
            state = _seen(act.hub, repo)
            if _tells(repo, folder, state):
                act.say(f"the commit of {repo.repo} had arrived; its answer had not")
                made = state.head
            else:
                act.unsure = None
                if not isinstance(error, ConflictError | OutcomeUnknownError):
                    raise
                if state.head != repo.state.head:
                    raise _moved(act.hub, repo) from error
                if not left:
                    raise
                act.say(f"{repo.repo}: the commit did not arrive; trying again")
                time.sleep(_PAUSE_SECONDS)
                continue
        act.unsure = None
        act.public.append(f"{repo.repo} ({made[:12]})")
        return made
    raise AssertionError("the last try returns or raises")


def _send(act: _Act, repo: Told, folder: Path) -> str:
    payload = {name: record_of(text) for name, text in repo.files.items()}
    with act.hub.additions(folder, payload) as additions:
        act.hub.upload(repo.repo, additions)
        return act.hub.commit(
            repo.repo,
            additions,
            repo.removed,
            message=act.message,
            description=trailers(act.identity, repo.state.head),
            parent=repo.state.head,
        )


def _check(act: _Act, repo: Told, folder: Path, commit: str) -> None:
    """Main is as it was, but for the files that tell, and nobody's commit was overwritten."""
    state = _seen(act.hub, repo)
    if not _tells(repo, folder, state):
        raise RefusedError(
            f"{repo.repo}: what is on main ({state.head[:12]}) is not what was sent",
            hint="look at its last commits; the tags are as they were",
        )
    below = intruder(act.hub.commits(repo.repo), commit, repo.state.head)
    if below is not None:
        raise RefusedError(
            f"{repo.repo}: the Hub put the retraction on top of a commit that it should have"
            f" refused it for: {described(below)}",
            hint="look at what that commit changed, and put it back where the retraction undid it",
        )


def _seen(hub: Hub, repo: Told) -> RemoteState:
    state = hub.state(repo.repo)
    if state is None:
        raise RefusedError(f"{repo.repo} is not there any more")
    return state


def _tells(repo: Told, folder: Path, state: RemoteState) -> bool:
    """Whether a tree is that of before, with these files."""
    others = state.files.keys() - repo.files.keys()
    return (
        others == repo.state.files.keys() - repo.files.keys() - set(repo.removed)
        and all(state.files[name] == repo.state.files[name] for name in others)
        and all(
            name in state.files and state.files[name].is_same_as(folder / name)
            for name in repo.files
        )
        and repo.state.tags.items() <= state.tags.items()
    )


def _moved(hub: Hub, repo: Told) -> RefusedError:
    changes = changed_since(hub, repo.repo, repo.state.head)
    return RefusedError(
        f"{repo.repo}: somebody committed to main meanwhile, nothing was overwritten: {changes}",
        hint="run the same command again: it looks at what is there now",
    )
