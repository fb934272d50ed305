"""Read untrusted files within limits, and write files atomically.

Readers limit the memory and time that a hostile file can cost. After a crash a written file has its
old or its new content. `package_folder` finds the data files of the package.
"""

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from nla_release.errors import EnvironmentProblem, InputError, NlaReleaseError
from nla_release.io.documents import MAX_YAML_BYTES, parse_json, parse_yaml

MAX_TEXT_BYTES = 4 * 1024 * 1024

_PACKAGE = Path(__file__).parent.parent
_IN_A_CHECKOUT = {"recipes": "train/recipes"}


def sha256_bytes(data: bytes) -> str:
    """Hex sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def unreadable(path: Path, error: OSError | ValueError) -> InputError:
    """The error for a file that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path} does not exist")
    # A ValueError is about a name that holds a zero byte.
    return InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}")


def unwritable(path: Path, error: OSError) -> EnvironmentProblem:
    """The error for a file or folder that cannot be written."""
    return EnvironmentProblem(f"{path} cannot be written: {error.strerror or error}")


def check_regular(path: Path) -> None:
    """Refuse to open anything but a regular file: a pipe never answers, and a device never ends.

    Raises:
        InputError: missing, or anything but a regular file or a link to one.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if not stat.S_ISREG(mode):
        raise InputError(f"{path} is not a regular file, and is not read")


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's content, read in pieces.

    Raises:
        InputError: the file is missing, unreadable, or not a regular file.
    """
    check_regular(path)
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error


def files_digest(paths: Sequence[Path]) -> str:
    """Hex sha256 of a file's content, or of the hashes of several in order.

    Raises:
        InputError: a file is missing, unreadable, or not a regular file.
    """
    hashes = [sha256_file(path) for path in paths]
    return hashes[0] if len(hashes) == 1 else sha256_bytes("".join(hashes).encode())


def read_text(path: Path, *, limit: int = MAX_TEXT_BYTES, newline: str | None = None) -> str:
    """A UTF-8 text file of at most `limit` bytes, which must be a regular file or a link to one.

    Args:
        path: of the file.
        limit: in bytes.
        newline: as of `open`: line ends are read as one character by default, and kept with "".

    Raises:
        InputError: missing, unreadable, no file, larger than the limit, or not UTF-8.
    """
    check_regular(path)
    try:
        if path.stat().st_size > limit:
            raise InputError(f"{path} is larger than {limit} bytes and is not read")
        with path.open(encoding="utf-8", newline=newline) as file:
            text = file.read()
        refuse_lfs_pointer(text[:64].encode(), path)
        return text
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text: {error.reason} at byte {error.start}"
        ) from error


def refuse_links(*paths: Path) -> None:
    """Refuse links and special files, at these paths and below the folders among them.

    Raises:
        InputError: one is a symbolic link, a pipe or a device. A missing file is accepted.
    """
    for path in paths:
        for each in (path, *(sorted(path.rglob("*")) if path.is_dir() else ())):
            if each.is_symlink():
                raise InputError(
                    f"{each} is a symbolic link, and is not followed",
                    hint="put a copy of the file in its place",
                )
            if each.exists() and not (each.is_file() or each.is_dir()):
                raise InputError(f"{each} is not a regular file, and is not read")


# The start of a Git LFS pointer, which is in a checkout where `git lfs` was not run.
_LFS_START = b"version https://git-lfs.github.com/spec/"
LFS_POINTER = "is a Git LFS pointer, and not the file itself"
LFS_HINT = "run `git lfs pull` in the clone, or download the repository with `hf download`"


def refuse_lfs_pointer(start: bytes, path: Path | str) -> None:
    """Refuse a file whose first bytes are those of a Git LFS pointer.

    Raises:
        InputError: it is one.
    """
    if start.startswith(_LFS_START):
        raise InputError(f"{path} {LFS_POINTER}", hint=LFS_HINT)


def is_lfs_pointer(path: Path) -> bool:
    """Whether a regular file is a Git LFS pointer.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as handle:
        return handle.read(len(_LFS_START)) == _LFS_START


def read_json(path: Path, *, limit: int = 16 * MAX_TEXT_BYTES, any_integer: bool = False) -> Any:
    """A JSON document of at most `limit` bytes, as `parse_json` reads it.

    Raises:
        InputError: missing, unreadable, or not valid JSON.
    """
    return parse_json(read_text(path, limit=limit), path, any_integer=any_integer)


def read_json_lines(
    path: Path, *, limit: int = MAX_TEXT_BYTES, error: type[NlaReleaseError] = InputError
) -> Iterator[tuple[str, Any]]:
    """The values of a JSONL file, each with its place, such as `log.jsonl line 3`.

    Raises:
        InputError: missing, unreadable, or larger than `limit` bytes.
        NlaReleaseError: of the class `error`: a line is not valid JSON.
    """
    text = read_text(path, limit=limit)
    # Not splitlines: JSON leaves U+2028 and others like it in strings as they are.
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else [], start=1):
        where = f"{path} line {number}"
        yield where, parse_json(line, where, error=error)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping of at most `MAX_YAML_BYTES`, as `parse_yaml` reads it.

    Raises:
        InputError: missing, unreadable, not valid YAML, or not a mapping.
    """
    return parse_yaml(read_text(path, limit=MAX_YAML_BYTES), path)


def dump_yaml(document: dict[str, Any]) -> str:
    """YAML text in the given key order, characters unescaped."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def dump_json(document: Any) -> str:
    """JSON text that is the same for the same document: sorted keys, no NaN, final newline."""
    return (
        json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    )


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        EnvironmentProblem: the disk is full or the folder cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    with replacing_file(path) as stream:
        stream.write(data)


@contextmanager
def replacing_file(path: Path) -> Iterator[BinaryIO]:
    """A stream whose content replaces `path` at the end of the block.

    If the block raises, `path` stays unchanged.

    Raises:
        EnvironmentProblem: the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def make_folder(path: Path) -> None:
    """Create a folder if it is missing, and check that it is writable.

    Raises:
        EnvironmentProblem: it cannot.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """An empty folder that replaces `path` at the end of the block.

    If the block raises, `path` stays unchanged.

    Raises:
        EnvironmentProblem: the disk is full or the parent cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield staging
        staging.chmod(0o755)
        if path.exists():
            retired = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
            path.replace(retired / path.name)
            staging.replace(path)
            shutil.rmtree(retired)
        else:
            staging.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def package_folder(name: str) -> Path:
    """The folder `model_cards`, `sidecars` or `recipes`, wherever this installation keeps it."""
    installed = _PACKAGE / name
    return installed if installed.is_dir() else _PACKAGE.parent / _IN_A_CHECKOUT.get(name, name)
