"""What differs between architectures: the one place that knows where a model keeps its parts.

Every base is a language model of transformers whose text decoder has `layers` and a final `norm`:
a model of text alone (Llama, Qwen, Gemma-3 1B), or a wrapper of one with towers for images or sound
(Gemma-3 4B, Gemma-4). Whatever else is asked of a model is asked through the functions here.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from nla_release.adapter.module_names import ModuleTree
from nla_release.errors import PairError


def decoder_of(model: Any) -> Any:
    """The text decoder inside a base or PEFT model: the module with `layers` and `norm`.

    Raises:
        PairError: the architecture has no such module.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    decoder = inner.get_decoder()
    if not hasattr(decoder, "layers") or not hasattr(decoder, "norm"):
        raise PairError(
            f"{type(inner).__name__} has no text decoder with `layers` and a final `norm`"
        )
    return decoder


def block_count(model: Any) -> int:
    """How many decoder blocks there are; the last one's number is one less."""
    return len(decoder_of(model).layers)


def width_of(model: Any) -> int:
    """The width `d_model` of the residual stream, and so of every activation."""
    return int(model.config.get_text_config().hidden_size)


def vocabulary_of(model: Any) -> int:
    """How many tokens the base knows, and so how wide its logits are."""
    return int(model.config.get_text_config().vocab_size)


def context_of(model: Any) -> int | None:
    """How many tokens the base reads at once, where its configuration says it."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def module_tree(model: Any) -> ModuleTree:
    """The modules of a base in memory, as `adapter.module_names.loaded` gives them of headers.

    Raises:
        PairError: the architecture has no text decoder.
    """
    decoder, modules = decoder_of(model), dict(model.named_modules())
    name_of_decoder = next(name for name, module in modules.items() if module is decoder)
    linear = {
        name: (module.out_features, module.in_features)
        for name, module in modules.items()
        # PEFT wraps what an adapter is on already, as of a stack, and keeps the layer inside.
        if isinstance(getattr(module, "base_layer", module), torch.nn.Linear)
    }
    linear = {
        name: shape
        for name, shape in linear.items()
        if not any(above in linear for above in _above(name))
    }
    tensors = {
        key: tuple(value.shape)
        for key, value in model.state_dict().items()
        # A quantised weight has constants next to it.
        if (owner := key.rpartition(".")[0]) not in linear or key == f"{owner}.bias"
        if not any(above in linear for above in _above(owner))
    }
    return ModuleTree(f"{name_of_decoder}." if name_of_decoder else "", linear, tensors)


def _above(name: str) -> Iterator[str]:
    while name := name.rpartition(".")[0]:
        yield name


@contextmanager
def stopping_after(model: Any, block: int) -> Iterator[Any]:
    """The text decoder, cut off after `block`, without its final norm.

    Inside, `last_hidden_state` is that block's output, and later blocks cost nothing. This is the
    reference contract's truncated AR. Outside, the model is whole again.
    """
    decoder = decoder_of(model)
    layers, norm = decoder.layers, decoder.norm
    decoder.layers, decoder.norm = layers[: block + 1], torch.nn.Identity()
    try:
        yield decoder
    finally:
        decoder.layers, decoder.norm = layers, norm


def block_output(
    model: Any, block: int, input_ids: torch.Tensor, attention_mask: torch.Tensor
) -> torch.Tensor:
    """Output of one decoder block, `[B, S, d]`: `hidden_states[block + 1]`, without final norm."""
    with stopping_after(model, block) as decoder:
        output: torch.Tensor = decoder(
            input_ids=input_ids, attention_mask=attention_mask, use_cache=False
        ).last_hidden_state
    return output


def embedding_norm(model: Any) -> float:
    """Mean L2 norm over the vocabulary of what the input embedding gives, scaling included."""
    embedding = model.get_input_embeddings()
    count: int = embedding.weight.shape[0]
    total = 0.0
    with torch.no_grad():
        for start in range(0, count, 8192):
            ids = torch.arange(start, min(start + 8192, count), device=embedding.weight.device)
            total += float(embedding(ids).float().norm(dim=-1).sum())
    return total / count


def lookup_tables(model: Any) -> list[str]:
    """Names of the embeddings that are only looked up, such as Gemma-4's per-layer inputs.

    The input embedding is not among them: it is multiplied with as well where lm_head is tied.
    """
    multiplied = {id(model.get_input_embeddings()), id(model.get_output_embeddings())}
    decoder = decoder_of(model)
    inside = {id(module) for module in decoder.modules()}
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Embedding)
        and id(module) in inside
        and id(module) not in multiplied
    ]


def towers(model: Any) -> list[str]:
    """Names of the modules beside the text decoder, such as a vision tower: no text enters them."""
    decoder, head = decoder_of(model), model.get_output_embeddings()
    names = {id(module): name for name, module in model.named_modules()}
    path = names[id(decoder)].split(".")
    above = [model.get_submodule(".".join(path[:depth])) for depth in range(len(path))]
    on_the_way = {id(decoder), id(head), *map(id, above)}
    return [
        names[id(child)]
        for module in above
        for child in module.children()
        if id(child) not in on_the_way and any(True for _ in child.parameters())
    ]


def place(model: Any, device: str, host: Sequence[str]) -> None:
    """Move a model to a device, but for the modules `host`, which stay and answer from the host.

    A table that stays costs the device only the rows that were looked up, and a tower that no text
    enters costs it nothing.
    """
    aside = {}
    for name in host:
        holder, _, own = name.rpartition(".")
        aside[name] = (model.get_submodule(holder), own, model.get_submodule(name))
        setattr(aside[name][0], own, torch.nn.Identity())
    model.to(device)
    for holder, own, module in aside.values():
        setattr(holder, own, module)
        module.register_forward_pre_hook(_ids_to_the_host)
        module.register_forward_hook(_rows_to(device))


def _ids_to_the_host(_module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.cpu() if isinstance(value, torch.Tensor) else value for value in args)


def _rows_to(device: str) -> Any:
    def move(_module: Any, _args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        return output.to(device)

    return move
