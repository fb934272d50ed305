"""A push in progress: its plan, what is public by now, and how each repository is written."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from huggingface_hub import CommitOperationAdd

from nla_release.errors import NlaReleaseError, RefusedError
from nla_release.hub.earlier_releases import own_commit
from nla_release.hub.journal import Journal
from nla_release.hub.plan import PushPlan, RepoPlan, plan_repo
from nla_release.hub.run import TRIES, BranchMovedError, HubRun
from nla_release.hub_client.remote import Payload
from nla_release.hub_client.remote_state import RemoteState, all_records, compare
from nla_release.io.log import log
from nla_release.release.config import Waiver
from nla_release.release.manifest import title, trailers

_MOVED = "look at what changed there; --rebase puts the release on top of it"


@dataclass
class PushRun(HubRun):
    """A push in progress. `plan` is updated with every step that is done."""

    plan: PushPlan
    journal: Journal
    waived: Sequence[Waiver] = ()
    # Whether this push may have changed anything on the Hub.
    begun: bool = False
    # Repositories whose main contains the release, without a commit known to be this release's.
    held: dict[str, str] = field(default_factory=dict)
    # Repositories that could not be read when the push failed.
    unseen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Remember where the rendered files are: staged copies are deleted."""
        self._rendered = {repo.role: repo.folder for repo in self.plan.repos}

    @property
    def untagged(self) -> list[RepoPlan]:
        """The repositories without the tag."""
        return [repo for repo in self.plan.repos if repo.tagged is None]

    @property
    def uncommitted(self) -> list[RepoPlan]:
        """The repositories without the release's commit."""
        return [repo for repo in self.untagged if repo.committed is None]

    @property
    def empty(self) -> list[str]:
        """The existing repositories without files, as far as they were read."""
        there = [
            repo
            for repo in self.uncommitted
            if repo.head is not None and repo.repo not in self.unseen
        ]
        return [repo.repo for repo in there if not repo.named("change", "remove", "keep")]

    @property
    def public(self) -> list[str]:
        """What anyone can see already, as clauses."""
        clauses = []
        for repo in self.plan.repos:
            if repo.tagged:
                clauses.append(f"{repo.repo} is tagged {self.plan.tag}")
            elif repo.committed:
                clauses.append(f"{repo.repo} is committed ({repo.committed[:12]}) and not tagged")
            elif head := self.held.get(repo.repo):
                clauses.append(f"main of {repo.repo} holds the release ({head[:12]}), not tagged")
        if self.uncertain is not None:
            clauses.append(f"whether {self.uncertain} is committed is not known")
        return clauses

    @property
    def public_summary(self) -> str:
        """What is public, what could not be read, and otherwise which repositories are empty."""
        unseen = [repo for repo in self.unseen if repo != self.uncertain]
        clauses = self.public
        if unseen:
            clauses.append(f"{' and '.join(unseen)} could not be read")
        if self.empty and not self.public:
            clauses.insert(0, f"only {' and '.join(self.empty)}, without files")
        return "; ".join(clauses) or "nothing"

    def refresh(self) -> None:
        """Read the repositories whose state is unknown after a failure.

        A commit may have arrived without its answer, or come from a push that was killed.
        """
        if not self.begun:  # everything is as it was when the plan was made
            return
        for repo in self.uncommitted:
            if self.unseen or not self._refreshed(repo):
                self.unseen.append(repo.repo)

    def _refreshed(self, repo: RepoPlan) -> bool:
        """Update the plan with what main of a repository contains; whether it could be read."""
        try:
            state = self.hub.state(repo.repo)
            files = compare(self._rendered[repo.role], repo.manifest, state)
        except (NlaReleaseError, OSError):
            return False
        self.update(replace(repo, head=state.head if state else None, files=files))
        if state and all(file.change == "keep" for file in files):
            self.held[repo.repo] = state.head
        if self.uncertain == repo.repo:
            self.uncertain = None
        return True

    def update(self, repo: RepoPlan) -> None:
        """Update the plan of one repository."""
        repos = [repo if each.role == repo.role else each for each in self.plan.repos]
        self.plan = replace(self.plan, repos=repos)

    def planned_again(self, repo: RepoPlan) -> RepoPlan:
        """A new plan for a repository that changed since the plan was made.

        Raises:
            RefusedError: the change is a blocker.
        """
        plan = plan_repo(
            repo.folder, repo.manifest, self.plan.release_id, self.hub, self.plan.options
        )
        refuse_blockers([plan])
        return plan

    def report_resumption(self) -> None:
        """Report what an earlier run of this push has done, if there was one."""
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
            log.info(
                f"resuming {self.plan.tag}{begun}: {', '.join(done) or 'nothing is public yet'};"
                f" continuing with {next_}"
            )

    def create(self, repo: RepoPlan) -> RemoteState:
        """The repository, created by this push or by anyone else.

        Raises:
            EnvironmentProblem: it cannot be created, or the Hub cannot be reached.
        """
        created = self.do_once(
            lambda: self.hub.create(repo.repo, private=repo.private),
            lambda: self.hub.state(repo.repo),
            f"{repo.repo} was not created",
        )
        return created or self.seen(repo.repo)

    def tag(self, repo: RepoPlan, commit: str) -> str | None:
        """The commit of the release's tag, set by this push or by anyone else; None without one.

        Raises:
            EnvironmentProblem: it cannot be set, or the Hub cannot be reached.
        """
        name = self.plan.tag
        return self.do_once(
            lambda: self.hub.tag(repo.repo, name, commit, message=f"Release {name}"),
            lambda: self.seen_tag(repo.repo, name),
            f"{repo.repo} was not tagged",
        )

    def commit(self, repo: RepoPlan, additions: list[CommitOperationAdd] | None) -> RepoPlan:
        """The repository with the release's commit, of this push or an earlier one.

        Args:
            repo: a repository, with the commit of main on which the release is to be put.
            additions: the uploaded files. They serve for one try.

        Raises:
            BranchMovedError: somebody else committed meanwhile, and --rebase is not set.
            RefusedError: the Hub refuses the files.
        """
        for left in reversed(range(TRIES)):
            assert repo.head is not None, "created"
            current = repo

            def send(repo: RepoPlan = current) -> str:
                nonlocal additions
                given, additions = additions, None
                return self._send(repo, given)

            def arrived(repo: RepoPlan = current) -> str | None:
                return self._own(repo, repo.head)

            try:
                made = self.commit_once(
                    repo.repo, repo.head, send=send, arrived=arrived, hint=_MOVED
                )
            except BranchMovedError:
                if not left or not self.plan.options.rebase:
                    raise
                log.info(f"{repo.repo}: main moved; trying again on top of it")
                repo = self.planned_again(repo)
                if repo.committed:
                    return repo
            else:
                return replace(repo, committed=made, parent=repo.head)
        raise AssertionError("the last try returns or raises")

    def adopted(self, repo: RepoPlan) -> bool:
        """Whether main moved by this release's own commit, of an earlier push that was killed."""
        made = self._own(repo, None)
        if made is None:
            return False
        self.update(replace(repo, committed=made, parent=None))
        self.journal.finished("commit", repo=repo.repo, commit=made)
        log.info(f"an earlier push committed {repo.repo} ({made[:12]}); continuing with it")
        return True

    def overtaken(self, repo: RepoPlan) -> BranchMovedError:
        """The error for a branch that moved since the plan was made."""
        assert repo.head is not None, "created"
        return self.moved(repo.repo, repo.head, _MOVED)

    def _own(self, repo: RepoPlan, parent: str | None) -> str | None:
        """The release's commit on main, if there is one; `parent` if this push sent it."""
        identity = self.plan.release_id
        return own_commit(self.hub, identity, repo.folder, repo.manifest, parent=parent)

    def _send(self, repo: RepoPlan, additions: list[CommitOperationAdd] | None) -> str:
        assert repo.head is not None, "created"
        with ExitStack() as files:
            if additions is None:
                additions = files.enter_context(
                    self.hub.additions(repo.folder, changed_files(repo))
                )
            return self.hub.commit(
                repo.repo,
                additions,
                repo.named("remove"),
                message=title(self.plan.tag),
                description=trailers(self.plan.release_id, repo.head),
                parent=repo.head,
            )


def changed_files(repo: RepoPlan) -> Payload:
    """The files that a commit adds or changes."""
    records = all_records(repo.folder, repo.manifest)
    return {name: records[name] for name in repo.named("add", "change")}


def refuse_blockers(repos: list[RepoPlan]) -> None:
    """Stop if anything prevents the push.

    Raises:
        RefusedError: something does.
    """
    found = [blocker for repo in repos for blocker in repo.blockers]
    if found:
        raise RefusedError("; ".join(each.message for each in found), hint=found[0].hint)
    if any(repo.card.sections for repo in repos):
        raise RefusedError(
            "the card on the Hub was edited while this ran",
            hint="run the same command again: it keeps the text",
        )
