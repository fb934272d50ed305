"""`nla-release train split RECIPE`: divides the activations among the sides, by document.

The side of a document follows from the hash of the text that was read, so documents that differ
only beyond `extract.max_tokens` are on the same side. `data/split/contamination.json` reports what
the sides have in common: ids, texts, and texts up to a row's position. No side is written when two
share a document, or when a training row has the text of a held-out one.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nla_release.errors import DataError, NothingCheckedError
from nla_release.evidence.training_documents import text_digest
from nla_release.io.files import dump_json, write_atomic
from nla_release.io.log import log
from nla_release.training.corpus import SIDES, Side, side_of, sides_of
from nla_release.training.data_sidecars import read_sidecar
from nla_release.training.dataset import data_path, labels_path, split_path
from nla_release.training.recipe import Recipe
from nla_release.training.record import check_inputs, forget, write_record
from nla_release.training.tables import (
    check_columns,
    pieces,
    remove_table,
    row_schema,
    vectors_of,
    write_sidecar,
    writing,
)

# Examples of each overlap in the report; the counts are complete.
_NAMED = 20


@dataclass
class SideContents:
    """The rows of a side: their number, norms, documents and texts."""

    rows: int = 0
    norms: float = 0.0
    digests: dict[str, str] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)

    def add(self, table: pa.Table) -> None:
        """Count a table's rows."""
        self.rows += len(table)
        self.norms += float(np.linalg.norm(vectors_of(table).astype(np.float64), axis=1).sum())
        names, digests = (table.column(it).to_pylist() for it in ("document", "document_sha256"))
        self.digests.update(zip(names, digests, strict=True))
        self.read.update(map(text_digest, table.column("text").to_pylist()))
        self.read.update(table.column("read_sha256").to_pylist())


def split(recipe: Recipe, folder: Path) -> dict[Side, int]:
    """Write `data/split/`; gives the rows on each side.

    Raises:
        DataError: the activations are not this recipe's or of an earlier version's form, or two
            sides share a document or a text.
        NothingCheckedError: a side has no rows.
    """
    source = data_path(folder, "base")
    inputs = check_inputs("split", recipe, folder, [source.relative_to(folder).as_posix()])
    document = read_sidecar(source)
    extraction = document["extraction"]
    schema = row_schema(extraction["d_model"])
    check_columns(source, schema)
    forget(folder, "split")
    sides = sides_of(recipe.split)
    _remove_unused(folder, sides)
    held: dict[Side, SideContents] = {side: SideContents() for side in sides}
    report_path = split_path(folder, "av").with_name("contamination.json")
    with ExitStack() as stack:
        writers = {
            side: stack.enter_context(writing(split_path(folder, side), schema)) for side in sides
        }
        for table in pieces(source):
            for side, mask in _sides(table, recipe).items():
                part = table.filter(pa.array(mask))
                held[side].add(part)
                writers[side].write_table(part)
        report = contamination(held)
        write_atomic(report_path, dump_json(report))
        _refuse(held, report, report_path)
    for side in sides:
        rows, documents = held[side].rows, len(held[side].digests)
        write_sidecar(
            split_path(folder, side),
            recipe,
            "split",
            stage=f"split_{side}",
            extraction=extraction | {"mean_norm": held[side].norms / rows},
            inputs=inputs,
            rows=rows,
            documents=documents,
            more={"split": side},
        )
        log.info(f"split: {side} has {rows} rows of {documents} documents")
    outputs = [report_path, *(split_path(folder, side) for side in sides)]
    write_record("split", recipe, folder, inputs=inputs, outputs=outputs)
    return {side: held[side].rows for side in sides}


def contamination(held: dict[Side, SideContents]) -> dict[str, Any]:
    """What the sides have in common, and how many texts are repeated on one side."""
    overlaps = []
    for left, right in combinations(held, 2):
        ids = sorted(held[left].digests.keys() & held[right].digests.keys())
        texts = sorted(set(held[left].digests.values()) & set(held[right].digests.values()))
        read = sorted(held[left].read & held[right].read)
        overlaps.append(
            {
                "sides": [left, right],
                "ids": len(ids),
                "first_ids": ids[:_NAMED],
                "texts": len(texts),
                "first_texts_sha256": texts[:_NAMED],
                "read": len(read),
                "first_read_sha256": read[:_NAMED],
            }
        )
    return {
        "compared": "document ids; sha256 of whole texts, and of what of them was read up to each"
        " row's position and in all, with case, spacing and width evened out",
        "sides": {
            side: {
                "rows": it.rows,
                "documents": len(it.digests),
                "repeated_texts": sum(Counter(it.digests.values()).values())
                - len(set(it.digests.values())),
            }
            for side, it in held.items()
        },
        "overlaps": overlaps,
    }


def _remove_unused(folder: Path, sides: Sequence[Side]) -> None:
    """Remove the files of sides that an earlier split had, in this step and in later ones."""
    for side in SIDES:
        if side not in sides:
            for path in (split_path(folder, side), labels_path(folder, side)):
                remove_table(path)


def _sides(table: pa.Table, recipe: Recipe) -> dict[Side, npt.NDArray[np.bool_]]:
    """Which rows of a table are on which side."""
    known = zip(
        table.column("read_sha256").to_pylist(), table.column("split").to_pylist(), strict=True
    )
    masks: defaultdict[Side, npt.NDArray[np.bool_]] = defaultdict(
        lambda: np.zeros(len(table), dtype=bool)
    )
    for at, (digest, said) in enumerate(known):
        masks[side_of(digest, said, recipe.split)][at] = True
    return masks


def _refuse(held: dict[Side, SideContents], report: dict[str, Any], where: Path) -> None:
    for overlap in report["overlaps"]:
        if overlap["ids"] or overlap["texts"]:
            left, right = overlap["sides"]
            raise DataError(
                f"{left} and {right} share {overlap['ids']} document ids and {overlap['texts']}"
                f" texts; {where} names them",
                hint="hold out whole documents: give copies of a text the same split",
            )
        if overlap["read"] and "eval" in overlap["sides"]:
            left, right = overlap["sides"]
            raise DataError(
                f"{left} and {right} share {overlap['read']} texts up to the position of an"
                f" activation, so that these activations are the same; {where} names them",
                hint="give documents that begin alike the same split, or take activations further"
                " on, where they differ: extract.min_position or other labels",
            )
    for side, it in held.items():
        if not it.rows:
            raise NothingCheckedError(
                f"no document on the side {side} gives an activation",
                hint="take more or longer documents, or change the recipe's split",
            )
