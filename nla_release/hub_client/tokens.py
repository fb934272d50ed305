"""Hub tokens: from the environment, the login cache, or a CI job's ID token. Never shown.

A trusted publisher is a CI job that proves its identity with an OIDC ID token, which its provider
signs. The Hub exchanges it for a token that can write to one repository for an hour, and cannot
create any. Sources: RFC 8693, and huggingface.co/docs/hub/trusted-publishers.
"""

import os
import time
from collections.abc import Callable
from typing import Annotated, Any

from huggingface_hub import constants, get_token
from huggingface_hub.errors import OIDCError
from huggingface_hub.utils import get_session, httpx
from pydantic import Field

from nla_release.errors import EnvironmentProblem, one_line
from nla_release.hub_client.answers import answered, json_of
from nla_release.hub_client.client_errors import DeniedError, OutcomeUnknownError, translated
from nla_release.hub_client.place import CANONICAL_ENDPOINT
from nla_release.io.masking import checked_token, remember
from nla_release.io.schema import Model, Open, Positive, parse

# GitHub sets both in a job with `permissions: id-token: write`; elsewhere the job sets the last.
_REQUEST_URL = "ACTIONS_ID_TOKEN_REQUEST_URL"
_REQUEST_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"  # noqa: S105 - a name
_ID_TOKEN = "HF_OIDC_ID_TOKEN"  # noqa: S105 - a name
_PROVIDER = "GitHub's ID tokens"

# A token is replaced this long before it expires, because a step may take a while.
_MARGIN_SECONDS = 300

HOW_TO_SET_A_TOKEN = (
    f"set HF_TOKEN, or for {CANONICAL_ENDPOINT} run `hf auth login`;"
    " `push --rehearse` needs neither"
)

# What a header can carry.
_Token = Annotated[str, Field(pattern=r"^[!-~]+$")]


class RepoToken(Open):
    """A token for one repository, valid for `expires_in` seconds: a Hub's answer."""

    access_token: _Token = Field(repr=False)
    expires_in: Positive


class _Proof(Open):
    value: _Token


class UntrustedError(DeniedError):
    """The repository does not list this CI job as a trusted publisher."""


def has_id_token() -> bool:
    """Whether this process is a CI job with an ID token."""
    return bool(os.environ.get(_ID_TOKEN) or os.environ.get(_REQUEST_URL))


def repo_token(endpoint: str, repo: str) -> RepoToken:
    """Exchange the ID token of this CI job for a token that writes to one repository.

    Raises:
        UntrustedError: the repository does not list this job as a trusted publisher.
        EnvironmentProblem: there is no ID token, or the Hub cannot be reached.
    """
    proof = _id_token(endpoint)
    with translated(repo):
        answer = get_session().post(
            f"{endpoint}/oauth/token",
            json={
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
                "subject_token": proof,
                "resource": repo,
            },
            headers={"Accept": "application/json"},
            follow_redirects=False,
        )
        if answer.status_code in (400, 401, 403):
            raise UntrustedError(
                f"{repo}: the Hub does not trust this job to publish ({_reason(answer)})",
                hint="add this job's repository and workflow on the settings page under Trusted"
                " Publishers; the Hub repository must exist, because a job cannot create it;"
                " or set HF_TOKEN",
            )
        granted = _read(RepoToken, answered(answer, repo), repo)
    remember(granted.access_token)
    return granted


def _id_token(audience: str) -> str:
    """The ID token of this job: from the environment, or requested from GitHub.

    Raises:
        EnvironmentProblem: GitHub does not issue it.
    """
    if given := os.environ.get(_ID_TOKEN):
        return given
    url, secret = os.environ.get(_REQUEST_URL), os.environ.get(_REQUEST_TOKEN)
    if not url or not secret:
        raise EnvironmentProblem(
            f"{_REQUEST_URL} is set without {_REQUEST_TOKEN}",
            hint="the job needs `permissions: id-token: write`",
        )
    try:
        address = httpx.URL(url).copy_merge_params({"audience": audience})
    except httpx.InvalidURL as error:
        raise EnvironmentProblem(f"{_REQUEST_URL} is not an address") from error
    with translated(_PROVIDER):
        answer = get_session().get(
            address,
            headers={"Authorization": f"Bearer {checked_token(secret, _REQUEST_TOKEN)}"},
            follow_redirects=False,
        )
        proof = _read(_Proof, answered(answer, _PROVIDER), _PROVIDER).value
    remember(proof)
    return proof


def _read(model: type[Model], document: Any, asked: str) -> Model:
    """An answer of the token exchange, validated.

    Raises:
        OutcomeUnknownError: it does not match the protocol.
    """
    where = f"{asked}: the answer is not one of a Hub"
    return parse(model, document, where, error=OutcomeUnknownError)


def _reason(answer: httpx.Response) -> str:
    """The reason for a refusal, in the format of RFC 6749 5.2."""
    try:
        document = json_of(answer)
        text = document.get("error_description") or document.get("error") or ""
    except (ValueError, AttributeError):
        text = ""
    return one_line(text)[:200] or str(answer.status_code)


class HubTokens:
    """The token for each repository. `source` describes its origin, and `repr` never shows it."""

    def __init__(self, source: str, give: Callable[[str], str | None]) -> None:
        self.source = source
        self._give = give

    def __repr__(self) -> str:
        return f"HubTokens({self.source})"

    def for_repo(self, repo: str) -> str | None:
        """The token for a repository, or None for anonymous requests.

        Raises:
            EnvironmentProblem: the token cannot be obtained.
        """
        return self._give(repo)

    def for_reading(self) -> "HubTokens":
        """The same tokens, but anonymous requests for a repository that does not trust this job."""

        def give(repo: str) -> str | None:
            try:
                return self._give(repo)
            except UntrustedError:
                return None

        return HubTokens(self.source, give)

    @classmethod
    def from_environment(cls, *, endpoint: str | None = None, writing: bool = True) -> "HubTokens":
        """The tokens of this process.

        HF_TOKEN takes precedence over a CI job's ID token, and that over the login cache, which is
        used for huggingface.co only. A job that a repository does not trust can still read public
        repositories. With HF_HUB_DISABLE_IMPLICIT_TOKEN reading is anonymous.

        Args:
            endpoint: the Hub that they are for; by default that of HF_ENDPOINT.
            writing: whether a repository that does not trust the job is an error.

        Raises:
            EnvironmentProblem: there is no token to write with, or it is malformed.
        """
        endpoint = endpoint or constants.ENDPOINT
        if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN and not writing:
            return cls.same("nothing", None)
        if token := os.environ.get("HF_TOKEN", "").strip():
            return cls.same("HF_TOKEN", token)
        if has_id_token():
            exchanged = _Exchanged(endpoint, writing=writing)
            return cls("trusted publishing, one token for each repository", exchanged.for_repo)
        cached = _cached() if endpoint == CANONICAL_ENDPOINT else None
        if cached is None and writing:
            raise EnvironmentProblem(
                f"there is no Hub token for {endpoint}",
                hint=HOW_TO_SET_A_TOKEN,
            )
        return cls.same("the login cache", cached)

    @classmethod
    def same(cls, source: str, token: str | None) -> "HubTokens":
        """The same token for every repository, or None for anonymous requests.

        Raises:
            EnvironmentProblem: it is malformed.
        """
        if token is not None:
            checked_token(token, source)
        return cls(source if token is not None else "nothing", lambda _: token)


def _cached() -> str | None:
    """The token of `hf auth login`.

    Raises:
        EnvironmentProblem: the client is configured for an ID token, and there is none.
    """
    try:
        return get_token()
    except OIDCError as error:  # HF_OIDC_RESOURCE requires an ID token
        raise EnvironmentProblem(
            "HF_OIDC_RESOURCE is set, and this job has no ID token",
            hint="the job needs `permissions: id-token: write`, or HF_OIDC_ID_TOKEN",
        ) from error


class _Exchanged:
    """A token per repository, cached until shortly before it expires."""

    def __init__(self, endpoint: str, *, writing: bool) -> None:
        self._endpoint = endpoint
        self._writing = writing
        self._kept: dict[str, tuple[RepoToken, float]] = {}

    def for_repo(self, repo: str) -> str | None:
        """The token for a repository, or None for anonymous requests.

        Raises:
            UntrustedError: the repository does not trust this job, and it wants to write.
            EnvironmentProblem: the token cannot be obtained.
        """
        kept, until = self._kept.get(repo, (None, 0.0))
        if kept is not None and time.monotonic() < until:
            return kept.access_token
        try:
            new = repo_token(self._endpoint, repo)
        except UntrustedError:
            if self._writing:
                raise
            return None
        self._kept[repo] = new, time.monotonic() + new.expires_in - _MARGIN_SECONDS
        return new.access_token
