"""Reading a vector out of each prompt: what a decoder gives at its last id."""

from collections.abc import Sequence
from typing import Any

import torch

from nla_release.engine.batches import by_length, halving, pad_right
from nla_release.engine.prefix import for_rows, run_prefix, shared_length, with_cache


@torch.inference_mode()
def read_last(
    decoder: Any, prompts: Sequence[list[int]], *, tokens: int, pad: int, device: str
) -> torch.Tensor:
    """The decoder's output at the last id of each prompt.

    Prompts of like length run together, and what all of them begin with runs once. Padding stands
    on the right, where attention, being causal, never looks.

    Args:
        decoder: a text decoder; what it returns as `last_hidden_state` is read.
        prompts: token ids `[N][...]`, none empty.
        tokens: most that run at once, padding included.
        pad: id to pad with.
        device: of the decoder.

    Returns:
        `[N, d]`, in the decoder's dtype, in the order of the prompts.
    """
    shared = shared_length(prompts)
    cache = run_prefix(decoder, prompts[0][:shared], device)
    rests = prompts if cache is None else [prompt[shared:] for prompt in prompts]

    def read(rows: Sequence[int]) -> list[torch.Tensor]:
        ids, _, last = pad_right([rests[row] for row in rows], pad, device)
        past = None if cache is None else for_rows(cache, len(rows))
        hidden = decoder(
            input_ids=ids, use_cache=past is not None, **with_cache(decoder, past)
        ).last_hidden_state
        return list(hidden[torch.arange(len(rows), device=hidden.device), last.to(hidden.device)])

    batches = by_length([len(prompt) for prompt in prompts], tokens)
    found = {
        row: vector
        for batch in batches
        for row, vector in zip(batch, halving(batch, read), strict=True)
    }
    return torch.stack([found[row] for row in range(len(prompts))])
