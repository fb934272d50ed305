"""Convert activations and texts of other tools into the files that `roundtrip` reads.

Activations are `[N, d_model]` floats of raw norm, in parquet (a column of lists), npy, npz or
safetensors. Texts are the rows' fields, in the same order, in parquet, JSON lines or CSV.
Everything but the held-out rows of texts is read in pieces.
"""

import csv
import io
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from nla_release.adapter.weights import read_header
from nla_release.engine.activations import (
    NAMING,
    check_vectors,
    named,
    texts_of,
    vectors_of,
)
from nla_release.errors import ConfigError, DataError, RefusedError, one_line, printable
from nla_release.evidence.reference import write_reference
from nla_release.evidence.training_documents import (
    ShinglesBuilder,
    TrainingShingles,
    text_digest,
    write_shingles,
    write_training_documents,
)
from nla_release.io.documents import parse_json
from nla_release.io.files import check_regular, read_text, replacing_file, sha256_file
from nla_release.io.layout import (
    EVALUATION_FILE,
    REFERENCE_FILE,
    TRAINING_DOCUMENTS_FILE,
    TRAINING_SHINGLES_FILE,
)
from nla_release.io.parquet import check_expansion, parquet_batches, parquet_columns, read_parquet
from nla_release.text.numbers import count

# The text fields of a row, and the column of activations.
FIELDS = ("id", "document", "text", "explanation", "document_text")
ACTIVATION = "activation"

_ARRAYS = (".npy", ".npz", ".safetensors")
_PIECE_ROWS = 2048
_MAX_TEXT_BYTES = 1024**3
_MAX_CELL = 16 * 1024**2
# What numpy and zipfile raise on damaged files, and on headers of arrays that fit in no memory.
_UNREADABLE = (
    OSError, ValueError, TypeError, EOFError, LookupError, ArithmeticError, MemoryError,
    RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
# The names of a file's columns, and the texts of a column by the field that it is for and its name.
_Columns = tuple[list[str], Callable[[str, str], list[str | None]]]
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


@dataclass(frozen=True)
class VectorFile:
    """Activations in a file: number, width, and `pieces()` of `[n, d]` float32."""

    path: Path
    rows: int
    width: int
    pieces: Callable[[], Iterator[npt.NDArray[np.float32]]]


@dataclass(frozen=True)
class WrittenData:
    """What was written.

    Attributes:
        rows: held-out activations.
        documents: documents that they are from.
        training_rows: activations that the reference was computed from.
        width: d_model.
        activation_mean: mean L2 norm of the training activations.
        files: paths of the files.
        notes: what was not written or not compared, and why.
    """

    rows: int
    documents: int
    training_rows: int
    width: int
    activation_mean: float
    files: tuple[Path, ...]
    notes: tuple[str, ...]


def make_data(
    held_out: Path,
    training: Path,
    out: Path,
    *,
    texts: Path | None = None,
    training_texts: Path | None = None,
    columns: Mapping[str, str] | None = None,
) -> WrittenData:
    """Write `eval.parquet` and `reference.safetensors` for a pair that was trained elsewhere.

    Where the training texts are given, also writes the list of training documents and a sample of
    their word sequences.

    Args:
        held_out: activations that the pair was not trained on.
        training: activations that it was trained on, or others of the same base and layer.
        out: the folder to write.
        texts: the held-out rows' fields; by default those in `held_out`, when it is a table.
        training_texts: the training rows' fields, likewise.
        columns: the files' own names for FIELDS and ACTIVATION.

    Raises:
        DataError: a file cannot be read, files do not fit together, or held-out rows or documents
            are among the training's.
        ConfigError: a file has an unknown format, or a column is unknown.
        RefusedError: `out` has such files already.
    """
    columns = dict(columns or {})
    if unknown := columns.keys() - {*FIELDS, ACTIVATION}:
        raise ConfigError(
            f"{', '.join(sorted(unknown))}: not a column of a release's data",
            hint=f"the columns are {', '.join((*FIELDS, ACTIVATION))}",
        )
    for name in (EVALUATION_FILE, REFERENCE_FILE, TRAINING_DOCUMENTS_FILE, TRAINING_SHINGLES_FILE):
        if (out / name).exists():
            raise RefusedError(
                f"{out / name} exists and is not overwritten", hint="give another --out"
            )
    rows = open_vectors(held_out, columns)
    others = open_vectors(training, columns)
    if rows.width != others.width:
        raise DataError(
            f"{held_out} is {rows.width} wide, {training} is {others.width}",
            hint="both are activations of the pair's base at the pair's layer",
        )
    fields = _fields_of(held_out, texts, rows.rows, columns)
    if fields is None:
        raise ConfigError(
            f"{held_out} has no texts: every row needs the document that it is from",
            hint="give them with --texts FILE: parquet, jsonl or csv, one row per activation",
        )
    if others.rows == 0 or rows.rows == 0:
        empty = held_out if rows.rows == 0 else training
        raise DataError(f"{empty} has no rows")
    trained = _fields_of(
        training, training_texts, others.rows, columns, strict=training_texts is not None
    )
    documents = set(fields["document"] or ())
    notes = _check_apart(documents, trained, training)
    total, norms = _sums(others, {_digest(row) for piece in rows.pieces() for row in piece}, rows)
    out.mkdir(parents=True, exist_ok=True)
    files = [out / EVALUATION_FILE, out / REFERENCE_FILE]
    _write_eval(files[0], rows, fields)
    write_reference(files[1], total, others.rows, sha256_file(training), norms / others.rows)
    if trained and trained["document"] and trained["document_text"]:
        pairs = zip(trained["document"], trained["document_text"], strict=True)
        files.append(out / TRAINING_DOCUMENTS_FILE)
        write_training_documents(
            files[-1], {name: text for name, text in pairs if name and text}.items()
        )
    else:
        notes.append(
            f"no {TRAINING_DOCUMENTS_FILE}: it needs columns document and document_text, the whole"
            " text of each training document"
        )
    if sample := _sample(trained or {}):
        files.append(out / TRAINING_SHINGLES_FILE)
        write_shingles(files[-1], sample)
    else:
        notes.append(
            f"no {TRAINING_SHINGLES_FILE}, which shows that no text was trained on: it needs a"
            " column text or document_text of the training rows"
        )
    return WrittenData(
        rows.rows, len(documents), others.rows, rows.width, norms / others.rows, tuple(files),
        tuple(notes),
    )  # fmt: skip


def _sample(trained: Mapping[str, list[str | None] | None]) -> TrainingShingles | None:
    """A sample of the word sequences of the training texts and labels.

    The texts are whole documents where these are known, otherwise the longest row of each document.
    """
    builder = ShinglesBuilder()
    texts = trained.get("document_text") or trained.get("text") or []
    longest: dict[str | None, str] = {}
    for name, text in zip(trained.get("document") or texts, texts, strict=True):
        longest[name] = max(longest.get(name, ""), text or "", key=len)
    for text in filter(None, longest.values()):
        builder.add_document(text)
    for label in trained.get("explanation") or ():
        if label:
            builder.add_label(label)
    return builder.build()


def open_vectors(path: Path, columns: Mapping[str, str]) -> VectorFile:
    """The activations of a file; only its header is read here.

    Raises:
        DataError: it cannot be read, or has no `[N, d]` floats.
        ConfigError: its format is unknown, or it has several arrays and none is named.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist or is not a file")
    key = columns.get(ACTIVATION)
    if path.suffix == ".parquet":
        return _of_parquet(path, key or ACTIVATION)
    if path.suffix == ".npy":
        return _of_array(path, _mapped(path))
    if path.suffix == ".npz":
        return _of_npz(path, key)
    if path.suffix == ".safetensors":
        return _of_safetensors(path, key)
    raise ConfigError(
        f"{path}: activations are read from .parquet, {', '.join(_ARRAYS)}",
        hint="a tensor of PyTorch: safetensors.torch.save_file({'activation': tensor}, FILE)",
    )


def _of_parquet(path: Path, name: str) -> VectorFile:
    names, rows = parquet_columns(path)
    _check_has(path, name, names)

    def pieces() -> Iterator[npt.NDArray[np.float32]]:
        first, width = 0, None
        for batch in filter(len, parquet_batches(path, [name])):
            piece = vectors_of(path, name, batch.column(0), first)
            if width is not None and piece.shape[1] != width:
                raise DataError(
                    f"{path}: row {first} is {piece.shape[1]} wide, the rows before are {width}"
                )
            width = piece.shape[1]
            yield piece
            first += len(piece)

    first = next(pieces(), np.zeros((0, 0), np.float32))
    return VectorFile(path, rows, first.shape[1], pieces)


def _of_array(path: Path, array: npt.NDArray[Any]) -> VectorFile:
    if array.ndim != 2 or array.dtype.kind != "f":
        raise DataError(
            f"{path} has {array.dtype} of shape {list(array.shape)}, expected floats [N, d_model]"
        )
    return _in_pieces(path, array, lambda piece: np.asarray(piece, np.float32))


def _in_pieces(
    path: Path,
    array: npt.NDArray[Any],
    as_float32: Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]],
) -> VectorFile:
    def pieces() -> Iterator[npt.NDArray[np.float32]]:
        for start in range(0, len(array), _PIECE_ROWS):
            with np.errstate(over="ignore"):  # too large a value becomes infinite, and is refused
                yield as_float32(array[start : start + _PIECE_ROWS])

    return VectorFile(path, array.shape[0], array.shape[1], pieces)


def _mapped(path: Path) -> npt.NDArray[Any]:
    check_regular(path)
    try:
        found: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except _UNREADABLE as error:
        raise DataError(f"{path} is not a readable npy file: {one_line(error)}") from error
    return found


def _of_npz(path: Path, key: str | None) -> VectorFile:
    try:
        with zipfile.ZipFile(path) as archive:
            check_expansion(path, sum(entry.file_size for entry in archive.infolist()))
        with np.load(path, allow_pickle=False) as arrays:
            array = arrays[_which(path, list(arrays.files), key)]
            if not isinstance(array, np.ndarray):
                raise ValueError("it is not an array")
    except _UNREADABLE as error:
        raise DataError(f"{path} is not a readable npz file: {one_line(error)}") from error
    return _of_array(path, array)


def _of_safetensors(path: Path, key: str | None) -> VectorFile:
    tensors = read_header(path)
    tensor = tensors[_which(path, list(tensors), key)]
    if len(tensor.shape) != 2 or tensor.dtype not in (*_FLOATS, "BF16"):
        raise DataError(
            f"{path}: {printable(tensor.name)} is {tensor.dtype} of shape {list(tensor.shape)},"
            " expected floats [N, d_model]"
        )
    kind = _FLOATS.get(tensor.dtype, "<u2")
    size = int(np.prod(tensor.shape))
    flat = np.memmap(path, kind, "r", tensor.start, (size,)) if size else np.zeros(0, kind)
    array = flat.reshape(tensor.shape)
    if tensor.dtype != "BF16":
        return _of_array(path, array)
    # A bfloat16 is the upper half of a float32.
    return _in_pieces(path, array, lambda upper: (upper.astype(np.uint32) << 16).view(np.float32))


def _which(path: Path, names: Sequence[str], key: str | None) -> str:
    """The name of the array of activations: the one given, the only one, or ACTIVATION."""
    wanted = key or (names[0] if len(names) == 1 else ACTIVATION)
    if wanted not in names:
        raise ConfigError(
            f"{path} has the arrays {printable(', '.join(sorted(names))[:300]) or 'none'}",
            hint=f"name the array of activations: --column {ACTIVATION}=NAME",
        )
    return wanted


def _fields_of(
    vectors: Path, texts: Path | None, rows: int, columns: Mapping[str, str], *, strict: bool = True
) -> dict[str, list[str | None] | None] | None:
    """The texts of `rows` rows by FIELDS, None for a field without a column.

    None when there is no file with texts. With `strict`, the columns that were named must exist.
    """
    path = texts or vectors
    if texts is None and vectors.suffix != ".parquet":
        return None
    if path.suffix not in _TEXTS:
        raise ConfigError(f"{path}: texts are read from {', '.join(_TEXTS)}")
    wanted = {field: columns.get(field, field) for field in FIELDS}
    names, column_of = _TEXTS[path.suffix](path, wanted.values())
    for field in columns.keys() & wanted.keys() if strict else ():
        _check_has(path, wanted[field], names)
    values = {
        field: column_of(field, name) if name in names else None for field, name in wanted.items()
    }
    for field, column in values.items():
        if column is not None and len(column) != rows:
            raise DataError(
                f"{path} has {len(column)} rows, {vectors} has {rows}: column {wanted[field]}",
                hint="one row of texts per activation, in the same order",
            )
    return values


def _parquet_texts(path: Path, wanted: Collection[str]) -> _Columns:
    if not path.is_file():
        raise DataError(f"{path} does not exist or is not a file")
    names, _ = parquet_columns(path)
    table = read_parquet(path, [name for name in names if name in wanted])
    return names, lambda field, name: texts_of(
        path, field if field in NAMING else name, table.column(name)
    )


def _jsonl_texts(path: Path, _wanted: Collection[str]) -> _Columns:
    lines = read_text(path, limit=_MAX_TEXT_BYTES).split("\n")
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = parse_json(line, f"{path} line {number}", error=DataError)
        if not isinstance(row, dict):
            raise DataError(f"{path} line {number} is not a JSON object")
        rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return names, lambda field, name: [
        _field(path, field, at, row.get(name)) for at, row in enumerate(rows)
    ]


def _csv_texts(path: Path, _wanted: Collection[str]) -> _Columns:
    text = read_text(path, limit=_MAX_TEXT_BYTES, newline="")
    limit = csv.field_size_limit(_MAX_CELL)
    try:
        reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
        rows = list(reader)
    except csv.Error as error:
        raise DataError(f"{path} is not valid CSV: {one_line(error)}") from error
    finally:
        csv.field_size_limit(limit)
    return list(reader.fieldnames or ()), lambda _, name: [row[name] or None for row in rows]


def _field(path: Path, field: str, at: int, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if field in NAMING and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"{path}: row {at} has a {field} that is not text")


_TEXTS: dict[str, Callable[[Path, Collection[str]], _Columns]] = {
    ".parquet": _parquet_texts,
    ".jsonl": _jsonl_texts,
    ".csv": _csv_texts,
}


def _check_has(path: Path, name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise ConfigError(
            f"{path} has no column {printable(name)}; it has"
            f" {printable(', '.join(map(str, names))[:300]) or 'none'}",
            hint="name the file's own column with --column OURS=THEIRS",
        )


def _check_apart(
    documents: set[str | None], trained: dict[str, list[str | None] | None] | None, training: Path
) -> list[str]:
    """Refuse held-out documents that were trained on; returns notes on what was not compared."""
    if trained is None or trained["document"] is None:
        return [f"{training} names no documents, so they were not compared with the held-out ones"]
    if both := sorted(filter(None, documents & set(trained["document"]))):
        raise DataError(
            f"{count(len(both), 'held-out document')} also in {training}:"
            f" {printable(', '.join(both[:5]))}",
            hint="hold out documents that the pair was not trained on",
        )
    return []


def _sums(
    training: VectorFile, held_out: set[bytes], rows: VectorFile
) -> tuple[npt.NDArray[np.float64], float]:
    """The sum of unit vectors `[d]` and the sum of L2 norms; refuses held-out rows."""
    total, norms, first, seen = np.zeros(training.width), 0.0, 0, 0
    for piece in training.pieces():
        check_vectors(training.path, piece, first)
        seen += sum(_digest(row) in held_out for row in piece)
        wide = piece.astype(np.float64)
        lengths = np.linalg.norm(wide, axis=1, keepdims=True)
        norms += float(lengths.sum())
        total += (wide / lengths).sum(axis=0)
        first += len(piece)
    if seen:
        raise DataError(
            f"{count(seen, 'activation')} of {training.path} also in {rows.path}",
            hint="remove the held-out rows from the training activations",
        )
    return total, norms


def _digest(row: npt.NDArray[np.float32]) -> bytes:
    return sha256(row.tobytes()).digest()


def _write_eval(path: Path, rows: VectorFile, fields: dict[str, list[str | None] | None]) -> None:
    """Write the held-out rows with the columns that `read_activations` reads."""
    documents = named(rows.path, "document", fields["document"] or [None])
    ids = fields["id"] or [f"row-{at}" for at in range(rows.rows)]
    if len(set(named(rows.path, "id", ids))) != len(ids):
        raise DataError(f"{rows.path}: ids are not unique")
    columns: dict[str, Sequence[str | None]] = {
        "id": ids,
        "document": documents,
        "text": fields["text"] or [None] * rows.rows,
        "explanation": fields["explanation"] or [None] * rows.rows,
    }
    if whole := fields["document_text"]:
        columns["document_sha256"] = [text_digest(text) if text else None for text in whole]
    schema = pa.schema(
        [(name, pa.string()) for name in columns] + [(ACTIVATION, pa.list_(pa.float32()))]
    )
    first = 0
    with replacing_file(path) as stream, pq.ParquetWriter(stream, schema) as writer:
        for piece in rows.pieces():
            check_vectors(rows.path, piece, first)
            part = slice(first, first + len(piece))
            offsets = np.arange(0, piece.size + 1, rows.width, dtype=np.int32)
            vectors = pa.ListArray.from_arrays(offsets, pa.array(piece.reshape(-1)))
            arrays = [pa.array(column[part], pa.string()) for column in columns.values()]
            writer.write_table(pa.Table.from_arrays([*arrays, vectors], schema=schema))
            first += len(piece)
