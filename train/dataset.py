"""Rows on disk: one activation each, in parquet, with the reference contract's dataset sidecar."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save

import nla_release
from nla_release.engine.activations import Activations, read_activations
from nla_release.engine.base import Base
from nla_release.errors import DataError
from nla_release.files import dump_yaml, read_yaml, sha256_file, write_atomic
from nla_release.training_documents import FILE_NAME as TRAINING_LIST_NAME
from train.corpus import Split
from train.recipe import Recipe

REFERENCE_NAME = "reference.safetensors"


@dataclass(frozen=True)
class Row:
    """One activation `[d]` float32, taken at `position` of a document's tokens.

    `document_sha256` is the `text_digest` of the whole document, `text` what of it was read.
    """

    document: str
    document_sha256: str
    position: int
    token_id: int
    text: str
    explanation: str | None
    activation: npt.NDArray[np.float32]


@dataclass(frozen=True)
class TrainingRows:
    """The training rows, and the measured norms that came with them."""

    activations: Activations
    activation_norm: float
    documents: int


def parquet_path(folder: Path, split: Split) -> Path:
    """Where the rows of a split lie."""
    return folder / "data" / f"{split}.parquet"


def reference_path(folder: Path) -> Path:
    """Where the training rows' mean direction lies."""
    return folder / "data" / REFERENCE_NAME


def training_list_path(folder: Path) -> Path:
    """Where the list of training documents lies."""
    return folder / "data" / TRAINING_LIST_NAME


def write_rows(path: Path, rows: list[Row], recipe: Recipe, base: Base, split: Split) -> None:
    """Write a split and its sidecar `{path}.nla_meta.yaml` (kind nla_dataset, schema_version 1)."""
    d_model = base.model.config.get_text_config().hidden_size
    table = pa.table(
        {
            "id": [f"{row.document}:{row.position}" for row in rows],
            "document": [row.document for row in rows],
            "document_sha256": [row.document_sha256 for row in rows],
            "position": pa.array([row.position for row in rows], pa.int32()),
            "token_id": pa.array([row.token_id for row in rows], pa.int32()),
            "text": [row.text for row in rows],
            "explanation": pa.array([row.explanation for row in rows], pa.string()),
            "activation": pa.array(
                [row.activation for row in rows], pa.list_(pa.float32(), d_model)
            ),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    write_atomic(path, sink.getvalue().to_pybytes())
    write_atomic(_sidecar_path(path), dump_yaml(_sidecar(path, rows, recipe, base, split)))


def read_explanations(path: Path) -> list[str]:
    """The explanations of a split's rows, in order."""
    return list(pq.read_table(path, columns=["explanation"]).column("explanation").to_pylist())


def write_relabelled(path: Path, source: Path, explanations: list[str]) -> None:
    """Write the rows of `source` with other explanations, one a row, and the sidecar that fits."""
    table = pq.read_table(source)
    at = table.schema.get_field_index("explanation")
    sink = pa.BufferOutputStream()
    pq.write_table(table.set_column(at, "explanation", pa.array(explanations, pa.string())), sink)
    write_atomic(path, sink.getvalue().to_pybytes())
    document = read_yaml(_sidecar_path(source)) | {"data_sha256": sha256_file(path)}
    write_atomic(_sidecar_path(path), dump_yaml(document))


def write_reference(path: Path, rows: list[Row], data: Path) -> None:
    """Write the mean of the rows' unit vectors, with the count and hash of its data."""
    vectors = np.stack([row.activation for row in rows]).astype(np.float64)
    mean = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).mean(axis=0)
    record = {"rows": str(len(rows)), "sha256": sha256_file(data)}
    write_atomic(path, save({"mean": mean.astype(np.float32)}, metadata=record))


def read_training_rows(folder: Path, recipe: Recipe, base: Base) -> TrainingRows:
    """The training split, refused when it was extracted under another recipe or has no labels.

    Raises:
        DataError: rows and recipe disagree, or a row has no explanation.
    """
    path = parquet_path(folder, "train")
    document = read_yaml(_sidecar_path(path))
    extraction = document.get("extraction")
    if not isinstance(extraction, dict) or not {"d_model", "mean_norm"} <= extraction.keys():
        raise DataError(f"{_sidecar_path(path)} lacks extraction.d_model or extraction.mean_norm")
    for key, wanted in (
        ("base_model", recipe.base.id),
        ("base_revision", base.revision),
        ("layer_index", recipe.extract.layer),
    ):
        if extraction.get(key) != wanted:
            raise DataError(
                f"{path} has {key} {extraction.get(key)!r}, this training {wanted!r}",
                hint="run `python -m train.extract` with this recipe",
            )
    activations = read_activations(path, extraction["d_model"])
    bare = sum(text is None for text in activations.explanations)
    if bare:
        raise DataError(
            f"{path}: {bare} of {len(activations)} rows have no explanation to learn from"
        )
    return TrainingRows(activations, extraction["mean_norm"], len(set(activations.documents)))


def _sidecar_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.nla_meta.yaml")


def _sidecar(
    path: Path, rows: list[Row], recipe: Recipe, base: Base, split: Split
) -> dict[str, Any]:
    norms = np.linalg.norm(np.stack([row.activation for row in rows]), axis=1)
    return {
        "kind": "nla_dataset",
        "schema_version": 1,
        "stage": "base",
        "extraction": {
            "base_model": recipe.base.id,
            "base_revision": base.revision,
            "quantization": recipe.base.quantization,
            "dtype": recipe.base.dtype,
            "d_model": len(rows[0].activation),
            "layer_index": recipe.extract.layer,
            "layer_convention": "block_output",
            "norm": "none",
            "mean_norm": float(norms.mean()),
        },
        "split": split,
        "row_count": len(rows),
        "document_count": len({row.document for row in rows}),
        "data_sha256": sha256_file(path),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "created_by": f"nla_release {nla_release.__version__} train.extract",
    }
