"""What this Hub refuses, each with the HTTP status and the `X-Error-Code` the client dispatches on.

HubError
├── BadRequestError        400  a name, path, body or card that no Hub takes
├── InvalidGrantError      400  an ID token that gets its bearer nothing
├── UnauthorizedError      401  no token, or a wrong one
├── ForbiddenError         403  a token for another repository, or a forged upload address
├── GatedRepoError         403  its files are for those who were let in
├── NotFoundError          404  no collection, item or discussion of that name
├── RepoNotFoundError      404  (401 to a caller without a token, who may not know)
├── RevisionNotFoundError  404
├── EntryNotFoundError     404
├── AlreadyExistsError     409  a repository, branch or tag of that name
├── ConflictError          409  both sides of a pull request changed the same file
├── StaleParentError       412  the branch moved since the caller looked
├── TooLargeError          413  a body that belongs in LFS, or in no request at all
├── WrongTypeError         415  a body that is not sent as JSON
├── BrokenUploadError      422  an LFS object is missing, or not what its hash and size promise
└── NotOfferedError        501  the real Hub can, this one cannot
"""

from nla_release.errors import NlaReleaseError


class HubError(NlaReleaseError):
    """A refused request. `code` is the Hub's machine-readable reason, where it has one."""

    status = 400
    code: str | None = None


class BadRequestError(HubError):
    """A name, path, body or card that no Hub takes."""

    exit_code = 2


class InvalidGrantError(HubError):
    """An ID token that gets its bearer nothing."""


class UnauthorizedError(HubError):
    """No token, or a wrong one."""

    status = 401


class ForbiddenError(HubError):
    """A token that is for another repository, or an upload address that this Hub never gave out."""

    status = 403


class GatedRepoError(ForbiddenError):
    """The repository may be seen, and its files are for those who were let in."""

    code = "GatedRepo"


class NotFoundError(HubError):
    """No collection, item or discussion of that name."""

    status = 404


class RepoNotFoundError(HubError):
    """No such repository, or none that the caller may see: the Hub does not tell which."""

    code = "RepoNotFound"

    def __init__(self, message: str, *, anonymous: bool = False) -> None:
        super().__init__(message)
        self.status = 401 if anonymous else 404


class RevisionNotFoundError(HubError):
    """No branch, tag or commit of that name."""

    status = 404
    code = "RevisionNotFound"


class EntryNotFoundError(HubError):
    """No such file or folder at that commit; the client caches the absence under `commit`."""

    status = 404
    code = "EntryNotFound"

    def __init__(self, message: str, *, commit: str) -> None:
        super().__init__(message)
        self.commit = commit


class AlreadyExistsError(HubError):
    """A repository, branch or tag of that name exists."""

    status = 409


class ConflictError(HubError):
    """Both sides of a pull request changed the same file."""

    status = 409


class StaleParentError(HubError):
    """The branch moved since the caller looked at it."""

    status = 412


class TooLargeError(HubError):
    """A body that belongs in LFS, or in no request at all."""

    status = 413


class WrongTypeError(HubError):
    """A body that is not sent as JSON: a web page may send it without asking first."""

    status = 415


class BrokenUploadError(HubError):
    """An LFS object is missing, or is not what its hash and size promise."""

    status = 422


class NotOfferedError(HubError):
    """The real Hub can do this, the loopback Hub cannot, and says so."""

    status = 501
