"""Writing to a Hub.

A request is repeated only if the Hub says that it did nothing (429). After an `OutcomeUnknownError`
the caller has to find out whether the Hub did what it was asked.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete
from huggingface_hub.lfs import UploadInfo

from nla_release.errors import RefusedError
from nla_release.hub_client.answers import commit_id
from nla_release.hub_client.place import CANONICAL_ENDPOINT
from nla_release.hub_client.reader import BRANCH, HubReader
from nla_release.release.manifest import FileRecord

# Files to add to a commit, by their names in the repository.
Payload = dict[str, FileRecord]

_SAMPLE_BYTES = 512  # from which the Hub decides whether a file is text


class Hub(HubReader):
    """A Hub at an endpoint, to read and to write."""

    def create(self, repo: str, *, private: bool) -> None:
        """Create an empty model repository.

        Raises:
            OutcomeUnknownError: it may or may not have been created.
            EnvironmentProblem: no permission, it exists, or the Hub cannot be reached.
        """
        self._do(repo, lambda token: self._api.create_repo(repo, private=private, token=token))

    @contextmanager
    def additions(self, folder: Path, payload: Payload) -> Iterator[list[CommitOperationAdd]]:
        """Operations that add files of a folder; valid inside the block, for one commit.

        Their hashes are those of the payload, so the client does not read the files to hash them.
        For huggingface.co the client uploads through Xet. Other endpoints may lack Xet, and the
        client falls back to LFS for open files only (huggingface_hub#4786).
        """
        with ExitStack() as stack:
            made = []
            for name, record in payload.items():
                path = folder / name
                opened = stack.enter_context(path.open("rb"))
                addition = CommitOperationAdd(name, b"")
                addition.upload_info = UploadInfo(
                    sha256=bytes.fromhex(record.sha256),
                    size=record.size,
                    sample=opened.peek(_SAMPLE_BYTES)[:_SAMPLE_BYTES],
                )
                xet = self.endpoint == CANONICAL_ENDPOINT
                addition.path_or_fileobj = str(path) if xet else opened
                made.append(addition)
            yield made

    def upload(self, repo: str, additions: list[CommitOperationAdd]) -> None:
        """Upload the large files ahead of the commit.

        Raises:
            RefusedError: the Hub would leave files out of the commit, or refuses them.
        """
        for batch in _batches(additions):
            self._do(repo, partial(self._upload, repo, batch))
        if left_out := [each.path_in_repo for each in additions if _is_left_out(each)]:
            raise RefusedError(
                f"{repo}: the Hub would leave {', '.join(left_out[:6])} out of the commit",
                hint="the Hub applies a .gitignore; remove it from the repository",
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
        """Add and delete files on main in one commit on top of `parent`.

        Returns:
            The id of the commit, as the Hub reports it. Its content is not checked here.

        Raises:
            ConflictError: main is no longer at `parent`.
            OutcomeUnknownError: it may or may not have been committed.
            RefusedError: the Hub refuses the files.
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
        """Tag a commit. The caller reads from `tags` whether the tag points there.

        Raises:
            OutcomeUnknownError: it may or may not have been tagged.
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


def _batches(made: list[CommitOperationAdd]) -> list[list[CommitOperationAdd]]:
    """The additions, in batches without equal files.

    The client would read two equal files through one open file. In the second batch the Hub has
    the bytes already.
    """
    first = {addition.upload_info.sha256: addition for addition in reversed(made)}
    once = [each for each in made if first[each.upload_info.sha256] is each]
    again = [each for each in made if first[each.upload_info.sha256] is not each]
    return [batch for batch in (once, again) if batch]


def _is_left_out(addition: CommitOperationAdd) -> bool:
    """Whether the Hub would leave an uploaded file out of the commit, by a .gitignore.

    The client has no public name for this part of the Hub's answer, so
    tests/hub_client/test_client_major.py checks it with each major version of the client.
    """
    return bool(addition._should_ignore)  # noqa: SLF001
