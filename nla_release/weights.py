"""Safetensors files without torch: headers, values, and whether an adapter is whole.

The library validates the format; the header is then read here for offsets, because numpy has no
bfloat16 and the library therefore gives no values of that dtype without torch.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from nla_release.errors import WeightsError

# The names PEFT gives an adapter's files.
ADAPTER_FILE_NAME = "adapter_model.safetensors"
CONFIG_FILE_NAME = "adapter_config.json"

ADAPTER_KEY = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_(?P<factor>[AB])\.weight$")

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file: name, safetensors dtype name, shape, and byte range in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class LoraModule:
    """One adapted module: shapes of its factors, A `[r, in]` and B `[out, r]`."""

    name: str
    rank: int
    in_features: int
    out_features: int


def read_header(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name.

    Raises:
        WeightsError: missing, truncated, or not safetensors.
    """
    try:
        with safe_open(path, framework="np"):
            pass  # opening validates the header against the file's length
        with path.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            header: dict[str, Any] = json.loads(handle.read(length))
    except FileNotFoundError as error:
        raise WeightsError(f"{path} does not exist") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} is not a whole safetensors file: {error}",
            hint="copy or save it again; a truncated download looks like this",
        ) from error
    header.pop("__metadata__", None)
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


def read_values(path: Path, tensor: Tensor) -> npt.NDArray[np.float32]:
    """A tensor's values as float32, in the file's shape.

    Raises:
        WeightsError: the dtype is not a floating-point one.
    """
    if tensor.dtype not in _DTYPES:
        raise WeightsError(
            f"{path}: tensor {tensor.name} has dtype {tensor.dtype}, expected a float"
        )
    raw = np.fromfile(
        path,
        dtype=_DTYPES[tensor.dtype],
        count=int(np.prod(tensor.shape, dtype=np.int64)),
        offset=tensor.start,
    ).reshape(tensor.shape)
    if tensor.dtype == "BF16":  # the upper half of a float32
        return (raw.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, which the scan reports
        return raw.astype(np.float32)


def non_finite_tensors(path: Path) -> list[str]:
    """Names of the tensors that hold NaN or infinity."""
    return [
        tensor.name
        for tensor in read_header(path).values()
        if not np.isfinite(read_values(path, tensor)).all()
    ]


def lora_modules(path: Path) -> list[LoraModule]:
    """The adapted modules of an `adapter_model.safetensors`.

    Raises:
        WeightsError: no tensors, a foreign tensor, an unpaired factor, or shapes that disagree.
    """
    factors: dict[str, dict[str, Tensor]] = {}
    for tensor in read_header(path).values():
        match = ADAPTER_KEY.match(tensor.name)
        if match is None:
            raise WeightsError(
                f"{path}: tensor {tensor.name} is not a LoRA factor"
                " (base_model.model.<module>.lora_A|lora_B.weight)"
            )
        factors.setdefault(match["module"], {})[match["factor"]] = tensor
    if not factors:
        raise WeightsError(
            f"{path} holds no tensors", hint="save the adapter again before releasing"
        )
    return [_pair(path, name, pair) for name, pair in factors.items()]


def zero_b_modules(path: Path) -> list[str]:
    """Modules whose lora_B is all zero: the adapter does nothing there."""
    return [
        tensor.name.removesuffix(".lora_B.weight").removeprefix("base_model.model.")
        for tensor in _b_factors(path)
        if not read_values(path, tensor).any()
    ]


def _b_factors(path: Path) -> Iterator[Tensor]:
    return (tensor for name, tensor in read_header(path).items() if name.endswith(".lora_B.weight"))


def _pair(path: Path, name: str, pair: dict[str, Tensor]) -> LoraModule:
    if missing := {"A", "B"} - set(pair):
        raise WeightsError(f"{path}: module {name} has no lora_{missing.pop()}")
    a, b = pair["A"].shape, pair["B"].shape
    if len(a) != 2 or len(b) != 2 or a[0] != b[1] or 0 in a + b:
        raise WeightsError(
            f"{path}: module {name} has lora_A {a} and lora_B {b}, which do not multiply"
        )
    return LoraModule(name, rank=a[0], in_features=a[1], out_features=b[0])
