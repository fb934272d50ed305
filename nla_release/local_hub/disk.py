"""Files that survive a crash: durable writes, and content stored under its sha256."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from nla_release.io.files import unreadable, unwritable, write_atomic
from nla_release.local_hub.refusals import BrokenUploadError

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PIECE = 1024 * 1024


def write_durably(path: Path, content: str | bytes) -> None:
    """Write a file atomically, and sync it and its folders to the disk.

    Raises:
        EnvironmentProblem: the disk is full or the folder cannot be written.
    """
    missing = _missing(path.parent)
    write_atomic(path, content)
    for each in (path, *missing):
        sync_folder(each.parent)


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents, and sync them to the disk.

    Raises:
        OSError: it cannot be created.
    """
    missing = _missing(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)


def make_private(folder: Path) -> None:
    """Create a folder if it is missing, and allow only its owner to read it.

    Raises:
        OSError: it cannot be created, or belongs to another user.
    """
    make_folder(folder)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to the disk; does nothing where folders cannot be synced."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _missing(folder: Path) -> list[Path]:
    """The folders that do not exist yet: this one and its parents."""
    return [each for each in (folder, *folder.parents) if not each.exists()]


class IncomingBlob:
    """Content while it is received, hashed piece by piece."""

    def __init__(self, stream: BinaryIO, temporary: Path, objects: Path) -> None:
        self._stream = stream
        self._temporary = temporary
        self._objects = objects
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, piece: bytes) -> None:
        """Append."""
        self._stream.write(piece)
        self._hash.update(piece)
        self.size += len(piece)

    def keep(self, *, expected: str | None = None) -> str:
        """Store the content under its sha256, which is returned.

        Raises:
            BrokenUploadError: the hash is not the expected one.
        """
        sha256 = self._hash.hexdigest()
        if expected not in {None, sha256}:
            raise BrokenUploadError(f"content promised as sha256 {expected} hashes to {sha256}")
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._temporary.replace(self._objects / sha256)
        sync_folder(self._objects)
        return sha256


class Blobs:
    """A folder of files named by their sha256: complete before they are named, then unchanged."""

    def __init__(self, root: Path) -> None:
        self._objects = root / "blobs"
        self._incoming = root / "incoming"

    def path(self, sha256: str) -> Path:
        """The path for content with this hash, stored or not."""
        if not _SHA256.fullmatch(sha256):
            raise BrokenUploadError(f"{sha256!r} is not a sha256")
        return self._objects / sha256

    def size(self, sha256: str) -> int | None:
        """The content's length in bytes, or None if it is not stored."""
        path = self.path(sha256)
        return path.stat().st_size if path.is_file() else None

    def read(self, sha256: str) -> bytes:
        """The whole content; for small files only."""
        return self.path(sha256).read_bytes()

    def add(self, content: bytes) -> str:
        """Store these bytes; returns their sha256."""
        return self._keep([BytesIO(content)])

    def add_file(self, source: Path) -> str:
        """Store a copy of a file; returns its sha256.

        Raises:
            InputError: the file cannot be read.
        """
        try:
            stream = source.open("rb")
        except OSError as error:
            raise unreadable(source, error) from error
        with stream:
            return self._keep([stream])

    def join(self, parts: Iterable[str], *, expected: str) -> None:
        """Store the concatenation of stored parts.

        Raises:
            BrokenUploadError: a part is not stored, or the whole has another hash.
        """
        paths = [self.path(part) for part in parts]
        if not all(path.is_file() for path in paths):
            raise BrokenUploadError(f"a part of object {expected} was not uploaded")
        with ExitStack() as opened:
            streams = [opened.enter_context(path.open("rb")) for path in paths]
            self._keep(streams, expected=expected)

    def _keep(self, streams: Iterable[BinaryIO], *, expected: str | None = None) -> str:
        with self.incoming() as blob:
            for stream in streams:
                while piece := stream.read(_PIECE):
                    blob.write(piece)
            return blob.keep(expected=expected)

    @contextmanager
    def incoming(self) -> Iterator[IncomingBlob]:
        """Content to write in pieces; deleted at the end of the block unless it was kept.

        Raises:
            EnvironmentProblem: the disk is full or the folder cannot be written.
        """
        try:
            make_folder(self._objects)
            self._incoming.mkdir(exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._incoming)
            temporary = Path(name)
            try:
                with os.fdopen(handle, "wb") as stream:
                    yield IncomingBlob(stream, temporary, self._objects)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(self._objects, error) from error
