"""Trusted Publishers: a CI job proves which job it is, and gets a token for one repository.

The proof is an OIDC ID token that the CI provider signs. The Hub exchanges it for a token that
writes to one repository for an hour, and creates nothing. Source: RFC 8693, and
huggingface.co/docs/hub/trusted-publishers.
"""

import os
from dataclasses import dataclass, field
from typing import Annotated, Any

from huggingface_hub.utils import get_session, httpx
from pydantic import Field

from nla_release.errors import EnvironmentProblem, one_line
from nla_release.hub_client.answers import answered, json_of
from nla_release.hub_client.client_errors import DeniedError, OutcomeUnknownError, translated
from nla_release.io.masking import checked_token, remember
from nla_release.io.schema import Model, Open, Positive, parse

# GitHub sets both in a job with `permissions: id-token: write`; elsewhere the job sets the last.
_REQUEST_URL = "ACTIONS_ID_TOKEN_REQUEST_URL"
_REQUEST_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"  # noqa: S105 - a name
_ID_TOKEN = "HF_OIDC_ID_TOKEN"  # noqa: S105 - a name
_PROVIDER = "GitHub's ID tokens"

# What a header can carry.
_Token = Annotated[str, Field(pattern=r"^[!-~]+$")]


class _Granted(Open):
    access_token: _Token
    expires_in: Positive


class _Proof(Open):
    value: _Token


class UntrustedError(DeniedError):
    """The Hub does not trust this job to publish to a repository."""


@dataclass(frozen=True)
class RepoToken:
    """A token for one repository, and for how many seconds it is good."""

    token: str = field(repr=False)
    seconds: float


def can_prove_itself() -> bool:
    """Whether this process can prove which CI job it is."""
    return bool(os.environ.get(_ID_TOKEN) or os.environ.get(_REQUEST_URL))


def repo_token(endpoint: str, repo: str) -> RepoToken:
    """A new token that writes to one repository.

    Raises:
        UntrustedError: the Hub does not trust this job with it.
        EnvironmentProblem: there is no ID token to be had, or the Hub cannot be reached.
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
                f"{repo}: the Hub does not trust this job ({_reason(answer)})",
                hint="add it on the repository's settings page under Trusted Publishers, with"
                " exactly the repository and workflow that run here (it has to exist: a job creates"
                " none); or set HF_TOKEN",
            )
        granted = _read(_Granted, answered(answer, repo), repo)
    remember(granted.access_token)
    return RepoToken(granted.access_token, granted.expires_in)


def _id_token(audience: str) -> str:
    """The proof: as the job was given it, or as GitHub gives it when asked.

    Raises:
        EnvironmentProblem: GitHub does not give it.
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
    """What was answered, as the protocol has it.

    Raises:
        OutcomeUnknownError: it is something else.
    """
    where = f"{asked}: the answer is not one of a Hub"
    return parse(model, document, where, error=OutcomeUnknownError)


def _reason(answer: httpx.Response) -> str:
    """What the answer says: RFC 6749 5.2 gives an error's form."""
    try:
        document = json_of(answer)
        text = document.get("error_description") or document.get("error") or ""
    except (ValueError, AttributeError):
        text = ""
    return one_line(text)[:200] or str(answer.status_code)
