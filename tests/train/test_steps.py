"""The training steps: what they take, what they leave, and what they refuse."""

import shutil

import numpy as np
import peft
import pytest
import torch
from click.testing import CliRunner

from nla_release.adapter.lora import lora_modules
from nla_release.adapter.training_log import loss_trend, read_log
from nla_release.adapter.weights import read_header
from nla_release.cli.train import command
from nla_release.contract.chat import read_chat
from nla_release.contract.prompt import check_replay, check_suffix, encoder, load_tokenizer
from nla_release.contract.sidecar import read_sidecar
from nla_release.engine.adapters import calm
from nla_release.engine.base import load_base
from nla_release.errors import ConfigError, DataError, PairError
from nla_release.io.files import read_json
from nla_release.training.ar import train_ar
from nla_release.training.av import train_av
from nla_release.training.learner import Learner, add_lora
from tests.chats import CHATML
from tests.sidecars import TINY_BASE
from tests.train.chain import LENS, ROSE, shortened, write_corpus
from train.tiny.rows import prepare_data


@pytest.fixture
def recipe(tmp_path):
    """The tiny recipe, shortened; changes are made by `changed`."""
    return lambda **blocks: shortened(tmp_path, **blocks)


# -- training --


@pytest.fixture
def folder(tmp_path):
    write_corpus(tmp_path / "corpus.jsonl", LENS, ROSE)
    return tmp_path


@pytest.fixture
def built(folder, recipe):
    prepare_data(recipe(), folder, device="cpu")
    return folder


@pytest.fixture
def speaking(tmp_path):
    """The tiny base with a chat template."""
    shutil.copytree(TINY_BASE, tmp_path / "speaking")
    (tmp_path / "speaking" / "chat_template.jinja").write_text(CHATML)
    return tmp_path / "speaking"


def test_each_training_leaves_adapter_sidecar_and_log(built, recipe):
    train_av(recipe(), built, device="cpu")
    train_ar(recipe(), built, device="cpu")
    av, ar = built / "pair" / "av", built / "pair" / "ar"

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


def test_an_av_is_trained_through_the_bases_chat_template(folder, recipe, speaking):
    blocks = {"prompt_encoding": "chat", "chat_options": {"enable_thinking": False}}
    chat = recipe(base={"path": str(speaking)}, av={"max_tokens": 256}, **blocks)
    prepare_data(chat, folder, device="cpu")
    train_av(chat, folder, device="cpu")
    train_ar(chat, folder, device="cpu")
    av, ar = read_sidecar(folder / "pair" / "av"), read_sidecar(folder / "pair" / "ar")
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
    built, recipe, blocks, error, words
):
    with pytest.raises(error, match=words):
        train_ar(recipe(**blocks), built, device="cpu")


def test_the_ar_adapts_only_blocks_that_it_reads(built, recipe):
    train_ar(recipe(), built, device="cpu")
    path = built / "pair" / "ar" / "adapter_model.safetensors"
    blocks = {module.name.split("layers.")[1].split(".")[0] for module in lora_modules(path)}

    assert blocks == {"0", "1", "2", "3"}


def test_the_av_learns_the_answer_and_not_the_prompt(built, recipe, monkeypatch):
    seen = []
    cross_entropy = torch.nn.functional.cross_entropy

    def watching(logits, targets, **options):
        seen.append(targets.clone())
        return cross_entropy(logits, targets, **options)

    monkeypatch.setattr("nla_release.training.token_loss.cross_entropy", watching)
    train_av(recipe(av={"micro_batch": 1}), built, device="cpu")
    base = load_base(str(TINY_BASE), "x", quantization=None, dtype="float32", device="cpu")
    answer = base.encode("<explanation>the word wave in a text</explanation>", False)

    assert seen[0].tolist() == [*answer, base.tokenizer.eos_token_id]


@pytest.mark.parametrize("role", ["av", "ar"])
def test_the_configuration_names_each_module_in_full_and_the_bases_commit(built, recipe, role):
    """Not by the recipe's regular expression, which SGLang refuses."""
    {"av": train_av, "ar": train_ar}[role](recipe(), built, device="cpu")
    folder = built / "pair" / role
    config = read_json(folder / "adapter_config.json")
    base = load_base(str(TINY_BASE), "x", quantization=None, dtype="float32", device="cpu")
    with calm():
        loaded = peft.PeftModel.from_pretrained(base.model, str(folder))

    names = sorted(module.name for module in lora_modules(folder / "adapter_model.safetensors"))
    assert config["target_modules"] == names
    assert sorted(loaded.base_model.targeted_module_names) == names
    assert config["revision"] == read_sidecar(folder, role).nla_release.base.revision


def test_the_same_seed_gives_the_same_adapter(built, recipe):
    path = built / "pair" / "av" / "adapter_model.safetensors"
    train_av(recipe(), built, device="cpu")
    first = path.read_bytes()
    train_av(recipe(), built, device="cpu")

    assert path.read_bytes() == first


def test_training_works_on_a_4_bit_base(folder, recipe):
    quantized = recipe(base={"quantization": "nf4"})
    prepare_data(quantized, folder, device="cpu")
    train_av(quantized, folder, device="cpu")
    train_ar(quantized, folder, device="cpu")

    for role in ("av", "ar"):
        sidecar = read_sidecar(folder / "pair" / role, role)
        assert sidecar.nla_release.base.quantization == "nf4"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_what_is_learned_on_a_16_bit_base_is_float32(recipe, dtype):
    base = load_base(str(TINY_BASE), "x", quantization=None, dtype=dtype, device="cpu")
    learned = Learner(add_lora(base, recipe().av)).parameters.values()

    assert {value.dtype for value in learned} == {torch.float32}


def test_gradient_checkpointing_changes_nothing_but_memory(built, recipe):
    for train, role in ((train_av, "av"), (train_ar, "ar")):
        logs = []
        for checkpointing in (False, True):
            blocks = {role: {"gradient_checkpointing": checkpointing}}
            train(recipe(**blocks), built, device="cpu")
            logs.append([step.loss for step in read_log(built / "pair" / role)])
        assert logs[0] == pytest.approx(logs[1], abs=1e-4)


def test_the_command_line_refuses_such_a_scale_and_writes_nothing(built, recipe):
    recipe(av={"injection_scale": 80000.0})
    arguments = ["av", str(built / "recipe.yaml"), "--folder", str(built)]
    result = CliRunner().invoke(command, arguments)

    assert isinstance(result.exception, ConfigError)
    assert not (built / "pair").exists()


def test_rows_of_another_layer_are_refused(built, recipe):
    with pytest.raises(DataError, match=r"made with extract\.layer 3, the recipe has 2"):
        train_av(recipe(extract={"layer": 2}), built, device="cpu")


def test_rows_without_explanations_are_refused(folder, recipe):
    text = " ".join(["In Lima people love gardening."] * 12)
    documents = ((name, side) for name, side in (("d", "train"), ("e", "eval")))
    write_corpus(
        folder / "corpus.jsonl",
        *({"id": name, "split": side, "text": f"{name} {text}"} for name, side in documents),
    )
    with pytest.raises(DataError, match="8 of 8 rows have no explanation"):
        prepare_data(recipe(extract={"min_position": 20}), folder, device="cpu")


@pytest.mark.parametrize(("role", "limit"), [("av", 20), ("ar", 10)])
def test_explanations_are_never_cut_silently(folder, recipe, role, limit):
    with pytest.raises(DataError, match=f"1 of 1 rows .*: 1 longer than {role}.max_tokens"):
        prepare_data(recipe(**{role: {"max_tokens": limit}}), folder, device="cpu")


# -- the verdict --


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
    from nla_release.adapter.training_log import Step

    steps = [Step(step=at, loss=loss, lr=0.1) for at, loss in enumerate(losses, 1)]

    assert loss_trend(steps).name == name


def test_the_slope_is_that_of_least_squares():
    from nla_release.adapter.training_log import Step

    rng = np.random.default_rng(0)
    losses = 5 - 0.02 * np.arange(1, 51) + rng.normal(0, 0.1, 50)
    steps = [Step(step=at, loss=float(loss), lr=0.1) for at, loss in enumerate(losses, 1)]
    (spread, together), (_, of_losses) = np.cov(np.arange(1, 51), losses)
    assert loss_trend(steps).slope == pytest.approx(together / spread)
    assert loss_trend(steps).r2 == pytest.approx(together**2 / (spread * of_losses))
