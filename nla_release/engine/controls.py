"""What every run asks of the pair: the activations, and controls that take the meaning out.

For the AR: another row's explanation, the empty explanation, and the labelled explanation where the
data has one. For the AV: a random direction and the zero vector, whose texts then go through the
same AR.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nla_release.contract.explanation import Explanation
from nla_release.diagnostics.model import Texts, text_or_none
from nla_release.engine.activations import Activations
from nla_release.engine.memory import Floats, Memory
from nla_release.evidence.parts import Evidence
from nla_release.evidence.records import EvidenceRow, Verbalization


@dataclass(frozen=True)
class RunExplanations:
    """What the AV said: for each activation `[N]`, for N random directions, for the zero vector."""

    real: list[Explanation]
    random: list[Explanation]
    zero: Explanation


def explain(memory: Memory, data: Activations, seed: int) -> RunExplanations:
    """Have the AV explain the activations and what stands in for them."""
    real = memory.say(data.vectors, "AV explains the activations")
    random = memory.say(_random_vectors(data, seed), "AV explains random directions")
    (zero,) = memory.say(_zero_vector(data), "AV explains the zero vector")
    return RunExplanations(real, random, zero)


def recall(memory: Memory, evidence: Evidence, data: Activations, seed: int) -> None:
    """Take over what the AV said in a run of the same inputs."""
    memory.recall_said(data.vectors, map(explanation, evidence.rows))
    random = (explanation(row.random_vector) for row in evidence.rows)
    memory.recall_said(_random_vectors(data, seed), random)
    memory.recall_said(_zero_vector(data), [explanation(evidence.run.zero_vector)])


def control_texts(
    said: RunExplanations, data: Activations, other: Sequence[int]
) -> dict[str, Texts]:
    """What the AR reads for each tensor of the evidence."""
    texts: dict[str, Texts] = {
        "real": text_or_none(said.real),
        "shuffled": text_or_none(said.real[row] for row in other),
        "random_vector": text_or_none(said.random),
        "zero_vector": text_or_none(said.zero for _ in said.real),
        "empty": ["" for _ in said.real],
    }
    if None not in data.explanations:
        texts["gold_text"] = list(data.explanations)
    return texts


def explanation(record: EvidenceRow | Verbalization) -> Explanation:
    """What evidence records of one output, as it was when the AV gave it."""
    return Explanation(record.explanation, record.status, record.raw)


def verbalization(said: Explanation) -> Verbalization:
    """One output, as evidence records it."""
    return Verbalization(explanation=said.text, status=said.status, raw=said.raw)


def _random_vectors(data: Activations, seed: int) -> Floats:
    generator = torch.Generator().manual_seed(seed)
    vectors: Floats = torch.randn(data.vectors.shape, generator=generator).numpy()
    return vectors


def _zero_vector(data: Activations) -> Floats:
    return np.zeros((1, data.vectors.shape[1]), np.float32)
