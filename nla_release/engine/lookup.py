"""The lookup table: for each activation, the label of the nearest training activation.

It is a control. A table of training rows explains nothing, however well the AR reads its labels. A
pair that does no better has learned no more than its training rows.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nla_release.engine.activations import texts_of, vectors_of
from nla_release.errors import DataError
from nla_release.evidence.records import Lookup
from nla_release.io.files import files_digest
from nla_release.io.parquet import parquet_batches, parquet_columns
from nla_release.statistics.contrasts import centred

MAX_ROWS = 200_000

_COLUMNS = ("activation", "explanation")


@dataclass(frozen=True)
class NearestLabels:
    """A label for every activation, and a record of the training rows."""

    labels: list[str]
    record: Lookup


def look_up(
    files: list[Path], vectors: npt.NDArray[np.float32], mean: npt.NDArray[np.float32]
) -> NearestLabels | None:
    """The label of the nearest labelled training row of each of `[N, d]`; None without rows.

    Nearest is by the cosine of unit vectors less the reference mean. At most `MAX_ROWS` rows are
    read, from the first on.

    Args:
        files: of training rows: parquet with `activation` and `explanation`.
        vectors: the held-out activations.
        mean: of the reference.

    Raises:
        DataError: a file cannot be read, lacks a column, is of another width, or has no label.
    """
    if not files:
        return None
    wanted = centred(vectors, mean)
    best = np.full(len(vectors), -np.inf)
    labels: list[str] = [""] * len(vectors)
    rows = 0
    for path in files:
        names, _ = parquet_columns(path)
        if missing := [name for name in _COLUMNS if name not in names]:
            raise DataError(
                f"{path} lacks the columns {', '.join(missing)}",
                hint="a parquet file under evaluation.training holds training rows with labels",
            )
        for batch in parquet_batches(path, _COLUMNS):
            said = texts_of(path, "explanation", batch.column("explanation"))
            labelled = [at for at, text in enumerate(said) if text and text.strip()]
            labelled = labelled[: MAX_ROWS - rows]
            if not labelled:
                continue
            found = vectors_of(path, "activation", batch.column("activation"), rows)
            if found.shape[1] != vectors.shape[1]:
                raise DataError(
                    f"{path} is {found.shape[1]} wide, the held-out activations are"
                    f" {vectors.shape[1]}"
                )
            similar = wanted @ centred(found[labelled], mean).T
            nearest = similar.argmax(axis=1)
            values = similar[np.arange(len(wanted)), nearest]
            for row in np.flatnonzero(values > best):
                labels[row] = said[labelled[nearest[row]]] or ""
            best = np.maximum(best, values)
            rows += len(labelled)
    if not rows:
        raise DataError(f"{', '.join(map(str, files))}: no training row has an explanation")
    return NearestLabels(labels, Lookup(sha256=files_digest(files), rows=rows))
