"""Who a request comes from, and which repository it may read or write.

One token owns everything. A token that a trusted publisher was given writes to one repository.
"""

import hmac
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import unquote

from starlette.requests import Request

from nla_release.local_hub.errors import (
    BadRequestError,
    ForbiddenError,
    GatedRepoError,
    RepoNotFoundError,
    UnauthorizedError,
)
from nla_release.local_hub.publishers import TrustedPublishers
from nla_release.local_hub.repository import OWNER, Repository
from nla_release.local_hub.store import Store

# The real Hub's words. The client tells a wrong token from a missing repository by the second.
_ANONYMOUS = "Invalid username or password."
_WRONG_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105 - a message


@dataclass(frozen=True)
class Caller:
    """Who asks: nobody in particular, the owner, or a job that may write to one repository."""

    name: str | None = None
    only: str | None = None

    def may_write(self, repo_id: str) -> bool:
        """Whether this caller may change a repository, and so see it if it is private."""
        return self.name is not None and self.only in {None, repo_id}

    def may_read(self, repository: Repository) -> bool:
        """Whether this caller may see a repository."""
        return self.may_write(repository.id) or not repository.state().private


_NOBODY = Caller()


@dataclass(frozen=True)
class Access:
    """The store, the token that owns it, and the jobs that may write to parts of it.

    Objects of more than `part_size` bytes are uploaded in parts of that size.
    """

    store: Store
    token: str = field(repr=False)
    publishers: TrustedPublishers
    part_size: int

    def caller(self, request: Request) -> Caller:
        """Who sent the request.

        Raises:
            UnauthorizedError: it carries a wrong token.
        """
        header = request.headers.get("authorization")
        if header is None:
            return _NOBODY
        scheme, _, given = header.partition(" ")
        if scheme.lower() == "bearer":
            if hmac.compare_digest(given.strip().encode(), self.token.encode()):
                return Caller(OWNER)
            if only := self.publishers.repo_of(given.strip()):
                return Caller("[OIDC]", only)
        raise UnauthorizedError(_WRONG_TOKEN)

    def require_owner(self, request: Request) -> None:
        """Let only the owner pass.

        Raises:
            UnauthorizedError: it is somebody else. To a job the real Hub answers the same.
        """
        if self.caller(request) != Caller(OWNER):
            raise UnauthorizedError(_ANONYMOUS)

    def readable(self, request: Request) -> Repository:
        """The repository in the address, when this caller may see it.

        Raises:
            RepoNotFoundError: missing, or private and not this caller's: the answer is the same.
        """
        caller, wanted = self.caller(request), repo_id(request)
        with suppress(RepoNotFoundError):
            repository = self.store.repo(wanted)
            if caller.may_read(repository):
                return repository
        anonymous = caller == _NOBODY
        raise RepoNotFoundError(
            _ANONYMOUS if anonymous else "Repository not found", anonymous=anonymous
        )

    def downloadable(self, request: Request) -> Repository:
        """The repository in the address, when this caller may have its files.

        Raises:
            RepoNotFoundError: as for `readable`.
            GatedRepoError: the repository is gated.
        """
        repository = self.readable(request)
        if repository.state().gated and not self.caller(request).may_write(repository.id):
            raise GatedRepoError(f"Access to model {repository.id} is restricted.")
        return repository

    def writable(self, request: Request) -> Repository:
        """The repository in the address, when this caller may change it.

        Raises:
            RepoNotFoundError: missing, or the request is anonymous.
            UnauthorizedError: the request carries a wrong token.
            ForbiddenError: the token is for another repository.
        """
        if self.caller(request) == _NOBODY:
            raise RepoNotFoundError(_ANONYMOUS, anonymous=True)
        repository = self.readable(request)
        if not self.caller(request).may_write(repository.id):
            raise ForbiddenError(f"This token does not write to {repository.id}")
        return repository

    def author(self, request: Request) -> str:
        """Whose name a change goes by."""
        return self.caller(request).name or OWNER

    def upload_signature(self, oid: str, size: int) -> str:
        """What makes an upload address good for this one object: it needs no token besides.

        It comes from the token, so that an address is still good when the Hub is back after a kill.
        """
        return hmac.digest(self.token.encode(), f"upload:{oid}:{size}".encode(), "sha256").hex()


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
