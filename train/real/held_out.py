"""Leaves out held-out documents that say largely what a training document says.

Documentation repeats itself: pandas describes a method of Series in the words of DataFrame. Such a
document is not held out, and NLA612 refuses a release that was measured on it. Only the texts are
compared, so the choice does not depend on how well the pair does.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nla_release.calibration.contamination import MIN_SHINGLES, NEAR
from nla_release.evidence.training_documents import hashes_of_rows, read_shingles
from nla_release.training.dataset import data_path, training_shingles_path

NAME = "held_out.parquet"


def leave_out_copies(folder: Path) -> tuple[int, int]:
    """Write the rows of data/eval.parquet that are held out; gives documents kept and left out."""
    table = pq.read_table(data_path(folder, "eval"))
    training = read_shingles(training_shingles_path(folder)).shingles
    documents = table.column("document").to_pylist()
    copies = set()
    for document, hashes in zip(
        documents, hashes_of_rows(table.column("text").to_pylist()), strict=True
    ):
        compared = training.comparable(hashes)
        shared = int(training.holds(compared).sum())
        if len(compared) >= MIN_SHINGLES and shared >= NEAR * len(compared):
            copies.add(document)
    kept = pa.array([document not in copies for document in documents])
    pq.write_table(table.filter(kept), folder / "data" / NAME)
    return len(set(documents) - copies), len(copies)
