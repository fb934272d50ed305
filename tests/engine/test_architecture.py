"""Where models keep their parts, whatever their architecture."""

import pytest
import torch
import transformers

from nla_release.engine import base as base_module
from nla_release.engine.architecture import (
    block_count,
    block_output,
    decoder_of,
    lookup_tables,
    place,
    towers,
    width_of,
)
from nla_release.engine.base import load_base
from nla_release.engine.footprint import left_on_the_host, skeleton, total, weights_of
from nla_release.errors import PairError
from tests.bases import gemma_4_e2b, tiny_configs
from tests.sidecars import TINY_BASE

IDS = torch.tensor([[2, 40, 41, 42, 43]])


@pytest.mark.parametrize("name", tiny_configs())
def test_a_blocks_output_is_the_hidden_state_after_it(name):
    model = transformers.AutoModelForCausalLM.from_config(tiny_configs()[name]).eval()
    with torch.no_grad():
        hidden = model(input_ids=IDS, output_hidden_states=True).hidden_states
        read = block_output(model, 1, IDS, torch.ones_like(IDS))

    assert torch.allclose(hidden[2], read, atol=1e-5)
    assert width_of(model) == read.shape[-1]
    assert block_count(model) == len(hidden) - 1


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("llama", []),
        ("qwen2", []),
        ("gemma3-text", []),
        ("gemma3-wrapper", ["model.vision_tower", "model.multi_modal_projector"]),
        ("gemma4", ["model.audio_tower", "model.embed_audio"]),
    ],
)
def test_towers_are_what_lies_beside_the_text_decoder(name, beside):
    model = skeleton(tiny_configs()[name], torch.float32)

    assert towers(model) == beside


def test_only_per_layer_inputs_are_looked_up_and_never_multiplied():
    tables = {
        name: lookup_tables(skeleton(it, torch.float32)) for name, it in tiny_configs().items()
    }

    assert tables.pop("gemma4") == ["model.language_model.embed_tokens_per_layer"]
    assert not any(tables.values())


def test_a_model_without_blocks_is_named():
    with pytest.raises(PairError, match="BertModel has no text decoder with `layers`"):
        decoder_of(transformers.BertModel(transformers.BertConfig(num_hidden_layers=1)))


# -- what a base takes, and where it is put --


@pytest.mark.parametrize("quantization", [None, "nf4"])
def test_the_bytes_of_a_base_are_known_without_loading_it(quantization):
    base = load_base(str(TINY_BASE), None, quantization=quantization, dtype="float32", device="cpu")
    held = sum(it.numel() * it.element_size() for it in base.model.buffers())
    for value in base.model.parameters():
        held += value.numel() * value.element_size()
        if (state := getattr(value, "quant_state", None)) is not None:
            held += 4 * (state.absmax.numel() + state.code.numel())
    planned = weights_of(skeleton(tiny_configs()["gemma4"], torch.float32), quantization)

    assert total(planned) == held


def test_gemma_4_e2b_leaves_its_tables_and_towers_beside_a_small_card():
    weights = weights_of(skeleton(gemma_4_e2b(), torch.float16), "nf4")
    parameters = {part.group: part.parameters for part in weights}

    assert sum(parameters.values()) == 5_104_297_504
    assert parameters["tables"] == 262144 * 35 * 256
    assert left_on_the_host(weights, 4 * 2**30) == {"tables", "towers"}
    assert left_on_the_host(weights, 24 * 2**30) == set()


def test_what_is_left_on_the_host_stays_there_when_the_rest_moves():
    model = transformers.AutoModelForCausalLM.from_config(tiny_configs()["gemma4"])
    host = [*lookup_tables(model), *towers(model)]
    place(model, "meta", host)
    at_home = {name for name, it in model.named_parameters() if not it.is_meta}

    assert {name for name in at_home if not name.startswith(tuple(host))} == set()
    assert {module for module in host if any(it.startswith(module) for it in at_home)} == set(host)


def test_a_base_with_tables_on_the_host_computes_the_same(monkeypatch):
    options = {"quantization": "nf4", "dtype": "float32", "device": "cpu"}
    whole = load_base(str(TINY_BASE), None, **options)
    # There is no crowded card here: the host's part is named as if there were.
    host = [*lookup_tables(whole.model), *towers(whole.model)]
    monkeypatch.setattr(base_module, "_host", lambda *_: host)
    parted = load_base(str(TINY_BASE), None, **options)

    with torch.no_grad():
        assert torch.equal(whole.model(IDS).logits, parted.model(IDS).logits)
