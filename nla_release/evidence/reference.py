"""The mean direction of the training activations, the baseline that needs no text.

`reference.safetensors` holds one tensor, `mean` `[d_model]` float32: the mean of the training
activations' unit vectors. Its metadata are strings: `rows` (number of activations), `sha256` (of
their file) and, where known, `activation_mean` (their mean L2 norm).
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from nla_release.errors import DataError
from nla_release.io.files import LFS_HINT, LFS_POINTER, is_lfs_pointer, write_atomic

# The hint of every message about missing or wrong data.
MAKE_DATA = (
    "`nla-release data HELD_OUT --training TRAINING` makes both files from your own activations;"
    " docs/how-to/own-data.md describes them"
)


@dataclass(frozen=True)
class Reference:
    """The training activations' mean of unit vectors `[d]`, over `rows`, and the data's sha256.

    `activation_mean` is their mean L2 norm, None where the file does not record it.
    """

    mean: npt.NDArray[np.float32]
    rows: int
    sha256: str
    activation_mean: float | None = None

    @property
    def variance(self) -> float:
        """Mean squared distance of the unit vectors from their mean: `1 - ||mean||^2`."""
        return float(1.0 - np.square(self.mean.astype(np.float64)).sum())


def read_reference(path: Path, d_model: int) -> Reference:
    """Read a reference.

    Raises:
        DataError: missing, damaged, of another width, or without metadata.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist, or is not a regular file", hint=MAKE_DATA)
    if is_lfs_pointer(path):
        raise DataError(f"{path} {LFS_POINTER}", hint=LFS_HINT)
    try:
        with safe_open(path, framework="np") as handle:
            record = handle.metadata() or {}
            stored = handle.get_slice("mean")
            shape, dtype = stored.get_shape(), stored.get_dtype()
            if dtype not in ("F16", "F32", "F64"):
                raise DataError(f"{path}: mean is {dtype}, expected F32", hint=MAKE_DATA)
            if shape != [d_model]:
                raise DataError(
                    f"{path}: mean has shape {shape}, the pair's d_model is {d_model}",
                    hint="use the activations of the pair's base and layer",
                )
            mean = handle.get_tensor("mean").astype(np.float32)
        norm = float(record["activation_mean"]) if "activation_mean" in record else None
        reference = Reference(mean, int(record["rows"]), record["sha256"], norm)
        if not 1 <= reference.rows < 2**63 or not re.fullmatch("[0-9a-f]{64}", reference.sha256):
            raise ValueError(f"rows {record['rows']}, sha256 {record['sha256']!r}")
        if norm is not None and not (math.isfinite(norm) and norm > 0):
            raise ValueError(f"activation_mean {norm}")
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} is not a readable reference: {error}", hint=MAKE_DATA) from error
    except (KeyError, ValueError) as error:
        raise DataError(
            f"{path} lacks its record of rows and data ({error})", hint=MAKE_DATA
        ) from error
    if not np.isfinite(mean).all():
        raise DataError(f"{path}: mean holds NaN or infinity", hint=MAKE_DATA)
    if not 0 <= reference.variance <= 1:
        raise DataError(
            f"{path}: mean is longer than 1, so it is not a mean of unit vectors", hint=MAKE_DATA
        )
    return reference


def write_reference(
    path: Path,
    unit_sum: npt.NDArray[np.float64],
    rows: int,
    sha256: str,
    activation_mean: float | None = None,
) -> None:
    """Write a reference, given the sum `[d]` of the unit vectors of activations.

    `rows` is their number, `sha256` that of their file, `activation_mean` their mean L2 norm.
    """
    record = {"rows": str(rows), "sha256": sha256}
    if activation_mean is not None:
        record["activation_mean"] = repr(activation_mean)
    write_atomic(path, save({"mean": (unit_sum / rows).astype(np.float32)}, metadata=record))
