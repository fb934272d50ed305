"""Greedy decoding of rows that share one prompt and differ in what a hook puts at its marker.

What stands before the marker runs once for all rows, and a row that has ended leaves the batch.
The texts are those of transformers' `generate`, which also takes over where this loop would not
know what to do: caches that cannot be widened, and bases that bring a penalty or the like.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
import transformers

from nla_release.engine.architecture import decoder_of
from nla_release.engine.prefix import for_rows, run_prefix, with_cache

# Settings of a base's generation_config.json that greedy decoding does not look at.
_WITHOUT_EFFECT = {
    "transformers_version", "_from_model_config", "bos_token_id", "eos_token_id", "pad_token_id",
    "do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p", "max_length", "use_cache",
    "max_new_tokens", "cache_implementation",
}  # fmt: skip


class Decoding:
    """One prompt on a model, ready to be continued for any number of rows."""

    @torch.inference_mode()
    def __init__(
        self, model: Any, prompt: Sequence[int], shared: int, *, end: int, pad: int, device: str
    ) -> None:
        """Run what is the same in every row.

        Args:
            model: a causal language model, or a PEFT model with its adapter set.
            prompt: token ids.
            shared: how many of them stand before anything that differs between rows.
            end: id of the token that ends a row.
            pad: id that `generate` writes after it.
            device: of the model.
        """
        self._model, self._end, self._pad, self._device = model, end, pad, device
        cache = None
        if plainly_greedy(model):
            cache = run_prefix(decoder_of(model), prompt[:shared], device)
        self._cache = cache
        self._prompt = list(prompt[0 if cache is None else shared :])

    @torch.inference_mode()
    def rows(
        self, count: int, max_new_tokens: int, differing: AbstractContextManager[None]
    ) -> list[list[int]]:
        """Token ids that continue each row, with the ending token where one was reached.

        Args:
            count: rows.
            max_new_tokens: most tokens per row.
            differing: makes rows differ while it is entered.
        """
        ids = torch.tensor([self._prompt] * count, device=self._device)
        with differing:
            if self._cache is None:
                return self._generate(ids, max_new_tokens)
            return self._greedy(ids, max_new_tokens)

    def _greedy(self, ids: torch.Tensor, max_new_tokens: int) -> list[list[int]]:
        cache = for_rows(self._cache, len(ids))
        said: list[list[int]] = [[] for _ in ids]
        going = list(range(len(ids)))
        taken = with_cache(self._model, cache)
        for _ in range(max_new_tokens):
            output = self._model(input_ids=ids, use_cache=True, logits_to_keep=1, **taken)
            ids = output.logits[:, -1].argmax(dim=-1, keepdim=True)
            tokens = ids.flatten().tolist()
            for row, token in zip(going, tokens, strict=True):
                said[row].append(token)
            stay = [at for at, token in enumerate(tokens) if token != self._end]
            if not stay:
                break
            if len(stay) < len(going):
                going = [going[at] for at in stay]
                kept = torch.tensor(stay, device=ids.device)
                ids = ids[kept]
                cache.batch_select_indices(kept)
        return said

    def _generate(self, ids: torch.Tensor, max_new_tokens: int) -> list[list[int]]:
        settings = transformers.GenerationConfig(
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=self._end,
            pad_token_id=self._pad,
        )
        output = self._model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings
        )
        said = output[:, ids.shape[1] :].tolist()
        return [row[: row.index(self._end) + 1] if self._end in row else row for row in said]


def plainly_greedy(model: Any) -> bool:
    """Whether the base asks `generate` for nothing that changes which token is the likeliest."""
    settings = model.generation_config.to_diff_dict()
    return {name for name, value in settings.items() if value} <= _WITHOUT_EFFECT
