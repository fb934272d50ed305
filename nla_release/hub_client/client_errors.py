"""Exceptions of the Hub client and of the libraries under it, as errors of this package.

Two of them steer a push: a conflict, and an unknown outcome. After either, the push reads the Hub
again before it continues.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError

from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import httpx  # the client's own, whichever major version it is on
from pydantic import ValidationError

from nla_release.errors import (
    ConfigError,
    EnvironmentProblem,
    NlaReleaseError,
    RefusedError,
    one_line,
)
from nla_release.io.schema import sentences

_AGAIN = "check the network and HF_ENDPOINT, then run the same command again"
# The client wraps the informative exception in these.
_WRAPPERS = (RuntimeError, LocalEntryNotFoundError)
# A proxy's page, an incomplete answer, or a document or address outside the protocol.
_NO_ANSWER = (
    JSONDecodeError,
    UnicodeDecodeError,
    httpx.InvalidURL,
    AttributeError,
    LookupError,
    TypeError,
)
_AFTERWARDS = "then run the same command again"
_PAYMENT = (
    r"billing|payment|subscri|credits?\b|invoice|upgrade|paid plan|\bpro\b",
    "until the account's plan or payment is settled",
    f"settle it on the billing page of the account or organization, {_AFTERWARDS}",
)
# Reasons for a 403 other than the token's rights: pattern in the answer, what is wrong, what to do.
_REASONS = (
    (
        r"storage|quota|disk space",
        "because storage is used up",
        f"free storage, or buy more, for the account or organization, {_AFTERWARDS}",
    ),
    _PAYMENT,
    (
        r"\bterms\b|agreement|conditions|must accept|consent",
        "until its terms are accepted",
        f"accept them on the Hub with the account of the token, {_AFTERWARDS}",
    ),
    (
        r"confirm your e-?mail|verif\w* (your |the )?(e-?mail|account)|e-?mail \w* ?verif",
        "until the account is verified",
        f"verify the account or its e-mail address on the Hub, {_AFTERWARDS}",
    ),
    (
        r"\b(?:disabled|suspended|banned|blocked|locked)\b",
        "because the repository or account is disabled",
        "ask the operator of the Hub; another token does not help",
    ),
    (
        r"\bsso\b|single sign|ip address|ip range|network polic",
        "because of a policy of the organization",
        f"sign in as the organization asks (SSO, network), {_AFTERWARDS}",
    ),
)
_RIGHTS = (
    r"permission|right\b|rights\b|\bwrite\b|\bread\b|scope|\brole\b|token|credential|authori[sz]"
    r"|authenticat|forbidden|access|not allowed|log ?in"
)
_LOCAL = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}


class ConflictError(RefusedError):
    """The branch is no longer at the commit that the request named (412)."""


class OutcomeUnknownError(EnvironmentProblem):
    """The request was sent, and its outcome is unknown (5xx, timeout, reset)."""


class RateLimitedError(EnvironmentProblem):
    """The Hub did nothing because of too many requests (429)."""


class DeniedError(EnvironmentProblem):
    """The Hub refused: it does not support this, or not for this token."""


@contextmanager
def translated(repo: str) -> Iterator[None]:
    """Turn the client's exceptions in the block into errors of this package about `repo`."""
    try:
        yield
    except (
        HFValidationError,
        LocalTokenNotFoundError,
        HfHubHTTPError,
        httpx.HTTPError,
        OSError,
        RuntimeError,
        ValueError,
        *_NO_ANSWER,
    ) as error:
        raise _translation(repo, _root(error)) from error


def _root(error: BaseException) -> BaseException:
    """The cause of the client's `Error while uploading ...` or `we cannot find the file`."""
    while isinstance(error, _WRAPPERS) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _translation(repo: str, error: BaseException) -> NlaReleaseError:
    match error:
        case NlaReleaseError():
            return error
        case ValidationError():
            return not_of_a_hub(repo, one_line(sentences(error, most=3)))
        case HFValidationError():
            return ConfigError(f"{repo} is not a repository id: {one_line(error)}")
        case LocalTokenNotFoundError():
            return EnvironmentProblem("there is no Hub token", hint="set HF_TOKEN")
        case OfflineModeIsEnabled():
            return EnvironmentProblem(f"HF_HUB_OFFLINE is set, and this needs the network: {repo}")
        case GatedRepoError():
            return DeniedError(
                f"{repo} is gated, and the token may not read it",
                hint="accept its terms on its page, then set HF_TOKEN or run `hf auth login`",
            )
        case RepositoryNotFoundError():
            return DeniedError(
                f"{repo} does not exist on the Hub, or the token may not see it",
                hint="check the name, HF_ENDPOINT and HF_TOKEN",
            )
        case LocalEntryNotFoundError():
            return EnvironmentProblem(
                f"{repo} is not in the cache, and cannot be downloaded: local_files_only is set",
                hint="load it once without local_files_only",
            )
        case HfHubHTTPError():
            return _answered(repo, error)
        case OSError() if error.errno in _LOCAL:
            return EnvironmentProblem(f"{error.filename or repo}: {error.strerror}")
        case httpx.HTTPError() | OSError() | RuntimeError():  # network, hf_xet, upload threads
            return OutcomeUnknownError(
                f"{repo}: the Hub cannot be reached: {one_line(error) or type(error).__name__}",
                hint=_AGAIN,
            )
        case _ if isinstance(error, _NO_ANSWER):
            return not_of_a_hub(repo, f"{type(error).__name__}: {one_line(error)}")
        case _:  # the client's ValueError for refused metadata or objects
            return RefusedError(f"{repo}: the Hub refuses the files: {one_line(error)}")


def _answered(repo: str, error: HfHubHTTPError) -> NlaReleaseError:
    match error.response.status_code:
        case 412:
            return ConflictError(f"{repo}: there is a newer commit; nothing was overwritten")
        case 401 | 402 | 403:
            return _denied(repo, error)
        case 429:
            return RateLimitedError(
                f"{repo}: the Hub answered {_answer(error)}", hint="run it again in a few minutes"
            )
        case 400 | 413 | 422:
            return RefusedError(f"{repo}: the Hub refuses this: {_answer(error)}")
        case 408:
            return OutcomeUnknownError(f"{repo}: the Hub answered {_answer(error)}", hint=_AGAIN)
        case status if status >= 500 and status != 501:
            return OutcomeUnknownError(f"{repo}: the Hub answered {_answer(error)}", hint=_AGAIN)
        case _:
            return DeniedError(f"{repo}: the Hub answered {_answer(error)}")


def _denied(repo: str, error: HfHubHTTPError) -> DeniedError:
    """The reason of a refusal, from the code and text of the answer. Rights are one of several."""
    code = error.response.headers.get("x-error-code", "")
    words = f"{code} {error.server_message or ''}".lower()
    answer = _answer(error)
    for pattern, what, hint in _REASONS:
        if re.search(pattern, words):
            return DeniedError(f"{repo}: the Hub refuses this, {what} ({answer})", hint=hint)
    if error.response.status_code == 402:
        return DeniedError(
            f"{repo}: the Hub refuses this, {_PAYMENT[1]} ({answer})", hint=_PAYMENT[2]
        )
    if not words.strip() or error.response.status_code == 401 or re.search(_RIGHTS, words):
        return DeniedError(
            f"{repo}: the token may not do this ({answer})",
            hint="use a token with write access to both repositories",
        )
    return DeniedError(
        f"{repo}: the Hub refuses this ({answer})",
        hint=f"do what the Hub's answer asks for, {_AFTERWARDS}",
    )


def not_of_a_hub(repo: str, why: str) -> OutcomeUnknownError:
    """The error for an answer outside the protocol."""
    return OutcomeUnknownError(
        f"{repo}: the answer is not one of a Hub ({why})",
        hint="check that HF_ENDPOINT is a Hub and not a login page or proxy, then run the same"
        " command again",
    )


def _answer(error: HfHubHTTPError) -> str:
    """Status and reason of an answer, without the client's URL, request id and links."""
    code = error.response.headers.get("x-error-code")
    reason = error.server_message or code or error.response.reason_phrase
    return f"{error.response.status_code} {one_line(reason)}".rstrip()
