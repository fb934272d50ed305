"""How much memory a base takes, part by part, found out without loading it.

The base is built on the meta device, where tensors have shapes and no values; which of its modules
are loaded in 4 bits is asked of transformers itself.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import torch
import transformers

from nla_release.contract.sidecar import Quantization
from nla_release.engine.architecture import lookup_tables, towers

# bitsandbytes stores 4-bit weights two to a byte, and one float32 constant for every 64 of them
# (Dettmers et al. 2023, QLoRA, section 2; double quantization, which needs fewer, is not used).
NF4_BITS, NF4_BLOCK, NF4_CONSTANT = 4, 64, 4
# Each 4-bit matrix carries the 16 values that its weights can take, in float32.
NF4_CODE = 16 * 4

# Above this share of a card, the parts of a base that a card can do without stay on the host.
CROWDED = 0.5

Group = Literal["matrices", "embeddings", "tables", "towers", "other"]
GROUPS: tuple[Group, ...] = get_args(Group)


@dataclass(frozen=True)
class Weights:
    """A part of a base: how many parameters, and the bytes they take, constants included."""

    group: Group
    parameters: int
    bytes: int


def skeleton(config: Any, dtype: torch.dtype) -> Any:
    """The model of a configuration, on the meta device: shapes, and no values."""
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    return model.eval().requires_grad_(False)


def in_4_bits(model: Any) -> set[str]:
    """Names of the modules of a skeleton that transformers would load as NF4 matrices."""
    import bitsandbytes

    settings = transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    quantizer = transformers.quantizers.AutoHfQuantizer.from_config(settings)
    tried = copy.deepcopy(model)  # its modules are replaced in place
    if (head := tried.get_output_embeddings()) is not None:
        # As it is while transformers looks: weights are tied after modules are replaced.
        head.weight = torch.nn.Parameter(torch.empty_like(head.weight), requires_grad=False)
    quantizer.preprocess_model(tried, device_map=None)
    return {
        name
        for name, module in tried.named_modules()
        if isinstance(module, bitsandbytes.nn.Linear4bit)
    }


def nf4_bytes(parameters: int) -> int:
    """Bytes of one NF4 matrix: half a byte a weight, its constants, its 16 values."""
    return -(-parameters * NF4_BITS // 8) + -(-parameters // NF4_BLOCK) * NF4_CONSTANT + NF4_CODE


def weights_of(model: Any, quantization: Quantization | None) -> list[Weights]:
    """A skeleton's parts, those that are empty left out; shared tensors count once.

    `matrices` are the linear modules of the text decoder, `embeddings` the input embedding and
    lm_head, `tables` what is only looked up, `towers` what lies beside the decoder, `other` norms,
    biases and buffers. Buffers have bytes and no parameters.
    """
    small = in_4_bits(model) if quantization == "nf4" else set()
    group = partial(_group, model, tables=lookup_tables(model), beside=towers(model))
    counts: dict[Group, list[int]] = {name: [0, 0] for name in GROUPS}
    for name, value in model.named_parameters():  # tied ones once
        holder = name.rpartition(".")[0]
        place = counts[group(name)]
        place[0] += value.numel()
        if holder in small and name.endswith(".weight"):
            place[1] += nf4_bytes(value.numel())
        else:
            place[1] += value.numel() * value.element_size()
    for name, value in model.named_buffers():
        counts[group(name)][1] += value.numel() * value.element_size()
    return [Weights(name, *counts[name]) for name in GROUPS if counts[name][1]]


def total(weights: Iterable[Weights]) -> int:
    """Bytes of some parts together."""
    return sum(part.bytes for part in weights)


def left_on_the_host(weights: Sequence[Weights], card: int) -> set[Group]:
    """The parts that stay on the host beside a card of so many bytes.

    A lookup gives the same rows wherever the table lies, so nothing changes but the memory.
    """
    return {"tables", "towers"} if total(weights) > CROWDED * card else set()


def _group(model: Any, name: str, *, tables: Sequence[str], beside: Sequence[str]) -> Group:
    if _inside(name, tables):
        return "tables"
    if _inside(name, beside):
        return "towers"
    module = model.get_submodule(name.rpartition(".")[0])
    if module in (model.get_input_embeddings(), model.get_output_embeddings()):
        return "embeddings"
    is_matrix = isinstance(module, torch.nn.Linear) and name.endswith(".weight")
    return "matrices" if is_matrix else "other"


def _inside(name: str, modules: Iterable[str]) -> bool:
    return any(name.startswith(f"{module}.") for module in modules)
