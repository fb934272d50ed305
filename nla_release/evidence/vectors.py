"""`vectors.safetensors`: which tensors there are, and which rows they are of."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from nla_release.evidence.records import Row

# Texts whose reconstructions by the AR are kept, one tensor [N, d] each.
Condition = Literal["real", "shuffled", "empty", "gold_text", "random_vector", "zero_vector"]

Vectors = dict[str, npt.NDArray[np.float32]]


def first_with_text(rows: Sequence[Row]) -> list[int]:
    """Positions of the first row with a source text of every document that has one: M of them."""
    first: dict[str, int] = {}
    for position, row in enumerate(rows):
        if row.text is not None:
            first.setdefault(row.document, position)
    return list(first.values())


def longest_texts(rows: Sequence[Row]) -> dict[str, int]:
    """By document, the row whose source text reaches farthest into it, where one has a text."""
    longest: dict[str, int] = {}
    for position, row in enumerate(rows):
        if row.text:
            best = rows[longest.setdefault(row.document, position)]
            if (len(row.text), row.text) > (len(best.text or ""), best.text or ""):
                longest[row.document] = position
    return longest


def row_name(rows: Sequence[Row], marked: npt.NDArray[np.bool_]) -> str:
    """The first row that is marked in `[N, ...]`, in words."""
    position = int(np.argmax(marked.reshape(len(rows), -1).any(axis=1)))
    return f"row {position + 1} (id {rows[position].id!r})"
