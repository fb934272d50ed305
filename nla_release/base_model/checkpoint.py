"""The tensors of a checkpoint, of one file or of many shards, from its headers alone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import NonNegativeInt

from nla_release.adapter.weights import Tensor
from nla_release.base_model.source import INDEX, WEIGHTS, BaseFiles, Index, json_of
from nla_release.errors import InputError, WeightsError
from nla_release.io.documents import parse_json
from nla_release.io.files import refuse_lfs_pointer
from nla_release.io.schema import Open, parse

# What is asked for at first: nearly every header is shorter (huggingface_hub#1855).
_FIRST_BYTES = 100_000
# The Hub client's limit for the header of one file; here, for those of all shards together.
_MAX_HEADER_BYTES = 25_000_000
# An index names every tensor: 9 MB for the largest mixtures of experts.
_MAX_INDEX_BYTES = 32 * 1024 * 1024

_SHARD = re.compile(r"[\w-][\w.-]*\.safetensors")


class _Entry(Open):
    dtype: str
    shape: tuple[NonNegativeInt, ...]
    data_offsets: tuple[NonNegativeInt, NonNegativeInt]


@dataclass(frozen=True)
class Stored:
    """A tensor, and the file that it is in."""

    file: str
    tensor: Tensor


def read_checkpoint(files: BaseFiles) -> dict[str, Stored]:
    """Every tensor by name, with its file and byte range.

    Raises:
        InputError: the checkpoint is not in safetensors, its index is damaged, or a shard missing.
        WeightsError: a header is damaged or too large.
        NlaReleaseError: a file cannot be reached.
    """
    left = _MAX_HEADER_BYTES
    tensors = {}
    for file, size in _weight_files(files):
        header = _header(files, file, size, left)
        left -= len(header)
        for tensor in _tensors(header, files.place(file), size):
            tensors[tensor.name] = Stored(file, tensor)
    return tensors


def _weight_files(files: BaseFiles) -> Iterator[tuple[str, int]]:
    """The checkpoint's files and their sizes: one, or the shards that the index names."""
    if (size := files.size(WEIGHTS)) is not None:
        yield WEIGHTS, size
        return
    if files.size(INDEX) is None:
        raise InputError(
            f"{files.place(WEIGHTS)} does not exist, and neither does {INDEX}",
            hint="the base's weights must be safetensors; set base_path to a copy that is",
        )
    index = parse(Index, json_of(files, INDEX, limit=_MAX_INDEX_BYTES), files.place(INDEX))
    for name in sorted(index.shards):
        if not _SHARD.fullmatch(name):
            raise InputError(f"{files.place(INDEX)} names the shard {name[:80]!r}, a strange name")
        if (size := files.size(name)) is None:
            raise InputError(f"{files.place(name)} does not exist, and the index names it")
        yield name, size


def _header(files: BaseFiles, file: str, size: int, limit: int) -> bytes:
    """A safetensors file's header: 8 bytes of length, little-endian, then JSON of that length."""
    first = files.read(file, 0, min(size, _FIRST_BYTES))
    refuse_lfs_pointer(first, files.place(file))
    length = int.from_bytes(first[:8], "little")
    if len(first) < 8 or length > size - 8:
        raise WeightsError(
            f"{files.place(file)} is not a whole safetensors file: {size} bytes, with a header of"
            f" {length}"
        )
    if length > limit:
        raise WeightsError(
            f"{files.place(file)} has a header of {length} bytes, which is not read: the limit for"
            f" a checkpoint is {_MAX_HEADER_BYTES}"
        )
    if length > len(first) - 8:
        first += files.read(file, len(first), 8 + length - len(first))
    return first[8 : 8 + length]


def _tensors(header: bytes, where: str, size: int) -> Iterator[Tensor]:
    """The tensors of a header, which lie inside of the file's `size` bytes."""
    entries = parse_json(header, f"{where}: the header", error=WeightsError)
    if not isinstance(entries, dict):
        raise WeightsError(f"{where}: the header is not a mapping of tensors")
    entries.pop("__metadata__", None)
    data = 8 + len(header)
    for name, value in entries.items():
        entry = parse(_Entry, value, f"{where}: tensor {name[:200]}", error=WeightsError)
        start, stop = (data + offset for offset in entry.data_offsets)
        if not start <= stop <= size:
            raise WeightsError(f"{where}: tensor {name[:200]} lies outside of the file")
        yield Tensor(name, entry.dtype, entry.shape, start, stop)
