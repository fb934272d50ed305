"""An extraction under way: one parquet file for each run of documents, written whole or not at all.

What a chunk holds depends on the corpus and the recipe alone, so that any number of processes, and
any number of them killed, leave the same chunks, and the same bytes when those are put together.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nla_release.errors import EnvironmentProblem, NothingCheckedError, RefusedError
from nla_release.io.documents import parse_json
from nla_release.io.files import dump_json, read_json, write_atomic
from nla_release.training.corpus import Document
from nla_release.training.tables import pieces, vectors_of, write_table, writing

# Few enough that little is lost when a run is killed, many enough that files stay few.
DOCUMENTS = 64

_COUNTS = b"left_out"


@dataclass(frozen=True)
class Taken:
    """What all chunks hold: norms `[N]` of the activations, documents, and what was left out."""

    norms: npt.NDArray[np.float64]
    documents: int
    left_out: dict[str, int]


def chunked(documents: Iterable[Document | None]) -> Iterator[tuple[int, list[Document]]]:
    """Documents in numbered chunks."""
    taken = (document for document in documents if document is not None)
    for number in count():
        chunk = list(islice(taken, DOCUMENTS))
        if not chunk:
            return
        yield number, chunk


def chunk_path(parts: Path, number: int) -> Path:
    """Where a chunk lies."""
    return parts / f"{number:06d}.parquet"


def open_parts(parts: Path, origin: dict[str, Any], *, again: bool) -> None:
    """Make the folder of chunks, or go on with the one of an extraction that was cut off.

    Args:
        parts: the folder.
        origin: what the chunks follow from, each thing under a name to be told by.
        again: whether to begin anew whatever is there.

    Raises:
        RefusedError: there are chunks, and they follow from something else.
        EnvironmentProblem: what is there cannot be removed, or the folder cannot be written.
    """
    marker = parts / "origin.json"
    if again or not marker.exists():  # chunks of an unknown origin are nobody's
        remove_parts(parts)
    if marker.exists():
        found = read_json(marker)
        for key in sorted(origin.keys() | found.keys()):
            if found.get(key) != origin.get(key):
                raise RefusedError(
                    f"{parts} holds activations of an extraction that was cut off, with"
                    f" {key} {found.get(key)!r}; now it is {origin.get(key)!r}",
                    hint="run `nla-release train extract` with --again to begin anew",
                )
        return
    write_atomic(marker, dump_json(origin))


def remove_parts(parts: Path) -> None:
    """Leave nothing of the folder of chunks.

    Raises:
        EnvironmentProblem: something of it cannot be removed.
    """
    try:
        if parts.exists():
            shutil.rmtree(parts)
    except OSError as error:
        raise EnvironmentProblem(
            f"{parts} cannot be removed: {error.strerror or error}",
            hint="it holds chunks of an extraction that count no more; remove it yourself",
        ) from error


def write_chunk(parts: Path, number: int, table: pa.Table, left_out: Counter[str]) -> None:
    """Write the rows of a chunk, which may be none, and what was left out of it."""
    counts = json.dumps(left_out, sort_keys=True).encode()
    write_table(chunk_path(parts, number), table.replace_schema_metadata({_COUNTS: counts}))


def join_chunks(parts: Path, chunks: int, target: Path, schema: pa.Schema) -> Taken:
    """Put all chunks together in order, a row group each, holding one at a time in memory.

    Raises:
        NothingCheckedError: none of them has a row.
        EnvironmentProblem: the disk is full.
    """
    norms: list[npt.NDArray[np.float64]] = []
    documents = 0
    left_out: Counter[str] = Counter()
    with writing(target, schema) as writer:
        for number in range(chunks):
            for table in pieces(chunk_path(parts, number)):
                left_out.update(parse_json(table.schema.metadata[_COUNTS], parts))
                if len(table):
                    writer.write_table(table.replace_schema_metadata(None))
                    norms.append(np.linalg.norm(vectors_of(table).astype(np.float64), axis=1))
                    documents += len(set(table.column("document").to_pylist()))
        if not norms:
            reasons = ", ".join(f"{many} {reason}" for reason, many in sorted(left_out.items()))
            raise NothingCheckedError(
                f"the corpus gives no activations: {reasons or 'no labels'}",
                hint="take longer texts, or lower extract.min_position",
            )
    return Taken(np.concatenate(norms), documents, dict(left_out))
