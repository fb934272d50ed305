"""Where a base's bytes come from: a folder, the Hub client's cache, or ranges read from the Hub.

A base is many gigabytes, and a few hundred kilobytes of it are needed. So every reader requests a
range of bytes, and no file of weights is read completely.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypedDict

from nla_release.errors import ConfigError, InputError
from nla_release.io.documents import parse_json
from nla_release.io.files import MAX_TEXT_BYTES, check_regular, read_json, unreadable
from nla_release.io.schema import Open, parse

CONFIG = "config.json"
CARD = "README.md"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_commit(revision: str | None) -> bool:
    """Whether a revision is the full id of a commit, which nothing can move."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


class HubOptions(TypedDict, total=False):
    """Options for downloads, as in `huggingface_hub` and transformers."""

    token: str | bool | None
    cache_dir: str | Path | None
    local_files_only: bool


class Index(Open):
    """Which shard holds which tensor."""

    weight_map: dict[str, str]

    @property
    def shards(self) -> set[str]:
        """Names of the checkpoint's files."""
        return set(self.weight_map.values())


class BaseFiles(Protocol):
    """The files of a base at one commit."""

    def place(self, name: str) -> str:
        """Where a file is, for messages."""

    def size(self, name: str) -> int | None:
        """A file's length in bytes, or None when there is no such file.

        Raises:
            NlaReleaseError: it cannot be reached.
        """

    def read(self, name: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes of a file, from byte `start`.

        Raises:
            NlaReleaseError: it cannot be reached, or ends before.
        """


@dataclass(frozen=True)
class FolderFiles:
    """A base in a folder."""

    folder: Path

    def place(self, name: str) -> str:
        """The path."""
        return str(self.folder / name)

    def size(self, name: str) -> int | None:
        """See `BaseFiles`."""
        path = self.folder / name
        try:
            return path.stat().st_size if path.is_file() else None
        except OSError as error:
            raise unreadable(path, error) from error

    def read(self, name: str, start: int, length: int) -> bytes:
        """See `BaseFiles`."""
        path = self.folder / name
        check_regular(path)
        try:
            with path.open("rb") as handle:
                handle.seek(start)
                data = handle.read(length)
        except OSError as error:
            raise unreadable(path, error) from error
        if len(data) < length:
            raise InputError(f"{path} ends {length - len(data)} bytes too early")
        return data


def base_files(base: str, revision: str, folder: Path | None) -> BaseFiles:
    """The nearest copy of a base.

    Args:
        base: Hub id.
        revision: the commit.
        folder: a local copy; ignored when it has no weights (it may hold only the tokenizer).

    Raises:
        ConfigError: there is no such folder; or it has no weights, and the revision is no commit.
    """
    if folder is not None and not folder.is_dir():
        raise ConfigError(
            f"base_path {folder} is not a folder",
            hint="correct base_path in release.yaml, or remove it to read the base from the Hub",
        )
    if folder is not None and has_weights(folder):
        return FolderFiles(folder)
    if not is_commit(revision):
        passed_over = f"base_path {folder} holds no {WEIGHTS}, and " if folder else ""
        raise ConfigError(
            f"{passed_over}base_revision {revision!r} of {base} is not a commit, so it may move",
            hint="write the 40 characters of the commit into release.yaml, and into both sidecars",
        )
    # The client takes a third of a second to import, and is not needed for a local base.
    from nla_release.base_model.ranged import HubFiles

    hub = HubFiles(base, revision)
    config = hub.cached(CONFIG)
    return FolderFiles(config.parent) if config and _is_whole(config.parent) else hub


def has_weights(folder: Path) -> bool:
    """Whether a folder is the copy of a base, and not of its tokenizer alone."""
    return any((folder / name).is_file() for name in (WEIGHTS, INDEX))


def text_of(files: BaseFiles, name: str, *, limit: int = MAX_TEXT_BYTES) -> str | None:
    """A UTF-8 text of at most `limit` bytes, or None when there is no such file.

    Raises:
        InputError: larger than the limit, or not UTF-8.
        NlaReleaseError: it cannot be reached.
    """
    size = files.size(name)
    if size is None:
        return None
    if size > limit:
        raise InputError(f"{files.place(name)} is larger than {limit} bytes and is not read")
    try:
        return files.read(name, 0, size).decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{files.place(name)} is not UTF-8 text: {error.reason} at byte {error.start}"
        ) from error


def json_of(files: BaseFiles, name: str, *, limit: int = MAX_TEXT_BYTES) -> Any:
    """A JSON document of at most `limit` bytes.

    Raises:
        InputError: missing, larger than the limit, or not valid JSON.
        NlaReleaseError: it cannot be reached.
    """
    text = text_of(files, name, limit=limit)
    if text is None:
        raise InputError(f"{files.place(name)} does not exist")
    return parse_json(text, files.place(name))


def _is_whole(snapshot: Path) -> bool:
    """Whether a commit's folder in the cache has the card and every file of weights."""
    path, weights = snapshot / INDEX, {WEIGHTS}
    if path.is_file():
        weights = parse(Index, read_json(path), path).shards
    return all((snapshot / name).is_file() for name in (CARD, *weights))
