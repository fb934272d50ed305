"""Reading from a Hub. A read changes nothing, so it is repeated after a server error or timeout."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Self, TypeVar

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers, get_session, httpx
from pydantic import Field, TypeAdapter

from nla_release.errors import (
    ConfigError,
    EnvironmentProblem,
    InputError,
    NlaReleaseError,
    RefusedError,
    one_line,
)
from nla_release.hub_client.answers import (
    Account,
    CardVerdict,
    answered,
    commit_id,
    json_of,
)
from nla_release.hub_client.client import allow_tokens, at_most, reading_client
from nla_release.hub_client.client_errors import (
    DeniedError,
    OutcomeUnknownError,
    RateLimitedError,
    not_of_a_hub,
    translated,
)
from nla_release.hub_client.place import CANONICAL_ENDPOINT, HubPlace, checked_endpoint
from nla_release.hub_client.remote_state import RemoteCommit, RemoteFile, RemoteRefs, RemoteState
from nla_release.hub_client.tokens import HubTokens
from nla_release.io.files import MAX_TEXT_BYTES

BRANCH = "main"

# Created by the Hub in every repository; not part of a release.
SERVER_FILES = frozenset({".gitattributes"})

_TRIES = 3
_LONG_SECONDS = 10.0
_INFO_SECONDS = 20
_TEXTS = TypeAdapter(list[Annotated[str, Field(strict=True)]])

Answer = TypeVar("Answer")


class HubReader:
    """A Hub at an endpoint, read with tokens that are never shown."""

    def __init__(self, endpoint: str | None = None, token: str | HubTokens | None = None) -> None:
        self.endpoint = endpoint or constants.ENDPOINT
        allow_tokens(self.endpoint)
        self._tokens = token if isinstance(token, HubTokens) else HubTokens.same("the token", token)
        self._api = HfApi(endpoint=self.endpoint, token=False, library_name="nla_release")

    @classmethod
    def from_environment(cls, *, writing: bool) -> Self:
        """The Hub that HF_ENDPOINT names, with the tokens of `HubTokens.from_environment`.

        Raises:
            ConfigError: HF_ENDPOINT is not the address of a Hub.
            EnvironmentProblem: offline mode is on, or there is no token to write with.
        """
        if constants.HF_HUB_OFFLINE:
            raise EnvironmentProblem("HF_HUB_OFFLINE is set; publishing needs the network")
        endpoint = checked_endpoint(constants.ENDPOINT)
        return cls(endpoint, HubTokens.from_environment(endpoint=endpoint, writing=writing))

    def url(self, repo: str, revision: str = BRANCH) -> str:
        """The address of a repository's page."""
        return f"{self.endpoint}/{repo}/tree/{revision}"

    def token(self, repo: str) -> str | bool:
        """The token for a repository. False, unlike None, stops the client from searching for one.

        Raises:
            EnvironmentProblem: the token cannot be obtained.
        """
        return self._tokens.for_repo(repo) or False

    def reader(self) -> Self:
        """The same Hub, read anonymously where this CI job has no token."""
        return type(self)(self.endpoint, self._tokens.for_reading())

    def state(self, repo: str, revision: str = BRANCH) -> RemoteState | None:
        """A repository at a revision, or None if there is no such repository."""
        return self._ask(repo, lambda token: self._state(repo, revision, token))

    def models(self, namespace: str, text: str, *, asked_for: str) -> list[str]:
        """The ids of a namespace's visible repositories.

        Args:
            namespace: the namespace.
            text: a part of the ids; empty for all.
            asked_for: the repository whose token is used.

        Raises:
            DeniedError: the Hub does not list them, or not for this token.
        """

        def ask(token: str | bool) -> list[str]:
            listed = self._api.list_models(author=namespace, search=text or None, token=token)
            return _TEXTS.validate_python([model.id for model in listed])

        return self._ask(asked_for, ask)

    def commits(self, repo: str, revision: str = BRANCH) -> list[RemoteCommit]:
        """The commits of main, or of another revision, newest first."""

        def ask(token: str | bool) -> list[RemoteCommit]:
            listed = self._api.list_repo_commits(repo, revision=revision, token=token)
            if not listed:  # a branch always has one
                raise not_of_a_hub(repo, f"{revision} has no commits")
            parents = [*(commit.commit_id for commit in listed[1:]), None]
            return [
                RemoteCommit(
                    id=commit.commit_id,
                    parent=parent,
                    title=commit.title,
                    description=commit.message or "",  # null on some Hubs
                    authors=commit.authors,
                )
                for commit, parent in zip(listed, parents, strict=True)
            ]

        return self._ask(repo, ask)

    def head(self, repo: str) -> str | None:
        """The commit of main."""
        return self._ask(repo, lambda token: self._refs(repo, token)).branches.get(BRANCH)

    def tags(self, repo: str) -> dict[str, str]:
        """The commit of every tag."""
        return self._ask(repo, lambda token: self._refs(repo, token)).tags

    def read(self, repo: str, name: str, state: RemoteState) -> str:
        """A text file of a commit, byte for byte and without any cache.

        Raises:
            InputError: it is not UTF-8, or larger than any text file of a release.
            DeniedError: it does not exist.
        """
        file = state.files.get(name) or state.server_files.get(name)
        if file is None:
            raise DeniedError(f"{repo} has no {name} at {state.head[:12]}")
        if file.size > MAX_TEXT_BYTES:
            raise InputError(f"{repo}: {name} is larger than {MAX_TEXT_BYTES} bytes")
        with tempfile.TemporaryDirectory(prefix="nla-release-") as folder, at_most(file.size):
            path = self._ask(
                repo,
                lambda token: self._api.hf_hub_download(
                    repo, name, revision=state.head, local_dir=folder, token=token
                ),
            )
            try:
                return Path(path).read_bytes().decode()
            except UnicodeDecodeError as error:
                raise InputError(f"{repo}: {name} is not UTF-8 text") from error

    def check_write(self, repo: str) -> str | None:
        """Check that the token may write to a repository.

        Returns:
            On a Hub without this route: a sentence that says so.

        Raises:
            EnvironmentProblem: it may not write.
        """

        def ask(token: str | bool) -> str | None:
            try:
                self._api.auth_check(repo, write=True, token=token)
            except HfHubHTTPError as error:
                if not _no_such_route(error.response):
                    raise
                return (
                    f"{repo}: this Hub has no auth-check ({error.response.status_code}), so whether"
                    " the token may write there is unknown until the first write"
                )
            return None

        return self._ask(repo, ask)

    def without_auth_check(self, repo: str) -> str | None:
        """The note of `check_write` for a repository that does not exist yet."""
        try:
            return self.check_write(repo)
        except DeniedError:  # because the repository does not exist: the Hub has the route
            return None

    def check_namespace(self, repo: str) -> None:
        """Check that the token's account may create repositories in this namespace.

        Only huggingface.co is asked. On another Hub this is known when a repository is created.

        Raises:
            EnvironmentProblem: the namespace belongs to another account, or the token is invalid.
        """
        if self.endpoint != CANONICAL_ENDPOINT:
            return
        namespaces = self._ask(
            repo, lambda token: Account.model_validate(self._api.whoami(token=token)).namespaces
        )
        namespace = repo.partition("/")[0]
        if namespace.lower() not in (name.lower() for name in namespaces):
            raise DeniedError(
                f"{repo} does not exist, and the token's account may only create repositories in"
                f" {', '.join(namespaces)}",
                hint="correct namespace in release.yaml, or use a token of that account",
            )

    def check_card(self, repo: str, card: str) -> None:
        """Ask the Hub to validate a card's metadata.

        Raises:
            RefusedError: it refuses the card.
        """

        # The client does this only inside create_commit, and anonymously in RepoCard.validate.
        def ask(token: str | bool) -> None:
            answer = get_session().post(
                f"{self.endpoint}/api/validate-yaml",
                json={"content": card, "repoType": "model"},
                headers=build_hf_headers(token=token, library_name="nla_release"),
                follow_redirects=False,
            )
            if _no_such_route(answer):
                raise DeniedError(
                    f"{repo}: this Hub has no /api/validate-yaml ({answer.status_code}), which"
                    " huggingface_hub asks before every commit of a card",
                    hint="publish to a Hub that has this route; nothing was created or uploaded",
                )
            refused = answer.status_code == 400
            document = json_of(answer) if refused else answered(answer, repo)
            verdict = CardVerdict.model_validate(document)
            problems = one_line("; ".join(each.message for each in verdict.errors))
            if refused or problems:
                raise RefusedError(f"{repo}: the Hub refuses the card's metadata: {problems}")

        self._ask(repo, ask)

    def download(self, repo: str, revision: str, target: Path) -> None:
        """Download a revision's files into an empty folder, without any cache.

        Files that the Hub creates are left out.

        Raises:
            EnvironmentProblem: it does not exist, or the Hub cannot be reached.
        """
        self._ask(
            repo,
            lambda token: self._api.snapshot_download(
                repo,
                revision=revision,
                local_dir=target,
                ignore_patterns=list(SERVER_FILES),
                token=token,
            ),
        )

    def _state(self, repo: str, revision: str, token: str | bool) -> RemoteState | None:
        try:
            refs = self._refs(repo, token)
        except HfHubHTTPError as error:
            # Without a token, a 401 also means that the repository does not exist.
            status = error.response.status_code
            if status == 404 or (status == 401 and not token):
                return None
            raise
        info = self._api.model_info(repo, revision=revision, token=token)
        head = commit_id(info.sha)
        tree = self._api.list_repo_tree(repo, recursive=True, revision=head, token=token)
        files = {entry.path: _file(entry) for entry in tree if isinstance(entry, RepoFile)}
        return RemoteState(
            head=head,
            files={name: file for name, file in files.items() if name not in SERVER_FILES},
            tags=refs.tags,
            private=False if info.private is None else info.private,
            server_files={name: file for name, file in files.items() if name in SERVER_FILES},
            branches=frozenset([*refs.branches, *refs.others]),
        )

    def _refs(self, repo: str, token: str | bool) -> RemoteRefs:
        refs = self._api.list_repo_refs(repo, token=token)
        return RemoteRefs(
            branches={branch.name: branch.target_commit for branch in refs.branches},
            tags={tag.name: tag.target_commit for tag in refs.tags},
            others=[convert.name for convert in refs.converts],
        )

    def _ask(self, repo: str, read: Callable[[str | bool], Answer]) -> Answer:
        return _repeated(lambda: self._do(repo, read))

    def _do(self, repo: str, send: Callable[[str | bool], Answer]) -> Answer:
        for left in reversed(range(_TRIES)):
            try:
                with translated(repo):
                    return send(self.token(repo))
            except RateLimitedError:  # RateLimitWaits has waited as long as it asked
                if not left:
                    raise
        raise AssertionError("the last try returns or raises")


def fetch(place: HubPlace, names: Sequence[str], target: Path) -> HubPlace:
    """Download files into an empty folder, under their paths in the repository.

    Args:
        place: where they are.
        names: glob patterns for paths in the place's folder.
        target: the folder.

    Returns:
        The place at the commit to which its revision resolved.

    Raises:
        ConfigError: the client refuses the id.
        EnvironmentProblem: the Hub cannot be reached, or has no such repository or revision.
    """
    reading_client()
    repo, patterns = place.repo, [f"{place.inside}{name}" for name in names]
    try:
        with translated(repo):
            info = HfApi().model_info(repo, revision=place.revision, timeout=_INFO_SECONDS)
            commit = commit_id(info.sha)
            snapshot_download(repo, revision=commit, allow_patterns=patterns, local_dir=target)
    except ConfigError as error:
        raise ConfigError(f"{repo} is neither a folder nor a Hub id{_why(repo, error)}") from error
    except (EnvironmentProblem, RefusedError) as error:
        raise EnvironmentProblem(
            f"{repo} is not a local folder and cannot be fetched from the Hub{_why(repo, error)}",
            hint="check the path or the id, the revision, the network and HF_TOKEN",
        ) from error
    return replace(place, revision=commit)


def _repeated(read: Callable[[], Answer]) -> Answer:
    """Repeat a read after a server error or timeout.

    Some of the client's reads repeat themselves for 24 seconds; those are not repeated here.
    """
    begun = time.monotonic()
    for wait in (0.5, 1.0):
        try:
            return read()
        except OutcomeUnknownError:
            if time.monotonic() - begun > _LONG_SECONDS:
                raise
            time.sleep(wait)
    return read()


def _no_such_route(answer: httpx.Response) -> bool:
    """Whether a Hub lacks a route. When it refuses a request of a known route, it sends a code."""
    return answer.status_code in (404, 405, 501) and "x-error-code" not in answer.headers


def _file(entry: RepoFile) -> RemoteFile:
    sha256 = entry.lfs.sha256 if entry.lfs else None
    return RemoteFile(size=entry.size, sha256=sha256, blob=entry.blob_id)


def _why(repo: str, error: NlaReleaseError) -> str:
    """The message without the repository's name, which the sentence names already."""
    return f": {error.message.removeprefix(repo).lstrip(': ')}"
