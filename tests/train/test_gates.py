"""What is looked at before a training begins, and that nothing is written when it is refused."""

import shutil

import pytest
import torch
import transformers

from nla_release.adapter.module_names import Targets
from nla_release.contract.sidecar import read_sidecar
from nla_release.engine.architecture import decoder_of
from nla_release.engine.base import load_base
from nla_release.errors import ConfigError, InputError, PairError
from nla_release.training.ar import train_ar
from nla_release.training.av import train_av
from nla_release.training.gates import (
    check_block_output,
    check_prompts,
    check_scale,
    check_targets,
    language_model_regex,
    module_tree,
)
from tests.bases import tiny_configs, tiny_gemma3n, write_base
from tests.sidecars import TINY_BASE
from tests.train.built import copied, recipe_with


@pytest.fixture(scope="module")
def base():
    return load_base(str(TINY_BASE), "x", quantization=None, dtype="float32", device="cpu")


# -- scale --


@pytest.mark.parametrize("scale", [7.9, 48.1, 80000.0])
def test_a_scale_out_of_proportion_is_refused_unless_allowed(scale):
    with pytest.raises(ConfigError, match="times the base's mean embedding norm") as caught:
        check_scale(scale, 16.0, 191.0, allowed=False)
    assert "here 191, and pass --allow-ood-injection" in caught.value.hint
    check_scale(scale, 16.0, 191.0, allowed=True)


@pytest.mark.parametrize("scale", [8.0, 16.0, 48.0])
def test_a_scale_in_proportion_is_taken(scale):
    check_scale(scale, 16.0, 191.0, allowed=False)


# -- what a block puts out --


@pytest.mark.parametrize("name", tiny_configs())
def test_activations_are_the_hidden_states_of_every_supported_architecture(name, tmp_path):
    base = loaded(tmp_path, tiny_configs()[name])

    check_block_output(base, 1, "the word rose in a text about gardening")


def test_a_base_with_several_residual_streams_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match=r"Gemma3nForCausalLM: .* no single residual stream"):
        check_block_output(loaded(tmp_path, tiny_gemma3n()), 1, "the word rose")


def test_a_base_that_changes_what_its_blocks_put_out_is_refused(base, monkeypatch):
    block = decoder_of(base.model).layers[1]
    forward = block.forward
    monkeypatch.setattr(
        block,
        "forward",
        lambda hidden, *args, **options: forward(hidden, *args, **options).roll(1, dims=-1),
    )
    whole = base.model.forward
    monkeypatch.setattr(base.model, "forward", lambda **options: _rolled_back(whole(**options)))
    with pytest.raises(ConfigError, match=r"block 1 is not hidden_states\[2\] \(cosine"):
        check_block_output(base, 1, "the word rose")


def _rolled_back(output):
    states = list(output.hidden_states)
    states[2] = states[2].roll(-1, dims=-1)
    output.hidden_states = tuple(states)
    return output


def loaded(folder, config):
    place = str(write_base(folder, config))
    return load_base(place, None, quantization=None, dtype="float32", device="cpu")


# -- targets --


@pytest.mark.parametrize(
    ("targets", "kind"),
    [
        (["q_proj", "v_proj"], "Gemma4ClippableLinear"),
        (["linear"], "Linear"),
        (r".*\.(q_proj|up_proj)", "Gemma4ClippableLinear"),
        ("all-linear", "Linear"),
    ],
    ids=str,
)
def test_targets_that_reach_a_tower_are_refused_with_the_regex_to_use(base, targets, kind):
    with pytest.raises(ConfigError, match="outside of the language model") as caught:
        check_targets(base.model, targets)

    assert "model.audio_tower." in caught.value.message
    assert f"({kind})" in caught.value.message
    assert "language model's projections only, write target_modules" in caught.value.hint


def test_the_regex_to_use_means_what_was_asked_for_in_the_language_model(base):
    tree = module_tree(base.model)
    for wanted in (["q_proj", "v_proj"], ["q_proj", "gate_proj"], ["down_proj"]):
        asked = {name for name in Targets(wanted).among(tree) if name.startswith(tree.decoder)}
        with pytest.raises(ConfigError) as caught:
            check_targets(base.model, [*wanted, "linear"])
        regex = caught.value.hint.split("'")[-2]

        assert asked
        assert Targets(regex).among(tree) == asked
        check_targets(base.model, regex)


def test_targets_that_match_nothing_are_refused_with_a_regex_that_does(base):
    with pytest.raises(ConfigError, match="matches no module of") as caught:
        check_targets(base.model, r"transformer\.h\..*")
    regex = caught.value.hint.split("'")[-2]

    assert regex == language_model_regex(module_tree(base.model).linear, module_tree(base.model))
    check_targets(base.model, regex)


def test_a_pattern_that_is_none_is_refused(base):
    with pytest.raises(InputError):
        check_targets(base.model, "(")


def test_a_list_is_taken_where_there_is_no_tower_to_hit():
    """Of a model of text alone, a list of names means the language model."""

    config = transformers.LlamaConfig(
        vocab_size=8,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
    )
    check_targets(transformers.LlamaForCausalLM(config), ["q_proj", "v_proj"])


def test_a_training_with_such_targets_writes_nothing(built, tmp_path):
    folder = copied(built, tmp_path)
    for train, role in ((train_av, "av"), (train_ar, "ar")):
        with pytest.raises(ConfigError, match="outside of the language model"):
            train(recipe_with(tmp_path, **{role: {"target_modules": ["q_proj"]}}), folder)
    assert not (folder / "pair").exists()
    assert not (folder / "checkpoints").exists()


# -- prompts --


def test_the_prompt_that_the_sidecar_will_promise_is_replayed(built, tmp_path, base):
    folder = copied(built, tmp_path)
    recipe = recipe_with(tmp_path, av={"steps": 1}, ar={"steps": 1})
    train_av(recipe, folder, device="cpu")
    train_ar(recipe, folder, device="cpu")
    av = read_sidecar(folder / "pair" / "av", "av")
    ar = read_sidecar(folder / "pair" / "ar", "ar")
    check_prompts(av, base)
    check_prompts(ar, base)
    ids = av.injection.prompt_token_ids
    injection = av.injection.model_copy(update={"prompt_token_ids": [*ids[:-1], 0]})
    ours = av.nla_release.model_copy(update={"injection": injection})

    with pytest.raises(PairError, match="renders differently than in training"):
        check_prompts(av.model_copy(update={"nla_release": ours}), base)
    tokens = ar.tokens.model_copy(update={"critic_suffix_ids": [1, 2, 3]})
    with pytest.raises(PairError, match="critic_suffix_ids"):
        check_prompts(ar.model_copy(update={"tokens": tokens}), base)


def test_a_tokenizer_that_changed_since_the_rows_were_built_is_refused(built, tmp_path):
    folder = copied(built, tmp_path / "data")
    changed = tmp_path / "base"
    shutil.copytree(TINY_BASE, changed)
    text = (changed / "tokenizer.json").read_text()
    (changed / "tokenizer.json").write_text(text + "\n")
    with pytest.raises(InputError, match="pins tokenizer_sha256"):
        train_av(recipe_with(tmp_path, base={"path": str(changed)}), folder, device="cpu")


def test_modules_of_the_base_are_told_with_their_shapes(base):
    tree = module_tree(base.model)
    name = "model.language_model.layers.0.self_attn.q_proj"

    assert tree.decoder == "model.language_model."
    assert tree.linear[name] == tuple(base.model.get_submodule(name).weight.shape)
    assert isinstance(base.model.get_submodule(name), torch.nn.Linear)
