"""Run the plans of diagnostics, in order, and record what each one costs.

Answers in evidence of the same inputs are reused. The cost of the rest is announced first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from nla_release.contract.explanation import Explanation
from nla_release.diagnostics.model import Plan, Texts
from nla_release.engine.activations import Activations
from nla_release.engine.checkpoint import Checkpoint
from nla_release.engine.controls import explanation
from nla_release.engine.encoder import Encoder
from nla_release.engine.memory import Floats, Memory, in_pieces
from nla_release.evidence.parts import Evidence
from nla_release.evidence.records import ProbeName, ProbeRecord, Setting, VectorCondition
from nla_release.io.files import dump_json, sha256_bytes
from nla_release.io.log import log

_TEXTS_PER_PIECE = 256


@dataclass(frozen=True)
class DiagnosticAnswers:
    """A record of each diagnostic, the explanations at other scales, and the tensors."""

    records: list[ProbeRecord] = field(default_factory=list)
    spoken: dict[VectorCondition, list[Explanation]] = field(default_factory=dict)
    vectors: dict[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class DiagnosticRun:
    """Plans of diagnostics on one pair and its data.

    Attributes:
        plans: by diagnostic, in the order in which they run.
        memory: the pair, after the base run.
        work: where pieces are kept.
        data: the held-out activations.
        encoder: embeds texts, for the plans that need it.
    """

    plans: Mapping[ProbeName, Plan]
    memory: Memory
    work: Checkpoint
    data: Activations
    encoder: Encoder | None

    def run(self, before: Evidence | None) -> DiagnosticAnswers:
        """Measure what `before`, evidence of the same inputs, does not have."""
        kept = self._recall(before) if before else {}
        costs = self._costs()
        answers = DiagnosticAnswers()
        paid = self.work.seconds
        self._announce(costs)
        for name, plan in self.plans.items():
            vectors, texts = costs[name]
            for condition, factor in plan.scales.items():
                title = f"diagnostic {name}: AV explains"
                said = self.memory.say(self.data.vectors, title, factor=factor)
                answers.spoken[condition] = said
            self.memory.read(plan.read, f"diagnostic {name}: AR reconstructs")
            for tensor, column in plan.texts.items():
                answers.vectors[tensor] = self.memory.vectors(column)
            for tensor, column in plan.encoded.items():
                answers.vectors[tensor] = (
                    before.vectors[tensor]
                    if before and name in kept
                    else self._encode(column, plan.settings)
                )
            record = ProbeRecord(
                name=name,
                settings=plan.settings,
                av_vectors=vectors,
                ar_texts=texts,
                seconds=round(self.work.seconds - paid, 3),
                skipped=plan.skipped,
            )
            paid = self.work.seconds
            answers.records.append(kept.get(name, record))
        return answers

    def _recall(self, before: Evidence) -> dict[ProbeName, ProbeRecord]:
        """The records of `before` whose plan is the same now; their answers are put into memory."""
        records = {record.name: record for record in before.run.probes if not record.skipped}
        kept = {
            name: records[name]
            for name, plan in self.plans.items()
            if name in records and records[name].settings == plan.settings and _left(plan, before)
        }
        for name in kept:
            plan = self.plans[name]
            for condition, factor in plan.scales.items():
                said = (explanation(row.spoken[condition]) for row in before.rows)
                self.memory.recall_said(self.data.vectors, said, factor=factor)
            for tensor, column in plan.texts.items():
                self.memory.recall_read(column, before.vectors[tensor])
        return kept

    def _costs(self) -> dict[ProbeName, tuple[int, int]]:
        """How many AV vectors and AR texts each plan needs that no earlier plan has asked for."""
        costs, asked = {}, set[str]()
        for name, plan in self.plans.items():
            unsaid = (
                self.memory.unsaid(self.data.vectors, factor=factor)
                for factor in plan.scales.values()
            )
            texts = set(self.memory.unread(plan.read)) - asked
            costs[name] = sum(map(len, unsaid)), len(texts)
            asked |= texts
        return costs

    def _announce(self, costs: Mapping[ProbeName, tuple[int, int]]) -> None:
        """Log cost and expected time; where the speed is unknown, the first pieces measure it."""
        vectors, texts = map(sum, zip(*costs.values(), strict=True))
        if not vectors and not texts:
            return
        if self.memory.time_for(vectors, texts) is None:
            self.memory.first_pieces(
                self.data.vectors,
                factors=[it for plan in self.plans.values() for it in plan.scales.values()],
                texts=[plan.read for plan in self.plans.values()],
            )
        seconds = self.memory.time_for(vectors, texts) or 0.0
        log.info(
            f"diagnostics: {vectors} AV vectors, {texts} AR texts more;"
            f" about {max(seconds, 1):.0f} s on this device"
        )

    def _encode(self, column: Texts, encoder: Mapping[str, Setting]) -> Floats:
        """The column's embeddings `[N, e]`; zeros where there is no text."""
        embedding = self.encoder
        assert embedding is not None
        texts = sorted({text for text in column if text is not None})
        embedded: dict[str, Floats] = {}

        def embed(piece: Sequence[str]) -> None:
            asked = sha256_bytes(dump_json([encoder, *piece]).encode())
            found = self.work.tensor(f"encoder-{asked[:32]}", partial(embedding, piece))
            embedded.update(zip(piece, found.numpy(), strict=True))

        in_pieces(texts, _TEXTS_PER_PIECE, embed, f"{encoder['encoder']} embeds", "texts")
        nothing = np.zeros_like(next(iter(embedded.values())))
        return np.stack([nothing if text is None else embedded[text] for text in column])


def _left(plan: Plan, before: Evidence) -> bool:
    """Whether evidence has the answers to exactly this plan."""
    tensors = {**plan.texts, **plan.encoded}
    return (
        all(len(before.vectors.get(name, ())) == len(column) for name, column in tensors.items())
        and all(
            [row.texts.get(name) for row in before.rows] == column
            for name, column in plan.row_texts.items()
        )
        and all(condition in before.rows[0].spoken for condition in plan.scales)
        and plan.claims in (None, [row.claims for row in before.rows])
    )
