"""Held-out activations on disk: the rows of a parquet file.

A row of the parquet file is one activation: `id`, `document`, `text` (the source up to and
including the position, or null), `explanation` (a label, or null) and `activation` (float32 list
of length d_model, raw norm). `nla-release train build` writes it, `nla-release data` makes it from
activations of other tools, and so may anything with these columns.

Three more columns may be there, for diagnostics: `document_sha256`
(`training_documents.text_digest` of the whole document), `paraphrase` (the AV's explanation said
otherwise) and `claims` (the AV's explanation in parts), null where a row has none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nla_release.errors import DataError, NothingCheckedError, printable
from nla_release.evidence.reference import MAKE_DATA
from nla_release.io.files import sha256_file
from nla_release.io.parquet import parquet_columns, read_parquet

COLUMNS = ("id", "document", "text", "explanation", "activation")
_OPTIONAL = ("document_sha256", "paraphrase", "claims")

# Columns of names, which others keep as integers.
NAMING = ("id", "document")


@dataclass(frozen=True)
class Activations:
    """N activations: their rows' fields, and the vectors `[N, d]` float32.

    `available` is how many rows the file holds, and `documents_available` how many documents, when
    they are of a file.
    """

    ids: list[str]
    documents: list[str]
    texts: list[str | None]
    explanations: list[str | None]
    document_digests: list[str | None]
    paraphrases: list[str | None]
    claims: list[list[str] | None]
    vectors: npt.NDArray[np.float32]
    sha256: str
    available: int | None = None
    documents_available: int | None = None

    def __len__(self) -> int:
        return len(self.ids)


def read_activations(path: Path, d_model: int, *, limit: int | None = None) -> Activations:
    """The first `limit` activations of a parquet file, or all.

    Raises:
        DataError: missing, unreadable, wrong columns, wrong width, NaN, or repeated ids.
        NothingCheckedError: it has no rows.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist", hint=MAKE_DATA)
    digest = sha256_file(path)
    wanted = (*COLUMNS, *_OPTIONAL)
    names, available = parquet_columns(path)
    _check_columns(path, names)
    table = read_parquet(path, wanted)
    every_document = table.column("document")
    if limit is not None:
        table = table.slice(0, limit)
    if table.num_rows == 0:
        raise NothingCheckedError(f"{path} has no rows", hint=MAKE_DATA)

    def texts(name: str) -> list[str | None]:
        if name not in names:
            return [None] * int(table.num_rows)
        return texts_of(path, name, table.column(name))

    ids, documents = named(path, "id", texts("id")), named(path, "document", texts("document"))
    if len(set(ids)) != len(ids):
        raise DataError(f"{path}: ids are not unique")
    vectors = vectors_of(path, "activation", table.column("activation"))
    if vectors.shape[1] != d_model:
        raise DataError(
            f"{path}: row 0 has an activation of width {vectors.shape[1]}, the pair's d_model is"
            f" {d_model}",
            hint="use activations of the pair's base and layer",
        )
    check_vectors(path, vectors)
    return Activations(
        ids,
        documents,
        texts("text"),
        texts("explanation"),
        texts("document_sha256"),
        texts("paraphrase"),
        _claims(path, table.column("claims")) if "claims" in names else [None] * len(ids),
        vectors,
        digest,
        available,
        len(set(texts_of(path, "document", every_document))),
    )


def named(path: Path, name: str, values: Sequence[str | None]) -> list[str]:
    """Names of which every row has one.

    Raises:
        DataError: a row has none.
    """
    found = [value for value in values if value]
    if len(found) != len(values):
        at = next(index for index, value in enumerate(values) if not value)
        raise DataError(f"{path}: row {at} has no {name}; every row needs an id and a document")
    return found


def texts_of(path: Path, name: str, column: pa.ChunkedArray) -> list[str | None]:
    """A column of text as Python text: plain, large, view, categorical, or integers for names.

    Raises:
        DataError: it holds something else.
    """
    kind = column.type
    if pa.types.is_null(kind) and name not in NAMING:
        return [None] * len(column)
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (_is_text(plain) or (pa.types.is_integer(plain) and name in NAMING)):
        expected = "text or integers" if name in NAMING else "text"
        raise DataError(f"{path}: column {name} holds {kind}, expected {expected}", hint=MAKE_DATA)
    if pa.types.is_dictionary(kind):
        column = column.cast(plain)
    if pa.types.is_integer(plain):
        column = column.cast(pa.string())
    found: list[str | None] = column.to_pylist()
    return found


def vectors_of(
    path: Path, name: str, column: pa.ChunkedArray | pa.Array, first: int = 0
) -> npt.NDArray[np.float32]:
    """A column of lists of floats as `[N, d]` float32, where every row has the same width d.

    Args:
        path: of the file, for messages.
        name: of the column.
        column: its values.
        first: the number of its first row, for messages.

    Raises:
        DataError: it holds something else, or rows of different widths or without values.
    """
    kind = column.type
    if not (pa.types.is_nested(kind) and pa.types.is_floating(_inner(kind))):
        raise DataError(
            f"{path}: column {name} holds {kind}, expected lists of floats", hint=MAKE_DATA
        )
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    widths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    if len(widths) and (other := np.flatnonzero(widths != widths[0])).size:
        raise DataError(
            f"{path}: row {first + int(other[0])} has an activation of width"
            f" {widths[other[0]]}, the rows before have {widths[0]}",
            hint=MAKE_DATA,
        )
    values = column.flatten()
    if values.null_count:
        raise DataError(f"{path}: column {name} has {values.null_count} missing values")
    flat: npt.NDArray[np.float32] = values.to_numpy(zero_copy_only=False).astype(np.float32)
    return flat.reshape(len(column), -1) if len(column) else flat.reshape(0, 0)


def check_vectors(path: Path, vectors: npt.NDArray[np.float32], first: int = 0) -> None:
    """Refuse activations `[N, d]` that have no direction.

    Raises:
        DataError: NaN, infinity or a zero vector; names the first such rows.
    """
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        bad = np.flatnonzero(~finite) + first
        raise DataError(f"{path}: rows {bad[:8].tolist()} hold NaN or infinity")
    if (zero := np.flatnonzero(~vectors.any(axis=1))).size:
        raise DataError(
            f"{path}: rows {(zero[:8] + first).tolist()} are zero vectors, which have no direction"
        )


def _check_columns(path: Path, names: Sequence[str]) -> None:
    if missing := [name for name in COLUMNS if name not in names]:
        raise DataError(
            f"{path} lacks the columns {', '.join(missing)}; it has"
            f" {printable(', '.join(names)[:300])}",
            hint=MAKE_DATA,
        )


def _inner(kind: pa.DataType) -> pa.DataType:
    return getattr(kind, "value_type", kind)


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _claims(path: Path, column: pa.ChunkedArray) -> list[list[str] | None]:
    kind = column.type
    if not (pa.types.is_null(kind) or (pa.types.is_nested(kind) and _is_text(_inner(kind)))):
        raise DataError(f"{path}: column claims holds {kind}, expected lists of text")
    found: list[list[str] | None] = column.to_pylist()
    return found
