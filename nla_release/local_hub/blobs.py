"""Content by its sha256: complete before it has a name, never changed after."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from nla_release.errors import EnvironmentProblem, InputError
from nla_release.local_hub.durable import make_folder, sync_folder
from nla_release.local_hub.errors import BrokenUploadError

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PIECE = 1024 * 1024


class IncomingBlob:
    """Content on its way into a folder of blobs, hashed as it comes."""

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
        """Give the content its name, which is its sha256.

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
    """A folder of content-addressed files."""

    def __init__(self, root: Path) -> None:
        self._objects = root / "blobs"
        self._incoming = root / "incoming"

    def path(self, sha256: str) -> Path:
        """Where the content with this hash is, or would be."""
        if not _SHA256.fullmatch(sha256):
            raise BrokenUploadError(f"{sha256!r} is not a sha256")
        return self._objects / sha256

    def size(self, sha256: str) -> int | None:
        """The content's length in bytes, or None when it is not here."""
        path = self.path(sha256)
        return path.stat().st_size if path.is_file() else None

    def read(self, sha256: str) -> bytes:
        """The whole content; for small files only."""
        return self.path(sha256).read_bytes()

    def add(self, content: bytes) -> str:
        """Keep these bytes; their sha256."""
        with self.incoming() as blob:
            blob.write(content)
            return blob.keep()

    def add_file(self, source: Path) -> str:
        """Keep a copy of a file; its sha256.

        Raises:
            InputError: the file cannot be read.
        """
        try:
            stream = source.open("rb")
        except OSError as error:
            raise InputError(f"{source} cannot be read: {error.strerror}") from error
        with stream, self.incoming() as blob:
            while piece := stream.read(_PIECE):
                blob.write(piece)
            return blob.keep()

    def join(self, parts: Iterable[str], *, expected: str) -> None:
        """Keep the content that is these contents one after the other.

        Raises:
            BrokenUploadError: a part is not here, or the whole has another hash.
        """
        paths = [self.path(part) for part in parts]
        if not all(path.is_file() for path in paths):
            raise BrokenUploadError(f"a part of object {expected} was not uploaded")
        with self.incoming() as blob:
            for path in paths:
                with path.open("rb") as stream:
                    while piece := stream.read(_PIECE):
                        blob.write(piece)
            blob.keep(expected=expected)

    @contextmanager
    def incoming(self) -> Iterator[IncomingBlob]:
        """Content arriving in pieces; what is not kept by the end of the block is gone.

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
            raise EnvironmentProblem(
                f"{self._objects} cannot be written: {error.strerror or error}"
            ) from error
