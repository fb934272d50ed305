"""The next-token loss of the answers, without the logits of all of them at once.

With a vocabulary of 262,144 tokens the logits of one position take 1 MiB in float32, so that they
are the largest tensors of a training. Here the output layer reads a chunk of positions at a time,
and a chunk's gradient is computed together with its loss, so that the backward pass needs no
logits. This is the idea of Liger Kernel's FusedLinearCrossEntropy (Hsu et al. 2024, arXiv
2410.10989, section 3.2), here in plain torch for any device and for output layers in any format.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

# Bytes of the float32 logits of one chunk; about four tensors of this size exist at once.
CHUNK_BYTES = 32 * 2**20


def answer_losses(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, start: int, lengths: Sequence[int]
) -> torch.Tensor:
    """Sum of -log p over each row's answer, `[B]` float32.

    Args:
        model: a causal language model, or PEFT's wrapper of one; see `logits_are_known`.
        ids: token ids `[B, S]`: a prompt of `start` tokens, the answer, padding on the right.
        mask: attention mask `[B, S]`.
        start: tokens of the prompt, at least one.
        lengths: tokens of each row's answer.
    """
    hidden = _before_output_layer(model, ids, mask, ids.shape[1] - start + 1)
    learned = torch.tensor(
        [
            row * hidden.shape[1] + at
            for row, length in enumerate(lengths)
            for at in range(length)  # the position before a token predicts it
        ],
        device=ids.device,
    )
    targets = ids[:, start - 1 :].flatten()[learned + 1]
    losses = _losses(model, hidden.flatten(0, 1)[learned], targets)
    return torch.stack([row.sum() for row in torch.split(losses, list(lengths))])


def whole_answer_losses(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, start: int, lengths: Sequence[int]
) -> torch.Tensor:
    """As `answer_losses`, from the model's own logits of all positions at once."""
    keep = ids.shape[1] - start + 1
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=keep).logits
    rows = zip(logits, ids[:, start:], lengths, strict=True)
    return torch.stack(
        [
            cross_entropy(row[:length].float(), targets[:length], reduction="sum")
            for row, targets, length in rows
        ]
    )


@torch.no_grad()
def logits_are_known(model: Any, ids: torch.Tensor) -> bool:
    """Whether this module computes the logits of ids `[B, S]` as the model itself does.

    It knows the output layer and what Gemma, Cohere and Granite do to its output. Another family
    may do something else.
    """
    mask = torch.ones_like(ids)
    hidden = _before_output_layer(model, ids, mask, ids.shape[1])
    own = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    return torch.allclose(_logits(model, hidden), own.float(), rtol=1e-3, atol=1e-3)


def _before_output_layer(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, last: int
) -> torch.Tensor:
    """What the output layer would read at the last positions, `[B, last, d]`."""
    found: list[torch.Tensor] = []

    def keep(_layer: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        found.append(args[0])
        return (args[0][:, :0],)

    handle = model.get_output_embeddings().register_forward_pre_hook(keep)
    try:
        model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=last)
    finally:
        handle.remove()
    return found[0][:, -last:]  # a few architectures give all positions whatever is asked


def _losses(model: Any, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """-log p `[N]` of targets `[N]`, given what the output layer reads, `[N, d]`."""
    layer = model.get_output_embeddings()
    size = max(1, CHUNK_BYTES // (4 * model.config.get_text_config().vocab_size))
    if not any(value.requires_grad for value in layer.parameters()):
        found: torch.Tensor = _WithGradient.apply(hidden, targets, model, size)  # type: ignore[no-untyped-call]
        return found
    # What is trained of the output layer needs its logits again, a chunk at a time.
    chunks = zip(torch.split(hidden, size), torch.split(targets, size), strict=True)
    return torch.cat(
        [checkpoint(_chunk_losses, model, *each, use_reentrant=False) for each in chunks]
    )


def _chunk_losses(model: Any, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return cross_entropy(_logits(model, hidden), targets, reduction="none")


def _logits(model: Any, hidden: torch.Tensor) -> torch.Tensor:
    """Logits `[..., V]` in float32 of what the output layer reads, `[..., d]`."""
    logits = model.get_output_embeddings()(hidden)
    config = model.config.get_text_config()
    if cap := getattr(config, "final_logit_softcapping", None):  # Gemma-2, -3n, -4
        logits = torch.tanh(logits / cap) * cap
    if factor := getattr(config, "logit_scale", None):  # Cohere
        logits = logits * factor
    if divisor := getattr(config, "logits_scaling", None):  # Granite
        logits = logits / divisor
    found: torch.Tensor = logits.float()
    return found


class _WithGradient(torch.autograd.Function):
    """The losses, with the gradient to `hidden` computed in the same pass over the chunks."""

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, targets: torch.Tensor, model: Any, size: int
    ) -> torch.Tensor:
        wanted = ctx.needs_input_grad[0]
        losses: list[torch.Tensor] = []
        gradients: list[torch.Tensor] = []
        for part, goal in zip(torch.split(hidden, size), torch.split(targets, size), strict=True):
            part = part.detach().requires_grad_(wanted)
            with torch.set_grad_enabled(wanted):
                loss = _chunk_losses(model, part, goal)
                if wanted:
                    gradients += torch.autograd.grad(loss.sum(), part)
            losses.append(loss.detach())
        if wanted:
            ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, outer: torch.Tensor) -> tuple[Any, ...]:
        (gradient,) = ctx.saved_tensors
        scaled = (gradient.float() * outer.unsqueeze(-1)).to(gradient.dtype)
        return (scaled, None, None, None)
