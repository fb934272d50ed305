"""Who a request comes from, and which repository it may read or write.

One token owns everything. Without a token the Hub is read-only and looks at no credentials, so
that a token meant for the real Hub, sent along out of habit, does no harm and is not compared.
"""

import hmac
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import cast
from urllib.parse import unquote

from starlette.requests import Request

from nla_release.hub.loopback.errors import (
    BadRequestError,
    ForbiddenError,
    RepoNotFoundError,
    UnauthorizedError,
)
from nla_release.hub.loopback.repository import Repository
from nla_release.hub.loopback.store import Store

# The real Hub's words. The client tells a wrong token from a missing repository by the second.
_ANONYMOUS = "Invalid username or password."
_WRONG_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105 - a message


@dataclass(frozen=True)
class Access:
    """The store, and the token that may write to it (`None`: nobody may)."""

    store: Store
    token: str | None = field(repr=False)
    upload_key: bytes = field(default_factory=partial(secrets.token_bytes, 32), repr=False)

    def is_owner(self, request: Request) -> bool:
        """Whether the request carries the token; False for an anonymous one.

        Raises:
            UnauthorizedError: it carries a wrong token.
        """
        header = request.headers.get("authorization")
        if self.token is None or header is None:
            return False
        scheme, _, given = header.partition(" ")
        expected = self.token.encode()
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), expected):
            raise UnauthorizedError(_WRONG_TOKEN)
        return True

    def require_owner(self, request: Request) -> None:
        """Let only the owner pass.

        Raises:
            UnauthorizedError: the request is anonymous, or carries a wrong token.
            ForbiddenError: this Hub has no owner.
        """
        if self.token is None:
            raise ForbiddenError("This Hub is read-only: it was started without a token")
        if not self.is_owner(request):
            raise UnauthorizedError(_ANONYMOUS)

    def readable(self, request: Request) -> Repository:
        """The repository in the address, when this caller may see it.

        Raises:
            RepoNotFoundError: missing, or private and not this caller's: the answer is the same.
        """
        owner = self.is_owner(request)
        with suppress(RepoNotFoundError):
            repository = self.store.repo(repo_id(request))
            if owner or not repository.state().private:
                return repository
        raise RepoNotFoundError(
            "Repository not found" if owner else _ANONYMOUS, anonymous=not owner
        )

    def writable(self, request: Request) -> Repository:
        """The repository in the address, when this caller may change it.

        Raises:
            RepoNotFoundError: missing, or the request is anonymous.
            UnauthorizedError: the request carries a wrong token.
            ForbiddenError: this Hub has no owner.
        """
        if self.token is not None and not self.is_owner(request):
            raise RepoNotFoundError(_ANONYMOUS, anonymous=True)
        self.require_owner(request)
        return self.readable(request)

    def upload_signature(self, oid: str, size: int) -> str:
        """What makes an upload address good for this one object: it needs no token besides."""
        return hmac.digest(self.upload_key, f"{oid}:{size}".encode(), "sha256").hex()


def access(request: Request) -> Access:
    """The access rules of the application that serves this request."""
    return cast("Access", request.app.state.access)


def part(request: Request, name: str) -> str:
    """One decoded part of the address; a quoted slash stays inside its part.

    Raises:
        BadRequestError: it is not UTF-8.
    """
    try:
        return unquote(request.path_params[name], errors="strict")
    except UnicodeDecodeError as error:
        raise BadRequestError(f"{request.url.path!r} is not UTF-8") from error


def repo_id(request: Request) -> str:
    """The repository id in the address."""
    return f"{part(request, 'namespace')}/{part(request, 'name')}"
