"""Checks before a training begins, of mistakes that would cost hours.

Each raises an error that names what it found and what to do. `tripwire` checks during a training.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from nla_release.adapter.module_names import ModuleTree, Targets, block_of
from nla_release.contract.prompt import check_replay, check_suffix
from nla_release.contract.sidecar import Sidecar
from nla_release.engine.architecture import block_output, decoder_of, width_of
from nla_release.engine.base import LoadedBase
from nla_release.engine.extraction import encode_text
from nla_release.errors import ConfigError

# Outside this band around the base's own embedding norm an AV trains on inputs the base has never
# seen, while its loss still falls (the F72 retraction of SolshineCode/nla-gemma-4-e2b: scale
# 80000 on an embedding norm of 39.25 cost eight days).
SCALE_BAND = (0.5, 3.0)

# The same numbers in another order of operations agree closer than this, also in 16 bits.
MIN_COSINE = 0.999


def check_scale(scale: float, norm: float, activation_norm: float, *, allowed: bool) -> None:
    """Refuse an injection scale out of proportion to the mean embedding norm.

    Where one block puts out much more than an embedding, an AV cannot find a vector at an
    embedding's norm. The reference (kitft/natural_language_autoencoders) therefore uses a number
    slightly above the mean activation norm, which may be `allowed`.

    Raises:
        ConfigError: outside `SCALE_BAND` times the norm, unless allowed.
    """
    low, high = (bound * norm for bound in SCALE_BAND)
    if not (low <= scale <= high or allowed):
        raise ConfigError(
            f"injection_scale {scale:g} is {scale / norm:.3g} times the base's mean embedding norm"
            f" {norm:.4g}; between {low:.4g} and {high:.4g} is in proportion",
            hint="set av.injection_scale near the norm; or, as the reference does, slightly above"
            f" the mean activation norm, here {activation_norm:.4g}, and pass"
            " --allow-ood-injection",
        )


def check_prompts(sidecar: Sidecar, base: LoadedBase) -> None:
    """Replay the prompt that the sidecar will promise, as every reader of the adapter will.

    Raises:
        PairError: the base's tokenizer gives other ids, or has no token of its own for the marker.
    """
    if sidecar.role == "av":
        check_replay(sidecar, base.encode, base.tokenizer.unk_token_id, base.chat)
    else:
        check_suffix(sidecar, base.encode)


@torch.inference_mode()
def check_block_output(base: LoadedBase, layer: int, text: str) -> None:
    """Refuse a base whose activations are not what the contract says.

    Compares what extraction takes from one text with `hidden_states[layer + 1]` of the whole
    model. They differ where an architecture does more between blocks than to hand on a residual
    stream, such as Gemma-3n, which carries four.

    Args:
        base: the model, without an adapter that is active.
        layer: the block that activations are taken from.
        text: its first tokens are compared.

    Raises:
        ConfigError: they differ, or are not of width d_model.
    """
    ids = torch.tensor([encode_text(base, text, max_tokens=64)["input_ids"]], device=base.device)
    mask = torch.ones_like(ids)
    taken = block_output(base.model, layer, ids, mask)
    states = base.model(
        input_ids=ids,
        attention_mask=mask,
        output_hidden_states=True,
        use_cache=False,
        logits_to_keep=1,
    ).hidden_states
    expected, width = states[layer + 1], width_of(base.model)
    name = type(base.model).__name__
    if taken.shape != expected.shape or taken.shape[-1] != width:
        raise ConfigError(
            f"{name}: the output of block {layer} is {_shape(taken)}, hidden_states[{layer + 1}] is"
            f" {_shape(expected)}, and d_model is {width}: there is no single residual stream",
            hint="take another base: this architecture is not supported",
        )
    cosine = torch.nn.functional.cosine_similarity(taken.float(), expected.float(), dim=-1).min()
    if not cosine > MIN_COSINE:
        raise ConfigError(
            f"{name}: the output of block {layer} is not hidden_states[{layer + 1}] (cosine"
            f" {cosine:.4f} on one text): activations would not be what the sidecar says",
            hint="take another base: this architecture is not supported",
        )


def _shape(tensor: torch.Tensor) -> str:
    return f"[{', '.join(map(str, tensor.shape))}]"


def check_targets(model: Any, targets: str | Sequence[str]) -> None:
    """Refuse targets that reach out of the language model, or into nothing.

    Towers for images and sound have projections of the same names. PEFT cannot wrap those of
    Gemma-4 (huggingface/peft#3129), and elsewhere it adapts them silently.

    Raises:
        ConfigError: they do; the hint gives the regex that means the language model alone.
        InputError: they are no regular expression.
    """
    tree = module_tree(model)
    found = Targets(targets).among(tree)
    outside = tree.outside(found)
    inside = found - set(outside)
    if outside:
        kinds = {name: type(model.get_submodule(name)).__name__ for name in outside[:3]}
        names = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
        raise ConfigError(
            f"target_modules {targets!r} reaches {len(outside)} modules outside of the language"
            f" model: {names}{', ...' if len(outside) > 3 else ''}",
            hint=f"for the language model's projections only, write target_modules:"
            f" '{language_model_regex(inside, tree)}'",
        )
    if not inside:
        raise ConfigError(
            f"target_modules {targets!r} matches no module of {type(model).__name__}",
            hint="for all projections of the language model, write target_modules:"
            f" '{language_model_regex(tree.linear, tree)}'",
        )


def module_tree(model: Any) -> ModuleTree:
    """The linear modules of a base in memory, and the name of its language model."""
    modules = dict(model.named_modules())
    decoder = decoder_of(model)
    (name,) = (name for name, module in modules.items() if module is decoder)
    linear = {
        name: (module.out_features, module.in_features)
        for name, module in modules.items()
        if isinstance(module, torch.nn.Linear)
    }
    return ModuleTree(f"{name}.", linear)


def language_model_regex(names: Iterable[str], tree: ModuleTree) -> str:
    """A regex for the places of these names in all blocks of the language model, and no others."""
    blocks = (block_of(name) for name in names if name.startswith(tree.decoder))
    places: dict[str, set[str]] = {}
    for block in blocks:
        if block:
            parent, _, leaf = block.place.rpartition(".")
            places.setdefault(parent, set()).add(leaf)
    ways = [
        f"{re.escape(parent)}\\.({'|'.join(map(re.escape, sorted(leaves)))})"
        for parent, leaves in sorted(places.items())
    ]
    return f"{re.escape(tree.decoder)}layers\\.\\d+\\.({'|'.join(ways)})"
