"""What is done to repositories on a Hub, on top of what it can be asked.

An act is repeated only when the Hub says that it did nothing (429). Whether another that went wrong
was done is for the caller to find out: `OutcomeUnknownError`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from nla_release.errors import RefusedError
from nla_release.hub_client.additions import Payload, additions, batches
from nla_release.hub_client.answers import commit_id
from nla_release.hub_client.endpoint import CANONICAL_ENDPOINT
from nla_release.hub_client.questions import BRANCH, SERVER_FILES, Questions

__all__ = ["BRANCH", "SERVER_FILES", "Hub"]


class Hub(Questions):
    """A Hub that can be written to."""

    def create(self, repo: str, *, private: bool) -> None:
        """Create an empty model repository.

        Raises:
            OutcomeUnknownError: it may have been created, or not.
            EnvironmentProblem: the token may not, it exists, or the Hub cannot be reached.
        """
        self._do(repo, lambda token: self._api.create_repo(repo, private=private, token=token))

    @contextmanager
    def additions(self, folder: Path, payload: Payload) -> Iterator[list[CommitOperationAdd]]:
        """What adds files of a folder to a commit; valid inside the block."""
        with additions(folder, payload, xet=self.endpoint == CANONICAL_ENDPOINT) as made:
            yield made

    def upload(self, repo: str, additions: list[CommitOperationAdd]) -> None:
        """Bring the large files' bytes to the Hub ahead of the commit that names them.

        Raises:
            RefusedError: the Hub would leave files out of the commit, or refuses them.
            EnvironmentProblem: the Hub cannot be reached or refuses.
        """
        for batch in batches(additions):
            self._do(repo, partial(self._upload, repo, batch))
        # The client keeps this answer of the Hub to itself, and would leave the files out.
        ignored = [each.path_in_repo for each in additions if each._should_ignore]  # noqa: SLF001
        if ignored:
            raise RefusedError(
                f"{repo}: the Hub would leave {', '.join(ignored[:6])} out of the commit",
                hint="it goes by a .gitignore; remove it from the repository",
            )

    def commit(
        self,
        repo: str,
        additions: list[CommitOperationAdd],
        deletions: list[str],
        *,
        message: str,
        description: str,
        parent: str,
    ) -> str:
        """Put files into main, and take others out, as one commit on top of `parent`.

        Returns:
            The commit that the Hub says it made; whether it holds the files is to be seen there.

        Raises:
            ConflictError: main is no longer at `parent`.
            OutcomeUnknownError: it may have been committed, or not.
            RefusedError: the Hub refuses the files.
            EnvironmentProblem: the Hub cannot be reached or refuses.
        """
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *additions,
            *(CommitOperationDelete(name) for name in deletions),
        ]

        def send(token: str | bool) -> str:
            made = self._api.create_commit(
                repo,
                operations,
                commit_message=message,
                commit_description=description,
                parent_commit=parent,
                revision=BRANCH,
                token=token,
            )
            return commit_id(made.oid)

        return self._do(repo, send)

    def tag(self, repo: str, tag: str, commit: str, *, message: str) -> None:
        """Tag a commit. Whether the tag points there is to be read from `tags` afterwards.

        Raises:
            OutcomeUnknownError: it may have been tagged, or not.
            EnvironmentProblem: the Hub cannot be reached or refuses.
        """
        # exist_ok also accepts a tag that points elsewhere
        self._do(
            repo,
            lambda token: self._api.create_tag(
                repo, tag=tag, revision=commit, tag_message=message, exist_ok=True, token=token
            ),
        )

    def _upload(self, repo: str, batch: list[CommitOperationAdd], token: str | bool) -> None:
        self._api.preupload_lfs_files(repo, batch, revision=BRANCH, token=token)
