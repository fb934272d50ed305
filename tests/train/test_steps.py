"""The training steps: what they take, what they leave, and what they refuse."""

import json
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from nla_release.chat import read_chat
from nla_release.engine.activations import read_activations, read_reference
from nla_release.engine.base import load_base
from nla_release.errors import (
    ConfigError,
    DataError,
    NlaReleaseError,
    NothingCheckedError,
    PairError,
)
from nla_release.files import dump_yaml, read_yaml
from nla_release.lora import lora_modules
from nla_release.prompt import check_replay, check_suffix, encoder, load_tokenizer
from nla_release.release import read_release
from nla_release.sidecar import read_sidecar
from nla_release.training_log import judge, read_log
from nla_release.weights import read_header
from tests.chats import CHATML
from tests.sidecars import TINY_BASE
from train.ar import new_head, train_ar
from train.av import check_scale, train_av
from train.corpus import read_corpus
from train.demo import RECIPE
from train.extract import extract
from train.loop import fit
from train.recipe import read_recipe


@pytest.fixture(scope="module")
def base():
    return load_base(str(TINY_BASE), "x", quantization=None, dtype="float32", device="cpu")


@pytest.fixture
def recipe(tmp_path):
    """The tiny recipe, shortened; changes are made by `changed`."""

    def changed(**blocks):
        document = read_yaml(RECIPE)
        document["base"]["path"] = str(TINY_BASE)
        for name in ("av", "ar"):
            document[name] |= {"steps": 3, "micro_batch": 4}
        for name, values in blocks.items():
            old = document.get(name)
            document[name] = old | values if isinstance(old, dict) else values
        (tmp_path / "recipe.yaml").write_text(dump_yaml(document))
        return read_recipe(tmp_path / "recipe.yaml")

    return changed


def write_corpus(path, *documents):
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))


LENS = {
    "id": "a",
    "split": "train",
    "text": "In Kyoto people love sailing. The wave drifted silently.",
    "labels": [{"start": 34, "end": 38, "explanation": "the word wave in a text"}],
}
ROSE = {
    "id": "b",
    "split": "eval",
    "text": "In Lima people love gardening. The rose bloomed steeply.",
    "labels": [{"start": 35, "end": 39, "explanation": "the word rose in a text"}],
}


# -- the corpus --


def test_documents_are_split_whole_and_other_splits_left_out(tmp_path):
    write_corpus(tmp_path / "c.jsonl", LENS, ROSE, {**LENS, "id": "z", "split": "base"})
    documents = read_corpus(tmp_path / "c.jsonl", 0.1)

    assert [(document.id, document.split) for document in documents] == [
        ("a", "train"),
        ("b", "eval"),
    ]


def test_without_a_split_copies_of_a_text_lie_on_the_same_side(tmp_path):
    texts = [f"text number {number}" for number in range(60)]
    write_corpus(
        tmp_path / "c.jsonl",
        *({"id": f"{side}{at}", "text": text if side == "x" else text.upper() + " "}
          for side in "xy" for at, text in enumerate(texts)),
    )  # fmt: skip
    documents = {document.id: document.split for document in read_corpus(tmp_path / "c.jsonl", 0.3)}

    assert all(documents[f"x{at}"] == documents[f"y{at}"] for at in range(60))
    assert 8 <= sum(split == "eval" for split in documents.values()) // 2 <= 28


@pytest.mark.parametrize(
    ("lines", "error", "words"),
    [
        ([LENS, LENS], DataError, "'a' stands more than once"),
        ([LENS, {**LENS, "id": "c", "split": "eval"}], DataError, "hold them out whole"),
        ([LENS], NothingCheckedError, "no eval documents"),
        ([{"id": "a"}], DataError, "text is missing"),
    ],
)
def test_a_corpus_that_would_mislead_is_refused(tmp_path, lines, error, words):
    write_corpus(tmp_path / "c.jsonl", *lines)
    with pytest.raises(error, match=words):
        read_corpus(tmp_path / "c.jsonl", 0.1)


def test_a_line_that_is_no_json_is_named(tmp_path):
    (tmp_path / "c.jsonl").write_text('{"id": "a", "text": "t"}\n{"id\n')
    with pytest.raises(DataError, match="line 2 is not valid JSON"):
        read_corpus(tmp_path / "c.jsonl", 0.1)


# -- extraction --


def test_an_activation_is_the_output_of_its_block_at_the_labels_last_token(tmp_path, recipe, base):
    write_corpus(tmp_path / "corpus.jsonl", LENS, ROSE)
    counts = extract(recipe(), tmp_path, device="cpu")
    rows = read_activations(tmp_path / "data" / "train.parquet", 64)
    encoded = base.tokenizer(LENS["text"], return_offsets_mapping=True, return_tensors="pt")
    position = next(
        at for at, (_, end) in enumerate(encoded["offset_mapping"][0].tolist()) if end == 38
    )
    with torch.no_grad():
        hidden = base.model(input_ids=encoded["input_ids"], output_hidden_states=True).hidden_states

    assert counts == {"train": 1, "eval": 1}
    assert rows.ids == [f"a:{position}"]
    assert rows.texts == ["In Kyoto people love sailing. The wave"]
    assert np.allclose(rows.vectors[0], hidden[4][0, position].numpy(), atol=1e-4)


def test_the_reference_is_the_mean_direction_of_the_training_rows(good_release):
    rows = read_activations(good_release / "data" / "train.parquet", 64)
    reference = read_reference(good_release / "data" / "reference.safetensors", 64)
    unit = rows.vectors / np.linalg.norm(rows.vectors, axis=1, keepdims=True)

    assert np.allclose(reference.mean, unit.mean(axis=0), atol=1e-5)
    assert (reference.rows, reference.sha256) == (len(rows), rows.sha256)
    assert reference.variance == pytest.approx(1 - (unit.mean(axis=0) ** 2).sum(), abs=1e-5)


def test_no_document_is_in_both_files(good_release):
    train = read_activations(good_release / "data" / "train.parquet", 64)
    held_out = read_activations(good_release / "data" / "eval.parquet", 64)

    assert not set(train.documents) & set(held_out.documents)


def test_training_documents_are_listed_by_id_and_hash(good_release):
    """What a later evaluation is compared with, and the demo's release.yaml names it."""
    path = good_release / "data" / "training_documents.jsonl"
    listed = [json.loads(line) for line in path.read_text().splitlines()]
    held_out = read_activations(good_release / "data" / "eval.parquet", 64)
    train = read_activations(good_release / "data" / "train.parquet", 64)
    digests = {it["id"]: it["sha256"] for it in listed}

    assert set(train.documents) <= digests.keys()
    assert all(
        digests[it] == sha for it, sha in zip(train.documents, train.document_digests, strict=True)
    )
    assert not set(held_out.document_digests) & set(digests.values())
    assert read_release(good_release).training_documents == [path]


def test_a_dataset_says_what_it_is_in_the_reference_contracts_words(good_release):
    meta = read_yaml(good_release / "data" / "train.parquet.nla_meta.yaml")

    assert (meta["kind"], meta["schema_version"]) == ("nla_dataset", 1)
    assert meta["extraction"]["layer_index"] == 3
    assert meta["extraction"]["norm"] == "none"
    assert meta["extraction"]["d_model"] == 64


def test_unlabelled_documents_are_sampled_by_their_own_hash(tmp_path, recipe):
    text = " ".join(["In Lima people love gardening."] * 12)
    for name, others in (("one", []), ("two", ["y", "x"])):
        folder = tmp_path / name
        folder.mkdir()
        extra = [{"id": it, "split": "train", "text": f"{it} {text}"} for it in others]
        write_corpus(
            folder / "corpus.jsonl",
            *extra,
            {"id": "d", "split": "train", "text": text},
            {"id": "e", "split": "eval", "text": f"The {text}"},
        )
        extract(recipe(extract={"min_position": 20, "positions_per_document": 5}), folder)
    ids = [
        [
            it
            for it in read_activations(tmp_path / name / "data/train.parquet", 64).ids
            if it[0] == "d"
        ]
        for name in ("one", "two")
    ]

    assert ids[0] == ids[1]
    assert len(ids[0]) == 5
    assert all(int(it.split(":")[1]) >= 20 for it in ids[0])


@pytest.mark.parametrize("layer", [5, 6])
def test_the_last_layer_and_those_beyond_it_are_refused(tmp_path, recipe, layer):
    write_corpus(tmp_path / "corpus.jsonl", LENS, ROSE)
    with pytest.raises(ConfigError, match=f"extract.layer is {layer}, the base has blocks 0 to 5"):
        extract(recipe(extract={"layer": layer}), tmp_path)


# -- training --


@pytest.fixture
def extracted(tmp_path, recipe):
    write_corpus(tmp_path / "corpus.jsonl", LENS, ROSE)
    extract(recipe(), tmp_path, device="cpu")
    return tmp_path


@pytest.fixture
def speaking(tmp_path):
    """The tiny base with a chat template."""
    shutil.copytree(TINY_BASE, tmp_path / "speaking")
    (tmp_path / "speaking" / "chat_template.jinja").write_text(CHATML)
    return tmp_path / "speaking"


def test_each_training_leaves_adapter_sidecar_and_log(extracted, recipe):
    train_av(recipe(), extracted, device="cpu")
    train_ar(recipe(), extracted, device="cpu")
    av, ar = extracted / "pair" / "av", extracted / "pair" / "ar"

    common = {"adapter_config.json", "adapter_model.safetensors", "nla_meta.yaml"}
    assert {path.name for path in av.iterdir()} == common | {"training_log.jsonl"}
    assert {path.name for path in ar.iterdir()} == common | {
        "training_log.jsonl",
        "value_head.safetensors",
    }
    assert [step.step for step in read_log(av)] == [1, 2, 3]
    assert read_sidecar(av, "av").injection.scale == 16.0
    assert read_sidecar(ar, "ar").head.blocks == 4
    assert read_header(ar / "value_head.safetensors").keys() == {"weight"}


def test_an_av_is_trained_through_the_bases_chat_template(extracted, recipe, speaking):
    blocks = {"prompt_encoding": "chat", "chat_options": {"enable_thinking": False}}
    chat = recipe(base={"path": str(speaking)}, av={"max_tokens": 256}, **blocks)
    train_av(chat, extracted, device="cpu")
    train_ar(chat, extracted, device="cpu")
    av, ar = read_sidecar(extracted / "pair" / "av"), read_sidecar(extracted / "pair" / "ar")
    tokenizer = load_tokenizer(speaking / "tokenizer.json")

    assert av.injection.chat_template.options == {"enable_thinking": False}
    assert tokenizer.decode(av.injection.prompt_token_ids).endswith("<think>\n\n</think>\n\n")
    check_replay(av, encoder(tokenizer), 3, read_chat(speaking))
    check_suffix(ar, encoder(tokenizer))
    assert ar.tokens.injection_left_neighbor_id == av.tokens.injection_left_neighbor_id


@pytest.mark.parametrize(
    ("blocks", "error", "words"),
    [
        ({"prompt_encoding": "chat"}, ConfigError, "nla-demo/tiny-gemma4 has no chat template"),
        ({"chat_options": {"date_string": "x"}}, ConfigError, "and prompt_encoding is raw"),
        ({"templates": {"ar": "<bos>{explanation} so"}}, PairError, "special token 2 twice"),
        ({"templates": {"av": "<bos>{injection_char} so"}}, PairError, "special token 2 twice"),
    ],
)
def test_a_prompt_that_cannot_be_as_wanted_is_refused_before_training(
    extracted, recipe, blocks, error, words
):
    with pytest.raises(error, match=words):
        train_ar(recipe(**blocks), extracted, device="cpu")


def test_the_ar_adapts_only_blocks_that_it_reads(extracted, recipe):
    train_ar(recipe(), extracted, device="cpu")
    path = extracted / "pair" / "ar" / "adapter_model.safetensors"
    blocks = {module.name.split("layers.")[1].split(".")[0] for module in lora_modules(path)}

    assert blocks == {"0", "1", "2", "3"}


def test_the_av_learns_the_answer_and_not_the_prompt(extracted, recipe, monkeypatch):
    import train.av as module

    seen = []
    cross_entropy = torch.nn.functional.cross_entropy

    def watching(logits, targets, **options):
        seen.append(targets.clone())
        return cross_entropy(logits, targets, **options)

    monkeypatch.setattr(module.torch.nn.functional, "cross_entropy", watching)
    train_av(recipe(av={"micro_batch": 1}), extracted, device="cpu")
    base = load_base(str(TINY_BASE), "x", quantization=None, dtype="float32", device="cpu")
    answer = base.encode("<explanation>the word wave in a text</explanation>", False)

    assert seen[0].tolist() == [*answer, base.tokenizer.eos_token_id]


def test_the_same_seed_gives_the_same_adapter(extracted, recipe):
    path = extracted / "pair" / "av" / "adapter_model.safetensors"
    train_av(recipe(), extracted, device="cpu")
    first = path.read_bytes()
    train_av(recipe(), extracted, device="cpu")

    assert path.read_bytes() == first


def test_training_works_on_a_4_bit_base(extracted, recipe):
    quantized = recipe(base={"quantization": "nf4"})
    train_av(quantized, extracted, device="cpu")
    train_ar(quantized, extracted, device="cpu")

    for role in ("av", "ar"):
        sidecar = read_sidecar(extracted / "pair" / role, role)
        assert sidecar.nla_release.base.quantization == "nf4"


def test_gradient_checkpointing_changes_nothing_but_memory(extracted, recipe):
    for train, role in ((train_av, "av"), (train_ar, "ar")):
        logs = []
        for checkpointing in (False, True):
            blocks = {role: {"gradient_checkpointing": checkpointing}}
            train(recipe(**blocks), extracted, device="cpu")
            logs.append([step.loss for step in read_log(extracted / "pair" / role)])
        assert logs[0] == pytest.approx(logs[1], abs=1e-4)


@pytest.mark.parametrize("scale", [7.9, 48.1, 80000.0])
def test_a_scale_out_of_proportion_is_refused_unless_allowed(scale):
    with pytest.raises(ConfigError, match="times the base's mean embedding norm") as caught:
        check_scale(scale, 16.0, allowed=False)
    assert "--allow-ood-injection" in caught.value.hint
    check_scale(scale, 16.0, allowed=True)


@pytest.mark.parametrize("scale", [8.0, 16.0, 48.0])
def test_a_scale_in_proportion_is_taken(scale):
    check_scale(scale, 16.0, allowed=False)


def test_the_command_line_refuses_such_a_scale_and_writes_nothing(extracted, recipe):
    from train.av import command

    recipe(av={"injection_scale": 80000.0})
    arguments = [str(extracted / "recipe.yaml"), "--folder", str(extracted)]
    result = CliRunner().invoke(command, arguments)

    assert isinstance(result.exception, ConfigError)
    assert not (extracted / "pair").exists()


def test_rows_of_another_layer_are_refused(extracted, recipe):
    with pytest.raises(DataError, match="layer_index 3, this training 2"):
        train_av(recipe(extract={"layer": 2}), extracted, device="cpu")


def test_rows_without_explanations_are_refused(tmp_path, recipe):
    text = " ".join(["In Lima people love gardening."] * 12)
    write_corpus(
        tmp_path / "corpus.jsonl",
        {"id": "d", "split": "train", "text": text},
        {"id": "e", "split": "eval", "text": f"The {text}"},
    )
    extract(recipe(extract={"min_position": 20}), tmp_path)
    with pytest.raises(DataError, match="8 of 8 rows have no explanation"):
        train_av(recipe(), tmp_path, device="cpu")


def test_explanations_are_never_cut_silently(extracted, recipe):
    with pytest.raises(ConfigError, match="av.max_tokens leaves 6 for it"):
        train_av(recipe(av={"max_tokens": 20}), extracted, device="cpu")
    with pytest.raises(ConfigError, match="ar.max_tokens is 10"):
        train_ar(recipe(ar={"max_tokens": 10}), extracted, device="cpu")


def test_list_style_targets_that_hit_the_audio_tower_are_refused(extracted, recipe):
    with pytest.raises(ConfigError, match="Gemma4ClippableLinear") as caught:
        train_av(recipe(av={"target_modules": r".*\.q_proj"}), extracted, device="cpu")

    assert "language model's projections only" in caught.value.hint


def test_a_loss_that_is_not_finite_stops_with_the_step_and_the_rows(recipe):
    weight = torch.nn.Parameter(torch.ones(1))
    with pytest.raises(NlaReleaseError, match=r"loss is nan at step 1, on rows \["):
        fit("x", [weight], lambda rows: weight.sum() * float("nan"), 10, recipe().av)


def test_the_head_starts_at_a_multiple_of_the_identity(recipe):
    head = new_head(8, recipe(ar={"head_init": 0.1, "head_bias": True}).ar)

    assert torch.allclose(head.weight, 0.1 * torch.eye(8))
    assert head.bias.tolist() == [0] * 8


def test_every_row_is_seen_once_before_any_is_seen_twice(recipe):
    weight = torch.nn.Parameter(torch.ones(1))
    seen = []

    def loss(rows):
        seen.extend(rows)
        return weight.sum()

    fit("x", [weight], loss, 6, recipe(av={"micro_batch": 4, "steps": 3}).av)
    assert sorted(seen[:6]) == list(range(6))
    assert sorted(seen[6:]) == list(range(6))


# -- recipes and the verdict --


def test_the_recipe_for_gemma_4_e2b_has_the_seeds_hyper_parameters():
    recipe = read_recipe(RECIPE.with_name("gemma-4-e2b-L23.yaml"))

    assert recipe.base.quantization == "nf4"
    assert (recipe.av.rank, recipe.av.alpha, recipe.av.optimizer) == (64, 128, "adamw_8bit")
    assert (recipe.av.micro_batch, recipe.av.gradient_accumulation) == (1, 16)
    assert (recipe.av.max_tokens, recipe.av.steps) == (512, 15)
    assert recipe.av.injection_scale == pytest.approx(1536**0.5, rel=1e-6)
    assert recipe.templates.av.endswith("<concept>{injection_char}</concept>")


def test_a_recipe_with_an_unknown_key_is_refused(recipe):
    with pytest.raises(ConfigError, match="av.warmup is not a known key"):
        recipe(av={"warmup": 10})


@pytest.mark.parametrize(
    ("losses", "name"),
    [
        ([3.0 - 0.01 * step for step in range(100)], "descending"),
        ([3.0 - 0.001 * step for step in range(100)], "not descending"),
        ([3.0 + (-1) ** step for step in range(100)], "not descending"),
        ([3.0] * 10, "not descending"),
        ([3.0, 1.0], "not descending"),
    ],
)
def test_the_loss_verdict_follows_the_regression(losses, name):
    from nla_release.training_log import Step

    steps = [Step(step=at, loss=loss, lr=0.1) for at, loss in enumerate(losses, 1)]

    assert judge(steps).name == name


def test_the_slope_is_that_of_least_squares():
    from nla_release.training_log import Step

    rng = np.random.default_rng(0)
    losses = 5 - 0.02 * np.arange(1, 51) + rng.normal(0, 0.1, 50)
    steps = [Step(step=at, loss=float(loss), lr=0.1) for at, loss in enumerate(losses, 1)]
    import scipy.stats

    expected = scipy.stats.linregress(np.arange(1, 51), losses)
    assert judge(steps).slope == pytest.approx(expected.slope)
    assert judge(steps).r2 == pytest.approx(expected.rvalue**2)
