"""Which repository ids, paths and ref names are acceptable.

Repository ids and refs become file names of the store, and paths become files on the disk of
whoever downloads them, so everything here is refused by default.
"""

import re
import unicodedata

from nla_release.local_hub.errors import BadRequestError

COMMIT_ID = re.compile(r"[0-9a-f]{40}")
SHORT_COMMIT_ID = re.compile(r"[0-9a-f]{7,39}")

# The client's own rules (huggingface_hub `validate_repo_id`), applied to namespace and name alike.
_NAME = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?")
# First segments of the Hub's own addresses, which no namespace may shadow.
_RESERVED = {"api", "datasets", "models", "spaces"}
# What git-check-ref-format(1) forbids inside a ref.
_NOT_IN_REFS = re.compile(r"[\s~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)")
# One file name on the file systems people download to.
_LONGEST_SEGMENT = 255


def check_repo_id(repo_id: str) -> str:
    """`namespace/name`, when both are names that the Hub gives out.

    Raises:
        BadRequestError: anything else.
    """
    namespace, slash, name = repo_id.partition("/")
    good = (
        slash
        and _NAME.fullmatch(namespace)
        and _NAME.fullmatch(name)
        and not name.endswith(".git")
        and namespace not in _RESERVED
    )
    if not good:
        raise BadRequestError(
            f"{repo_id!r} is not a repository id: it must be namespace/name, each at most 96"
            " letters, digits, '-', '_' or '.', without '--' or '..', not ending in '.git'"
        )
    return repo_id


def check_path(path: str) -> str:
    """A relative path with `/` between plain segments, relative on every system.

    Raises:
        BadRequestError: empty, absolute, leading outside, into `.git`, or not printable.
    """
    segments = path.split("/")
    if any(segment in {"", ".", ".."} for segment in segments) or segments[0] == ".git":
        raise BadRequestError(f"{path!r} is not a path inside a repository")
    if any(char in "\\:" or unicodedata.category(char) in {"Cc", "Cs"} for char in path):
        raise BadRequestError(f"{path!r} holds a backslash, a colon or a control character")
    if any(len(segment.encode()) > _LONGEST_SEGMENT for segment in segments):
        raise BadRequestError(f"{path!r} has a part longer than {_LONGEST_SEGMENT} bytes")
    return path


def check_ref_name(name: str) -> str:
    """A branch or tag name that git would take and nobody can mistake for a commit id.

    Raises:
        BadRequestError: anything else.
    """
    good = (
        name
        and len(name.encode(errors="replace")) <= _LONGEST_SEGMENT
        and not _NOT_IN_REFS.search(name)
        and not name.startswith(("-", "/", ".", "refs/"))
        and not name.endswith(("/", "."))
        and not any(unicodedata.category(char) in {"Cc", "Cs"} for char in name)
        and not COMMIT_ID.fullmatch(name)
    )
    if not good:
        raise BadRequestError(f"{name!r} is not a valid name for a branch or tag")
    return name
