"""Whose explanation stands in for a row's own: a rule, so that nobody can choose.

A shuffled control could be made easy to beat by taking the worst texts of all for it. So the rows
follow from documents and seed alone, and reading evidence works them out again.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from nla_release.errors import EvidenceError
from nla_release.evidence.records import Row, Run

# The rule's name in run.json.
SHUFFLE: Literal["v2"] = "v2"


def other_rows(documents: Sequence[str], seed: int) -> list[int]:
    """For each row, the row whose explanation stands in for its own: one of another document.

    Rows are laid out document by document, in a random order, and shifted by the largest
    document's size. Where one document holds more than half of all rows, some would still meet
    their own; those get any row of another. A single document can only offer its other rows.

    Args:
        documents: [N] the document of each row, in the order of the data.
        seed: of numpy's legacy generator, whose stream is frozen (NEP 19).
    """
    random = np.random.RandomState(seed)
    names, labels, counts = np.unique(documents, return_inverse=True, return_counts=True)
    rank = random.permutation(len(names))[labels]
    order = np.lexsort((random.random_sample(len(documents)), rank))
    shift = int(counts.max()) if len(names) > 1 else 1
    source = np.empty(len(documents), dtype=np.intp)
    source[order] = np.roll(order, -shift)
    if len(names) > 1:
        for row in np.flatnonzero(labels[source] == labels):
            source[row] = random.choice(np.flatnonzero(labels != labels[row]))
    return [int(row) for row in source]


def check_shuffle(path: Path, rows: Sequence[Row], run: Run) -> None:
    """Each row's other row is there, is of another document, and is the one of the rule.

    Older runs name no rule, and theirs cannot be worked out.

    Raises:
        EvidenceError: it is not; the message names the line.
    """
    by_id = {row.id: row for row in rows}
    documents = [row.document for row in rows]
    ruled = [rows[at].id for at in other_rows(documents, run.seed)] if run.shuffle else None
    for position, row in enumerate(rows):
        where = f"{path} line {position + 1}"
        source = by_id.get(row.shuffled_from)
        if source is None:
            raise EvidenceError(f"{where}: shuffled_from {row.shuffled_from!r} is no row's id")
        if source.status != row.shuffled_status:
            raise EvidenceError(
                f"{where}: shuffled_status is {row.shuffled_status}, but row {source.id!r}"
                f" has status {source.status}"
            )
        if source.document == row.document and len(set(documents)) > 1:
            raise EvidenceError(
                f"{where}: shuffled_from {source.id!r} is of the same document"
                f" {row.document!r}, which is no control"
            )
        if ruled and row.shuffled_from != ruled[position]:
            raise EvidenceError(
                f"{where}: shuffled_from is {row.shuffled_from!r}, but documents and seed"
                f" {run.seed} give {ruled[position]!r}"
            )
