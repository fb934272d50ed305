"""What of a file can hold words: all of a text, of weights the header, of a picture no pixel."""

import zlib
from collections.abc import Iterator
from pathlib import Path

from nla_release.adapter.weights import read_header
from nla_release.errors import WeightsError

# Evidence of ten thousand rows is half of it.
MAX_BYTES = 32 * 1024 * 1024

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def words(path: Path) -> bytes | None:
    """The bytes of a plain file that can hold words, or None when they are more than `MAX_BYTES`.

    Raises:
        OSError: it cannot be read.
    """
    limit = MAX_BYTES + 1
    with path.open("rb") as handle:
        if path.suffix == ".safetensors" and _is_whole(path):
            limit = int.from_bytes(handle.read(8), "little")  # the header is far below MAX_BYTES
        data = handle.read(limit)
    if len(data) > MAX_BYTES:
        return None
    return _around_the_pixels(data) if data.startswith(_PNG_SIGNATURE) else data


def _is_whole(weights: Path) -> bool:
    """Whether each byte is of the header or of a tensor, so that none is left to hide words."""
    try:
        read_header(weights)
    except WeightsError:
        return False
    return True


def _around_the_pixels(picture: bytes) -> bytes | None:
    """Every chunk of a PNG but those of pixels, texts inflated, and whatever follows its end."""
    parts, left = [], MAX_BYTES
    for kind, data in _chunks(picture):
        text = data + _inflated(_stream(kind, data), left)
        left -= len(text)
        if left <= 0:
            return None
        parts.append(text)
    return b"\n".join(parts)


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and data of each chunk; what is not whole is given as it is."""
    at = len(_PNG_SIGNATURE)
    while at < len(picture):
        end = at + 12 + int.from_bytes(picture[at : at + 4], "big")
        kind = picture[at + 4 : at + 8]
        if end > len(picture) or not kind.isalpha():
            yield b"", picture[at:]
            return
        if kind != b"IDAT":
            yield kind, picture[at + 8 : end - 4]
        at = end


def _stream(kind: bytes, data: bytes) -> bytes:
    """The compressed part of a text chunk. Source: the PNG specification, 11.3.3 Textual data."""
    _, _, rest = data.partition(b"\0")
    if kind == b"zTXt":
        return rest[1:]
    if kind == b"iTXt" and rest.startswith(b"\1"):
        return rest[2:].split(b"\0", 2)[-1]
    return b""


def _inflated(stream: bytes, limit: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(stream, limit)
    except zlib.error:
        return b""
