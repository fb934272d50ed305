"""One run's evidence in memory: its rows, its tensors and its settings, and the file names."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from nla_release.evidence.records import EvidenceRow, Run, TextCondition
from nla_release.evidence.runs import RunLog
from nla_release.evidence.training_documents import TrainingShingles
from nla_release.io.layout import (
    ROWS_FILE,
    RUN_FILE,
    RUNS_FILE,
    TRAINING_SHINGLES_FILE,
    VECTORS_FILE,
)
from nla_release.statistics.places import Places, own_places

# Texts whose reconstructions by the AR are recorded, one tensor [N, d] each.
Condition = Literal["real", "shuffled", "empty", "gold_text", "random_vector", "zero_vector"]

Vectors = dict[str, npt.NDArray[np.float32]]


NAMES = (ROWS_FILE, VECTORS_FILE, RUN_FILE)
# The log of runs (absent from older evidence) and the sample of training texts (where known).
OPTIONAL_NAMES = (RUNS_FILE, TRAINING_SHINGLES_FILE)


@dataclass(frozen=True, eq=False)
class Evidence:
    """One run's evidence, as `read_evidence` checked it.

    `vectors` holds float32 tensors over the rows in order: `gold` [N, d] at raw norm,
    `reference_mean` [d], and a reconstruction [N, d] per condition, where rows whose text failed
    hold zeros; docs/reference/evidence.md lists what diagnostics add. `runs` is the log of runs and
    `shingles` the sample of training texts; each is None where there is none.
    """

    rows: tuple[EvidenceRow, ...]
    vectors: Vectors
    run: Run
    run_sha256: str
    runs: RunLog | None = None
    shingles: TrainingShingles | None = None

    @cached_property
    def documents(self) -> tuple[str, ...]:
        """The document of each row, in order."""
        return tuple(row.document for row in self.rows)

    @cached_property
    def places(self) -> Places:
        """The rank of each own activation among all rows' activations, by centred cosine."""
        vectors = self.vectors
        return own_places(vectors["real"], vectors["gold"], vectors["reference_mean"])

    @cached_property
    def plain_places(self) -> Places:
        """The same by plain cosine, as formats 1 and 2 of calibration.json use it."""
        return own_places(self.vectors["real"], self.vectors["gold"])

    def failed(
        self, condition: Condition | TextCondition | Literal["encoder_explanation"]
    ) -> npt.NDArray[np.bool_]:
        """[N] whether the condition had no text; texts from the data never fail."""
        match condition:
            case (
                "real"
                | "gibberish"
                | "word_shuffled"
                | "sentence_shuffled"
                | "paraphrase"
                | "encoder_explanation"
            ):
                statuses = [row.status for row in self.rows]
            case "shuffled":
                statuses = [row.shuffled_status for row in self.rows]
            case "random_vector":
                statuses = [row.random_vector.status for row in self.rows]
            case "zero_vector":
                statuses = [self.run.zero_vector.status] * len(self.rows)
            case _:
                statuses = ["ok"] * len(self.rows)
        return np.array([status != "ok" for status in statuses])


def first_with_text(rows: Sequence[EvidenceRow]) -> list[int]:
    """The position of the first row with a source text in each document that has one."""
    first: dict[str, int] = {}
    for position, row in enumerate(rows):
        if row.text is not None:
            first.setdefault(row.document, position)
    return list(first.values())


def longest_texts(rows: Sequence[EvidenceRow]) -> dict[str, int]:
    """The position of the row with the longest source text, by document."""
    longest: dict[str, int] = {}
    for position, row in enumerate(rows):
        if row.text:
            best = rows[longest.setdefault(row.document, position)]
            if (len(row.text), row.text) > (len(best.text or ""), best.text or ""):
                longest[row.document] = position
    return longest


def row_name(rows: Sequence[EvidenceRow], marked: npt.NDArray[np.bool_]) -> str:
    """The first row marked in `[N, ...]`, for a message."""
    position = int(np.argmax(marked.reshape(len(rows), -1).any(axis=1)))
    return f"row {position + 1} (id {rows[position].id!r})"


def evidence_files(folder: Path) -> list[str]:
    """The names of the evidence files that the folder holds."""
    return [*NAMES, *(name for name in OPTIONAL_NAMES if (folder / name).exists())]
