"""The local Hub's errors, with their HTTP status and the `X-Error-Code` that the client reads."""

from nla_release.errors import NlaReleaseError


class HubError(NlaReleaseError):
    """A refused request, with its HTTP status.

    `code` is the Hub's machine-readable reason, if it has one.
    """

    status = 400
    code: str | None = None

    def __init__(self, message: str, *, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status or self.status


class BadRequestError(HubError):
    """An invalid name, path, body or card."""

    exit_code = 2


class InvalidGrantError(HubError):
    """An ID token that is not accepted."""


class GatedRepoError(HubError):
    """The caller may see the repository, but has no access to its files."""

    status = 403
    code = "GatedRepo"


class RepoNotFoundError(HubError):
    """No such repository, or the caller may not see it: the answer is the same."""

    code = "RepoNotFound"

    def __init__(self, message: str, *, anonymous: bool = False) -> None:
        super().__init__(message, status=401 if anonymous else 404)


class RevisionNotFoundError(HubError):
    """No such branch, tag or commit."""

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
    """A repository, branch, tag or collection item of this name exists."""

    status = 409


class StaleParentError(HubError):
    """The branch moved since the caller read it."""

    status = 412


class BrokenUploadError(HubError):
    """An LFS object is missing, or has another hash or size."""

    status = 422
