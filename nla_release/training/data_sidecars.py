"""The sidecar of each parquet file, `X.parquet.nla_meta.yaml`: its path and its content."""

from pathlib import Path
from typing import Any

from nla_release.errors import DataError
from nla_release.io.files import read_text, read_yaml, sha256_bytes
from nla_release.io.layout import SIDECAR_FILE

# The keys of `extraction` in the reference contract; its strict reader requires all of them.
REFERENCE_KEYS = (
    "base_model",
    "d_model",
    "layer_index",
    "norm",
    "corpus",
    "corpus_slice",
    "positions_per_doc",
)
# Lines with the time and tool that wrote it: no later step depends on them.
_STAMPS = ("created_at: ", "created_by: ")


def sidecar_path(path: Path) -> Path:
    """The path of a parquet file's sidecar."""
    return path.with_name(f"{path.name}.{SIDECAR_FILE}")


def is_sidecar(path: Path) -> bool:
    """Whether a file is the sidecar of a parquet file."""
    return path.name.endswith(f".parquet.{SIDECAR_FILE}")


def read_sidecar(path: Path) -> dict[str, Any]:
    """The sidecar of a parquet file of the chain; `extraction` includes our own keys.

    Raises:
        InputError: missing or not YAML.
        DataError: it does not say where the activations are from.
    """
    document = read_yaml(sidecar_path(path))
    extraction, ours = document.get("extraction"), document.get("nla_release")
    if isinstance(extraction, dict) and isinstance(ours, dict):
        extraction = document["extraction"] = extraction | (ours.get("extraction") or {})
    if not isinstance(extraction, dict) or not {"d_model", "mean_norm"} <= extraction.keys():
        raise DataError(f"{sidecar_path(path)} lacks d_model or mean_norm of its extraction")
    return document


def sidecar_digest(path: Path) -> str:
    """Hex sha256 of a sidecar without its stamps: the same when a step is repeated.

    Raises:
        InputError: missing or not text.
    """
    lines = read_text(path, newline="").splitlines(keepends=True)
    return sha256_bytes("".join(it for it in lines if not it.startswith(_STAMPS)).encode())
