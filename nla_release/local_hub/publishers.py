"""Trusted publishers: a CI job presents an OIDC ID token and gets a token for one repository.

On the real Hub a CI provider signs the ID token. Here a test issuer does, with a key that only this
object holds, so that no other ID token is accepted.
"""

import base64
import hmac
import json
import secrets
import time
from typing import Any

from nla_release.io.documents import parse_json
from nla_release.local_hub.git import check_repo_id
from nla_release.local_hub.refusals import InvalidGrantError

LIFETIME = 3600  # seconds, as on the Hub
_HEADER = {"alg": "HS256", "typ": "JWT"}


class TrustedPublishers:
    """Which jobs may publish to which repository, and the tokens issued to them; in memory only."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._trusted: dict[str, list[dict[str, str]]] = {}
        self._tokens: dict[str, tuple[str, float]] = {}

    def trust(self, repo_id: str, **claims: str) -> None:
        """Allow jobs with these claims (`repository`, `workflow` ...) to write to a repository."""
        self._trusted.setdefault(check_repo_id(repo_id), []).append(claims)

    def id_token(self, audience: str, *, expires_in: float = 300, **claims: str) -> str:
        """The ID token of a CI job: a JWT with these claims, for the Hub at `audience`."""
        payload = {**claims, "aud": audience, "exp": time.time() + expires_in}
        signed = f"{_encode(_dump(_HEADER))}.{_encode(_dump(payload))}"
        return f"{signed}.{self._sign(signed)}"

    def exchange(self, id_token: str, resource: str, *, audience: str) -> str:
        """A token that writes to the repository `resource` for an hour.

        Raises:
            InvalidGrantError: the ID token is forged, expired or for another Hub, or the repository
                does not trust the job.
        """
        claims = self._claims(id_token)
        if claims.get("aud") != audience:
            raise InvalidGrantError(f"the ID token is not for {audience}")
        if not claims.get("exp", 0) > time.time():
            raise InvalidGrantError("the ID token has expired")
        if not any(
            trusted.items() <= claims.items() for trusted in self._trusted.get(resource, [])
        ):
            raise InvalidGrantError(
                f"no trusted publisher of {resource} has the claims of this job"
            )
        token = f"hf_jwt_{secrets.token_hex(24)}"
        self._tokens[token] = (resource, time.time() + LIFETIME)
        return token

    def repo_of(self, token: str) -> str | None:
        """The repository that a token writes to; None if it is unknown or expired."""
        repo, until = self._tokens.get(token, (None, 0.0))
        return repo if until > time.time() else None

    def _claims(self, id_token: str) -> dict[str, Any]:
        signed, _, signature = id_token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(signed).encode()):
            raise InvalidGrantError("the ID token is not signed by a provider that this Hub knows")
        payload = signed.rpartition(".")[2]
        text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        return dict(parse_json(text, "the ID token"))

    def _sign(self, text: str) -> str:
        return _encode(hmac.digest(self._key, text.encode(), "sha256"))


def _dump(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
