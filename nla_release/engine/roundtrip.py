"""The round trip: held-out activations through AV and AR, with controls, kept as evidence.

`controls` says what every run asks of the pair, each diagnostic what it asks in addition, `memory`
asks it once, and `checkpoint` keeps the answers until all of them are there.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nla_release.calibration.evidence_folder import check_replaceable, read_evidence, write_evidence
from nla_release.contract.sidecar import read_sidecar
from nla_release.diagnostics import registered
from nla_release.diagnostics.model import DiagnosticInputs, Plan
from nla_release.engine.activations import Activations, read_activations
from nla_release.engine.checkpoint import Checkpoint
from nla_release.engine.controls import (
    RunExplanations,
    control_texts,
    explain,
    recall,
    verbalization,
)
from nla_release.engine.diagnostic_run import DiagnosticAnswers, DiagnosticRun
from nla_release.engine.encoder import (
    Encoder,
    encoder_version,
    load_encoder,
    why_no_encoder,
)
from nla_release.engine.lookup import NearestLabels, look_up
from nla_release.engine.memory import Memory
from nla_release.engine.pair import Pair
from nla_release.engine.processes import device_here, is_main, main_first
from nla_release.engine.provenance import now, run_inputs
from nla_release.engine.recording import Recording
from nla_release.errors import NlaReleaseError
from nla_release.evidence.controls import SHUFFLE, other_rows
from nla_release.evidence.parts import Evidence
from nla_release.evidence.records import (
    EvidenceRow,
    ProbeName,
    RunFacts,
    TrainingOverlap,
)
from nla_release.evidence.reference import Reference, read_reference
from nla_release.evidence.training_documents import (
    TrainingShingles,
    merged_shingles,
    training_overlap,
)
from nla_release.release.config import ProbeChoice, chosen_probes
from nla_release.release.folder import ROLES, Release

PARTIAL_FOLDER_NAME = "evidence.partial"


def roundtrip(
    release: Release,
    *,
    device: str | None = None,
    fresh: bool = False,
    probes: Collection[ProbeChoice] = (),
) -> Evidence:
    """Measure the pair of a release and write its `evidence/`.

    An interrupted run continues. Several processes, as torchrun starts them, share the work. What
    evidence of the same inputs holds already is not measured
    again, and diagnostics that it has stay in it.

    Args:
        release: what to measure and how.
        device: torch device; CUDA when there is one, by default.
        fresh: measure from the beginning, whatever is there.
        probes: the diagnostics to run in addition to those that release.yaml names.

    Raises:
        InputError: the pair or the data cannot be used.
        PairError: the pair's parts do not belong together.
        ConfigError: release.yaml names another base than the pair was trained on, or evidence/
            holds something else.
        NothingCheckedError: there are no held-out activations.
        EnvironmentProblem: of several processes, one has ended.
    """
    check_replaceable(release.evidence)
    settings = release.config.evaluation
    sidecar = read_sidecar(release.adapter("av"), "av")
    for role in ROLES:
        release.check_base(role, read_sidecar(release.adapter(role), role).nla_release.base)
    data = read_activations(release.evaluation_data, sidecar.d_model, limit=settings.rows)
    reference = read_reference(release.reference, sidecar.d_model)
    training = _training(release, data)
    shingles = merged_shingles(release.training_shingles)
    nearest = look_up(release.training_rows, data.vectors, reference.mean)
    pair = Pair.from_pretrained(
        release.adapter("av"),
        release.adapter("ar"),
        base=release.base_path,
        quantization=settings.quantization,
        device=device_here(device),
        dtype=settings.dtype,
    )
    inputs = run_inputs(release, pair, data, reference)
    with main_first():
        work = Checkpoint(release.folder / PARTIAL_FOLDER_NAME, inputs, fresh=fresh and is_main())
        before = _begun_with(release, work, inputs, fresh=fresh)
        recording = Recording(release.evidence, work, inputs, data, before)
        work.document("started", lambda: before.run.started_at if before else now())
    given = RunData(data, reference, training, shingles, nearest)
    with recording.ending():
        return _measure(release, pair, work, inputs, before, recording, given, probes)


@dataclass(frozen=True)
class RunData:
    """What a run is about: held-out activations, and what is known of the training's."""

    data: Activations
    reference: Reference
    training: TrainingOverlap | None
    shingles: TrainingShingles | None
    nearest: NearestLabels | None


def _measure(
    release: Release,
    pair: Pair,
    work: Checkpoint,
    inputs: dict[str, Any],
    before: Evidence | None,
    recording: Recording,
    given: RunData,
    probes: Collection[ProbeChoice],
) -> Evidence:
    """Ask the pair what `before` does not answer, and write the evidence of a run."""
    settings, data, nearest = release.config.evaluation, given.data, given.nearest
    started_at = work.document("started", lambda: before.run.started_at if before else now())
    memory = Memory(pair, work, max_new_tokens=settings.max_new_tokens, batch=settings.batch_size)
    if before:
        recall(memory, before, data, settings.seed)
    said = explain(memory, data, settings.seed)
    other = other_rows(data.documents, settings.seed)
    texts = control_texts(said, data, other)
    if before:
        # By the pairs of rows of then: what was read is known by its text, wherever it stood.
        for tensor, column in control_texts(said, data, _paired_with(before)).items():
            memory.recall_read(column, before.vectors[tensor])
        if "lookup_table" in before.vectors:
            column = [row.texts["lookup_table"] for row in before.rows]
            memory.recall_read(column, before.vectors["lookup_table"])
    if nearest:
        texts["lookup_table"] = list(nearest.labels)
    memory.read((text for column in texts.values() for text in column), "AR reconstructs")

    recorded = [record.name for record in before.run.probes] if before else []
    # What asks nothing of the pair is in every run.
    free = [each.name for each in registered() if each.ask is None]
    wanted = chosen_probes([*settings.probes, *probes, *free, "contamination", *recorded])
    plans = _plans(release, wanted, DiagnosticInputs(data, said.real, other, settings.seed))
    answers = DiagnosticRun(plans, memory, work, data, _encoder(release, plans)).run(before)

    more = {
        "probes": answers.records,
        "training": given.training,
        "attempts": settings.attempts or (before.run.attempts if before else None),
        "layer": pair.av.extraction_layer_index,
        "shuffle": SHUFFLE,
        "lookup": nearest.record if nearest else None,
    }
    sample = given.shingles.sha256 if given.shingles else None
    if (
        before
        and before.run.schema_ == 2
        and before.run.run_id == recording.run
        and before.run.evaluation.available == data.available
        and before.run.shingles_sha256 == sample
        and all(getattr(before.run, k) == v for k, v in more.items())
    ):
        work.drop()
        return before
    rows = _rows(data, said, other, plans, answers, nearest)
    vectors = {
        "gold": data.vectors,
        "reference_mean": given.reference.mean,
        **{tensor: memory.vectors(column) for tensor, column in texts.items()},
        **answers.vectors,
    }
    known = {
        "schema": 2,
        "started_at": started_at,
        "finished_at": now(),
        "zero_vector": verbalization(said.zero),
        "run_id": recording.run,
    }
    facts = RunFacts.model_validate(inputs | known | more)
    with main_first():
        if not is_main():
            return read_evidence(release.evidence)
        evidence = write_evidence(
            release.evidence, rows, vectors, facts, shingles=given.shingles, log=recording.finished
        )
        work.drop()
        return evidence


def _paired_with(evidence: Evidence) -> list[int]:
    """For each row of evidence, the position of the row that its shuffled control is from."""
    position = {row.id: index for index, row in enumerate(evidence.rows)}
    return [position[row.shuffled_from] for row in evidence.rows]


def _training(release: Release, data: Activations) -> TrainingOverlap | None:
    """The evaluation against the training documents: by id, and by whole text where known."""
    if not release.training_documents:
        return None
    return training_overlap(
        release.training_documents,
        ids=data.ids,
        documents=data.documents,
        digests=data.document_digests,
    )


def _begun_with(
    release: Release, work: Checkpoint, inputs: dict[str, Any], *, fresh: bool
) -> Evidence | None:
    """The evidence that this run adds to: there when it began, whole, and of the same inputs."""
    try:
        found = read_evidence(release.evidence)
    except NlaReleaseError:
        found = None
    if found:
        run = found.run.model_dump(mode="json", by_alias=True)
        run["evaluation"]["available"] = inputs["evaluation"]["available"]  # once not recorded
        if fresh or any(run[name] != value for name, value in inputs.items()):
            found = None
    begun_with = work.document("begun_with", lambda: found.run_sha256 if found else None)
    return found if found and found.run_sha256 == begun_with else None


def _plans(
    release: Release, names: Sequence[ProbeName], inputs: DiagnosticInputs
) -> dict[ProbeName, Plan]:
    """What each diagnostic asks for; those that follow from the base run ask for nothing."""
    settings = release.config.evaluation
    if reason := why_no_encoder(settings.encoder):
        inputs = replace(inputs, no_encoder=reason)
    elif settings.encoder and "text-retrieval" in names:
        inputs = replace(inputs, encoder=encoder_version(settings.encoder, release.folder))
    asking = {each.name: each.ask for each in registered()}
    plans = {name: ask(inputs) if (ask := asking.get(name)) else Plan() for name in names}
    if "contamination" in names and not release.training_documents:
        plans["contamination"] = Plan(skipped="release.yaml names no list of training documents")
    return plans


def _encoder(release: Release, plans: dict[ProbeName, Plan]) -> Encoder | None:
    name = release.config.evaluation.encoder
    if name is None or not any(it.encoded for it in plans.values()):
        return None
    return load_encoder(name, release.folder)


def _rows(
    data: Activations,
    said: RunExplanations,
    other: Sequence[int],
    plans: dict[ProbeName, Plan],
    answers: DiagnosticAnswers,
    nearest: NearestLabels | None,
) -> list[EvidenceRow]:
    texts = {name: column for it in plans.values() for name, column in it.row_texts.items()}
    if nearest:
        texts["lookup_table"] = nearest.labels
    (claims,) = [it.claims for it in plans.values() if it.claims] or [[[] for _ in data.ids]]
    return [
        EvidenceRow(
            id=data.ids[index],
            document=data.documents[index],
            text=data.texts[index],
            explanation=real.text,
            status=real.status,
            raw=real.raw,
            gold=data.explanations[index],
            shuffled_from=data.ids[other[index]],
            shuffled_status=said.real[other[index]].status,
            random_vector=verbalization(said.random[index]),
            texts={name: column[index] for name, column in texts.items()},
            spoken={name: verbalization(it[index]) for name, it in answers.spoken.items()},
            claims=claims[index],
        )
        for index, real in enumerate(said.real)
    ]
