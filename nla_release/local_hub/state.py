"""What changes about a repository, as one value: it is written in one rename."""

from dataclasses import dataclass, field
from typing import Any

from nla_release.local_hub.errors import NotFoundError, RevisionNotFoundError

MAIN = "main"
_PULL = "refs/pr/"


@dataclass
class Discussion:
    """A discussion, or a pull request: then `tip` is its last commit and `base` where it began."""

    title: str
    author: str
    created: str
    status: str
    events: list[dict[str, Any]]
    tip: str | None = None
    base: str | None = None
    merge_commit: str | None = None

    @property
    def is_pull_request(self) -> bool:
        """Whether it proposes changes."""
        return self.tip is not None


@dataclass
class State:
    """Refs point at commit ids. Discussions are numbered from 1, in their order."""

    private: bool
    created: str
    branches: dict[str, str]
    tags: dict[str, str]
    gated: str | bool = False
    discussions: list[Discussion] = field(default_factory=list)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "State":
        """The state that `dataclasses.asdict` wrote."""
        discussions = [Discussion(**each) for each in document.pop("discussions", [])]
        return cls(**document, discussions=discussions)

    @property
    def pulls(self) -> dict[str, str]:
        """The refs of pull requests."""
        numbered = enumerate(self.discussions, start=1)
        return {f"{_PULL}{number}": each.tip for number, each in numbered if each.tip is not None}

    def find(self, revision: str) -> str | None:
        """The commit that a branch, tag or full ref points at; of one name, the branch's."""
        for refs, prefix in ((self.branches, "refs/heads/"), (self.tags, "refs/tags/")):
            if commit := refs.get(revision.removeprefix(prefix)):
                return commit
        return self.pulls.get(revision)

    def tip(self, branch: str) -> str:
        """The last commit of what can be committed to: a branch, or a pull request's ref.

        Raises:
            RevisionNotFoundError: there is none.
        """
        commit = self.branches.get(branch) or self.pulls.get(branch)
        if commit is None:
            raise unknown(branch)
        return commit

    def move(self, branch: str, commit: str) -> None:
        """Let a branch, or a pull request's ref, point at a commit."""
        if branch in self.pulls:
            self.discussions[int(branch.removeprefix(_PULL)) - 1].tip = commit
        else:
            self.branches[branch] = commit

    def discussion(self, number: int) -> Discussion:
        """The discussion or pull request of that number.

        Raises:
            NotFoundError: there is none.
        """
        if not 1 <= number <= len(self.discussions):
            raise NotFoundError(f"Discussion {number} not found")
        return self.discussions[number - 1]


def unknown(revision: str) -> RevisionNotFoundError:
    """What to say of a revision that is none."""
    return RevisionNotFoundError(f"Invalid rev id: {revision!r}")
