"""Keep secrets and control characters out of output, on a terminal or in a file."""

import json
import os
import re
from collections.abc import Iterable

from nla_release.errors import EnvironmentProblem, one_line

# Environment variables in which users and CI systems pass tokens.
_VARIABLES = (
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_OIDC_ID_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "SIGSTORE_ID_TOKEN",
    "NLA_RELEASE_KEY_PASSWORD",
)
# Masking shorter ones would hide ordinary words.
SHORTEST = 8
_SENDABLE = re.compile(r"[!-~]+")
# Copied along with a whole line of a shell script, .env file or header.
_QUOTES = tuple("\"'`\u2018\u2019\u201c\u201d\u00ab\u00bb")
_COPIED_ALONG = re.compile(
    r"(?:export\s+)?(?:HF_TOKEN|HUGGING_FACE_HUB_TOKEN)\s*=|bearer\b", re.IGNORECASE
)

# Hub tokens, JWTs, bearer headers, and the signatures of signed addresses.
_LOOKS_SECRET = re.compile(
    r"\b(?:hf_(?:jwt_|oauth_)?|api_org_)[A-Za-z0-9._-]{8,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"
    r"|(?i:(?<=bearer )|(?<=basic ))[\w.~+/=-]{8,}"
    r"|(?i:(?<=signature=)|(?<=credential=)|(?<=security-token=)|(?<=[?&]sig=)|(?<=[?&]token=))"
    r"[^\s&\"'<>]{4,}"
)

_known: set[str] = set()


def remember(secret: str) -> None:
    """Add a secret to those that are masked."""
    _known.add(secret)


def checked_token(token: str, source: str) -> str:
    """A token, if an HTTP header can carry it; the client's error for others would show a part.

    Raises:
        EnvironmentProblem: it has characters that no token has.
    """
    if token.startswith(_QUOTES) or token.endswith(_QUOTES):
        raise EnvironmentProblem(
            f"{source} begins or ends with a quotation mark, which is not part of a token",
            hint="set it again without the quotes; `docker --env-file` and CI pass them on",
        )
    if found := _COPIED_ALONG.match(token):
        raise EnvironmentProblem(
            f"{source} begins with {one_line(found[0])!r}, which is not part of a token",
            hint="copy the token again, without anything else",
        )
    if not _SENDABLE.fullmatch(token):
        raise EnvironmentProblem(
            f"{source} contains a space, a line break or a non-ASCII character, which no token has",
            hint="copy the token again, without anything else",
        )
    remember(token)
    return token


def known_secrets() -> set[str]:
    """Every secret of this process, from its environment or added by `remember`."""
    return _known | {value for name in _VARIABLES if (value := os.environ.get(name, "").strip())}


def shown(text: str) -> str:
    """A text for output: without secrets and control characters.

    Everything for stdout and stderr passes through here. Line ends and tabs stay. The escapes are
    those of JSON, so that a JSON document stays valid.
    """
    return "".join(
        each if each.isprintable() or each in "\n\t" else json.dumps(each)[1:-1]
        for each in masked(text, known_secrets())
    )


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """A text with `***` for each of the secrets, and for everything that looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, "***")
    return _LOOKS_SECRET.sub("***", text)
