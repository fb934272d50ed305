"""Injection as a forward hook on the input embedding.

The model is called with `input_ids`, never with `inputs_embeds`: Gemma-4 looks up per-layer inputs
by token id and cannot recover ids from changed embeddings. The marker's per-layer input therefore
stays the marker's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from nla_release.contract.injection import inject, rescale
from nla_release.contract.sidecar import Tokens


@contextmanager
def injecting(model: Any, vectors: torch.Tensor, tokens: Tokens, scale: float) -> Iterator[None]:
    """Inside, every prompt that `model` embeds gets `vectors` `[B, d]` at its markers.

    Decoding steps, which embed one token, are left alone.

    Raises:
        InjectionError: a prompt does not hold exactly one marker per row.
    """
    scaled = rescale(vectors, scale)

    def replace(_module: Any, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        input_ids = args[0]
        if input_ids.shape[1] == 1:
            return output
        return inject(
            input_ids,
            output,
            scaled.to(output.device),
            marker_id=tokens.injection_token_id,
            left_id=tokens.injection_left_neighbor_id,
            right_id=tokens.injection_right_neighbor_id,
        )

    handle = model.get_input_embeddings().register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()
