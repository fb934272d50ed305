"""Parquet files of rows, written atomically, each with its dataset sidecar.

The sidecar `X.parquet.nla_meta.yaml` has the reference contract's keys (kind nla_dataset,
schema_version 1) and no others, because its strict reader refuses unknown keys of `extraction`.
Everything else is under `nla_release`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

import nla_release
from nla_release.errors import DataError
from nla_release.io.files import dump_yaml, replacing_file, sha256_file, write_atomic
from nla_release.training import StepName
from nla_release.training.data_sidecars import REFERENCE_KEYS, sidecar_path
from nla_release.training.recipe import Recipe
from nla_release.training.record import settings_digest


def row_schema(d_model: int) -> pa.Schema:
    """Columns of `data/base.parquet` and of the sides that it is split into.

    `read_sha256` covers the text up to the last token that was read, `document_sha256` the whole.
    `text` is the document up to and including the position. `explanation` and
    `paraphrase` are the corpus's own, or null; `split` is what the corpus says of the document.
    """
    return pa.schema(
        [
            ("id", pa.string()),
            ("document", pa.string()),
            ("document_sha256", pa.string()),
            ("read_sha256", pa.string()),
            ("split", pa.string()),
            ("position", pa.int32()),
            ("token_id", pa.int32()),
            ("text", pa.string()),
            ("explanation", pa.string()),
            ("paraphrase", pa.string()),
            ("activation", pa.list_(pa.float32(), d_model)),
        ]
    )


@contextmanager
def writing(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """A parquet writer; its file replaces `path` when the block ends without an error.

    Raises:
        EnvironmentProblem: the disk is full or the folder cannot be written.
    """
    with replacing_file(path) as stream, pq.ParquetWriter(stream, schema) as writer:
        yield writer


def write_table(path: Path, table: pa.Table) -> None:
    """Write one table, atomically.

    Raises:
        EnvironmentProblem: the disk is full or the folder cannot be written.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    write_atomic(path, sink.getvalue().to_pybytes())


def pieces(path: Path) -> Iterator[pa.Table]:
    """A file's row groups as tables, one after the other.

    Raises:
        DataError: it is missing or not parquet.
    """
    try:
        with pq.ParquetFile(path) as file:
            for at in range(file.num_row_groups):
                yield file.read_row_group(at)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a readable parquet file: {error}") from error


def check_columns(path: Path, schema: pa.Schema) -> None:
    """Compare a file's columns with what this version writes.

    Raises:
        DataError: it is not parquet, or some are missing or hold something else.
    """
    try:
        found = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a readable parquet file: {error}") from error
    missing = [field.name for field in schema if field not in list(found)]
    if missing:
        raise DataError(
            f"{path} lacks the columns {', '.join(missing)}, or they hold something else: another"
            " version wrote it",
            hint="run `nla-release train extract --again` with this recipe",
        )


def remove_table(path: Path) -> None:
    """Remove a parquet file and its sidecar."""
    path.unlink(missing_ok=True)
    sidecar_path(path).unlink(missing_ok=True)


def vectors_of(table: pa.Table) -> npt.NDArray[np.float32]:
    """The activations of a table `[N, d]` float32."""
    column = table.column("activation").combine_chunks()
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.float32).reshape(len(table), -1)


def write_sidecar(
    path: Path,
    recipe: Recipe,
    step: StepName,
    *,
    stage: str,
    extraction: dict[str, Any],
    inputs: dict[str, str],
    rows: int,
    documents: int,
    contract: dict[str, Any] | None = None,
    more: dict[str, Any] | None = None,
) -> None:
    """Write the sidecar of a parquet file that is written already.

    Args:
        path: of the parquet file.
        recipe: that it follows.
        step: that wrote it.
        stage: of the data, by its name in the reference contract or our own.
        extraction: where the activations are from, in keys of the reference contract and our own.
        inputs: sha256 of the files that the step read.
        rows: how many.
        documents: how many different ones.
        contract: further keys of the reference contract.
        more: further keys of the block `nla_release`.
    """
    short, digest = recipe.base.id.rpartition("/")[2], settings_digest(recipe, step)
    document = {
        "kind": "nla_dataset",
        "schema_version": 1,
        "dataset_id": f"{stage}_{short}_L{recipe.extract.layer}_{digest[:8]}",
        "stage": stage,
        "extraction": {key: value for key, value in extraction.items() if key in REFERENCE_KEYS},
        **(contract or {}),
        "row_count": rows,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "created_by": f"nla_release {nla_release.__version__} train.{step}",
        "nla_release": {
            "recipe": recipe.name,
            "settings_sha256": digest,
            "extraction": {
                key: value for key, value in extraction.items() if key not in REFERENCE_KEYS
            },
            "inputs": inputs,
            "data_sha256": sha256_file(path),
            "rows": rows,
            "documents": documents,
            **(more or {}),
        },
    }
    write_atomic(sidecar_path(path), dump_yaml(document))
