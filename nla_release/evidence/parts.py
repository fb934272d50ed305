"""The parts of one run's evidence, read from its three files."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from nla_release.evidence.records import Row, Run, TextCondition
from nla_release.evidence.runs import NAME as RUNS_NAME
from nla_release.evidence.runs import RunLog
from nla_release.evidence.shingles import FILE_NAME as SHINGLES_NAME
from nla_release.evidence.shingles import TrainingShingles
from nla_release.evidence.vectors import Condition, Vectors
from nla_release.statistics.places import Places, own_places

ROWS_NAME = "rows.jsonl"
VECTORS_NAME = "vectors.safetensors"
RUN_NAME = "run.json"
NAMES = (ROWS_NAME, VECTORS_NAME, RUN_NAME)
# What evidence has since runs are recorded, and where the training texts are known.
OPTIONAL_NAMES = (RUNS_NAME, SHINGLES_NAME)


@dataclass(frozen=True, eq=False)
class Evidence:
    """One run's evidence, as `read_evidence` found it to be whole.

    `vectors` holds float32 tensors over the rows in order: `gold` [N, d] at raw norm,
    `reference_mean` [d], and a reconstruction [N, d] per condition, where rows whose text failed
    hold zeros; docs/reference/evidence.md has what diagnostics add. `runs` is the log of runs and
    `shingles` what the training texts leave, None where there is none.
    """

    rows: tuple[Row, ...]
    vectors: Vectors
    run: Run
    run_sha256: str
    runs: RunLog | None = None
    shingles: TrainingShingles | None = None

    @cached_property
    def documents(self) -> tuple[str, ...]:
        """The document of every row, in order."""
        return tuple(row.document for row in self.rows)

    @cached_property
    def places(self) -> Places:
        """Each reconstruction among the activations of all rows, by centred cosine."""
        vectors = self.vectors
        return own_places(vectors["real"], vectors["gold"], vectors["reference_mean"])

    @cached_property
    def plain_places(self) -> Places:
        """The same by plain cosine, as before format 3 of calibration.json."""
        return own_places(self.vectors["real"], self.vectors["gold"])

    def failed(
        self, condition: Condition | TextCondition | Literal["encoder_explanation"]
    ) -> npt.NDArray[np.bool_]:
        """[N] whether the condition had no text to reconstruct from; given texts never fail."""
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


def evidence_files(folder: Path) -> list[str]:
    """The names of the files that a folder of evidence holds and that belong to it."""
    return [*NAMES, *(name for name in OPTIONAL_NAMES if (folder / name).exists())]
