"""Rules from git and the Hub: valid names and paths, blob ids, LFS, attributes, ignore files.

Repository ids and refs become file names in the store, and paths become files on the disk of every
user who downloads them. So only names that are known to be safe are accepted.
"""

import codecs
import hashlib
import re
import unicodedata
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from nla_release.local_hub.refusals import BadRequestError

COMMIT_ID = re.compile(r"[0-9a-f]{40}")
SHORT_COMMIT_ID = re.compile(r"[0-9a-f]{7,39}")

# The client's own rules (huggingface_hub `validate_repo_id`), applied to namespace and name alike.
_NAME = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?")
# First parts of the Hub's own addresses.
_RESERVED = {"api", "datasets", "models", "spaces"}
# What git-check-ref-format(1) forbids inside a ref.
_NOT_IN_REFS = re.compile(r"[\s~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)")
# The maximum length of a file name on common file systems, in bytes.
_LONGEST_SEGMENT = 255

# The Hub stores any larger file in LFS.
LARGEST_REGULAR_FILE = 10 * 1024 * 1024

# Files that the Hub stores in LFS even if they are small.
_LFS_KINDS = "7z arrow bin gguf gz h5 npy npz onnx parquet pkl png pt pth safetensors tar zip"
LFS_SUFFIXES = tuple(f".{kind}" for kind in _LFS_KINDS.split())
_TRACKED = "filter=lfs diff=lfs merge=lfs -text"

# The `.gitattributes` of a new repository.
ATTRIBUTES = "".join(f"*{suffix} {_TRACKED}\n" for suffix in LFS_SUFFIXES)


def check_repo_id(repo_id: str) -> str:
    """The id itself, if the Hub would accept it.

    Raises:
        BadRequestError: it would not.
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
    """The path itself, if it is relative on every system.

    Raises:
        BadRequestError: it is empty, absolute, or not printable, or leads outside or into `.git`.
    """
    segments = path.split("/")
    if any(segment in {"", ".", ".."} for segment in segments) or segments[0] == ".git":
        raise BadRequestError(f"{path!r} is not a path inside a repository")
    if any(char in "\\:" or unicodedata.category(char) in {"Cc", "Cs"} for char in path):
        raise BadRequestError(f"{path!r} contains a backslash, a colon or a control character")
    if any(len(segment.encode()) > _LONGEST_SEGMENT for segment in segments):
        raise BadRequestError(f"{path!r} has a part longer than {_LONGEST_SEGMENT} bytes")
    return path


def check_ref_name(name: str) -> str:
    """The name itself, if git would accept it for a branch or tag and it is no commit id.

    Raises:
        BadRequestError: git would not, or it could be a commit id.
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


def blob_id(content: bytes) -> str:
    """The sha1 under which git stores a file's content."""
    head = f"blob {len(content)}\0".encode()
    return hashlib.sha1(head + content, usedforsecurity=False).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """The file that git stores in place of an LFS object (git-lfs pointer specification v1)."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    ).encode()


def belongs_in_lfs(path: str, size: int, sample: bytes) -> bool:
    """Whether the Hub requires LFS for a file whose first bytes are `sample`."""
    if size == 0:
        return False
    return size > LARGEST_REGULAR_FILE or path.endswith(LFS_SUFFIXES) or not _is_text(sample)


def track(attributes: str, paths: Iterable[str]) -> str:
    """`.gitattributes` with a line for each LFS path that no line covers yet."""
    lines = attributes.splitlines()
    patterns = [line.split()[0] for line in lines if "filter=lfs" in line.split()[1:]]
    for path in paths:
        if not any(_matches(path, pattern) for pattern in patterns):
            # A space would end the pattern; git reads the class as one.
            patterns.append(path.replace(" ", "[[:space:]]"))
            lines.append(f"{patterns[-1]} {_TRACKED}")
    return "".join(f"{line}\n" for line in lines)


def is_ignored(path: str, ignore_file: str) -> bool:
    """Whether a `.gitignore` in the root excludes the path.

    Supports common patterns (names, globs, folders, later `!` exceptions), not all of gitignore.
    """
    ignored = False
    parents = [str(parent) for parent in PurePosixPath(path).parents if parent.name]
    for line in ignore_file.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        excepted = pattern.startswith("!")
        pattern = pattern.removeprefix("!")
        candidates = parents if pattern.endswith("/") else [path, *parents]
        if any(_matches(candidate, pattern.rstrip("/")) for candidate in candidates):
            ignored = not excepted
    return ignored


def _matches(path: str, pattern: str) -> bool:
    """A pattern with a slash matches the whole path; without one, the last name in it."""
    pattern = pattern.replace("[[:space:]]", " ")
    if "/" in pattern:
        return fnmatchcase(path, pattern.removeprefix("/"))
    return fnmatchcase(PurePosixPath(path).name, pattern)


def _is_text(sample: bytes) -> bool:
    if b"\0" in sample:
        return False
    try:
        # The sample may end inside a character, so it is not final.
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=False)
    except UnicodeDecodeError:
        return False
    return True
