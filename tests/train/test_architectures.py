"""Someone else's base needs a recipe, not code: one step of each adapter on five architectures."""

import pytest
import torch
from safetensors.torch import load_file

from nla_release import Pair
from nla_release.contract.sidecar import read_sidecar
from nla_release.engine.activations import read_activations
from nla_release.errors import ConfigError
from nla_release.training.ar import train_ar
from nla_release.training.av import train_av
from tests.bases import tiny_configs, write_base
from tests.train.built import recipe_with
from train.tiny.corpus import generate, write_jsonl
from train.tiny.rows import prepare_data

# What the decoder's modules are called: in a wrapper, and in a model of text alone.
WRAPPER, TEXT = r"model\.language_model\.layers", r"model\.layers"
PREFIX = {
    "llama": TEXT,
    "qwen2": TEXT,
    "gemma3-text": TEXT,
    "gemma3-wrapper": WRAPPER,
    "gemma4": WRAPPER,
}


def recipe_of(folder, name, **more):
    """The tiny recipe for another base: layer 2 of it, one step."""
    targets = PREFIX[name] + r"\.[0-2]\.(self_attn|mlp)\.(q|v|o|gate|up|down)_proj"
    block = {"target_modules": targets, "steps": 1, "rank": 4, "alpha": 8} | more
    return recipe_with(
        folder,
        base={"id": f"someone/{name}", "path": str(folder / "base")},
        extract={"layer": 2},
        av=block,
        ar=block | {"read_block": 2},
    )


@pytest.mark.parametrize("name", PREFIX)
def test_a_pair_is_trained_saved_loaded_and_goes_round(tmp_path, name):
    write_base(tmp_path / "base", tiny_configs()[name])
    documents = [it for it in generate(0) if it["split"] in ("train", "eval")]
    chosen = [it for it in documents if it["split"] == "train"][:6]
    write_jsonl(tmp_path / "corpus.jsonl", [*chosen, documents[-1]])
    recipe = recipe_of(tmp_path, name)
    prepare_data(recipe, tmp_path, device="cpu")
    # The embeddings of random weights are of no particular norm.
    train_av(recipe, tmp_path, device="cpu", allow_ood_injection=True)
    train_ar(recipe, tmp_path, device="cpu")
    held_out = read_activations(tmp_path / "data" / "eval.parquet", 64)
    pair = Pair.from_pretrained(tmp_path / "pair", base=tmp_path / "base", device="cpu")
    again = pair.reconstruct(pair.explain(held_out.vectors[:3], max_new_tokens=4))

    assert torch.isfinite(again).all()
    assert again.norm(dim=-1).min() > 0
    extracted = pair.activations(held_out.texts[:3])
    assert torch.allclose(extracted.vectors, torch.from_numpy(held_out.vectors[:3]), atol=1e-3)
    assert pair.ar.head.blocks == 3
    for folder in (tmp_path / "pair" / "av", tmp_path / "pair" / "ar"):
        factors = load_file(folder / "adapter_model.safetensors")
        trained = [it for it, value in factors.items() if "lora_B" in it and value.abs().max() > 0]
        assert trained
        assert all(f".{PREFIX[name]}.".replace("\\", "") in it for it in trained)
        assert read_sidecar(folder).nla_release.base.id == f"someone/{name}"


def test_a_list_of_names_that_reaches_a_tower_is_answered_with_the_regex_to_use(tmp_path):
    write_base(tmp_path / "base", tiny_configs()["gemma3-wrapper"])
    documents = [it for it in generate(0) if it["split"] in ("train", "eval")]
    write_jsonl(tmp_path / "corpus.jsonl", [*documents[:2], documents[-1]])
    recipe = recipe_of(tmp_path, "gemma3-wrapper", target_modules=["q_proj", "v_proj"])
    prepare_data(recipe, tmp_path, device="cpu")

    with pytest.raises(ConfigError, match="outside of the language") as caught:
        train_av(recipe, tmp_path, device="cpu", allow_ood_injection=True)
    assert "language_model" in caught.value.hint
