"""Read untrusted parquet files at a bounded cost. Needs pyarrow, from the extras.

A file of 300 kB can expand to gigabytes, because a repeated value is stored once. So its content
may take only a fixed multiple of the file's size: measured activations and texts take one to four
times as much.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nla_release.errors import DataError, one_line
from nla_release.io.files import LFS_HINT, LFS_POINTER, check_regular, is_lfs_pointer

# Memory that a file may take: activations hardly compress, texts by a factor of ten.
SMALL_BYTES = 128 * 1024**2
MAX_EXPANSION = 32

_ROWS_AT_ONCE = 1024
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}
# The types to which pyarrow expands a dictionary, and those that are wanted.
_PLAIN = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
_TEXT = {"BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"}


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A parquet file's columns, or all of them.

    Raises:
        InputError: missing, or not a regular file.
        DataError: not parquet, or it would take far more memory than its size.
    """
    schema = _whole(path).schema_arrow
    if columns is not None:
        kept = [name for name in schema.names if name in columns]
        schema = pa.schema([schema.field(name) for name in kept])
    return pa.Table.from_batches(parquet_batches(path, columns), schema)


def parquet_batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """A parquet file's rows, at most 1024 at once, of some columns or all.

    Raises:
        InputError: missing, or not a regular file.
        DataError: not parquet, or it would take far more memory than its size.
    """
    whole = _whole(path)
    if columns is not None:
        columns = [name for name in whole.schema_arrow.names if name in columns]
    check_expansion(path, _stated_bytes(whole, columns))
    leaves = [whole.schema.column(at) for at in range(len(whole.schema))]
    # As a dictionary, a text that repeats is held once, and its length can be counted before it is
    # written out for every row.
    texts = [leaf.path for leaf in leaves if leaf.physical_type in _TEXT]
    taken = 0
    try:
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=columns):
                taken += sum(map(_bytes, batch.columns))
                check_expansion(path, taken)
                fields = [whole.schema_arrow.field(name) for name in batch.schema.names]
                plain = [field.with_type(_PLAIN.get(field.type, field.type)) for field in fields]
                yield batch.cast(pa.schema(plain)).cast(pa.schema(fields))
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def parquet_columns(path: Path) -> tuple[list[str], int]:
    """The names of a parquet file's columns, and how many rows it has.

    Raises:
        InputError: missing, or not a regular file.
        DataError: not parquet.
    """
    whole = _whole(path)
    return list(whole.schema_arrow.names), int(whole.metadata.num_rows)


def check_expansion(path: Path, size: int) -> None:
    """Refuse a file that would take far more memory than its own size.

    Args:
        path: of the file.
        size: in bytes, once it is read.

    Raises:
        DataError: it takes more than a file of its size may.
    """
    if size > max(SMALL_BYTES, MAX_EXPANSION * path.stat().st_size):
        raise DataError(
            f"{path} of {path.stat().st_size} bytes would take {size / 1e9:.1f} GB of memory and is"
            " not read",
            hint="write it again without repeating values; activations hardly compress",
        )


def _whole(path: Path) -> Any:
    """The file's metadata, as pyarrow has it."""
    check_regular(path)
    if is_lfs_pointer(path):
        raise DataError(f"{path} {LFS_POINTER}", hint=LFS_HINT)
    try:
        with pq.ParquetFile(path) as file:
            return file
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def _stated_bytes(file: Any, columns: Sequence[str] | None) -> int:
    """Bytes of the columns according to the file's metadata, without repeated texts."""
    stated = 0
    for group in range(file.metadata.num_row_groups):
        for at in range(file.metadata.num_columns):
            column = file.metadata.row_group(group).column(at)
            if columns is None or column.path_in_schema.partition(".")[0] in columns:
                values = column.num_values * _WIDTHS.get(column.physical_type, 1)
                stated += max(values, column.total_uncompressed_size)
    return stated


def _bytes(values: Any) -> int:
    """Bytes of an array after texts in a dictionary are expanded."""
    if pa.types.is_dictionary(values.type):
        lengths = pc.binary_length(values.dictionary.cast(pa.large_binary()))
        return int(pc.sum(lengths.take(values.indices)).as_py() or 0) + 8 * len(values)
    if pa.types.is_map(values.type):
        return _bytes(values.keys) + _bytes(values.items) + 8 * len(values)
    if pa.types.is_struct(values.type):
        return sum(map(_bytes, values.flatten()))
    if pa.types.is_nested(values.type):
        return _bytes(values.flatten()) + 8 * len(values)
    return int(values.nbytes)


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} is not a readable parquet file: {one_line(error)}",
        hint="write it again, or download it again: a truncated file looks like this",
    )
