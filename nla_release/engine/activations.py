"""Held-out activations on disk: parquet rows, and the training set's mean direction beside them.

A row of the parquet file is one activation: `id`, `document`, `text` (the source up to and
including the position, or null), `explanation` (a label, or null) and `activation` (float32 list
of length d_model, raw norm). `train.build` writes it, and so may anything with these columns.

Three more columns may be there, for probes: `document_sha256` (`training_documents.text_digest` of
the whole document), `paraphrase` (the AV's explanation said otherwise) and `claims` (the AV's
explanation in parts), null where a row has none.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open

from nla_release.errors import DataError, NothingCheckedError
from nla_release.files import sha256_file

COLUMNS = ("id", "document", "text", "explanation", "activation")
_OPTIONAL = ("document_sha256", "paraphrase", "claims")


@dataclass(frozen=True)
class Activations:
    """N activations: their rows' fields, and the vectors `[N, d]` float32."""

    ids: list[str]
    documents: list[str]
    texts: list[str | None]
    explanations: list[str | None]
    document_digests: list[str | None]
    paraphrases: list[str | None]
    claims: list[list[str] | None]
    vectors: npt.NDArray[np.float32]
    sha256: str

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Reference:
    """The training activations' mean of unit vectors `[d]`, over `rows`, and the data's sha256."""

    mean: npt.NDArray[np.float32]
    rows: int
    sha256: str

    @property
    def variance(self) -> float:
        """Mean squared distance of the unit vectors from their mean: `1 - ||mean||^2`."""
        return float(1.0 - np.square(self.mean.astype(np.float64)).sum())


def read_activations(path: Path, d_model: int, *, limit: int | None = None) -> Activations:
    """The first `limit` activations of a parquet file, or all.

    Raises:
        DataError: missing, unreadable, wrong columns, wrong width, NaN, or repeated ids.
        NothingCheckedError: it has no rows.
    """
    digest = sha256_file(path)
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a readable parquet file: {error}") from error
    _check_columns(path, table)
    if limit is not None:
        table = table.slice(0, limit)
    if table.num_rows == 0:
        raise NothingCheckedError(f"{path} has no rows", hint="extract held-out activations first")
    ids, documents = (table.column(name).to_pylist() for name in ("id", "document"))
    if not all(ids) or not all(documents):
        raise DataError(f"{path}: every row needs an id and a document")
    if len(set(ids)) != len(ids):
        raise DataError(f"{path}: ids are not unique")
    return Activations(
        ids,
        documents,
        table.column("text").to_pylist(),
        table.column("explanation").to_pylist(),
        _optional(table, "document_sha256"),
        _optional(table, "paraphrase"),
        _optional(table, "claims"),
        _vectors(path, table.column("activation").to_pylist(), d_model),
        digest,
    )


def read_reference(path: Path, d_model: int) -> Reference:
    """The reference that `train.build` wrote.

    Raises:
        DataError: missing, damaged, of another width, or without its record of rows and data.
    """
    try:
        with safe_open(path, framework="np") as handle:
            record = handle.metadata() or {}
            mean = handle.get_tensor("mean").astype(np.float32)
        reference = Reference(mean, int(record["rows"]), record["sha256"])
        if reference.rows < 1 or not re.fullmatch("[0-9a-f]{64}", reference.sha256):
            raise ValueError(f"rows {record['rows']}, sha256 {record['sha256']!r}")
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} is not a readable reference: {error}") from error
    except (KeyError, ValueError) as error:
        raise DataError(f"{path} lacks its record of rows and data ({error})") from error
    if mean.shape != (d_model,) or not np.isfinite(mean).all():
        raise DataError(f"{path}: mean has shape {mean.shape}, expected ({d_model},) and finite")
    if not 0 <= reference.variance <= 1:
        raise DataError(f"{path}: mean is longer than 1, so it is not a mean of unit vectors")
    return reference


def _check_columns(path: Path, table: pa.Table) -> None:
    if missing := [name for name in COLUMNS if name not in table.column_names]:
        raise DataError(
            f"{path} lacks the columns {', '.join(missing)}; it has {table.column_names}"
        )
    for name in (*COLUMNS, *(name for name in _OPTIONAL if name in table.column_names)):
        kind = table.schema.field(name).type
        if name == "activation":
            expected = "lists of floats"
            fits = pa.types.is_nested(kind) and pa.types.is_floating(_inner(kind))
        elif name == "claims":
            expected = "lists of text"
            fits = pa.types.is_nested(kind) and _is_text(_inner(kind))
        else:
            expected = "text"
            fits = _is_text(kind)
        fits |= pa.types.is_null(kind) and name in ("text", "explanation", *_OPTIONAL)
        if not fits and table.num_rows:
            raise DataError(f"{path}: column {name} holds {kind}, expected {expected}")


def _inner(kind: pa.DataType) -> pa.DataType:
    return getattr(kind, "value_type", kind)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _optional(table: pa.Table, name: str) -> list[Any]:
    if name not in table.column_names:
        return [None] * int(table.num_rows)
    return list(table.column(name).to_pylist())


def _vectors(path: Path, rows: list[list[float] | None], d_model: int) -> npt.NDArray[np.float32]:
    for index, row in enumerate(rows):
        if row is None or len(row) != d_model:
            raise DataError(
                f"{path}: row {index} has an activation of width {0 if row is None else len(row)},"
                f" the pair's d_model is {d_model}"
            )
    vectors = np.array(rows, dtype=np.float32)
    if not np.isfinite(vectors).all():
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        raise DataError(f"{path}: rows {bad[:8].tolist()} hold NaN or infinity")
    if (zero := np.flatnonzero(~vectors.any(axis=1))).size:
        raise DataError(
            f"{path}: rows {zero[:8].tolist()} are zero vectors, which have no direction"
        )
    return vectors
