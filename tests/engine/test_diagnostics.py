"""Probes: what each adds to the evidence, what it costs, and that nothing is asked twice."""

import importlib.util
import json
import shutil
import sys
import types

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file

from nla_release import Pair
from nla_release.calibration.evidence_folder import read_evidence, write_evidence
from nla_release.contract.explanation import Explanation
from nla_release.diagnostics import texts
from nla_release.engine import verbalizer as verbalizer_module
from nla_release.engine.encoder import encoder_version, load_encoder
from nla_release.engine.roundtrip import roundtrip
from nla_release.errors import ConfigError, DataError, EnvironmentProblem, EvidenceError
from nla_release.evidence.controls import other_rows
from nla_release.evidence.parts import first_with_text
from nla_release.evidence.records import RunFacts
from nla_release.evidence.training_documents import write_training_documents
from nla_release.io.files import sha256_bytes, write_atomic
from nla_release.local_hub.server import LocalHub
from nla_release.release.folder import read_release
from tests.pairs.zoo import edited_yaml

ROWS = 24
ASKED = ("text-controls", "injection", "claims", "paraphrase", "discrimination")
FLAT_ENCODER = "def embed(texts):\n    return [1.0]\n"
ENCODER = "def embed(texts):\n    return [[len(it), it.count(' '), 1] for it in texts]\n"


def settings(release, **changes):
    """The release with other settings of its evaluation; None removes one."""
    with edited_yaml(release.folder / "release.yaml") as document:
        evaluation = document["evaluation"] | changes
        document["evaluation"] = {k: v for k, v in evaluation.items() if v is not None}
    return read_release(release.folder)


@pytest.fixture(scope="module")
def base_run(good_release, tmp_path_factory):
    """A release of few rows, measured without probes: never change it, copy it."""
    folder = tmp_path_factory.mktemp("probes") / "release"
    shutil.copytree(good_release, folder, ignore=shutil.ignore_patterns("dist", "hub", "hf-home"))
    shutil.rmtree(folder / "evidence")
    roundtrip(settings(read_release(folder), rows=ROWS, batch_size=8), device="cpu")
    return folder


@pytest.fixture(scope="module")
def probed_run(base_run, tmp_path_factory):
    """The same with every probe: never change it, copy it."""
    folder = tmp_path_factory.mktemp("all") / "release"
    shutil.copytree(base_run, folder)
    write_atomic(folder / "an_encoder.py", ENCODER)
    release = settings(read_release(folder), encoder="an_encoder:embed", attempts=14)
    roundtrip(release, device="cpu", probes=["all"])
    return folder


@pytest.fixture(scope="module")
def pair(good_release):
    release = read_release(good_release)
    return Pair.from_pretrained(
        release.adapter("av"), release.adapter("ar"), base=release.base_path, device="cpu"
    )


@pytest.fixture
def asked(monkeypatch):
    """What the pair was asked, while it goes on answering."""
    calls = {"vectors": [], "texts": []}
    verbalize, reconstruct = Pair.explain, Pair.reconstruct

    def counted_verbalize(self, vectors, **options):
        calls["vectors"].append((len(vectors), options["scale_factor"]))
        return verbalize(self, vectors, **options)

    def counted_reconstruct(self, asked, **options):
        calls["texts"] += asked
        return reconstruct(self, asked, **options)

    monkeypatch.setattr(Pair, "explain", counted_verbalize)
    monkeypatch.setattr(Pair, "reconstruct", counted_reconstruct)
    return calls


def test_a_run_without_probes_records_those_that_cost_nothing(base_run):
    run = read_evidence(base_run / "evidence").run

    assert run.probed == {"retrieval", "templates", "ceiling", "structural", "contamination"}
    assert all((it.av_vectors, it.ar_texts, it.seconds) == (0, 0, 0) for it in run.probes)


def test_rows_paired_otherwise_since_then_are_read_again_and_change_nothing_else(
    base_run, tmp_path
):
    """What was read is known by its text, so a control's vector never becomes a row's own."""
    before = read_evidence(base_run / "evidence")
    shutil.copytree(base_run, tmp_path / "release")
    source = other_rows([row.document for row in before.rows], before.run.seed + 1)
    facts = before.run.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for name in ("rows_sha256", "vectors_sha256", "shuffle"):
        del facts[name]
    rows = [
        row.model_copy(update={"shuffled_from": before.rows[it].id, "shuffled_status": "ok"})
        for row, it in zip(before.rows, source, strict=True)
    ]
    vectors = before.vectors | {"shuffled": before.vectors["real"][source]}
    run, folder = RunFacts.model_validate(facts), tmp_path / "release" / "evidence"
    write_evidence(folder, rows, vectors, run, shingles=before.shingles)
    found = roundtrip(read_release(tmp_path / "release"), device="cpu", probes=["text-controls"])

    assert (
        [row.shuffled_from for row in found.rows]
        == [row.shuffled_from for row in before.rows]
        != [row.shuffled_from for row in rows]
    )
    assert np.array_equal(found.vectors["real"], before.vectors["real"])
    own = {row.id: vector for row, vector in zip(found.rows, found.vectors["real"], strict=True)}
    expected = np.stack([own[row.shuffled_from] for row in found.rows])
    assert np.array_equal(found.vectors["shuffled"], expected)


def test_claims_are_held_against_the_claims_that_they_were_taken_from(probed_run):
    """Not against the explanation, whose words and layout the joined claims need not have."""
    evidence = read_evidence(probed_run / "evidence")
    probed = [row for row in evidence.rows if len(row.claims) > 1]

    assert len(evidence.vectors["claims_joined"]) == len(probed)
    same = [texts.join_claims(row.claims) == row.explanation for row in evidence.rows]
    real = dict(zip([row.id for row in evidence.rows], evidence.vectors["real"], strict=True))
    for row, joined in zip(probed, evidence.vectors["claims_joined"], strict=True):
        if texts.join_claims(row.claims) == row.explanation:
            assert np.array_equal(joined, real[row.id])
    assert any(same)


def test_probes_leave_the_base_run_as_it_was(base_run, probed_run):
    base = load_file(base_run / "evidence" / "vectors.safetensors")
    probed = load_file(probed_run / "evidence" / "vectors.safetensors")

    assert all(np.array_equal(base[name], probed[name]) for name in base)
    parts = {"texts", "spoken", "claims"}
    assert [
        row.model_dump(exclude=parts) for row in read_evidence(probed_run / "evidence").rows
    ] == [row.model_dump(exclude=parts) for row in read_evidence(base_run / "evidence").rows]


def test_what_is_kept_is_what_the_ar_reads_out_of_the_texts(probed_run, pair):
    evidence = read_evidence(probed_run / "evidence")
    rows, vectors = evidence.rows, evidence.vectors

    def reads(asked, values):
        np.testing.assert_allclose(pair.reconstruct(asked).numpy(), values, atol=1e-4)

    for name in ("gibberish", "word_shuffled", "sentence_shuffled", "paraphrase", "source_text"):
        reads([row.texts[name] for row in rows], vectors[name])
    probed = [(row.claims, k) for row in rows for k in range(len(row.probed_claims))]
    reads([texts.without_claim(*it) for it in probed], vectors["claims_without"])
    first = [rows[at] for at in first_with_text(evidence.rows)]
    reads([row.text for row in first], vectors["discrimination_factual"])
    noise = [texts.gibberish(row.text, row.id, evidence.run.seed) for row in first]
    reads(noise, vectors["discrimination_gibberish"])


def test_an_unrelated_claim_is_one_that_the_row_does_not_make(probed_run, pair):
    evidence = read_evidence(probed_run / "evidence")
    by_id = {row.id: row for row in evidence.rows}
    row = next(
        row for row in evidence.rows if not set(row.claims) & set(by_id[row.shuffled_from].claims)
    )
    start = sum(len(it.probed_claims) for it in evidence.rows[: evidence.rows.index(row)])
    asked = [
        texts.with_unrelated(row.claims, k, other)
        for k, other in enumerate(by_id[row.shuffled_from].claims)
    ]
    found = evidence.vectors["claims_with_unrelated"][start : start + len(asked)]

    np.testing.assert_allclose(pair.reconstruct(asked).numpy(), found, atol=1e-4)


def test_other_scales_are_injected_at_other_scales(probed_run, pair, monkeypatch):
    evidence = read_evidence(probed_run / "evidence")
    scales = []
    injecting = verbalizer_module.injecting
    monkeypatch.setattr(
        verbalizer_module,
        "injecting",
        lambda model, vectors, tokens, scale: (
            scales.append(scale) or injecting(model, vectors, tokens, scale)
        ),
    )
    for condition, factor in (("half_scale", 0.5), ("double_scale", 2.0)):
        (said,) = pair.explain(evidence.vectors["gold"][:1], max_new_tokens=48, scale_factor=factor)
        assert said.raw == evidence.rows[0].spoken[condition].raw
    assert scales == [0.5 * evidence.run.injection.scale, 2 * evidence.run.injection.scale]


def test_the_record_says_what_each_probe_cost(probed_run):
    evidence = read_evidence(probed_run / "evidence")
    records = {record.name: record for record in evidence.run.probes}

    assert records["injection"].av_vectors == 2 * ROWS
    assert records["text-controls"].ar_texts == len(
        {text for row in evidence.rows for name, text in row.texts.items()
         if name in ("gibberish", "word_shuffled", "source_text")}
    )  # fmt: skip
    assert all(records[name].seconds > 0 for name in ASKED)
    assert records["text-retrieval"].settings == {
        "encoder": "an_encoder:embed",
        "encoder_sha256": sha256_bytes(ENCODER.encode()),
    }
    assert evidence.vectors["encoder_source"].shape == (ROWS, 3)
    assert evidence.run.attempts == 14


def test_a_probe_is_added_without_asking_again_what_is_known(base_run, copy_of, asked, capfd):
    release = read_release(copy_of(base_run))
    first = roundtrip(release, device="cpu", probes=["text-controls"])
    assert asked["vectors"] == []
    known = {row.explanation for row in first.rows} | {""}
    assert not known & set(asked["texts"])
    assert len(asked["texts"]) == len(set(asked["texts"]))
    capfd.readouterr()
    asked["texts"].clear()
    second = roundtrip(release, device="cpu", probes=["discrimination"])

    assert second.run.probed > first.run.probed, "what was there stays"
    assert second.run.started_at == first.run.started_at
    kept = {it.name: it for it in second.run.probes}
    assert kept["text-controls"] in first.run.probes
    source = {row.text for row in second.rows}
    assert not source & set(asked["texts"]), "the source texts were read for the text controls"
    assert f"diagnostics: 0 AV vectors, {len(asked['texts'])} AR texts more; about" in (
        capfd.readouterr().err
    )


def test_nothing_is_written_when_there_is_nothing_to_add(probed_run, copy_of, asked, capfd):
    folder = copy_of(probed_run)
    before = (folder / "evidence" / "run.json").read_bytes()
    roundtrip(read_release(folder), device="cpu", probes=["quick"])

    assert asked == {"vectors": [], "texts": []}
    assert (folder / "evidence" / "run.json").read_bytes() == before
    assert not (folder / "evidence.partial").exists()
    assert "more" not in capfd.readouterr().err


@pytest.mark.parametrize("answered", [0, 3, 8])
def test_a_run_killed_anywhere_goes_on_and_ends_with_the_same(
    base_run, probed_run, copy_of, monkeypatch, answered
):
    release = settings(read_release(copy_of(base_run)), probes=["all"])
    whole = read_evidence(probed_run / "evidence")
    verbalize, reconstruct = Pair.explain, Pair.reconstruct
    left = [answered]

    def killed_later(answer):
        def answered_or_killed(self, asked, **options):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return answer(self, asked, **options)

        return answered_or_killed

    with monkeypatch.context() as patch:
        patch.setattr(Pair, "explain", killed_later(verbalize))
        patch.setattr(Pair, "reconstruct", killed_later(reconstruct))
        with pytest.raises(KeyboardInterrupt):
            roundtrip(release, device="cpu")
    assert read_evidence(release.evidence).run.probed.isdisjoint(ASKED)
    resumed = roundtrip(release, device="cpu")

    assert resumed.rows == whole.rows
    costs = {it.name: (it.av_vectors, it.ar_texts) for it in resumed.run.probes}
    assert costs == {it.name: (it.av_vectors, it.ar_texts) for it in whole.run.probes}
    for name, values in resumed.vectors.items():
        np.testing.assert_array_equal(values, whole.vectors[name], err_msg=name)


def test_a_killed_run_may_go_on_with_other_probes(base_run, copy_of, asked, monkeypatch):
    release = read_release(copy_of(base_run))
    reconstruct = Pair.reconstruct

    def killed_at_the_second(self, texts, **options):
        if asked["texts"]:
            raise KeyboardInterrupt
        return reconstruct(self, texts, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Pair, "reconstruct", killed_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            roundtrip(release, device="cpu", probes=["text-controls"])
    assert asked["texts"], "something was answered before it was killed"
    evidence = roundtrip(release, device="cpu", probes=["discrimination"])

    assert "discrimination_factual" in evidence.vectors
    assert "gibberish" not in evidence.vectors


def test_probes_of_one_run_are_not_added_to_another(base_run, copy_of, asked):
    release = settings(read_release(copy_of(base_run)), seed=1)
    evidence = roundtrip(release, device="cpu", probes=["discrimination"])

    assert sum(count for count, _ in asked["vectors"]) == 2 * ROWS + 1, "all of it was asked again"
    assert evidence.run.seed == 1


def test_an_unfinished_run_of_other_inputs_is_refused(base_run, copy_of, monkeypatch):
    release = read_release(copy_of(base_run))

    def killed(self, texts, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Pair, "reconstruct", killed)
        with pytest.raises(KeyboardInterrupt):
            roundtrip(release, device="cpu", probes=["text-controls"])
    with pytest.raises(EvidenceError, match="seed changed"):
        roundtrip(settings(release, seed=1), device="cpu", probes=["text-controls"])


def with_columns(release, **columns):
    """The release's evaluation data with more columns, of what `columns` make of its rows."""
    table = pq.read_table(release.evaluation_data)
    for name, values in columns.items():
        made = [values.get(row) for row in range(table.num_rows)]
        kind = pa.list_(pa.string()) if name == "claims" else pa.string()
        table = table.append_column(name, pa.array(made, kind))
    pq.write_table(table, release.evaluation_data)


def test_paraphrases_and_claims_in_the_data_take_the_place_of_made_ones(base_run, copy_of):
    release = read_release(copy_of(base_run))
    with_columns(release, paraphrase={0: "said otherwise "}, claims={1: ["one", " ", "two"]})
    evidence = roundtrip(release, device="cpu", probes=["paraphrase", "claims"])

    assert evidence.rows[0].texts["paraphrase"] == "said otherwise"
    assert evidence.rows[1].texts["paraphrase"] != "said otherwise"
    assert evidence.rows[1].claims == ["one", "two"]
    assert evidence.rows[0].claims == texts.split_claims(evidence.rows[0].explanation)
    given = [it.settings for it in evidence.run.probes if "given_in_the_data" in it.settings]
    assert [settings["given_in_the_data"] for settings in given] == [1, 1]


def test_rows_that_failed_stay_and_hold_nothing(base_run, copy_of, monkeypatch):
    """Every second row is cut off: its derived texts are empty, and its tensors zero."""
    verbalize = Pair.explain

    def half_cut_off(self, vectors, **options):
        said = verbalize(self, vectors, **options)
        cut = Explanation("", "truncated", "<explanation>the")
        return [cut if row % 2 else it for row, it in enumerate(said)]

    monkeypatch.setattr(Pair, "explain", half_cut_off)
    release = read_release(copy_of(base_run))
    evidence = roundtrip(release, device="cpu", fresh=True, probes=["all"])

    failed = evidence.failed("real")
    assert failed.sum() == ROWS // 2
    for name in ("gibberish", "word_shuffled", "sentence_shuffled", "paraphrase"):
        assert (evidence.vectors[name].any(axis=1) == ~failed).all()
    assert evidence.vectors["source_text"].any(axis=1).all()
    assert [bool(row.claims) for row in evidence.rows] == list(~failed)


def test_a_probe_that_cannot_run_says_why(base_run, copy_of):
    release = read_release(copy_of(base_run))
    table = pq.read_table(release.evaluation_data)
    at = table.schema.get_field_index("text")
    nothing = pa.nulls(table.num_rows, pa.string())
    pq.write_table(table.set_column(at, "text", nothing), release.evaluation_data)
    release = settings(release, training=None, rows=2)
    evidence = roundtrip(release, device="cpu", probes=["discrimination", "text-retrieval"])
    why = {it.name: it.skipped for it in evidence.run.probes if it.skipped}

    assert why == {
        "discrimination": "the data has no source texts",
        "text-retrieval": "release.yaml names no evaluation.encoder",
        "contamination": "release.yaml names no list of training documents",
    }


def test_without_source_texts_there_are_fewer_text_controls(base_run, copy_of):
    release = read_release(copy_of(base_run))
    table = pq.read_table(release.evaluation_data)
    at = table.schema.get_field_index("text")
    some = pa.array([None, *table.column("text").to_pylist()[1:]], pa.string())
    pq.write_table(table.set_column(at, "text", some), release.evaluation_data)
    (record, *_) = roundtrip(release, device="cpu", probes=["text-controls"]).run.probes

    assert record.settings["conditions"] == ["gibberish", "word_shuffled"]


def test_evaluation_documents_that_were_trained_on_are_found(base_run, copy_of):
    release = read_release(copy_of(base_run))
    rows = read_evidence(release.evidence).rows
    whole = {it["id"]: it["text"] for it in corpus(release)}
    theirs = release.folder / "theirs.jsonl"
    document = rows[0].document
    write_training_documents(
        theirs, [("elsewhere", f"  {whole[document].upper()} "), (rows[-1].document, "other words")]
    )
    evidence = roundtrip(settings(release, training=["theirs.jsonl"]), device="cpu")

    found = evidence.run.training
    assert (found.documents, found.ids_overlapping) == (2, [rows[-1].document])
    assert found.texts_overlapping == [row.id for row in rows if row.document == document]


def corpus(release):
    lines = (release.folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_the_demos_own_training_documents_are_others(base_run):
    training = read_evidence(base_run / "evidence").run.training

    assert training.documents > 100
    assert (training.ids_overlapping, training.texts_overlapping) == ([], [])


@pytest.mark.parametrize(
    ("code", "name", "error", "words"),
    [
        (ENCODER, "an_encoder:nothing", ConfigError, "an_encoder:nothing cannot be imported"),
        (ENCODER, "no_such_encoder:embed", ConfigError, "No module named 'no_such_encoder'"),
        ("1 / 0", "bad_encoder:embed", ConfigError, "bad_encoder:embed cannot be imported: div"),
        (ENCODER, "os:system", ConfigError, "evaluation.encoder os:system failed: TypeError"),
        (FLAT_ENCODER, "flat_encoder:embed", DataError, r"gave \[1\] for"),
    ],
)
def test_an_encoder_that_is_none_is_refused(base_run, copy_of, code, name, error, words):
    release = settings(read_release(copy_of(base_run)), encoder=name)
    write_atomic(release.folder / f"{name.split(':')[0].replace('no_such', 'some')}.py", code)
    with pytest.raises(error, match=words):
        roundtrip(release, device="cpu", probes=["text-retrieval"])


def test_a_model_of_a_library_that_is_not_there_is_skipped(base_run, copy_of, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "sentence_transformers" else find(name, *rest),
    )
    release = settings(read_release(copy_of(base_run)), encoder="sentence-transformers/some-model")
    records = roundtrip(release, device="cpu", probes=["text-retrieval"]).run.probes

    assert "sentence-transformers is not installed" in records[0].skipped


@pytest.fixture
def sentence_transformers(monkeypatch):
    """The library is no dependency, so something of its shape takes its place: what it loaded."""
    loaded = []

    class SentenceTransformer:
        def __init__(self, name, revision=None):
            loaded.append((name, revision))

        def encode(self, texts, *, show_progress_bar):
            return torch.ones(len(texts), 4).numpy()

    library = types.ModuleType("sentence_transformers")
    library.SentenceTransformer = SentenceTransformer
    library.__spec__ = types.SimpleNamespace(name="sentence_transformers")
    monkeypatch.setitem(sys.modules, "sentence_transformers", library)
    return loaded


def test_a_model_of_the_hub_is_recorded_by_the_commit_that_embeds(
    base_run, copy_of, sentence_transformers, tmp_path, monkeypatch
):
    write_atomic(tmp_path / "model" / "config.json", "{}\n")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    release = settings(read_release(copy_of(base_run)), encoder="some/model")
    with LocalHub(tmp_path / "hub") as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.endpoint)
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
            hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        )
        commit = hub.store.import_folder("some/model", tmp_path / "model")
        evidence = roundtrip(release, device="cpu", probes=["text-retrieval"])

    assert evidence.vectors["encoder_explanation"].shape == (ROWS, 4)
    assert evidence.run.probes[0].settings == {"encoder": "some/model", "encoder_revision": commit}
    assert sentence_transformers == [("some/model", commit)]


def test_a_model_in_a_folder_is_recorded_by_what_is_in_it(base_run, copy_of, sentence_transformers):
    release = settings(read_release(copy_of(base_run)), encoder="encoders/mine")
    model = release.folder / "encoders" / "mine"
    write_atomic(model / "weights" / "model.safetensors", b"some weights")
    first = encoder_version("encoders/mine", release.folder)
    evidence = roundtrip(release, device="cpu", probes=["text-retrieval"])
    write_atomic(model / "weights" / "model.safetensors", b"other weights")

    assert evidence.run.probes[0].settings == first
    assert sentence_transformers == [(str(model), None)]
    again = roundtrip(release, device="cpu", probes=["text-retrieval"])
    assert again.run.probes[0].settings["encoder_sha256"] != first["encoder_sha256"]


def test_a_model_that_nobody_has_is_named(base_run, sentence_transformers):
    for asked in (encoder_version, load_encoder):
        with pytest.raises(EnvironmentProblem, match="missing/model cannot be loaded"):
            asked("missing/model", base_run)


def test_the_layer_is_recorded_and_added_to_evidence_that_lacks_it(base_run, copy_of, asked):
    folder = copy_of(base_run)
    before = read_evidence(folder / "evidence")
    facts = before.run.model_dump(by_alias=True, exclude_unset=True)
    del facts["layer"], facts["rows_sha256"], facts["vectors_sha256"]
    run, there = RunFacts.model_validate(facts), folder / "evidence"
    write_evidence(there, before.rows, before.vectors, run, shingles=before.shingles)
    after = roundtrip(read_release(folder), device="cpu")

    assert before.run.layer == after.run.layer == 3
    assert after.run.vectors_sha256 == before.run.vectors_sha256
    assert asked == {"vectors": [], "texts": []}
