"""What all rows of a batch begin with, run once and not once per row.

The keys and values of a prefix depend on nothing that comes after it, so those of one row serve as
many rows as one likes.
"""

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import torch
from peft import PeftModel

# Layers of a transformers cache that are keys and values `[B, heads, S, d]`, or nothing. Others,
# such as the state of a linear attention, are not widened by `batch_repeat_interleave`.
_WIDENED = {"DynamicLayer", "DynamicSlidingWindowLayer", "DummyLayer"}


def shared_length(rows: Sequence[list[int]]) -> int:
    """How many ids all rows begin with, leaving at least one id of each; 0 for a single row."""
    if len(rows) < 2:
        return 0
    first, last = min(rows), max(rows)  # in the order of a dictionary: these differ the soonest
    pairs = enumerate(zip(first, last, strict=False))
    differ = next((at for at, (one, other) in pairs if one != other), len(first))
    return min(differ, min(map(len, rows)) - 1)


def run_prefix(decoder: Any, ids: Sequence[int], device: str) -> Any | None:
    """The decoder's cache after a prefix, for one row.

    None when there is no prefix, or when the architecture's cache cannot serve several rows.
    """
    if not ids:
        return None
    cache = decoder(input_ids=torch.tensor([ids], device=device), use_cache=True).past_key_values
    layers = getattr(cache, "layers", [None])
    return cache if all(type(layer).__name__ in _WIDENED for layer in layers) else None


def with_cache(model: Any, cache: Any) -> dict[str, Any]:
    """A cache as the argument that a model's forward takes it by.

    That is `cache` from transformers 5.24 on, and `past_key_values` before, which warns since.
    """
    if isinstance(model, PeftModel):
        model = model.get_base_model()
    named = inspect.signature(model.forward).parameters
    return {"cache" if "cache" in named else "past_key_values": cache}


def for_rows(cache: Any, count: int) -> Any:
    """A copy of a prefix's cache for `count` rows, to be written on."""
    widened = copy.deepcopy(cache)
    widened.batch_repeat_interleave(count)
    return widened
