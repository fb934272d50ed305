"""Variants of LoRA that a sidecar can declare run as their formulas say; the others are refused."""

import json

import peft
import pytest
import torch
from safetensors.torch import load_file

from nla_release.adapter.config import AdapterConfig, portable
from nla_release.engine.adapters import attach, calm
from nla_release.engine.base import load_base
from nla_release.errors import PairError
from tests.sidecars import TINY_BASE

IDS = torch.tensor([[2, 300, 301, 302]])
RANK, ALPHA = 4, 8
TARGETS = r"model\.language_model\.layers\.\d+\.self_attn\.(q|o)_proj"
BASE_ID = "nla-demo/tiny-gemma4"


def tiny_base():
    return load_base(TINY_BASE, None, quantization=None, dtype="float32", device="cpu")


def adapter(folder, **variant):
    """A LoRA with random factors, saved by PEFT; its options as `variant` says."""
    torch.manual_seed(3)
    config = peft.LoraConfig(
        r=RANK, lora_alpha=ALPHA, target_modules=TARGETS, task_type="CAUSAL_LM", **variant
    )
    with calm():
        model = peft.get_peft_model(tiny_base().model, config)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn_like(parameter)
    model.peft_config["default"].base_model_name_or_path = BASE_ID
    model.save_pretrained(folder, save_embedding_layers=False)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(portable(json.loads(path.read_text()))))
    return folder


@torch.no_grad()
def by_the_formula(folder):
    """Logits of the base with the adapter worked into its weights by hand."""
    tensors = load_file(folder / "adapter_model.safetensors")
    config = AdapterConfig.model_validate(json.loads((folder / "adapter_config.json").read_text()))
    scale = ALPHA / (RANK**0.5 if config.use_rslora else RANK)
    model = tiny_base().model
    for key, a in tensors.items():
        name = key.removeprefix("base_model.model.")
        if name.endswith(".lora_A.weight"):
            stem = key.removesuffix("lora_A.weight")
            weight = model.get_submodule(name.removesuffix(".lora_A.weight")).weight
            weight += scale * tensors[f"{stem}lora_B.weight"] @ a
            if config.use_dora:
                magnitude = tensors[f"{stem}lora_magnitude_vector"]
                weight *= (magnitude / weight.norm(dim=1)).unsqueeze(1)
        elif ".lora_" not in name:
            module = model.get_submodule(name.removesuffix(".weight"))
            module.weight = torch.nn.Parameter(a)  # its own, where the base ties it to another
    return model(input_ids=IDS).logits


@torch.no_grad()
@pytest.mark.parametrize(
    "variant",
    [{"use_rslora": True}, {"use_dora": True}, {"use_rslora": True, "use_dora": True}],
    ids=["rslora", "dora", "both"],
)
def test_a_variant_reproduces_beside_a_plain_adapter(tmp_path, variant):
    av, ar = adapter(tmp_path / "av", **variant), adapter(tmp_path / "ar")
    model = attach(tiny_base(), {"av": [av], "ar": [ar]})

    for role, folder in (("av", av), ("ar", ar), ("av", av)):
        model.set_adapter(role)
        assert torch.allclose(model(input_ids=IDS).logits, by_the_formula(folder), atol=1e-4)


@torch.no_grad()
def test_a_module_saved_whole_takes_the_place_of_the_bases(tmp_path):
    av, ar = adapter(tmp_path / "av", modules_to_save=["lm_head"]), adapter(tmp_path / "ar")
    model = attach(tiny_base(), {"av": [av], "ar": [ar]})

    for role, folder in (("av", av), ("ar", ar)):
        model.set_adapter(role)
        assert torch.allclose(model(input_ids=IDS).logits, by_the_formula(folder), atol=1e-4)


@pytest.mark.parametrize(
    ("option", "value"),
    [("init_lora_weights", "pissa"), ("lora_bias", True), ("rank_pattern", {"q_proj": 8})],
)
def test_other_variants_are_refused_by_name(tmp_path, option, value):
    folder = adapter(tmp_path / "av")
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {option: value}))

    with pytest.raises(PairError, match=f"{option}: such a variant of LoRA is not run here"):
        attach(tiny_base(), {"av": [folder], "ar": [folder]})
