"""The rows that labelling reads and leaves: what was asked about, and what became of it."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from nla_release.errors import DataError
from nla_release.io.parquet import read_parquet
from nla_release.training.labelling.answers import LabelStatus

_NEEDED = ("id", "document", "text", "explanation")


@dataclass(frozen=True)
class Unlabelled:
    """One row of a side; `explanation` is what the corpus brought along."""

    id: str
    document: str
    text: str
    explanation: str | None


@dataclass(frozen=True)
class Labelled:
    """One row of labels.

    `draft` is the labeller's explanation where an auditor had the last word, `answer` the last
    answer as it came, `reason` why there is no explanation, `requests` how many it took, `labeller`
    the model as it calls itself, or "corpus".
    """

    id: str
    explanation: str | None
    status: LabelStatus
    reason: str | None
    draft: str | None
    answer: str | None
    requests: int
    labeller: str | None


_SCHEMA = pa.schema(
    [
        (name, pa.int32() if name == "requests" else pa.string())
        for name in Labelled.__dataclass_fields__
    ]
)


def read_unlabelled(path: Path) -> list[Unlabelled]:
    """The rows of one side, without their vectors.

    Raises:
        DataError: it is no parquet file, lacks a column, or an id stands twice in it.
    """
    table = read_parquet(path, _NEEDED)
    if missing := set(_NEEDED) - set(table.column_names):
        raise DataError(f"{path} lacks the columns {', '.join(sorted(missing))}")
    rows = [Unlabelled(**row) for row in table.to_pylist()]
    if len({row.id for row in rows}) != len(rows):
        raise DataError(f"{path}: an id stands in it more than once")
    return rows


def table_of(rows: Sequence[Labelled]) -> pa.Table:
    """Labels as they are written."""
    return pa.Table.from_pylist([vars(row) for row in rows], _SCHEMA)


def from_corpus(
    rows: Sequence[Unlabelled], where: object, *, shuffle: int | None = None
) -> list[Labelled]:
    """The labels that rows brought along; those of other rows, with a seed to shuffle them by.

    Raises:
        DataError: a row has none.
    """
    bare = [row.id for row in rows if not (row.explanation or "").strip()]
    if bare:
        raise DataError(
            f"{where}: {len(bare)} of {len(rows)} rows have no explanation, the first is {bare[0]}",
            hint="label the corpus, or set label.source of the recipe to endpoint",
        )
    said = [row.explanation for row in rows]
    if shuffle is not None:
        random.Random(shuffle).shuffle(said)  # noqa: S311 - reproducible, not secret
    return [
        Labelled(row.id, explanation, "ok", None, None, None, 0, "corpus")
        for row, explanation in zip(rows, said, strict=True)
    ]


def check_distinct(side: str, texts: Iterable[tuple[str, str | None]]) -> None:
    """Refuse labels that say the same of different texts: nothing could be learned from them.

    Args:
        side: whose they are.
        texts: each text with its explanation, if it has one.

    Raises:
        DataError: there is one explanation for all, or none at all.
    """
    pairs = [(text, explanation) for text, explanation in texts]
    said = {explanation for _, explanation in pairs if explanation is not None}
    if not said:
        raise DataError(
            f"{side}: not one of {len(pairs)} rows has an explanation",
            hint="data/labels/cache holds the answers: look at one, and at the recipe's prompts",
        )
    if len(said) == 1 and len({text for text, explanation in pairs if explanation}) > 1:
        raise DataError(
            f"{side}: all {len(pairs)} labels are the same: {next(iter(said))[:80]!r}",
            hint="look at what the labeller was shown and at its prompt",
        )


def counts(rows: Sequence[Labelled]) -> dict[LabelStatus, int]:
    """How many rows of each status."""
    found: dict[LabelStatus, int] = {}
    for row in rows:
        found[row.status] = found.get(row.status, 0) + 1
    return found
