"""Synthetic inputs that tests share: whole and valid, for a test to break one thing of."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from nla_release.calibration.evidence_folder import write_evidence
from nla_release.contract.explanation import Status, wrap
from nla_release.evidence.parts import Evidence, first_with_text
from nla_release.evidence.records import (
    EvidenceRow,
    ProbeName,
    ProbeRecord,
    RunFacts,
    Verbalization,
)
from nla_release.evidence.runs import Ended, Headline, MeasuredCount, RunLog, Started
from nla_release.evidence.training_documents import ShinglesBuilder, TrainingShingles

RAW_FAILURES: dict[Status, str] = {
    "empty": wrap(""),
    "truncated": "<explanation>the word that never",
    "unparsed": "once upon a time",
}


_OF_NO_ROW = " ".join(f"elsewhere{at}" for at in range(30))


class EvidenceParts(NamedTuple):
    """The arguments of `write_evidence` after the folder."""

    rows: list[EvidenceRow]
    vectors: dict[str, np.ndarray]
    run: RunFacts


def source_text(position: int, documents: int = 10) -> str:
    """The source text of a row: the beginning of its document, which shares few words with others.

    It is long enough to be compared with training texts. The k-th rows of all documents end in the
    same word.
    """
    document, before = position % documents, position // documents
    words = [f"w{at}x{document}" for at in range(15)]
    words += [word for at in range(before + 1) for word in (f"v{at}x{document}", f"end{at}")]
    return f"A text about topic{document}: {' '.join(words)}"


def training_shingles(*texts: str, labels: Collection[str] = ("a label",)) -> TrainingShingles:
    """What training texts leave; of one that no row has, by default."""
    builder = ShinglesBuilder()
    for text in texts or (_OF_NO_ROW,):
        builder.add_document(text)
    for label in labels:
        builder.add_label(label)
    sample = builder.build()
    assert sample is not None
    return sample


def recorded(run: RunFacts) -> dict[str, Any]:
    """The options of `write_evidence` that leave a log with the run that run.json names.

    The log's hashes are those of the evidence; the rest is made up.
    """
    assert run.run_id is not None
    started = Started(
        run=run.run_id,
        time=run.started_at,
        tool_version=run.tool_version,
        base=f"{run.base.id}@{run.base.revision}",
        inputs={
            "data": run.evaluation.sha256,
            "reference": run.reference.sha256,
            **run.files,
        },
        rows=MeasuredCount(asked=run.evaluation.rows, available=run.evaluation.available),
        documents=MeasuredCount(asked=run.evaluation.documents, available=run.evaluation.documents),
        seed=run.seed,
        settings={},
    )

    def log(evidence: Evidence) -> RunLog:
        found = evidence.run
        ended = Ended(
            event="finished",
            run=run.run_id,
            time=run.finished_at,
            rows_sha256=found.rows_sha256,
            vectors_sha256=found.vectors_sha256,
            headline=Headline(cosine=0.5, label="row-level"),
        )
        return RunLog((started, ended))

    return {"log": log}


def verbalization(text: str, status: Status = "ok") -> Verbalization:
    """What the AV said, with a raw output that fits the status."""
    if status == "ok":
        return Verbalization(explanation=text, status=status, raw=wrap(text))
    return Verbalization(explanation="", status=status, raw=RAW_FAILURES[status])


def evidence_parts(
    *,
    rows: int = 40,
    documents: int = 10,
    width: int = 16,
    noise: float = 0.5,
    reads: Literal["row", "document", "token"] = "row",
    collapsed: bool = False,
    failed: Mapping[int, Status] | None = None,
    gold_text: bool = True,
    seed: int = 0,
    probes: Collection[ProbeName] = (),
) -> EvidenceParts:
    """Evidence of a pair on random activations with a large shared mean.

    Half of what an activation has beyond the mean is its document's, half its own. The rows of a
    document end in different words, and those of different documents in the same ones, so that
    without noise the pair is row-level.

    Args:
        rows: activations, dealt to the documents in turn.
        documents: how many documents they come from.
        width: d of the vectors.
        noise: norm of the reconstruction's error over that of the activation; 0 is perfect.
        reads: the part of an activation that its reconstruction keeps. What is not its document's
            stands for the token.
        collapsed: the AV says the same of everything, and so the AR makes one vector of everything.
        failed: status by row position, for rows without an explanation.
        gold_text: whether the data has gold explanations.
        seed: of the random vectors.
        probes: what ran besides; every text of a probe is read as the explanation with more error.
    """
    random = np.random.default_rng(seed)
    failed = failed or {}
    shared = 0.9 * _unit(random.normal(size=width))
    document = np.arange(rows) % documents
    told = _unit(random.normal(size=(documents, width)))[document]
    own = _unit(random.normal(size=(rows, width)))
    units = _unit(shared + _unit(told + own))
    kept = {"row": units, "document": _unit(shared + told), "token": _unit(shared + own)}[reads]
    mean = units.mean(axis=0).astype(np.float32)
    gold = units * random.uniform(20, 60, size=(rows, 1))

    def reconstruct(error: float) -> np.ndarray:
        return kept + error * _unit(random.normal(size=(rows, width)))

    spoken = [
        verbalization(
            "a word in a text" if collapsed else f"word {i} in a text about topic{i % documents}",
            failed.get(i, "ok"),
        )
        for i in range(rows)
    ]
    real = np.tile(mean, (rows, 1)) if collapsed else reconstruct(noise)
    real[[status.status != "ok" for status in spoken]] = 0
    sources = [_row_of_another_document(i, rows, documents) for i in range(rows)]
    vectors = {
        "gold": gold,
        "reference_mean": mean,
        "real": real,
        "shuffled": real[sources],
        "empty": np.tile(shared, (rows, 1)),
        "random_vector": np.tile(mean, (rows, 1)) if collapsed else reconstruct(3),
        "zero_vector": np.tile(mean, (rows, 1)),
    }
    if gold_text:
        vectors["gold_text"] = reconstruct(noise / 2)
    parts = EvidenceParts(
        rows=[
            EvidenceRow(
                id=f"r{i}",
                document=f"d{i % documents}",
                text=source_text(i, documents),
                **spoken[i].model_dump(),
                gold=f"gold {i}" if gold_text else None,
                shuffled_from=f"r{sources[i]}",
                shuffled_status=spoken[sources[i]].status,
                random_vector=verbalization("a word in a text" if collapsed else f"noise {i}"),
            )
            for i in range(rows)
        ],
        vectors={name: values.astype(np.float32) for name, values in vectors.items()},
        run=run_facts(
            rows=rows,
            documents=min(rows, documents),
            variance=1 - float(mean.astype(np.float64) @ mean.astype(np.float64)),
        ),
    )
    return _probed(parts, probes, random)


def _probed(
    parts: EvidenceParts, probes: Collection[ProbeName], random: np.random.Generator
) -> EvidenceParts:
    """The evidence, with what the probes would have left."""
    real, gold = parts.vectors["real"], _unit(parts.vectors["gold"])

    def read(like: np.ndarray, error: float) -> np.ndarray:
        norms = np.linalg.norm(like, axis=1, keepdims=True)
        return (like + error * norms * _unit(random.normal(size=like.shape))).astype(np.float32)

    derived = {"text-controls": ("gibberish", "word_shuffled")}
    derived["paraphrase"] = ("sentence_shuffled", "paraphrase")
    names = [name for probe in derived if probe in probes for name in derived[probe]]
    scales = ("half_scale", "double_scale") if "injection" in probes else ()
    rows, vectors = [], dict(parts.vectors) | {name: read(real, 0.5) for name in names}
    for row in parts.rows:
        texts = {name: f"{name} {row.id}" if row.status == "ok" else "" for name in names}
        if "text-controls" in probes:
            texts["source_text"] = row.text
        claims = [f"{row.explanation},", "and more"] if row.status == "ok" else []
        rows.append(
            row.model_copy(
                update={
                    "texts": texts,
                    "spoken": {name: verbalization(f"{name} of a word") for name in scales},
                    "claims": claims if "claims" in probes else [],
                }
            )
        )
    if "text-controls" in probes:
        vectors["source_text"] = read(gold, 0.5)
    if "claims" in probes:
        without = real.repeat([len(row.claims) for row in rows], axis=0)
        vectors |= {"claims_joined": real[[bool(row.claims) for row in rows]]}
        vectors |= {"claims_without": read(without, 0.3)}
        vectors |= {"claims_with_unrelated": read(without, 0.2)}
    if "discrimination" in probes:
        factual = gold[first_with_text(rows)]
        vectors |= {"discrimination_factual": read(factual, 0.5)}
        vectors |= {"discrimination_gibberish": read(factual, 2)}
    if "text-retrieval" in probes:
        vectors |= {"encoder_source": gold, "encoder_explanation": read(real, 0.5)}
    run = parts.run.model_copy(update={"probes": [ProbeRecord(name=name) for name in probes]})
    return EvidenceParts(rows, vectors, run)


def make_evidence(folder: Path, **options: Any) -> Evidence:
    """Write `evidence_parts(**options)` to a folder and read it back."""
    return write_evidence(folder, *evidence_parts(**options))


def run_facts(*, rows: int, documents: int, variance: float) -> RunFacts:
    """A run's facts; hashes are made up."""
    pair_files = {
        "av": ("adapter_config.json", "adapter_model.safetensors", "nla_meta.yaml"),
        "ar": (
            "adapter_config.json",
            "adapter_model.safetensors",
            "nla_meta.yaml",
            "value_head.safetensors",
        ),
    }
    return RunFacts.model_validate(
        {
            "schema": 2,
            "tool_version": "0.1.0",
            "started_at": "2026-11-22T10:00:00Z",
            "finished_at": "2026-11-22T10:05:00Z",
            "base": {"id": "someone/tiny", "revision": "0" * 40},
            "tokenizer_sha256": "1" * 64,
            "files": {
                f"{role}/{name}": "2" * 64 for role in pair_files for name in pair_files[role]
            },
            "evaluation": {"sha256": "3" * 64, "rows": rows, "documents": documents},
            "reference": {"sha256": "4" * 64, "rows": 1000, "variance": min(max(variance, 0), 1)},
            "precision": {"quantization": None, "dtype": "float32"},
            "injection": {"site": "embedding", "op": "replace", "scale": 39.25},
            "decoding": {"greedy": True, "max_new_tokens": 200, "batch_size": 16},
            "seed": 0,
            "zero_vector": verbalization("a word in a text").model_dump(),
            "device": "cpu",
            "libraries": {"torch": "2.13.0"},
        }
    )


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _row_of_another_document(position: int, rows: int, documents: int) -> int:
    others = ((position + step) % rows for step in range(1, rows))
    return next(
        (other for other in others if other % documents != position % documents),
        (position + 1) % rows,
    )
