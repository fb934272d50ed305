"""What an adapter's file may hold follows from its configuration; the rest is named."""

import pytest
import torch
from safetensors.torch import save_file

from nla_release.adapter.lora import lora_modules, never_saved
from nla_release.adapter.weights import read_header
from nla_release.errors import WeightsError

KEY = "base_model.model.model.layers.0.q_proj.lora_{}.weight"
MAGNITUDE = "base_model.model.model.layers.0.q_proj.lora_magnitude_vector"
HEAD = "base_model.model.lm_head.weight"


@pytest.fixture
def adapter(tmp_path):
    """Writes a file of one adapted module, and of whatever else it is given."""

    def write(a=(4, 8), b=(6, 4), **more):
        path = tmp_path / "adapter.safetensors"
        save_file({KEY.format("A"): torch.ones(a), KEY.format("B"): torch.ones(b), **more}, path)
        return path

    return write


def test_a_module_has_its_rank_and_sizes(adapter):
    (module,) = lora_modules(adapter())

    assert (module.name, module.rank, module.in_features, module.out_features) == (
        "model.layers.0.q_proj",
        4,
        8,
        6,
    )


@pytest.mark.parametrize(
    ("shapes", "more", "words"),
    [
        ({"a": (4, 8), "b": (6, 5)}, {}, "do not multiply"),
        ({"a": (4,), "b": (6, 4)}, {}, "do not multiply"),
        ({"a": (0, 8), "b": (6, 0)}, {}, "do not multiply"),
        ({}, {"v_head.weight": torch.ones(1)}, "v_head.weight is not a LoRA factor"),
        ({}, {KEY.format("A").replace("q_proj", "k_proj"): torch.ones(4, 8)}, "has no lora_B"),
        ({}, {KEY.format("B").replace("weight", "bias"): torch.ones(6)}, "is not a LoRA factor"),
        ({}, {KEY.format("B.default"): torch.ones(6, 4)}, "carries the adapter's name 'default'"),
        ({}, {f"{MAGNITUDE}.default": torch.ones(6)}, "carries the adapter's name 'default'"),
    ],
)
def test_an_adapter_that_is_not_whole_is_refused(adapter, shapes, more, words):
    with pytest.raises(WeightsError, match=words):
        lora_modules(adapter(**shapes, **more))


@pytest.mark.parametrize(
    "key",
    [
        HEAD,
        "base_model.model.model.language_model.embed_tokens.weight",
        "base_model.model.lm_head.base_layer.weight",
        "base_model.model.transformer.wte.weight",
    ],
)
def test_an_embedding_layer_saved_unasked_has_its_size_told(adapter, key):
    with pytest.raises(WeightsError, match="although .* does not name it, 4.0 MB") as found:
        lora_modules(adapter(**{key: torch.ones(1000, 1000)}))
    assert key in found.value.message


def test_a_module_that_is_declared_is_saved(adapter):
    path = adapter(**{HEAD: torch.ones(5, 5)})

    assert len(lora_modules(path, saved=["lm_head"])) == 1
    with pytest.raises(WeightsError, match="embedding was saved although"):
        lora_modules(path, saved=["norm"])
    assert never_saved(read_header(path), ["lm_head", "score"]) == ["score"]


def test_a_module_is_saved_by_the_ending_of_its_name(adapter):
    """PEFT saves `conv_norm` for v_norm, and what is inside of a module."""
    conv = "base_model.model.model.layers.0.conv_norm.weight"
    inside = "base_model.model.model.layers.0.my_norm.inner.bias"

    assert lora_modules(adapter(**{conv: torch.ones(5)}), saved=["v_norm"])
    assert lora_modules(adapter(**{inside: torch.ones(5)}), saved=["norm"])
    with pytest.raises(WeightsError, match="is not a LoRA factor"):
        lora_modules(adapter(**{conv: torch.ones(5)}), saved=["weight"])


def test_a_lora_on_an_embedding_is_named_as_one(adapter):
    key = "base_model.model.model.embed_tokens.lora_embedding_A"

    with pytest.raises(WeightsError, match="a LoRA factor of an embedding") as found:
        lora_modules(adapter(**{key: torch.ones(4, 40)}))

    assert "out of target_modules" in found.value.hint


def test_dora_has_a_magnitude_for_every_output(adapter):
    path = adapter(**{MAGNITUDE: torch.ones(6)})

    assert len(lora_modules(path, dora=True)) == 1
    with pytest.raises(WeightsError, match=r"magnitude of shape \(6,\), use_dora is false"):
        lora_modules(path)
    with pytest.raises(WeightsError, match=r"shape \(5,\), use_dora is true and expects \(6,\)"):
        lora_modules(adapter(**{MAGNITUDE: torch.ones(5)}), dora=True)
    with pytest.raises(WeightsError, match=r"shape none, use_dora is true and expects \(6,\)"):
        lora_modules(adapter(), dora=True)


@pytest.mark.parametrize("more", [{}, {HEAD: torch.ones(2, 2)}])
def test_a_file_without_factors_is_refused(tmp_path, more):
    save_file(more, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="has no LoRA tensors"):
        lora_modules(tmp_path / "x.safetensors", saved=["lm_head"] if more else [])
