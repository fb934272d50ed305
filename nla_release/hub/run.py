"""Create, commit and tag once on a Hub whose answers may be lost.

After a lost answer nobody knows whether the Hub did what it was asked. So the Hub is read again: a
write that arrived counts, and one that did not is sent again. `push` and `retract` both work this
way.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from nla_release.errors import (
    EnvironmentProblem,
    NlaReleaseError,
    PartlyPublishedError,
    RefusedError,
    one_line,
)
from nla_release.hub.earlier_releases import changed_since
from nla_release.hub_client.client_errors import ConflictError, OutcomeUnknownError
from nla_release.hub_client.reader import BRANCH
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.remote_state import RemoteCommit, RemoteState
from nla_release.io.log import log

RUN_AGAIN = "run the same command again; it continues where this one stopped"
_BUG = "this is a bug in nla-release: report it with the traceback that --debug shows"

# How often a write is tried when its answer is lost.
TRIES = 3
_PAUSE_SECONDS = 1.0
# A Hub may list a new commit or tag after a moment.
_LAG_SECONDS = (0.0, 0.2, 1.0)

Found = TypeVar("Found")


class BranchMovedError(RefusedError):
    """Somebody else committed to main; nothing was overwritten."""


@dataclass
class HubRun(ABC):
    """A command that writes to repositories of a Hub, and what it knows of their state."""

    hub: Hub
    # The repository of a commit whose outcome is unknown.
    uncertain: str | None = field(default=None, init=False)

    @property
    @abstractmethod
    def public_summary(self) -> str:
        """What is public by now, as a sentence."""

    def commit_once(
        self,
        repo: str,
        parent: str,
        *,
        send: Callable[[], str],
        arrived: Callable[[], str | None],
        hint: str,
    ) -> str:
        """Commit to main on top of `parent`, and find the commit if the answer is lost.

        Args:
            repo: the repository.
            parent: the commit that main is expected to be at.
            send: sends the commit; returns its id.
            arrived: reads from the Hub whether the commit was made; returns its id or None.
            hint: what to do if somebody else commits meanwhile.

        Raises:
            BranchMovedError: somebody else committed meanwhile.
            RefusedError: the Hub refuses the files.
            EnvironmentProblem: the Hub cannot be reached; `unsure` stays set if it is not known
                whether the commit was made.
        """
        for left in reversed(range(TRIES)):
            self.uncertain = repo
            try:
                made = send()
            except NlaReleaseError as error:  # of any kind: the commit may have been made
                found = arrived()
                self.uncertain = None
                if found:
                    log.info(f"{repo}: the commit succeeded although its response was lost")
                    return found
                if not isinstance(error, ConflictError | OutcomeUnknownError):
                    raise
                if self.seen(repo).head != parent:
                    raise self.moved(repo, parent, hint) from error
                if not left:
                    raise
            else:
                self.uncertain = None
                return made
            log.info(f"{repo}: the commit did not arrive; trying again")
            time.sleep(_PAUSE_SECONDS)
        raise AssertionError("the last try returns or raises")

    def do_once(
        self, do: Callable[[], None], find: Callable[[], Found | None], failed: str
    ) -> Found | None:
        """Do something, and repeat it if its answer was lost and it is not found on the Hub.

        Args:
            do: the write.
            find: reads from the Hub what it creates.
            failed: a sentence for the case that it is repeated.

        Returns:
            What `find` finds in the end.
        """
        for left in reversed(range(TRIES)):
            try:
                do()
            except NlaReleaseError as error:  # of any kind: it may exist, created by anyone
                if (found := find()) is not None:
                    return found
                if not left or not isinstance(error, OutcomeUnknownError):
                    raise
            else:
                return find()
            log.info(f"{failed}; trying again")
            time.sleep(_PAUSE_SECONDS)
        raise AssertionError("the last try returns or raises")

    def moved(self, repo: str, parent: str, hint: str) -> BranchMovedError:
        """The error for a branch that is no longer at `parent`, with the commits since."""
        changes = changed_since(self.hub, repo, parent)
        return BranchMovedError(
            f"{repo}: somebody committed to main meanwhile; nothing was overwritten: {changes}",
            hint=hint,
        )

    def seen(self, repo: str, revision: str = BRANCH) -> RemoteState:
        """A repository that must exist.

        Raises:
            EnvironmentProblem: the Hub does not show it.
        """
        state = self.hub.state(repo, revision)
        if state is None:
            raise EnvironmentProblem(
                f"{repo} should exist, and the Hub does not show it",
                hint="check that the token may read it, then run the same command again",
            )
        return state

    def seen_tag(self, repo: str, tag: str) -> str | None:
        """The commit of a tag that was just set."""
        for pause in _LAG_SECONDS:
            time.sleep(pause)
            if found := self.hub.tags(repo).get(tag):
                return found
        return None

    def listed(self, repo: str, commit: str) -> list[RemoteCommit]:
        """The commits of main after `commit` was made."""
        found: list[RemoteCommit] = []
        for pause in _LAG_SECONDS:
            time.sleep(pause)
            found = self.hub.commits(repo)
            if any(each.id == commit for each in found):
                break
        return found

    def partly_published(self, error: Exception) -> PartlyPublishedError:
        """The error for a run that failed after a part of it became public."""
        what, hint = one_line(error), RUN_AGAIN
        if isinstance(error, NlaReleaseError):
            what, hint = error.message, error.hint or RUN_AGAIN
        elif not isinstance(error, OSError):
            what, hint = f"{type(error).__name__}: {what}", f"{RUN_AGAIN}; {_BUG}"
        return PartlyPublishedError(f"{what}. Public so far: {self.public_summary}", hint=hint)
