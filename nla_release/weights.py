"""Safetensors files without torch: their headers, and how large their values are.

The library validates the format; the header is then read here for offsets, because numpy has no
bfloat16 and the library therefore gives no values of that dtype without torch.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors import SafetensorError, safe_open

from nla_release.errors import WeightsError

# The names PEFT gives an adapter's files.
ADAPTER_FILE_NAME = "adapter_model.safetensors"
CONFIG_FILE_NAME = "adapter_config.json"

# The format allows 100 MB, which take gigabytes once parsed. The header of 40 000 tensors, as an
# adapter has on all experts of a large mixture, is 6 MB.
MAX_HEADER_BYTES = 8 * 1024 * 1024

# Bits of each dtype that is a weight's, of which the first is the sign.
_BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16}

# A piece is looked at while it is still in the cache.
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
        WeightsError: missing, truncated, not safetensors, or with a header beyond all measure.
    """
    try:
        with path.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            if length > MAX_HEADER_BYTES:
                raise ValueError(f"its header claims {length} bytes, more than {MAX_HEADER_BYTES}")
            text = handle.read(length)
        with safe_open(path, framework="np"):
            pass  # opening validates the header against the file's length
        header: dict[str, Any] = json.loads(text)
        header.pop("__metadata__", None)
        if text.count(b'"data_offsets"') != len(header):
            # Of two tensors of one name, some readers take the first and others the second.
            raise ValueError("its header does not name every tensor once")
    except FileNotFoundError as error:
        raise WeightsError(f"{path} does not exist") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} is not a whole safetensors file: {error}",
            hint="copy or save it again; a truncated download looks like this",
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


def largest_values(path: Path) -> dict[str, float]:
    """The size of each tensor's largest value, by tensor, from one pass over the file.

    NaN or infinity when a tensor holds any such value; 0 when all its values are zero, or it has
    none. Memory does not grow with the file.

    Raises:
        WeightsError: as `read_header`, or a tensor is not of a floating-point dtype.
    """
    tensors = sorted(read_header(path).values(), key=lambda tensor: tensor.start)
    for tensor in tensors:
        if tensor.dtype not in _BITS:
            raise WeightsError(
                f"{path}: tensor {tensor.name} has dtype {tensor.dtype}, expected a float"
            )
    piece = memoryview(bytearray(_PIECE_BYTES))
    with path.open("rb") as handle:
        return {tensor.name: _largest(handle, tensor, piece) for tensor in tensors}


def non_finite_tensors(path: Path) -> list[str]:
    """Names of the tensors that hold NaN or infinity."""
    return [name for name, value in largest_values(path).items() if not math.isfinite(value)]


def _largest(handle: BinaryIO, tensor: Tensor, piece: memoryview) -> float:
    """The largest value's size, found among bit patterns.

    Without its sign bit, the pattern of a float is an integer that grows with its size, and those
    of infinity and NaN are the largest of all.
    """
    size = _BITS[tensor.dtype] // 8
    sign = 1 << (8 * size - 1)
    largest = 0
    handle.seek(tensor.start)
    for start in range(tensor.start, tensor.stop, len(piece)):
        part = piece[: min(len(piece), tensor.stop - start)]
        if handle.readinto(part) != len(part):  # type: ignore[attr-defined]
            raise WeightsError(f"{handle.name} became shorter while it was read")
        patterns = np.frombuffer(part, f"<u{size}")
        # Positive values are the largest of signed integers, negative ones of unsigned.
        positive = int(patterns.view(f"<i{size}").max())
        negative = int(patterns.max()) & (sign - 1)
        largest = max(largest, positive, negative)
    if tensor.dtype == "BF16":  # the upper half of a float32
        largest, size = largest << 16, 4
    return float(np.array(largest, f"<u{size}").view(f"<f{size}"))
