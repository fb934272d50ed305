"""One repository on a Hub, through the real client, with its errors in this package's words.

Uploads: on huggingface.co the client's own path (Xet) is used. Any other endpoint may not speak
Xet, and the client does not fall back by itself (huggingface_hub#4786), but it uses LFS for open
files; so files are opened there.
"""

import hashlib
import logging
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import (
    disable_progress_bars,
    httpx,  # the client's own, whichever major version it is on
)

from nla_release.errors import ConfigError, EnvironmentProblem, RefusedError
from nla_release.files import read_text, sha256_file

BRANCH = "main"
CANONICAL_ENDPOINT = "https://huggingface.co"

# Made by the Hub in every repository; it is the server's, not a release's.
SERVER_FILES = frozenset({".gitattributes"})


@dataclass(frozen=True)
class RemoteFile:
    """A file of a remote tree: its size, and the hash the Hub keeps of it."""

    size: int
    sha256: str | None
    git_sha1: str

    def is_same_as(self, path: Path) -> bool:
        """Whether a local file has these bytes."""
        if path.stat().st_size != self.size:
            return False
        if self.sha256 is not None:
            return sha256_file(path) == self.sha256
        content = path.read_bytes()
        header = f"blob {len(content)}\0".encode()
        return hashlib.sha1(header + content, usedforsecurity=False).hexdigest() == self.git_sha1


@dataclass(frozen=True)
class RemoteState:
    """A repository as it is: commit of main, files there, and the commit of every tag."""

    head: str
    files: dict[str, RemoteFile]
    tags: dict[str, str]


class Hub:
    """A Hub at an endpoint, written to with a token that is never shown."""

    def __init__(self, endpoint: str | None = None, token: str | None = None) -> None:
        self.endpoint = endpoint or constants.ENDPOINT
        self._token = token
        self._api = HfApi(endpoint=self.endpoint, token=token, library_name="nla_release")

    @classmethod
    def from_environment(cls, *, writing: bool) -> "Hub":
        """The Hub that HF_ENDPOINT and HF_TOKEN (or the login cache) name.

        Raises:
            EnvironmentProblem: offline mode is on, or there is no token to write with.
        """
        if constants.HF_HUB_OFFLINE:
            raise EnvironmentProblem("HF_HUB_OFFLINE is set; publishing needs the network")
        token = get_token()
        if token is None and writing:
            raise EnvironmentProblem(
                "there is no Hub token",
                hint="set HF_TOKEN or run `hf auth login`; `push --rehearse` needs neither",
            )
        return cls(token=token)

    def url(self, repo: str, revision: str = BRANCH) -> str:
        """Where people see a repository."""
        return f"{self.endpoint}/{repo}/tree/{revision}"

    def state(self, repo: str, revision: str = BRANCH) -> RemoteState | None:
        """A repository at a revision, or None when there is none.

        Raises:
            EnvironmentProblem: the Hub cannot be reached or refuses to answer.
        """
        with _translated(repo):
            try:
                refs = self._api.list_repo_refs(repo)
                head = self._api.model_info(repo, revision=revision).sha
                tree = self._api.list_repo_tree(repo, recursive=True, revision=head)
                files = {entry.path: _file(entry) for entry in tree if isinstance(entry, RepoFile)}
            except GatedRepoError:
                raise
            except RepositoryNotFoundError:
                return None
            assert head is not None, "the Hub names a commit for every revision"
            mine = {name: file for name, file in files.items() if name not in SERVER_FILES}
            return RemoteState(head, mine, {tag.name: tag.target_commit for tag in refs.tags})

    def read(self, repo: str, name: str, revision: str) -> str:
        """A text file of a repository, past every cache.

        Raises:
            InputError: it is not text, or too large to be one of ours.
            EnvironmentProblem: it is not there, or the Hub cannot be reached.
        """
        with _translated(repo), tempfile.TemporaryDirectory(prefix="nla-release-") as folder:
            path = self._api.hf_hub_download(repo, name, revision=revision, local_dir=folder)
            return read_text(Path(path))

    def check_write(self, repo: str) -> None:
        """Make sure the token may write to a repository.

        Raises:
            EnvironmentProblem: it may not.
        """
        with _translated(repo):
            self._api.auth_check(repo, write=True)

    def create(self, repo: str, *, private: bool) -> None:
        """Create an empty model repository.

        Raises:
            EnvironmentProblem: the token may not, or the Hub cannot be reached.
        """
        with _translated(repo):
            self._api.create_repo(repo, private=private)

    @contextmanager
    def additions(self, folder: Path, names: list[str]) -> Iterator[list[CommitOperationAdd]]:
        """What adds files of a folder to a commit; valid inside the block."""
        with ExitStack() as stack:
            if self.endpoint == CANONICAL_ENDPOINT:
                yield [CommitOperationAdd(name, folder / name) for name in names]
            else:
                yield [
                    CommitOperationAdd(name, stack.enter_context((folder / name).open("rb")))
                    for name in names
                ]

    def upload(self, repo: str, additions: list[CommitOperationAdd]) -> None:
        """Bring the large files' bytes to the Hub ahead of the commit that names them.

        Raises:
            EnvironmentProblem: the Hub cannot be reached or refuses.
        """
        with _translated(repo):
            self._api.preupload_lfs_files(repo, additions, revision=BRANCH)

    def commit(
        self,
        repo: str,
        additions: list[CommitOperationAdd],
        deletions: list[str],
        *,
        message: str,
        parent: str,
    ) -> None:
        """Put files into main, and take others out, as one commit on top of `parent`.

        Raises:
            RefusedError: main is no longer at `parent`, or the Hub refuses the files.
            EnvironmentProblem: the Hub cannot be reached or refuses.
        """
        with _translated(repo):
            self._api.create_commit(
                repo,
                [*additions, *(CommitOperationDelete(name) for name in deletions)],
                commit_message=message,
                parent_commit=parent,
                revision=BRANCH,
            )

    def tag(self, repo: str, tag: str, commit: str, *, message: str) -> None:
        """Tag a commit, and make sure that the tag points there.

        Raises:
            RefusedError: the tag exists and points elsewhere.
            EnvironmentProblem: the Hub cannot be reached or refuses.
        """
        with _translated(repo):
            # exist_ok also accepts a tag that points elsewhere, so the refs are read again
            self._api.create_tag(repo, tag=tag, revision=commit, tag_message=message, exist_ok=True)
            tags = {item.name: item.target_commit for item in self._api.list_repo_refs(repo).tags}
        if tags.get(tag) != commit:
            raise RefusedError(f"{repo}: tag {tag} points at {tags.get(tag)}, not at {commit}")

    def download(self, repo: str, revision: str, target: Path) -> None:
        """Download a revision's files into an empty folder, past every cache.

        Raises:
            EnvironmentProblem: not there, or the Hub cannot be reached.
        """
        with _translated(repo):
            self._api.snapshot_download(repo, revision=revision, local_dir=target)


def quiet_client() -> None:
    """Keep the client's bars, advice and usage reports out of a command. For processes of ours."""
    constants.HF_HUB_DISABLE_TELEMETRY = True
    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


def _file(entry: RepoFile) -> RemoteFile:
    return RemoteFile(entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id)


@contextmanager
def _translated(repo: str) -> Iterator[None]:
    """The client's exceptions, and those of the libraries under it, in this package's words."""
    try:
        yield
    except HFValidationError as error:
        raise ConfigError(f"{repo} is not a repository id: {error}") from error
    except RepositoryNotFoundError as error:
        raise EnvironmentProblem(
            f"{repo}: {_words(error)}",
            hint="the repository does not exist, or the token may not see it; check both",
        ) from error
    except RevisionNotFoundError as error:
        raise EnvironmentProblem(f"{repo}: {_words(error)}") from error
    except LocalTokenNotFoundError as error:
        raise EnvironmentProblem("there is no Hub token", hint="set HF_TOKEN") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 412:
            raise RefusedError(
                f"{repo}: somebody committed to {BRANCH} meanwhile, nothing was overwritten",
                hint="look at what changed there, then run the same command again",
            ) from error
        if status in (401, 403):
            raise EnvironmentProblem(
                f"{repo}: the token may not do this ({_answer(error)})",
                hint="use a token with write access to both repositories",
            ) from error
        raise EnvironmentProblem(f"{repo}: the Hub answered {_answer(error)}") from error
    except (httpx.HTTPError, OSError, RuntimeError) as error:  # network, hf_xet, upload threads
        raise EnvironmentProblem(
            f"{repo}: the Hub cannot be reached: {_words(error)}",
            hint="check the network and HF_ENDPOINT, then run the same command again",
        ) from error
    except ValueError as error:  # the client's word for metadata or an object that was refused
        raise RefusedError(f"{repo}: the Hub refuses the files: {_words(error)}") from error


def _answer(error: HfHubHTTPError) -> str:
    """Status and reason without the client's address, request id and further reading."""
    return f"{error.response.status_code} {error.server_message or error.response.reason_phrase}"


def _words(error: Exception) -> str:
    return " ".join(str(error).split())
