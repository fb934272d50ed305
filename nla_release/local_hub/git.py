"""The little of git that shows: blob ids, LFS pointers, attributes, ignore files."""

import codecs
import hashlib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

# The Hub moves any file above this size to LFS, whatever its name.
LARGEST_REGULAR_FILE = 10 * 1024 * 1024

# Kinds of file that go through LFS whatever their size.
LFS_SUFFIXES = (
    ".7z",
    ".arrow",
    ".bin",
    ".gguf",
    ".gz",
    ".h5",
    ".npy",
    ".npz",
    ".onnx",
    ".parquet",
    ".pkl",
    ".png",
    ".pt",
    ".pth",
    ".safetensors",
    ".tar",
    ".zip",
)
_TRACKED = "filter=lfs diff=lfs merge=lfs -text"

# The `.gitattributes` of a new repository.
ATTRIBUTES = "".join(f"*{suffix} {_TRACKED}\n" for suffix in LFS_SUFFIXES)


def blob_id(content: bytes) -> str:
    """The sha1 that git names a file's content with."""
    head = f"blob {len(content)}\0".encode()
    return hashlib.sha1(head + content, usedforsecurity=False).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """The file that git keeps in place of an LFS object (git-lfs pointer specification v1)."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    ).encode()


def belongs_in_lfs(path: str, size: int, sample: bytes) -> bool:
    """Whether the Hub would ask for this file through LFS, from its first bytes."""
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
    """Whether a root `.gitignore` leaves the path out.

    Reads the everyday patterns (names, globs, folders, later `!` exceptions), not all of gitignore.
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
    """A pattern without a slash is for the last name of a path, one with a slash for all of it."""
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
