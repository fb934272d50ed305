"""What a push does once, whatever becomes of the answers: create, commit and tag.

After an answer that was lost nobody knows whether the Hub did what it was asked. So it is asked
what is there: what had arrived is taken over, and what had not is sent again.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import TypeVar

from huggingface_hub import CommitOperationAdd

from nla_release.errors import NlaReleaseError, RefusedError
from nla_release.hub.act import Act
from nla_release.hub.adoption import changed_since, own_commit
from nla_release.hub.plan import RepoPlan
from nla_release.hub_client.client_errors import ConflictError, OutcomeUnknownError
from nla_release.hub_client.remote import Payload
from nla_release.hub_client.remote_state import RemoteState, all_records
from nla_release.release.release_id import title, trailers

# How often each is tried: after an answer that was lost, and with --rebase after a conflict.
_TRIES = 3
_PAUSE_SECONDS = 1.0

Seen = TypeVar("Seen")


def create_once(act: Act, repo: RepoPlan) -> RemoteState:
    """The repository, whoever made it.

    Raises:
        EnvironmentProblem: it cannot be made, or the Hub cannot be reached.
    """
    _until_there(
        act,
        lambda: act.hub.create(repo.repo, private=repo.private),
        lambda: act.hub.state(repo.repo),
        f"{repo.repo} was not created",
    )
    return act.seen(repo.repo)


def tag_once(act: Act, repo: RepoPlan, commit: str) -> str | None:
    """What the release's tag points at, whoever set it; None when the Hub shows none.

    Raises:
        EnvironmentProblem: it cannot be set, or the Hub cannot be reached.
    """
    name = act.plan.tag
    _until_there(
        act,
        lambda: act.hub.tag(repo.repo, name, commit, message=f"Release {name}"),
        lambda: act.seen_tag(repo.repo),
        f"{repo.repo} was not tagged",
    )
    return act.seen_tag(repo.repo)


def commit_once(act: Act, repo: RepoPlan, additions: list[CommitOperationAdd] | None) -> RepoPlan:
    """The repository with the release's commit: of this try, or one whose answer was lost.

    Args:
        act: the push.
        repo: a repository, and the commit of main that the release is to be put on.
        additions: the files, when they were made ready before.

    Raises:
        RefusedError: somebody else committed meanwhile, or the Hub refuses the files.
        EnvironmentProblem: the Hub cannot be reached.
    """
    for left in reversed(range(_TRIES)):
        act.unsure = repo.repo
        try:
            made = _send(act, repo, additions)
        except NlaReleaseError as error:  # of whatever kind: the commit may be there
            done = _own(act, repo, repo.head)
            act.unsure = None
            if done:
                act.say(f"the commit of {repo.repo} had arrived; its answer had not")
                return done
            if not isinstance(error, ConflictError | OutcomeUnknownError):
                raise
            moved = act.seen(repo.repo).head != repo.head
            if moved and not act.plan.wishes.rebase:
                raise overtaken(act, repo) from error
            if not left:
                raise
        else:
            act.unsure = None
            return replace(repo, committed=made, parent=repo.head)
        additions = None  # the client's objects serve once
        if moved:
            act.say(f"{repo.repo}: main moved; trying again on top of it")
            repo = act.planned_again(repo)
            if repo.committed:
                return repo
        else:
            act.say(f"{repo.repo}: the commit did not arrive; trying again")
            time.sleep(_PAUSE_SECONDS)
    raise AssertionError("the last try returns or raises")


def adopted(act: Act, repo: RepoPlan) -> bool:
    """Whether main moved by this release's own commit, sent by a push that did not live to see it.

    Raises:
        EnvironmentProblem: the Hub cannot be reached.
    """
    done = _own(act, repo, None)
    if done is None or done.committed is None:
        return False
    act.now(done)
    act.journal.finished("commit", repo=repo.repo, commit=done.committed)
    act.say(f"an earlier push had committed {repo.repo} ({done.committed[:12]}); going on with it")
    return True


def _own(act: Act, repo: RepoPlan, parent: str | None) -> RepoPlan | None:
    """The repository with the release's commit, if it is there; `parent` if this push sent it."""
    made = own_commit(act.hub, act.plan.release_id, repo.folder, repo.manifest, parent=parent)
    return replace(repo, committed=made, parent=parent) if made else None


def _send(act: Act, repo: RepoPlan, additions: list[CommitOperationAdd] | None) -> str:
    assert repo.head is not None, "created"
    with ExitStack() as files:
        if additions is None:
            additions = files.enter_context(act.hub.additions(repo.folder, changed_files(repo)))
        return act.hub.commit(
            repo.repo,
            additions,
            repo.named("remove"),
            message=title(act.plan.tag),
            description=trailers(act.plan.release_id, repo.head),
            parent=repo.head,
        )


def overtaken(act: Act, repo: RepoPlan) -> RefusedError:
    """The error of a branch that is no longer where it was planned to be, with what moved it."""
    assert repo.head is not None, "created"
    changes = changed_since(act.hub, repo.repo, repo.head)
    return RefusedError(
        f"{repo.repo}: somebody committed to main meanwhile, nothing was overwritten: {changes}",
        hint="look at what changed there; --rebase puts the release on top of it",
    )


def changed_files(repo: RepoPlan) -> Payload:
    """What a commit brings: the files that are not there as they are to be."""
    records = all_records(repo.folder, repo.manifest)
    return {name: records[name] for name in repo.named("add", "change")}


def _until_there(
    act: Act, do: Callable[[], None], see: Callable[[], Seen | None], missing: str
) -> None:
    """Do something; when its answer is lost, look whether it is there, and do it again if not."""
    for left in reversed(range(_TRIES)):
        try:
            return do()
        except NlaReleaseError as error:  # of whatever kind: it may be there, whoever made it
            if see() is not None:
                return None
            if not left or not isinstance(error, OutcomeUnknownError):
                raise
        act.say(f"{missing}; trying again")
        time.sleep(_PAUSE_SECONDS)
    raise AssertionError("the last try returns or raises")
