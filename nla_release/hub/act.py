"""A push under way: how far it has come, and what it says when it begins again or breaks off."""

import time
from dataclasses import dataclass, field, replace

from nla_release.errors import (
    EnvironmentProblem,
    NlaReleaseError,
    PartlyPublishedError,
    RefusedError,
    one_line,
)
from nla_release.hub.journal import Journal
from nla_release.hub.plan import Plan, RepoPlan, plan_repo
from nla_release.hub_client.client import Say
from nla_release.hub_client.reader import BRANCH
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.remote_state import RemoteCommit, RemoteState, compare

AGAIN = "run the same command again; it continues where this one stopped"
A_DEFECT = "this is a defect of nla-release: report it with the traceback that --debug shows"

# What was just made may not be listed at once.
_LAG_SECONDS = (0.0, 0.2, 1.0)


@dataclass
class Act:
    """The plan as far as it is carried out, and all that it is carried out with."""

    plan: Plan
    hub: Hub
    journal: Journal
    say: Say
    # The repository that a commit was sent to, as long as nobody knows what became of it.
    unsure: str | None = None
    # Whether this push may have changed anything on the Hub.
    begun: bool = False
    # Repositories whose main holds the release, without a commit that is known for its own.
    held: dict[str, str] = field(default_factory=dict)
    # Repositories that could not be looked at when the push broke off.
    unseen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Remember where the rendered files are: staged copies of them go."""
        self._rendered = {repo.role: repo.folder for repo in self.plan.repos}

    @property
    def untagged(self) -> list[RepoPlan]:
        """The repositories that the tag is not set in."""
        return [repo for repo in self.plan.repos if repo.tagged is None]

    @property
    def uncommitted(self) -> list[RepoPlan]:
        """Those of them that do not hold the release either."""
        return [repo for repo in self.untagged if repo.committed is None]

    @property
    def empty(self) -> list[str]:
        """The repositories that hold nothing, as far as they were looked at."""
        there = [
            repo
            for repo in self.uncommitted
            if repo.head is not None and repo.repo not in self.unseen
        ]
        return [repo.repo for repo in there if not repo.named("change", "remove", "keep")]

    @property
    def public(self) -> list[str]:
        """What anybody can see already, as clauses."""
        clauses = []
        for repo in self.plan.repos:
            if repo.tagged:
                clauses.append(f"{repo.repo} is tagged {self.plan.tag}")
            elif repo.committed:
                clauses.append(f"{repo.repo} is committed ({repo.committed[:12]}) and not tagged")
            elif head := self.held.get(repo.repo):
                clauses.append(f"main of {repo.repo} holds the release ({head[:12]}), not tagged")
        if self.unsure is not None:
            clauses.append(f"whether {self.unsure} is committed is not known")
        return clauses

    @property
    def known(self) -> str:
        """The same in words; without any of it, which repositories are there and empty."""
        unseen = [repo for repo in self.unseen if repo != self.unsure]
        clauses = self.public
        if unseen:
            clauses.append(f"what {' and '.join(unseen)} holds by now could not be seen")
        if self.empty and not self.public:
            clauses.insert(0, f"nothing but {' and '.join(self.empty)}, empty")
        return "; ".join(clauses) or "nothing"

    def look_again(self) -> None:
        """See what is there now, where this push does not know what became of what it sent.

        A commit may have arrived without its answer, or been sent by a push that was killed.
        """
        if not self.begun:  # all is as it was planned against
            return
        for repo in self.uncommitted:
            if self.unseen or not self._looked_at(repo):
                self.unseen.append(repo.repo)

    def _looked_at(self, repo: RepoPlan) -> bool:
        """Take over what main of a repository holds now; whether it could be seen."""
        try:
            state = self.hub.state(repo.repo)
            files = compare(self._rendered[repo.role], repo.manifest, state)
        except (NlaReleaseError, OSError):
            return False
        self.now(replace(repo, head=state.head if state else None, files=files))
        if state and all(file.change == "keep" for file in files):
            self.held[repo.repo] = state.head
        if self.unsure == repo.repo:
            self.unsure = None
        return True

    def now(self, repo: RepoPlan) -> None:
        """Take over what has become of one repository."""
        repos = [repo if each.role == repo.role else each for each in self.plan.repos]
        self.plan = replace(self.plan, repos=repos)

    def seen(self, repo: str, revision: str = BRANCH) -> RemoteState:
        """A repository that is known to exist.

        Raises:
            EnvironmentProblem: the Hub does not show it.
        """
        state = self.hub.state(repo, revision)
        if state is None:
            raise EnvironmentProblem(
                f"{repo} should be there, and the Hub does not show it",
                hint="may the token read it? Then run the same command again",
            )
        return state

    def seen_tag(self, repo: str) -> str | None:
        """What the release's tag points at; a Hub may take a moment to list a new one."""
        for pause in _LAG_SECONDS:
            time.sleep(pause)
            if found := self.hub.tags(repo).get(self.plan.tag):
                return found
        return None

    def listed(self, repo: str, commit: str) -> list[RemoteCommit]:
        """The commits of main, which a Hub may take a moment to list a new one among."""
        found: list[RemoteCommit] = []
        for pause in _LAG_SECONDS:
            time.sleep(pause)
            found = self.hub.commits(repo)
            if any(each.id == commit for each in found):
                break
        return found

    def planned_again(self, repo: RepoPlan) -> RepoPlan:
        """The same release against a repository that is not what it was when it was planned.

        Raises:
            RefusedError: what others did stands in the way.
        """
        plan = plan_repo(
            repo.folder, repo.manifest, self.plan.release_id, self.hub, self.plan.wishes
        )
        refuse_obstacles([plan])
        return plan

    def say_what_is_left(self) -> None:
        """Say what an earlier run has left to this one, if there was one."""
        done = [
            f"{repo.role} {word} ({commit[:12]})"
            for repo in self.plan.repos
            for word, commit in [("tagged", repo.tagged), ("committed", repo.committed)]
            if commit and not (word == "committed" and repo.tagged)
        ]
        lines = self.journal.lines()
        if done or lines:
            begun = f" (begun {lines[0].at})" if lines else ""
            next_ = " and ".join(repo.role for repo in self.uncommitted) or "the tags"
            self.say(
                f"resuming {self.plan.tag}{begun}: {', '.join(done) or 'nothing is public yet'};"
                f" continuing with {next_}"
            )

    def broken_off(self, error: Exception) -> PartlyPublishedError:
        """The error of a push that something stopped after a part of it was public."""
        what, hint = one_line(error), AGAIN
        if isinstance(error, NlaReleaseError):
            what, hint = error.message, error.hint or AGAIN
        elif not isinstance(error, OSError):
            what, hint = f"{type(error).__name__}: {what}", f"{AGAIN}; {A_DEFECT}"
        return PartlyPublishedError(f"{what}. Public so far: {self.known}", hint=hint)


def refuse_obstacles(repos: list[RepoPlan]) -> None:
    """Go on only where nothing stands in the way.

    Raises:
        RefusedError: something does.
    """
    found = [obstacle for repo in repos for obstacle in repo.obstacles]
    if found:
        raise RefusedError("; ".join(each.message for each in found), hint=found[0].hint)
    if any(repo.card.parts for repo in repos):
        raise RefusedError(
            "somebody wrote into the card on the Hub while this ran",
            hint="run the same command again: it takes the text over",
        )
