"""Where a base's bytes come from: a folder, the Hub client's cache, or ranges read from the Hub.

A base is many gigabytes, and a few hundred kilobytes of it are needed: every reader asks for a
range of bytes. No file of weights is read as a whole.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypedDict

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, OfflineModeIsEnabled, RevisionNotFoundError
from huggingface_hub.utils import build_hf_headers, get_session

from nla_release.errors import ConfigError, EnvironmentProblem, InputError, NlaReleaseError
from nla_release.hub_client.client import reading_client
from nla_release.hub_client.client_errors import translated
from nla_release.io.documents import parse_json
from nla_release.io.files import MAX_TEXT_BYTES, check_regular, read_json
from nla_release.io.schema import Open, parse

CONFIG = "config.json"
CARD = "README.md"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubOptions(TypedDict, total=False):
    """How files are taken from the Hub: options of `huggingface_hub` and transformers."""

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
        """Where a file is, for people."""

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
        """As `BaseFiles` says."""
        path = self.folder / name
        try:
            return path.stat().st_size if path.is_file() else None
        except OSError as error:
            raise _unreadable(path, error) from error

    def read(self, name: str, start: int, length: int) -> bytes:
        """As `BaseFiles` says."""
        path = self.folder / name
        check_regular(path)
        try:
            with path.open("rb") as handle:
                handle.seek(start)
                data = handle.read(length)
        except OSError as error:
            raise _unreadable(path, error) from error
        if len(data) < length:
            raise InputError(f"{path} ends {length - len(data)} bytes too early")
        return data


def base_files(base: str, revision: str, folder: Path | None) -> BaseFiles:
    """The nearest copy of a base.

    Args:
        base: Hub id.
        revision: the commit.
        folder: a local copy; passed over when it has no weights, only the tokenizer perhaps.

    Raises:
        ConfigError: there is no such folder; or it has no weights, and the revision is no commit.
    """
    if folder is not None and not folder.is_dir():
        raise ConfigError(
            f"base_path leads to {folder}, which is not a folder",
            hint="correct base_path in release.yaml, or take it out to have the Hub asked",
        )
    if folder is not None and has_weights(folder):
        return FolderFiles(folder)
    if not _COMMIT.fullmatch(revision):
        passed_over = f"base_path {folder} holds no {WEIGHTS}, and " if folder else ""
        raise ConfigError(
            f"{passed_over}base_revision {revision!r} of {base} is not a commit, it may move",
            hint="write the 40 characters of the commit into release.yaml, and into both sidecars",
        )
    # The client takes a third of a second to import, and is not needed beside a base.
    from nla_release.base_model.source import HubFiles

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


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be read: {error.strerror or error}")


_ELSEWHERE = (
    "run `nla-release base` where there is a network, and copy base.json beside release.yaml"
)


@dataclass(frozen=True)
class HubFiles:
    """The files of a base on the Hub that HF_ENDPOINT names, read with the token of the machine.

    Every file is asked of the commit, and the Hub must say that what it gives is of that commit.
    """

    repo: str
    commit: str

    def place(self, name: str) -> str:
        """Repository, commit and name, for people."""
        return f"{self.repo}@{self.commit[:7]}/{name}"

    def cached(self, name: str) -> Path | None:
        """A file of the commit in the client's cache.

        Raises:
            ConfigError: the repository's id is none.
        """
        with self._translated():
            path = try_to_load_from_cache(self.repo, name, revision=self.commit)
        return Path(path) if isinstance(path, str) else None

    def size(self, name: str) -> int | None:
        """A file's length in bytes, or None when the commit has no such file.

        Raises:
            ConfigError: there is no such commit.
            EnvironmentProblem: the Hub cannot be reached, or refuses.
        """
        with self._translated():
            try:
                metadata = get_hf_file_metadata(self._url(name))
            except EntryNotFoundError:
                return None
        if metadata.commit_hash != self.commit:
            raise ConfigError(
                f"{self.repo}: the Hub gives commit {metadata.commit_hash} for {self.commit}",
                hint="write the commit into release.yaml, and into both sidecars",
            )
        if metadata.size is None:
            raise EnvironmentProblem(f"{self.place(name)}: the Hub does not tell its size")
        return metadata.size

    def read(self, name: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes of a file, from byte `start`; never more is received.

        Raises:
            InputError: the file ends before.
            EnvironmentProblem: the Hub cannot be reached, or refuses.
        """
        if length == 0:
            return b""
        headers = build_hf_headers(library_name="nla_release") | {
            "Accept-Encoding": "identity",
            "Range": f"bytes={start}-{start + length - 1}",
        }
        data = bytearray()
        with (
            self._translated(),
            get_session().stream(
                "GET",
                self._url(name),
                headers=headers,
                timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
            ) as answer,
        ):
            # 200 is a server that sends all of it: of that, the beginning is as good as a range.
            if answer.status_code != 206 and not (answer.status_code == 200 and start == 0):
                raise EnvironmentProblem(
                    f"{self.place(name)}: the Hub answered {answer.status_code} to a ranged request"
                )
            for piece in answer.iter_raw():
                data += piece
                if len(data) >= length:
                    return bytes(data[:length])
        raise InputError(f"{self.place(name)} ends {length - len(data)} bytes too early")

    def _url(self, name: str) -> str:
        return hf_hub_url(self.repo, name, revision=self.commit)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """The client's exceptions, with what to do about them where a base is read."""
        reading_client()
        try:
            with translated(self.repo):
                yield
        except NlaReleaseError as error:
            if isinstance(error.__cause__, RevisionNotFoundError):
                raise ConfigError(
                    f"{self.repo} has no commit {self.commit}",
                    hint="correct base_revision in release.yaml, and in both sidecars",
                ) from error
            if isinstance(error.__cause__, OfflineModeIsEnabled):
                raise EnvironmentProblem(
                    f"HF_HUB_OFFLINE is set, and the cache does not hold the card, configuration"
                    f" and weights of {self.repo} at {self.commit}",
                    hint=_ELSEWHERE,
                ) from error
            if isinstance(error, EnvironmentProblem):
                hint = f"{error.hint}; or {_ELSEWHERE}" if error.hint else _ELSEWHERE
                raise EnvironmentProblem(error.message, hint=hint) from error
            raise
