"""Safetensors files without torch: their headers, largest magnitudes and zero bands.

The library validates the format; the header is then read here for offsets, because numpy has no
bfloat16 and the library therefore gives no values of that dtype without torch.
"""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from nla_release.errors import InputError, WeightsError
from nla_release.io.documents import parse_json
from nla_release.io.files import check_regular, refuse_lfs_pointer
from nla_release.io.layout import ADAPTER_FILE

_AGAIN = "copy or save it again; a truncated download looks like this"

# The format allows 100 MB, which take gigabytes once parsed. The header of 40 000 tensors, as an
# adapter has on all experts of a large mixture, is 6 MB.
MAX_HEADER_BYTES = 8 * 1024 * 1024

# The names of the parts of a checkpoint that was saved in several files.
_SHARD = re.compile(r"adapter_model-\d+-of-\d+\.safetensors")

# Bits of each dtype that is a weight's, of which the first is the sign.
_BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16}

# Small enough to stay in the processor's cache.
_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a file: name, safetensors dtype name, shape, and byte range in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def read_header(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name.

    Raises:
        WeightsError: missing, truncated, not safetensors, or with too large a header.
    """
    try:
        if path.exists():
            check_regular(path)
        with path.open("rb") as handle:
            refuse_lfs_pointer(handle.read(64), path)
            handle.seek(0)
            length = int.from_bytes(handle.read(8), "little")
            if length > MAX_HEADER_BYTES:
                raise ValueError(f"its header claims {length} bytes, more than {MAX_HEADER_BYTES}")
            text = handle.read(length)
        header: dict[str, Any] = parse_json(
            text,
            f"{path} is not a complete safetensors file: its header",
            error=WeightsError,
            hint=_AGAIN,
        )
        with safe_open(path, framework="np"):
            pass  # opening validates the header against the file's length
        header.pop("__metadata__", None)
    except FileNotFoundError as error:
        why, hint = absent_adapter(path.parent) if path.name == ADAPTER_FILE else ("", None)
        raise WeightsError(f"{path} does not exist{why}", hint=hint) from error
    except InputError as error:  # a Git LFS pointer, a pipe, a header that is not JSON
        raise WeightsError(error.message, hint=error.hint) from error
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} is not a complete safetensors file: {error}",
            hint=_AGAIN,
        ) from error
    return {
        name: Tensor(
            name,
            entry["dtype"],
            tuple(entry["shape"]),
            8 + length + entry["data_offsets"][0],
            8 + length + entry["data_offsets"][1],
        )
        for name, entry in header.items()
    }


def absent_adapter(folder: Path) -> tuple[str, str | None]:
    """Why a folder has no adapter_model.safetensors, as the end of a message, and a hint."""
    names = sorted(path.name for path in folder.glob("adapter*.safetensors"))
    if shards := [name for name in names if _SHARD.fullmatch(name)]:
        why = f"; the adapter is sharded, {len(shards)} files such as {shards[0]}"
        return why, f"join them: load each with safetensors, save all in one {ADAPTER_FILE}"
    if "adapters.safetensors" in names:
        why = "; adapters.safetensors is an adapter of MLX, which has other names and shapes"
        return why, (
            "convert it to PEFT's format: lora_a [in, r] is lora_A.weight [r, in] there, lora_b"
            " [r, out] is lora_B.weight [out, r], under base_model.model.<module>"
        )
    return "", None


def largest_values(path: Path) -> dict[str, float]:
    """The largest magnitude in each tensor, from one pass over the file.

    NaN or infinity when a tensor holds any such value; 0 when all its values are zero, or it has
    none. Memory does not grow with the file.

    Raises:
        WeightsError: as `read_header`, or a tensor is not of a floating-point dtype.
    """
    with _floats(path) as (handle, tensors):
        return {tensor.name: _largest(handle, tensor) for tensor in tensors}


# Into how many bands a matrix is divided, by its rows and by its columns, fewer when it has fewer.
BANDS = 32


@dataclass(frozen=True)
class ZeroBands:
    """Which bands of a matrix are all zero, of its rows and of its columns, in order.

    Band i of n holds the rows from `rows * i // n` up to those of the next.
    """

    rows: tuple[bool, ...]
    columns: tuple[bool, ...]


def zero_bands(path: Path) -> dict[str, ZeroBands]:
    """The bands of each matrix of a file that are all zero; tensors of other ranks are left out.

    The part that a sharded save leaves out is zero, which the largest value does not show. Memory
    does not grow with the file.

    Raises:
        WeightsError: as `read_header`, or a tensor is not of a floating-point dtype.
    """
    with _floats(path) as (handle, tensors):
        return {
            tensor.name: _zero_bands(handle, tensor)
            for tensor in tensors
            if len(tensor.shape) == 2 and 0 not in tensor.shape
        }


@contextmanager
def _floats(path: Path) -> Iterator[tuple[BinaryIO, list[Tensor]]]:
    """The open file and its tensors, in the order of the file.

    Raises:
        WeightsError: as `read_header`, or a tensor is not of a floating-point dtype.
    """
    tensors = sorted(read_header(path).values(), key=lambda tensor: tensor.start)
    for tensor in tensors:
        if tensor.dtype not in _BITS:
            hint = None
            if tensor.dtype.startswith("F8"):
                hint = "PEFT does not train in 8-bit floating point: save it in bfloat16"
            raise WeightsError(
                f"{path}: tensor {tensor.name} has dtype {tensor.dtype}, expected a float of 16"
                " bits or more",
                hint=hint,
            )
    with path.open("rb") as handle:
        yield handle, tensors


def _patterns(handle: BinaryIO, count: int, size: int) -> NDArray[np.unsignedinteger[Any]]:
    """The bit patterns of the next `count` values of `size` bytes."""
    data = handle.read(count * size)
    if len(data) != count * size:
        raise WeightsError(f"{handle.name} became shorter while it was read")
    return np.frombuffer(data, f"<u{size}")


def _zero_bands(handle: BinaryIO, tensor: Tensor) -> ZeroBands:
    size = _BITS[tensor.dtype] // 8
    no_sign = np.array((1 << (8 * size - 1)) - 1, f"<u{size}")
    height, width = tensor.shape
    rows = np.zeros(min(BANDS, height), bool)
    columns = np.zeros(min(BANDS, width), bool)
    # The first row, and the first column, of each band.
    tops = [height * band // len(rows) for band in range(len(rows))]
    edges = [width * band // len(columns) for band in range(len(columns))]
    at_once = max(1, _PIECE_BYTES // (size * width)) * width
    handle.seek(tensor.start)
    at = 0
    while at < height * width:
        # Whole rows, or a part of one row that is longer than the piece.
        rest_of_row = width - at % width if at % width else at_once
        count = min(at_once, rest_of_row, height * width - at, _PIECE_BYTES // size)
        values = (_patterns(handle, count, size) & no_sign) != 0
        if count % width == 0:
            values = values.reshape(-1, width)
            first = at // width
            filled = np.flatnonzero(values.any(axis=1)) + first
            rows[np.unique(np.searchsorted(tops, filled, side="right") - 1)] = True
            columns |= np.logical_or.reduceat(values.any(axis=0), edges)
        elif values.any():
            rows[np.searchsorted(tops, at // width, side="right") - 1] = True
            filled = np.flatnonzero(values) + at % width
            columns[np.unique(np.searchsorted(edges, filled, side="right") - 1)] = True
        at += count
    return ZeroBands(tuple((~rows).tolist()), tuple((~columns).tolist()))


def non_finite_tensors(path: Path) -> list[str]:
    """Names of the tensors that hold NaN or infinity."""
    return [name for name, value in largest_values(path).items() if not math.isfinite(value)]


def _largest(handle: BinaryIO, tensor: Tensor) -> float:
    """The largest magnitude, found among bit patterns.

    Without its sign bit, the pattern of a float is an integer that grows with the magnitude, and
    those of infinity and NaN are the largest of all.
    """
    size = _BITS[tensor.dtype] // 8
    sign = 1 << (8 * size - 1)
    largest = 0
    handle.seek(tensor.start)
    for start in range(tensor.start, tensor.stop, _PIECE_BYTES):
        patterns = _patterns(handle, min(_PIECE_BYTES, tensor.stop - start) // size, size)
        # Positive values are the largest of signed integers, negative ones of unsigned.
        positive = int(patterns.view(f"<i{size}").max())
        negative = int(patterns.max()) & (sign - 1)
        largest = max(largest, positive, negative)
    if tensor.dtype == "BF16":  # the upper half of a float32
        largest, size = largest << 16, 4
    return float(np.array(largest, f"<u{size}").view(f"<f{size}"))
