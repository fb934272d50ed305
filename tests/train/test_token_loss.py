"""The AV's loss in chunks: the loss and gradients of full logits, without a tensor of them."""

import peft
import pytest
import torch
import transformers

from nla_release.engine.adapters import calm
from nla_release.engine.base import load_base
from nla_release.training import token_loss
from nla_release.training.learner import add_lora, without_dropout
from nla_release.training.memory_plan import PeakMemory
from nla_release.training.recipe import read_recipe
from nla_release.training.token_loss import answer_losses, logits_are_known, whole_answer_losses
from tests.bases import tiny_configs
from tests.sidecars import TINY_BASE
from train.demo import RECIPE

START, LENGTHS = 5, [9, 3, 6]


def batch():
    """Ids, mask and the first answer's tokens: three rows, padded on the right."""
    ids = torch.randint(4, 500, (3, START + max(LENGTHS)), generator=torch.manual_seed(1))
    mask = torch.ones_like(ids)
    for row, length in enumerate(LENGTHS):
        mask[row, START + length :] = 0
    return ids, mask


def model_of(config, targets=("q_proj", "down_proj"), dtype=torch.float32):
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    return adapted(model.requires_grad_(False), targets)


def adapted(model, targets=("q_proj", "down_proj")):
    """With LoRA on the language model's modules of these names, none of its factors zero."""
    names = [name for name, _ in model.named_modules() if name.endswith(tuple(targets))]
    config = peft.LoraConfig(
        target_modules=[name for name in names if "tower" not in name], init_lora_weights=False
    )
    with calm():
        return peft.get_peft_model(model, config).eval()


def gradients(model, losses):
    """The losses of the rows, and the gradients of their weighted sum by parameter."""
    model.zero_grad()
    (losses * torch.tensor([1.0, 0.5, 2.0])).sum().backward()
    learned = {name: it.grad for name, it in model.named_parameters() if it.requires_grad}
    return losses.detach(), {name: it.clone() for name, it in learned.items() if it is not None}


def assert_equal(model, monkeypatch, **tolerance):
    monkeypatch.setattr(token_loss, "CHUNK_BYTES", 4 * 512 * 4)  # four positions
    ids, mask = batch()
    whole, wanted = gradients(model, whole_answer_losses(model, ids, mask, START, LENGTHS))
    chunked, found = gradients(model, answer_losses(model, ids, mask, START, LENGTHS))

    torch.testing.assert_close(chunked, whole, **tolerance)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert value.any(), name
        torch.testing.assert_close(found[name], value, **tolerance)


@pytest.mark.parametrize("name", tiny_configs())
def test_loss_and_gradients_are_those_of_full_logits(name, monkeypatch):
    model = model_of(tiny_configs()[name])

    assert logits_are_known(model, batch()[0])
    assert_equal(model, monkeypatch)


def test_they_are_what_transformers_computes():
    model, (ids, mask) = model_of(tiny_configs()["llama"]), batch()
    labels = ids.masked_fill(mask == 0, -100)
    labels[:, :START] = -100
    mean = model(input_ids=ids, attention_mask=mask, labels=labels).loss

    losses = answer_losses(model, ids, mask, START, LENGTHS)

    torch.testing.assert_close(losses.sum() / sum(LENGTHS), mean)


def test_a_gemma_caps_its_logits(monkeypatch):
    config = tiny_configs()["gemma4"]
    config.get_text_config().final_logit_softcapping = 0.5
    model = model_of(config)

    assert logits_are_known(model, batch()[0])
    assert_equal(model, monkeypatch)


@pytest.mark.parametrize(
    ("family", "scale"),
    [
        (transformers.CohereConfig, {"logit_scale": 0.3}),
        (transformers.GraniteConfig, {"logits_scaling": 7.0}),
    ],
)
def test_families_that_scale_their_logits_are_known(family, scale, monkeypatch):
    shape = {"vocab_size": 512, "hidden_size": 32, "intermediate_size": 48, "pad_token_id": 0}
    heads = {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    model = model_of(family(**shape, **heads, **scale))

    assert logits_are_known(model, batch()[0])
    assert_equal(model, monkeypatch)


def test_a_family_that_does_something_else_to_its_logits_is_not_known():
    model = model_of(tiny_configs()["llama"])
    inner = model.get_base_model()
    forward = inner.forward

    def doubled(**options):
        output = forward(**options)
        output.logits = output.logits * 2
        return output

    inner.forward = doubled
    assert not logits_are_known(model, batch()[0])


def test_an_adapted_output_layer_learns_too(monkeypatch):
    model = model_of(tiny_configs()["llama"], targets=("q_proj", "lm_head"))

    assert_equal(model, monkeypatch)


def test_bfloat16_agrees_within_its_rounding(monkeypatch):
    model = model_of(tiny_configs()["llama"], dtype=torch.bfloat16)

    assert_equal(model, monkeypatch, rtol=0.05, atol=0.01)


def test_a_base_in_four_bits_learns_the_same(monkeypatch):
    base = load_base(str(TINY_BASE), None, quantization="nf4", dtype="float32", device="cpu")

    assert_equal(adapted(base.model), monkeypatch)


def test_without_gradients_the_losses_are_the_same():
    model, (ids, mask) = model_of(tiny_configs()["gemma3-text"]), batch()
    with torch.no_grad():
        losses = answer_losses(model, ids, mask, START, LENGTHS)

    assert not losses.requires_grad
    torch.testing.assert_close(losses, answer_losses(model, ids, mask, START, LENGTHS).detach())


def test_the_logits_of_all_positions_never_exist(monkeypatch):
    """At any moment, forward or backward, those of one chunk do."""
    monkeypatch.setattr(token_loss, "CHUNK_BYTES", 4 * 512)  # one position
    model, (ids, mask) = model_of(tiny_configs()["llama"]), batch()
    with PeakMemory(512) as chunked:
        chunked.begin(model.parameters())
        answer_losses(model, ids, mask, START, LENGTHS).sum().backward()
    with PeakMemory(512) as whole:
        whole.begin(model.parameters())
        whole_answer_losses(model, ids, mask, START, LENGTHS).sum().backward()

    assert chunked.peak.logits <= 4 * 4 * 512
    assert whole.peak.logits >= 4 * 512 * sum(LENGTHS)


def test_a_4_bit_base_keeps_its_gradients_after_an_evaluation():
    """bitsandbytes repacks weights for inference on some CPUs, and that form has no gradient."""
    base = load_base(str(TINY_BASE), None, quantization="nf4", dtype="bfloat16", device="cpu")
    model, (ids, mask) = add_lora(base, read_recipe(RECIPE).av), batch()
    with torch.no_grad(), without_dropout(model):
        model(input_ids=ids, attention_mask=mask)
    _, found = gradients(model, answer_losses(model, ids, mask, START, LENGTHS))

    assert all(value.isfinite().all() for value in found.values())
    assert any(value.any() for value in found.values())


def test_gradients_in_16_bits_are_not_scaled_by_a_rounded_weight():
    """1/777 is 0.2% larger in bfloat16."""
    model, (ids, _) = model_of(tiny_configs()["llama"], dtype=torch.bfloat16), batch()
    hidden = torch.randn(4, 64, dtype=torch.bfloat16, generator=torch.manual_seed(0))
    targets = ids.flatten()[:4]

    def gradient(weight):
        leaf = hidden.clone().requires_grad_()
        (token_loss._losses(model, leaf, targets) * weight).sum().backward()
        return leaf.grad.double()

    ratio = (gradient(1 / 777) * 777 / gradient(1.0)).nanmedian()
    assert abs(float(ratio) - 1) < 5e-4
