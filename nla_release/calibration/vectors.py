"""`vectors.safetensors`: which tensors there are, and what each must look like beside the rows.

N rows, d the activations' width. A diagnostic's tensors are there when it ran, and only then; what
each is like, its module says.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from nla_release.calibration.records import Row, TextCondition
from nla_release.diagnostics import registered
from nla_release.errors import EvidenceError
from nla_release.weights import Tensor, read_header

# Texts whose reconstructions by the AR are kept, one tensor [N, d] each.
Condition = Literal["real", "shuffled", "empty", "gold_text", "random_vector", "zero_vector"]

Vectors = dict[str, npt.NDArray[np.float32]]

# Labels of the held-out rows and of the training rows are optional.
_LABELS = {"gold_text", "lookup_table"}
_BASE = {"gold", "reference_mean", *get_args(Condition)} - _LABELS


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


def read_vectors(path: Path, rows: Sequence[Row]) -> Vectors:
    """The tensors, each of its shape, float32 and finite.

    Raises:
        EvidenceError: one is missing, unknown, or not as the rows ask; the message names it.
    """
    header = read_header(path)
    if missing := sorted(_BASE - set(header)):
        raise EvidenceError(f"{path} has no tensor {', '.join(missing)}")
    known = (_BASE | _LABELS).union(*(each.leaves.names for each in registered()))
    if foreign := sorted(set(header) - known):
        raise EvidenceError(f"{path} holds an unknown tensor {', '.join(foreign)}")
    _check_texts(path, rows, header)
    _check_shapes(path, rows, header)
    vectors: Vectors = safetensors.numpy.load_file(path)
    for name, values in vectors.items():
        if not np.isfinite(values).all():
            raise EvidenceError(
                f"{path} tensor {name} holds NaN or infinity{_place(rows, ~np.isfinite(values))}"
            )
    return vectors


def row_name(rows: Sequence[Row], marked: npt.NDArray[np.bool_]) -> str:
    """The first row that is marked in `[N, ...]`, in words."""
    position = int(np.argmax(marked.reshape(len(rows), -1).any(axis=1)))
    return f"row {position + 1} (id {rows[position].id!r})"


def _place(rows: Sequence[Row], marked: npt.NDArray[np.bool_]) -> str:
    over_rows = marked.ndim == 2 and len(marked) == len(rows)
    return f" in {row_name(rows, marked)}" if over_rows else ""


def _check_texts(path: Path, rows: Sequence[Row], header: Mapping[str, Tensor]) -> None:
    """Every tensor has its texts in the rows, and the texts their tensor."""
    if "gold_text" in header and (bare := [row.id for row in rows if row.gold is None]):
        raise EvidenceError(f"{path} holds gold_text, but row {bare[0]!r} has no gold explanation")
    read = set(header) & set(get_args(TextCondition))
    if different := sorted(read ^ set(rows[0].texts)):
        raise EvidenceError(f"{path} and the rows' texts disagree about {', '.join(different)}")
    for leaves in (each.leaves for each in registered()):
        if len(leaves.tensors.keys() & header.keys()) not in (0, len(leaves.tensors)):
            raise EvidenceError(
                f"{path} holds only some of the tensors {', '.join(leaves.tensors)}"
            )
        if wrong := leaves.misfit(rows, header):
            raise EvidenceError(f"{path} {wrong}")


def _check_shapes(path: Path, rows: Sequence[Row], header: Mapping[str, Tensor]) -> None:
    gold = header["gold"].shape
    if len(gold) != 2 or gold[0] != len(rows) or gold[1] == 0:
        raise EvidenceError(
            f"{path} tensor gold has shape {list(gold)}, expected [{len(rows)}, d] for the"
            f" {len(rows)} rows of rows.jsonl"
        )
    expected = {"reference_mean": gold[1:], **_expected_of_diagnostics(rows, header)}
    for name, tensor in header.items():
        wanted = expected.get(name, gold)
        if tensor.shape != wanted or (len(wanted) != 2 and name != "reference_mean"):
            raise EvidenceError(
                f"{path} tensor {name} has shape {list(tensor.shape)}, expected {list(wanted)}"
            )
        if tensor.dtype != "F32":
            raise EvidenceError(f"{path} tensor {name} has dtype {tensor.dtype}, expected F32")


def _expected_of_diagnostics(
    rows: Sequence[Row], header: Mapping[str, Tensor]
) -> dict[str, tuple[int, ...]]:
    """The shapes of tensors that diagnostics leave."""
    expected: dict[str, tuple[int, ...]] = {}
    for leaves in (each.leaves for each in registered()):
        counts = {**leaves.tensors, **leaves.sometimes}
        first = next((header[name] for name in counts if name in header), header["gold"])
        width = first.shape[1:] if leaves.free_width else header["gold"].shape[1:]
        expected |= {name: (count(rows), *width) for name, count in counts.items()}
    return expected
