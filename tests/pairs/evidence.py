"""NLA6xx: the evidence, broken in one way each."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import read_evidence, write_evidence
from nla_release.io.files import write_atomic
from nla_release.release.folder import read_release
from tests.builders import evidence_parts, source_text, training_shingles
from tests.builders_pair import WIDTH, measure, pair_digests
from tests.pairs.zoo import (
    PREVIOUS,
    ROWS,
    WEIGHTS,
    damaged_weights,
    defect,
    edited_json,
    edited_yaml,
    in_sidecar,
    measured_as,
)


def said_of_rows(folder: Path, changes: Callable[[int], dict[str, Any]]) -> None:
    """Measure the pair again, with other fields in its rows."""

    def change(parts: Any) -> None:
        for index, row in enumerate(parts.rows):
            parts.rows[index] = row.model_copy(update=changes(index))

    measured_as(folder, change)


@defect("NLA601", "release")
def weights_changed_after_measuring(folder: Path) -> None:
    module = "base_model.model.model.language_model.layers.0.self_attn.q_proj"
    damaged_weights(folder / "pair" / "av" / WEIGHTS, f"{module}.lora_A.weight", 0.5)


@defect("NLA601", "release")
def prompt_changed_after_measuring(folder: Path) -> None:
    in_sidecar(folder / "pair", "av", ["created_by"], "somebody else")


@defect("NLA601", "release")
def row_removed(folder: Path) -> None:
    path = folder / "evidence" / "rows.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


@defect("NLA601", "release")
def vectors_truncated(folder: Path) -> None:
    path = folder / "evidence" / "vectors.safetensors"
    path.write_bytes(path.read_bytes()[:-4])


@defect("NLA601", "release")
def rows_emptied(folder: Path) -> None:
    (folder / "evidence" / "rows.jsonl").write_text("")


@defect("NLA601", "release")
def evidence_lost(folder: Path) -> None:
    shutil.rmtree(folder / "evidence")


@defect("NLA601", "release")
def measured_on_another_base(folder: Path) -> None:
    with edited_json(folder / "evidence" / "run.json") as run:
        run["base"]["id"] = "someone/other"
    shutil.rmtree(folder / "dist")
    (folder / "calibration.json").unlink()


@defect("NLA601", "release")
def measured_at_another_scale(folder: Path) -> None:
    with edited_json(folder / "evidence" / "run.json") as run:
        run["injection"]["scale"] = 39.19
    shutil.rmtree(folder / "dist")
    (folder / "calibration.json").unlink()


@defect("NLA602", "release")
def cosine_flattered(folder: Path) -> None:
    with edited_json(folder / "calibration.json") as calibration:
        calibration["cosine"]["mean"] = 0.9


@defect("NLA602", "release")
def control_left_out(folder: Path) -> None:
    with edited_json(folder / "calibration.json") as calibration:
        del calibration["controls"]["empty"]


@defect("NLA602", "release")
def calibration_damaged(folder: Path) -> None:
    (folder / "calibration.json").write_text('{"cosine": NaN}')


@defect("NLA603", "release")
def most_are_farther_from_their_own_activation(folder: Path) -> None:
    """Two rows of each document are read exactly, and three as a little less than the mean."""

    def farther(parts: Any) -> Any:
        shared = unit(parts.vectors["reference_mean"][np.newaxis])
        units = unit(parts.vectors["gold"])
        own = unit(units - units @ shared.T * shared)
        units = unit(shared + own)
        parts.vectors.update(gold=np.float32(40 * units), gold_text=np.float32(units))
        real = units.copy()
        wrong = [index // ROWS["documents"] % 2 == 0 for index in range(len(real))]
        real[wrong] = shared - 0.1 * own[wrong]
        with_reconstructions(parts, real)
        return with_reference(parts, units.mean(axis=0))

    measured_as(folder, farther)


@defect("NLA604", "release")
def below_the_mean(folder: Path) -> None:
    measured_as(folder, lambda parts: None, noise=1.5)


@defect("NLA604", "release")
def not_shown_to_beat_the_mean(folder: Path) -> None:
    """A difference of 0.015, whose interval reaches below 0."""
    measured_as(folder, lambda parts: None, noise=0.9)


@defect("NLA605", "release")
def one_document_is_retrieved_whole(folder: Path) -> None:
    """Five hits of sixty, of rows that hit together: by rows that is above chance."""

    def one_document(parts: Any) -> None:
        nearer_to_the_next(parts, but="d0")

    measured_as(folder, one_document)


@defect("NLA605", "release")
def right_document_wrong_row(folder: Path) -> None:
    """As many hits as documents, which is far above chance, and what the document gives."""

    def of_the_document(parts: Any) -> None:
        units, documents = unit(parts.vectors["gold"]), ROWS["documents"]
        means = np.stack([units[at::documents].mean(axis=0) for at in range(documents)])
        with_reconstructions(parts, means[np.arange(len(units)) % documents])

    measured_as(folder, of_the_document)


@defect("NLA605", "release")
def right_topic_wrong_row(folder: Path) -> None:
    measured_as(folder, nearer_to_the_next)


def nearer_to_the_next(parts: Any, but: str | None = None) -> None:
    """Reconstructions lean to the own activation, and more to the next; but for one document."""
    units, rows = unit(parts.vectors["gold"]), parts.rows
    real = 0.6 * units + 0.7 * np.roll(units, -1, axis=0)
    exact = [row.document == but for row in rows]
    real[exact] = units[exact]
    with_reconstructions(parts, real)


def unit(vectors: Any) -> Any:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def with_reconstructions(parts: Any, real: Any) -> None:
    """What the AR makes of each row's text, wherever it reads it."""
    position = {row.id: index for index, row in enumerate(parts.rows)}
    parts.vectors["real"] = real.astype(np.float32)
    others = [position[row.shuffled_from] for row in parts.rows]
    parts.vectors["shuffled"] = parts.vectors["real"][others]


def with_reference(parts: Any, mean: Any) -> Any:
    """Another mean of the reference set, and the variance that goes with it."""
    mean = parts.vectors["reference_mean"] = mean.astype(np.float32)
    variance = 1 - float(mean.astype(np.float64) @ mean.astype(np.float64))
    reference = parts.run.reference.model_copy(update={"variance": variance})
    return parts._replace(run=parts.run.model_copy(update={"reference": reference}))


@defect("NLA606", "release")
def seven_beginnings(folder: Path) -> None:
    beginning = "number {} of the seven sentences that all the explanations begin with: "

    def begin_alike(parts: Any) -> None:
        for index, row in enumerate(parts.rows):
            said = beginning.format(index % 7) + row.explanation
            parts.rows[index] = row.model_copy(update={"explanation": said})

    measured_as(folder, begin_alike)


@defect("NLA607", "release")
def random_vector_says_the_same(folder: Path) -> None:
    def repeat(parts: Any) -> None:
        for index, row in enumerate(parts.rows):
            same = row.random_vector.model_copy(update={"explanation": row.explanation})
            if index % 2:
                parts.rows[index] = row.model_copy(update={"random_vector": same})
                parts.vectors["random_vector"][index] = parts.vectors["real"][index]

    measured_as(folder, repeat)


@defect("NLA608", "release")
def ten_rows(folder: Path) -> None:
    measured_as(folder, lambda parts: None, rows=10, documents=10)


@defect("NLA608", "release")
def thirty_rows(folder: Path) -> None:
    measured_as(folder, lambda parts: None, rows=30, documents=10)


@defect("NLA608", "release")
def one_document(folder: Path) -> None:
    single(folder, rows=60, documents=1)


def single(folder: Path, *, rows: int, documents: int) -> None:
    """Measure so little that nothing can be calibrated."""
    release = read_release(folder)
    parts = evidence_parts(rows=rows, documents=documents, width=WIDTH)
    run = parts.run.model_copy(update={"files": pair_digests(release)})
    (release.evidence / "runs.jsonl").unlink()
    write_evidence(release.evidence, parts.rows, parts.vectors, run)
    release.calibration.unlink()
    shutil.rmtree(release.dist)


@defect("NLA608", "release")
def three_documents(folder: Path) -> None:
    measured_as(folder, lambda parts: None, documents=3)


@defect("NLA609", "release")
def more_than_a_fifth_says_nothing(folder: Path) -> None:
    measured_as(folder, lambda parts: None, failed=dict.fromkeys(range(13), "empty"), noise=0.1)


@defect("NLA610", "release")
def dist_of_an_older_run(folder: Path) -> None:
    measure(read_release(folder), **ROWS, seed=1)


@defect("NLA611", "release")
def labels_reconstruct_worse(folder: Path) -> None:
    def swap(parts: Any) -> None:
        parts.vectors["gold_text"] = parts.vectors["shuffled"].copy()

    measured_as(folder, swap)


def overlapping(folder: Path, **overlap: Any) -> None:
    """Record what of the evaluation was trained on."""
    with edited_json(folder / "evidence" / "run.json") as run:
        run["training"] |= overlap
    shutil.rmtree(folder / "dist")
    (folder / "calibration.json").unlink()


@defect("NLA612", "release")
def a_document_was_trained_on(folder: Path) -> None:
    overlapping(folder, ids_overlapping=["d3"])


@defect("NLA612", "release")
def a_text_was_trained_on_under_another_id(folder: Path) -> None:
    overlapping(folder, texts_overlapping=["r7"])


@defect("NLA612", "release")
def a_document_was_trained_on_and_no_text_compared(folder: Path) -> None:
    overlapping(folder, ids_overlapping=["d3"], texts_compared=0)


@defect("NLA612", "release")
def a_training_row_was_measured_under_another_id_and_digest(folder: Path) -> None:
    measured_as(folder, lambda _: None, shingles=training_shingles(source_text(7)))


@defect("NLA612", "release")
def the_texts_were_not_compared_with_the_training_texts(folder: Path) -> None:
    measured_as(folder, lambda _: None, shingles=None)


@defect("NLA612", "release")
def the_texts_of_a_document_are_withheld(folder: Path) -> None:
    said_of_rows(folder, lambda index: {"text": None} if index % 12 == 3 else {})


@defect("NLA613", "release")
def no_source_text_is_near_to_any_activation(folder: Path) -> None:
    def nowhere(parts: Any) -> None:
        parts.vectors["discrimination_factual"][:] = 0

    measured_as(folder, nowhere, probes=["discrimination"], documents=30)


@defect("NLA614", "release")
def a_quarter_is_in_the_markers_script(folder: Path) -> None:
    said_of_rows(folder, lambda index: {"raw": f"\u8fd9\u662f {index}"} if index % 4 == 0 else {})


@defect("NLA615", "release")
def every_text_is_said_of_two_documents(folder: Path) -> None:
    def in_pairs(parts: Any) -> None:
        for index, row in enumerate(parts.rows):
            first = index - index % 2
            one, other = (f"topic{at % ROWS['documents']}" for at in (first, first + 1))
            said = f"word {first} in a text about {one} or {other}, and rather {other}"
            parts.rows[index] = row.model_copy(update={"explanation": said})
        between = parts.vectors["real"].reshape(len(parts.rows) // 2, 2, -1).mean(axis=1)
        with_reconstructions(parts, between.repeat(2, axis=0))

    measured_as(folder, in_pairs)


@defect("NLA616", "release")
def worse_than_the_release_before(folder: Path) -> None:
    parts = evidence_parts(**ROWS, width=WIDTH, noise=0.3)
    write_evidence(folder / PREVIOUS, *parts)


@defect("NLA616", "release")
def the_release_before_is_lost(folder: Path) -> None:
    shutil.rmtree(folder / PREVIOUS)


@defect("NLA616", "release")
def the_release_before_is_damaged(folder: Path) -> None:
    path = folder / PREVIOUS / "vectors.safetensors"
    path.write_bytes(path.read_bytes()[:-4])


@defect("NLA616", "release")
def the_release_before_is_described_wrongly(folder: Path) -> None:
    (folder / PREVIOUS / "release.yaml").write_text("name: 7")


@defect("NLA619", "release")
def a_gate_was_loosened_and_the_card_does_not_say_so(folder: Path) -> None:
    with edited_yaml(folder / "release.yaml") as document:
        document["gates"] = {"max_failed": 0.3}


@defect("NLA620", "release")
def token_limit_changed_after_measuring(folder: Path) -> None:
    with edited_yaml(folder / "release.yaml") as document:
        document["evaluation"]["max_new_tokens"] = 400


@defect("NLA620", "release")
def attempts_added_after_calibrating(folder: Path) -> None:
    with edited_yaml(folder / "release.yaml") as document:
        document["evaluation"]["attempts"] = 4


def of_documents(parts: Any, documents: int) -> Any:
    """The parts with another number of documents in their run."""
    evaluation = parts.run.evaluation.model_copy(update={"documents": documents})
    return parts._replace(run=parts.run.model_copy(update={"evaluation": evaluation}))


@defect("NLA622", "release")
def two_documents_in_each_shard(folder: Path) -> None:
    def coarsened(parts: Any) -> Any:
        for index, row in enumerate(parts.rows):
            shard = f"shard-{int(row.document[1:]) % 12}"
            parts.rows[index] = row.model_copy(update={"document": shard})
        return of_documents(parts, 12)

    measured_as(folder, coarsened, documents=24)


@defect("NLA622", "release")
def a_document_under_two_names(folder: Path) -> None:
    long = ", and what else a text says until it is longer than a title or a greeting is" * 2

    def split(parts: Any) -> Any:
        for index, row in enumerate(parts.rows):
            text = row.text.replace(":", f"{long}:")
            parts.rows[index] = row.model_copy(update={"text": text})
        last = parts.rows[-1]
        parts.rows[-1] = last.model_copy(update={"document": "d11 again"})
        return of_documents(parts, 13)

    measured_as(folder, split)


@defect("NLA623", "release")
def one_text_is_read_in_two_ways(folder: Path) -> None:
    def forged(parts: Any) -> None:
        first, again = parts.rows[0], parts.rows[12]
        parts.rows[12] = again.model_copy(update={"explanation": first.explanation})
        real = parts.vectors["real"].copy()
        real[12] = parts.vectors["gold"][13]
        with_reconstructions(parts, real)

    measured_as(folder, forged)


@defect("NLA624", "release")
def one_text_retrieves_two_rows(folder: Path) -> None:
    """Two activations so near to each other that their reconstructions are, too."""

    def twins(parts: Any) -> None:
        first, again = parts.rows[0], parts.rows[12]
        parts.rows[12] = again.model_copy(update={"explanation": first.explanation})
        gold = parts.vectors["gold"]
        gold[12] = gold[0]
        gold[12, 0] += 0.005 * np.linalg.norm(gold[0])
        parts.vectors["gold_text"] = unit(gold)
        with_reconstructions(parts, unit(gold))

    measured_as(folder, twins)


@defect("NLA625", "release")
def reference_of_another_layer(folder: Path) -> None:
    def turned(parts: Any) -> None:
        parts.vectors["reference_mean"] = np.roll(parts.vectors["reference_mean"], 1)

    measured_as(folder, turned)


@defect("NLA625", "release")
def reference_mean_shortened(folder: Path) -> None:
    """To a fiftieth, which raises FVE: it divides by 1 - ||mean||^2."""

    def shortened(parts: Any) -> Any:
        return with_reference(parts, parts.vectors["reference_mean"] / 50)

    measured_as(folder, shortened)


@defect("NLA626", "release")
def words_that_only_the_ar_understands(folder: Path) -> None:
    """Each row is given the words of the next one, which its AR reads as its own."""

    def next_words(parts: Any) -> None:
        said = [row.explanation for row in parts.rows]
        for index, row in enumerate(parts.rows):
            words = said[(index + 1) % len(said)]
            parts.rows[index] = row.model_copy(update={"explanation": words})

    measured_as(folder, next_words)


@defect("NLA621", "release")
def a_run_was_taken_out_of_the_log(folder: Path) -> None:
    path = folder / "evidence" / "runs.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:1]))
    shutil.rmtree(folder / "dist")
    measured_again(folder)


@defect("NLA621", "release")
def the_log_of_runs_was_removed(folder: Path) -> None:
    (folder / "evidence" / "runs.jsonl").unlink()
    shutil.rmtree(folder / "dist")
    measured_again(folder)


@defect("NLA621", "release")
def evidence_of_an_earlier_run_was_put_back(folder: Path) -> None:
    with edited_json(folder / "evidence" / "run.json") as run:
        run["run_id"] = "fedcba9876543210"
    shutil.rmtree(folder / "dist")
    measured_again(folder)


@defect("NLA621", "release")
def the_log_of_runs_goes_backwards(folder: Path) -> None:
    path = folder / "evidence" / "runs.jsonl"
    path.write_text(path.read_text().replace("2026-11-22T10:05", "2026-11-22T09:05"))
    shutil.rmtree(folder / "dist")


@defect("NLA621", "release")
def the_log_of_runs_is_no_log(folder: Path) -> None:
    (folder / "evidence" / "runs.jsonl").write_text("[" * 100_000)
    shutil.rmtree(folder / "dist")


def measured_again(folder: Path) -> None:
    """Compute the numbers again, which say how often the pair was measured."""
    release = read_release(folder)
    write_atomic(release.calibration, calibrate(read_evidence(release.evidence)).dump())
