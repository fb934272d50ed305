"""What this Hub refuses, each with the HTTP status and the `X-Error-Code` the client dispatches on.

HubError
├── BadRequestError        400  a name, path, body or card that no Hub takes
├── UnauthorizedError      401  no token, or a wrong one
├── ForbiddenError         403  this Hub is read-only, or an upload address is not one of its own
├── RepoNotFoundError      404  (401 to a caller without a token, who may not know)
├── RevisionNotFoundError  404
├── EntryNotFoundError     404
├── AlreadyExistsError     409  a repository, branch or tag of that name
├── StaleParentError       412  the branch moved since the caller looked
├── TooLargeError          413  a body that belongs in LFS, or in no request at all
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


class UnauthorizedError(HubError):
    """No token, or a wrong one."""

    status = 401


class ForbiddenError(HubError):
    """This Hub is read-only, or an upload address is not one that it gave out."""

    status = 403


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


class StaleParentError(HubError):
    """The branch moved since the caller looked at it."""

    status = 412


class TooLargeError(HubError):
    """A body that belongs in LFS, or in no request at all."""

    status = 413


class BrokenUploadError(HubError):
    """An LFS object is missing, or is not what its hash and size promise."""

    status = 422


class NotOfferedError(HubError):
    """The real Hub can do this, the loopback Hub cannot, and says so."""

    status = 501
