"""Keep secrets and control characters out of whatever leaves: on a terminal, or in a file."""

import json
import os
import re
from collections.abc import Iterable

from nla_release.errors import EnvironmentProblem, one_line

# What CI systems and people hand tokens over in.
_VARIABLES = (
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_OIDC_ID_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "SIGSTORE_ID_TOKEN",
    "NLA_RELEASE_KEY_PASSWORD",
)
# A shorter one would blot out words.
SHORTEST = 8
_SENDABLE = re.compile(r"[!-~]+")
# What comes along when a line of a shell, of .env or of a header is copied whole.
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
    """Let `masked` know a secret that this process was given."""
    _known.add(secret)


def checked_token(token: str, source: str) -> str:
    """A token that a header can carry: of any other, the client's error would tell a part.

    Raises:
        EnvironmentProblem: it holds what no token has.
    """
    if token.startswith(_QUOTES) or token.endswith(_QUOTES):
        raise EnvironmentProblem(
            f"{source} begins or ends with a quotation mark, which is not part of a token",
            hint="set it again without the quotes; `docker --env-file` and CI pass them on",
        )
    if found := _COPIED_ALONG.match(token):
        raise EnvironmentProblem(
            f"{source} begins with {one_line(found[0])!r}, which is not part of a token",
            hint="copy the token again, alone",
        )
    if not _SENDABLE.fullmatch(token):
        raise EnvironmentProblem(
            f"{source} holds what no token has: a space, a line break, or a letter beyond ASCII",
            hint="copy the token again, alone",
        )
    remember(token)
    return token


def known_secrets() -> set[str]:
    """Every secret that this process was given, in its environment or later."""
    return _known | {value for name in _VARIABLES if (value := os.environ.get(name, "").strip())}


def shown(text: str) -> str:
    """A text as it may leave: without secrets and without what steers a terminal.

    Everything for stdout and stderr passes through here. Line ends and tabs stay. The escapes are
    those of JSON, so that a document stays what it is.
    """
    return "".join(
        each if each.isprintable() or each in "\n\t" else json.dumps(each)[1:-1]
        for each in masked(text, known_secrets())
    )


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """A text with `***` for each of the secrets, and for whatever looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, "***")
    return _LOOKS_SECRET.sub("***", text)
