"""What of a file can hold words, and what a hostile file can cost."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from nla_release.gate.leaks import MAX_BYTES, words

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def words_of(folder: Path, name: str, data: bytes) -> bytes | None:
    (folder / name).write_bytes(data)
    return words(folder / name)


def test_of_weights_only_the_header(tmp_path):
    data = save({"weight": np.arange(4.0)}, {"from": "here"})
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]

    assert b"here" in header
    assert words_of(tmp_path, "a.safetensors", data) == header


@pytest.mark.parametrize("hidden", ["behind the last tensor", "between two"])
def test_of_weights_whatever_is_in_no_tensor(tmp_path, hidden):
    data = save({"weight": np.arange(4.0)})
    if hidden == "behind the last tensor":
        data += b"told"
    else:
        header = b'{"a": {"dtype": "U8", "shape": [1], "data_offsets": [4, 5]}}'
        data = len(header).to_bytes(8, "little") + header + b"told\0"

    assert b"told" in words_of(tmp_path, "a.safetensors", data)


def test_a_header_is_not_longer_than_its_file(tmp_path):
    data = (2**63).to_bytes(8, "little") + b"all there is"

    assert words_of(tmp_path, "a.safetensors", data) == data


@pytest.mark.parametrize("name", ["a.log", "a.safetensors"])
def test_more_than_the_limit_is_not_read(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        file.write((MAX_BYTES + 1).to_bytes(8, "little"))
        file.truncate(MAX_BYTES + 1)

    assert words(tmp_path / name) is None


@pytest.mark.parametrize(
    "text",
    [
        chunk(b"tEXt", b"Source\0told"),
        chunk(b"zTXt", b"Source\0\0" + zlib.compress(b"told")),
        chunk(b"iTXt", b"Source\0\0\0en\0\0told"),
        chunk(b"iTXt", b"Source\0\1\0en\0Quelle\0" + zlib.compress(b"told")),
        chunk(b"eXIf", b"told"),
        chunk(b"IEND", b"") + b"told",
        b"\0\0\0\xfftEXttold",
    ],
    ids=[
        "text",
        "compressed",
        "Unicode",
        "compressed Unicode",
        "EXIF",
        "behind the end",
        "cut off",
    ],
)
def test_of_a_picture_every_word(tmp_path, text):
    assert b"told" in words_of(tmp_path, "a.png", SIGNATURE + text)


def test_of_a_picture_no_pixel(tmp_path):
    picture = SIGNATURE + chunk(b"IDAT", b"pixels") + chunk(b"tEXt", b"Title\0words")

    assert words_of(tmp_path, "a.png", picture) == b"Title\0words"


def test_a_picture_that_inflates_without_end_is_not_inflated_further(tmp_path):
    bomb = chunk(b"zTXt", b"Bomb\0\0" + zlib.compress(bytes(MAX_BYTES + 1)))

    assert words_of(tmp_path, "a.png", SIGNATURE + bomb) is None


@given(st.binary(max_size=200))
def test_any_bytes_may_call_themselves_a_picture(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("picture")

    assert words_of(folder, "a.png", SIGNATURE + data) is not None
