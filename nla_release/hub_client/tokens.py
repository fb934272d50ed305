"""Tokens: read from the environment or the login cache, or exchanged for a proof; never shown."""

import os
import time
from collections.abc import Callable

from huggingface_hub import constants, get_token
from huggingface_hub.errors import OIDCError

from nla_release.errors import EnvironmentProblem
from nla_release.hub_client.endpoint import CANONICAL_ENDPOINT
from nla_release.hub_client.oidc import RepoToken, UntrustedError, can_prove_itself, repo_token
from nla_release.io.masking import checked_token, masked

# A token is exchanged for a new one before it is late: a step may take a while.
_MARGIN_SECONDS = 300

HOW_TO_GIVE_ONE = (
    f"set HF_TOKEN, or for {CANONICAL_ENDPOINT} run `hf auth login`;"
    " `push --rehearse` needs neither"
)

__all__ = ["HOW_TO_GIVE_ONE", "Tokens", "masked"]


class Tokens:
    """The token for each repository; `source` says where it is from, and nothing shows it."""

    def __init__(self, source: str, give: Callable[[str], str | None]) -> None:
        self.source = source
        self._give = give

    def __repr__(self) -> str:
        return f"Tokens({self.source})"

    def for_repo(self, repo: str) -> str | None:
        """The token for a repository, or None to ask as anybody may.

        Raises:
            EnvironmentProblem: there is none to be had.
        """
        return self._give(repo)

    def for_reading(self) -> "Tokens":
        """The same, and none for a repository that does not trust this job to write to it."""

        def give(repo: str) -> str | None:
            try:
                return self._give(repo)
            except UntrustedError:
                return None

        return Tokens(self.source, give)

    @classmethod
    def from_environment(cls, *, endpoint: str | None = None, writing: bool = True) -> "Tokens":
        """The tokens of this process.

        HF_TOKEN goes before a CI job's proof of itself, and that before the login cache, which is
        of huggingface.co and for no other Hub. A job that a repository does not trust may still
        read what is public. With HF_HUB_DISABLE_IMPLICIT_TOKEN no token is sent to read.

        Args:
            endpoint: the Hub that they are for; that of HF_ENDPOINT by default.
            writing: whether a repository that does not trust the job is an error.

        Raises:
            EnvironmentProblem: there is no token to write with, or what should be one is none.
        """
        endpoint = endpoint or constants.ENDPOINT
        if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN and not writing:
            return cls.same("nothing", None)
        if token := os.environ.get("HF_TOKEN", "").strip():
            return cls.same("HF_TOKEN", token)
        if can_prove_itself():
            exchanged = _Exchanged(endpoint, writing=writing)
            return cls("a trusted publisher's proof, one for each repository", exchanged.for_repo)
        cached = _cached() if endpoint == CANONICAL_ENDPOINT else None
        if cached is None and writing:
            raise EnvironmentProblem(
                f"there is no Hub token for {endpoint}",
                hint=HOW_TO_GIVE_ONE,
            )
        return cls.same("the login cache", cached)

    @classmethod
    def same(cls, source: str, token: str | None) -> "Tokens":
        """One token for every repository, or None for reading what is public.

        Raises:
            EnvironmentProblem: it is no token.
        """
        if token is not None:
            checked_token(token, source)
        return cls(source if token is not None else "nothing", lambda _: token)


def _cached() -> str | None:
    """The token of `hf auth login`.

    Raises:
        EnvironmentProblem: the client is told to exchange a proof instead, and there is none.
    """
    try:
        return get_token()
    except OIDCError as error:  # HF_OIDC_RESOURCE asks for a proof that this job does not have
        raise EnvironmentProblem(
            "HF_OIDC_RESOURCE is set, and this job cannot prove which one it is",
            hint="it needs `permissions: id-token: write`, or HF_OIDC_ID_TOKEN",
        ) from error


class _Exchanged:
    """A token per repository, kept as long as it is good."""

    def __init__(self, endpoint: str, *, writing: bool) -> None:
        self._endpoint = endpoint
        self._writing = writing
        self._kept: dict[str, tuple[RepoToken, float]] = {}

    def for_repo(self, repo: str) -> str | None:
        """The token for a repository, or None for reading as anybody may.

        Raises:
            UntrustedError: the Hub does not trust this job with it, which is to write.
            EnvironmentProblem: there is none to be had.
        """
        kept, until = self._kept.get(repo, (None, 0.0))
        if kept is not None and time.monotonic() < until:
            return kept.token
        try:
            new = repo_token(self._endpoint, repo)
        except UntrustedError:
            if self._writing:
                raise
            return None
        self._kept[repo] = new, time.monotonic() + new.seconds - _MARGIN_SECONDS
        return new.token
