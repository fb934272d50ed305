"""The parts of one run's evidence, read from its three files."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from nla_release.calibration.records import Row, Run, TextCondition
from nla_release.calibration.vectors import Condition, Vectors

ROWS_NAME = "rows.jsonl"
VECTORS_NAME = "vectors.safetensors"
RUN_NAME = "run.json"
NAMES = (ROWS_NAME, VECTORS_NAME, RUN_NAME)


@dataclass(frozen=True, eq=False)
class Evidence:
    """One run's evidence, as `read_evidence` found it to be whole.

    `vectors` holds float32 tensors over the rows in order: `gold` [N, d] at raw norm,
    `reference_mean` [d], and a reconstruction [N, d] per condition, where rows whose text failed
    hold zeros. What diagnostics add is in `docs/evidence.md`.
    """

    rows: tuple[Row, ...]
    vectors: Vectors
    run: Run
    run_sha256: str

    @property
    def documents(self) -> list[str]:
        """The document of every row, in order."""
        return [row.document for row in self.rows]

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
