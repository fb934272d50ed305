"""What a base's modules are called once it is loaded, and which of them PEFT adapts."""

from pathlib import Path

import peft
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from peft.tuners.tuners_utils import check_target_module_exists
from transformers.models.auto import modeling_auto
from transformers.models.gemma3 import Gemma3Config, Gemma3TextConfig
from transformers.models.qwen3_5.configuration_qwen3_5 import (
    Qwen3_5Config,
    Qwen3_5TextConfig,
    Qwen3_5VisionConfig,
)

from nla_release.adapter.module_names import (
    TEXT_PART_LOADED,
    BlockModule,
    ModuleTree,
    Targets,
    block_of,
    decoders,
    loaded,
)
from nla_release.base_model.measure import measure_base
from nla_release.engine.adapters import calm
from nla_release.engine.base import load_base
from train.demo import BASE

REVISION = "0" * 40
ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
TINY = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "vocab_size": 40,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
}  # fmt: skip


def blocks(decoder: str, count: int = 2) -> dict[str, tuple[int, int]]:
    return {f"{decoder}layers.{n}.{place}": (16, 16) for n in range(count) for place in ATTENTION}


def tree_of(folder: Path) -> ModuleTree:
    """The tree of a base in a folder, from its headers."""
    facts = measure_base("someone/tiny", REVISION, folder)
    tree = loaded(facts.modules, facts.model_type, facts.tensors, facts.first_reusing)
    assert tree is not None
    return tree


def linear_in_memory(folder: Path) -> dict[str, tuple[int, int]]:
    """The linear modules of a base in a folder, as the engine loads it."""
    model = load_base(str(folder), None, quantization=None, dtype="float32", device="cpu").model
    return {
        name: tuple(module.weight.shape)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }


def in_language_model(tree: ModuleTree, names) -> set[str]:
    return {name for name in names if name.startswith(f"{tree.decoder}layers.")}


class TestWhatTheEngineLoads:
    """The names worked out from headers are those of the model in memory."""

    def check(self, folder: Path) -> ModuleTree:
        tree, memory = tree_of(folder), linear_in_memory(folder)
        assert in_language_model(tree, memory)
        assert in_language_model(tree, memory) == in_language_model(tree, tree.linear)
        for name in in_language_model(tree, memory):
            assert tree.linear[name] == memory[name]
        return tree

    def test_a_wrapper_of_today(self):
        tree = self.check(BASE)

        assert tree.decoder == "model.language_model."
        assert set(linear_in_memory(BASE)) == set(tree.linear)

    def test_a_wrapper_saved_under_the_names_of_before_4_52(self, tmp_path):
        """As every Gemma-3 checkpoint is to this day."""
        vision = transformers.SiglipVisionConfig(
            hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            image_size=28, patch_size=14,
        )  # fmt: skip
        text = Gemma3TextConfig(**TINY)
        config = Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
        save(transformers.Gemma3ForConditionalGeneration(config), tmp_path)

        assert "language_model.model.layers.0.mlp.up_proj" in measured(tmp_path)
        assert self.check(tmp_path).decoder == "model.language_model."

    def test_a_wrapper_of_which_the_text_part_is_loaded(self, tmp_path):
        """AutoModelForCausalLM gives Qwen3.5 its text-only class, under other names."""
        config = Qwen3_5Config(
            text_config=Qwen3_5TextConfig(**TINY, layer_types=["full_attention"] * 2).to_dict(),
            vision_config=Qwen3_5VisionConfig(
                depth=1, hidden_size=16, num_heads=2, intermediate_size=16, out_hidden_size=16
            ).to_dict(),
        )
        save(transformers.Qwen3_5ForConditionalGeneration(config), tmp_path)

        assert "model.language_model.layers.0.mlp.up_proj" in measured(tmp_path)
        tree = self.check(tmp_path)
        assert tree.decoder == "model."
        assert tree.outside(tree.names) == []

    def test_a_model_of_text_alone(self, tmp_path):
        save(transformers.Gemma3ForCausalLM(Gemma3TextConfig(**TINY)), tmp_path)

        assert self.check(tmp_path).decoder == "model."

    def test_the_wrappers_loaded_in_part_are_those_of_the_library(self):
        whole = modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
        causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

        known = whole.keys() & causal.keys()
        in_part = {kind for kind in known if whole[kind] != causal[kind]}

        assert in_part
        assert in_part == TEXT_PART_LOADED & known


def save(model, folder: Path) -> None:
    """A model with the tokenizer of the tiny base, as far as loading it goes."""
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((BASE / name).read_bytes())


def measured(folder: Path) -> dict[str, tuple[int, int] | None]:
    return measure_base("someone/tiny", REVISION, folder).modules


@pytest.mark.parametrize(
    "modules",
    [
        {},
        blocks("transformer.h."),
        blocks("thinker.model."),
        {"lm_head": (40, 16)},
        # Loaded by no AutoModelForCausalLM, and renamed by what does load it.
        blocks("model.") | {"visual.blocks.0.attn.qkv": (48, 16)},
    ],
)
def test_a_layout_that_is_not_known_is_not_guessed(modules):
    assert loaded(modules, "mystery") is None


def test_a_name_made_up_to_be_costly_is_passed_over():
    tree = loaded(blocks("model.") | {"a." * 1_000_000: (1, 1)}, "llama")

    assert tree is not None
    assert len(tree.names) < 20


def test_a_quantised_base_has_names_and_no_shapes():
    tree = loaded(dict.fromkeys(blocks("language_model.model.")), "gemma3")

    assert tree is not None
    assert tree.linear["model.language_model.layers.1.self_attn.q_proj"] is None


def test_an_output_layer_tied_to_the_embedding_is_there():
    tree = loaded(blocks("model."), "llama")

    assert tree is not None
    assert "lm_head" in tree.linear


GEMMA = tree_of(BASE)
PARTS = sorted({part for name in GEMMA.names for part in name.split(".")})
LISTED = st.lists(
    st.one_of(
        st.sampled_from(PARTS),
        st.sampled_from(GEMMA.names),
        st.tuples(st.sampled_from(PARTS), st.sampled_from(PARTS)).map(".".join),
    ),
    max_size=4,
)
PATTERN = st.sampled_from(
    [
        r".*", r".*language_model.*", r".*\.q_proj", r"q_proj", r"^(?!.*audio).*_proj$",
        r".*language_model\.layers\.\d+\.mlp\.\w+",
        r"model\.language_model\.layers\.[0-3]\.(self_attn|mlp)\.\w+_proj",
    ]
)  # fmt: skip


@given(
    modules=LISTED | PATTERN,
    exclude=st.none() | LISTED | PATTERN,
    layers=st.none() | st.integers(0, 7) | st.lists(st.integers(0, 7), max_size=3),
    saved=st.lists(st.sampled_from(PARTS), max_size=1),
)
def test_targets_are_taken_as_peft_takes_them(modules, exclude, layers, saved):
    targets = Targets(modules, exclude, layers, saved)
    if isinstance(modules, str):  # PEFT refuses the combination
        targets, layers = Targets(modules, exclude, None, saved), None
    config = peft.LoraConfig(
        target_modules=modules,
        exclude_modules=exclude,
        layers_to_transform=layers,
        modules_to_save=saved or None,
    )

    theirs = {name for name in GEMMA.names if check_target_module_exists(config, name)}

    assert targets.among(GEMMA) == theirs


@pytest.mark.parametrize(
    "target_modules", ["all-linear", "All-Linear", r".*layers\.[0-3]\.mlp\.\w+_proj"]
)
def test_a_model_of_peft_has_the_modules_that_are_worked_out(target_modules):
    model = transformers.AutoModelForCausalLM.from_pretrained(BASE)
    with calm():
        adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=target_modules))

    assert set(adapted.targeted_module_names) == Targets(target_modules).among(GEMMA)


def test_what_lies_beside_the_language_model():
    names = ["model", "model.language_model", "lm_head", *GEMMA.names]

    outside = GEMMA.outside(names)

    assert outside
    assert all("audio" in name for name in outside)
    assert {name for name in GEMMA.names if "audio" in name} == set(outside)


def test_what_a_linear_module_lies_in_has_a_name_too():
    """Gemma-4's towers have a q_proj that is none of PEFT's kinds, with a linear one in it."""
    assert "model.audio_tower.layers.0.self_attn.q_proj" in GEMMA.names
    assert "model.audio_tower.layers.0.self_attn.q_proj" not in GEMMA.linear


def test_the_names_of_an_adapter_have_one_beginning():
    wrapped, text = blocks("model.language_model."), blocks("model.")

    assert decoders(wrapped) == {"model.language_model."}
    assert decoders([*wrapped, *text]) == {"model.language_model.", "model."}
    assert decoders(["model.vision_tower.layers.0.self_attn.q_proj", "lm_head"]) == set()


@given(
    st.lists(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), max_size=3).filter(
        lambda parts: "layers" not in parts
    ),
    st.integers(0, 999_999),
    st.from_regex(r"[a-z_]{1,8}(\.[a-z_]{1,8}){0,2}", fullmatch=True),
)
def test_a_name_tells_of_its_block(parts, number, place):
    decoder = "".join(f"{part}." for part in parts)

    assert block_of(f"{decoder}layers.{number}.{place}") == BlockModule(decoder, number, place)


@pytest.mark.parametrize(
    "name", ["", "lm_head", "layers.0", "layers.x.q", "model.layers..q", f"layers.{'9' * 5000}.q"]
)
def test_other_names_tell_of_none(name):
    assert block_of(name) is None


@given(st.text(max_size=40))
def test_any_text_can_be_a_name(text):
    block_of(text)
    loaded({text: None, f"model.layers.0.{text}": (1, 1)}, text)


def test_blocks_that_reuse_keys_and_values_have_none():
    """A Gemma-4 checkpoint may hold them; the loaded model has none to adapt."""
    tree = loaded(blocks("model.", 6), "gemma4", first_reusing=4)

    assert tree is not None
    assert "model.layers.3.self_attn.k_proj" in tree.linear
    assert "model.layers.4.self_attn.q_proj" in tree.linear
    assert not {f"model.layers.4.self_attn.{name}_proj" for name in "kv"} & tree.linear.keys()
