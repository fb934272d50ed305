"""What a push does once, whatever becomes of the answers: create, commit and tag.

After an answer that was lost nobody knows whether the Hub did what it was asked. So it is asked
what is there: what had arrived is taken over, and what had not is sent again.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

from huggingface_hub import CommitOperationAdd

from nla_release.errors import RefusedError
from nla_release.hub.act import Act
from nla_release.hub.additions import Payload
from nla_release.hub.adoption import changed_since, own_commit
from nla_release.hub.client_errors import ConflictError, DeniedError, OutcomeUnknownError
from nla_release.hub.comparison import all_records
from nla_release.hub.plan import RepoPlan
from nla_release.hub.release_id import title, trailers
from nla_release.hub.remote_state import RemoteState

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


def commit_once(act: Act, repo: RepoPlan, additions: list[CommitOperationAdd] | None) -> str:
    """The release's commit, whoever made it: this try, or one whose answer was lost.

    Args:
        act: the push.
        repo: a repository, and the commit of main that the release is to be put on.
        additions: the files, when they were made ready before.

    Raises:
        RefusedError: somebody else committed meanwhile, or the Hub refuses the files.
        EnvironmentProblem: the Hub cannot be reached.
    """
    for left in reversed(range(_TRIES)):
        try:
            return _send(act, repo, additions)
        except KeyboardInterrupt:
            act.unsure = repo.repo
            raise
        except (ConflictError, OutcomeUnknownError) as error:
            act.unsure = repo.repo
            own = own_commit(act.hub, act.plan.release_id, repo.folder, repo.manifest)
            act.unsure = None
            if own:
                act.say(f"the commit of {repo.repo} had arrived; its answer had not")
                return own
            moved = act.seen(repo.repo).head != repo.head
            if moved and not act.plan.wishes.rebase:
                raise overtaken(act, repo) from error
            if not left:
                raise
        additions = None  # the client's objects serve once
        if moved:
            act.say(f"{repo.repo}: main moved; trying again on top of it")
            repo = act.planned_again(repo)
            if repo.committed:
                return repo.committed
        else:
            act.say(f"{repo.repo}: the commit did not arrive; trying again")
            time.sleep(_PAUSE_SECONDS)
    raise AssertionError("the last try returns or raises")


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
        except (OutcomeUnknownError, DeniedError) as error:  # the second: somebody was quicker
            if see() is not None:
                return None
            if not left or isinstance(error, DeniedError):
                raise
        act.say(f"{missing}; trying again")
        time.sleep(_PAUSE_SECONDS)
    raise AssertionError("the last try returns or raises")
