"""An AR on a base: texts to the activations it reads out of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch

from nla_release.contract.explanation import Explanation
from nla_release.contract.prompt import ar_prompt
from nla_release.contract.sidecar import Sidecar
from nla_release.engine.adapters import load_head, use
from nla_release.engine.architecture import stopping_after
from nla_release.engine.base import LoadedBase
from nla_release.engine.batches import by_length, halving, pad_right
from nla_release.engine.on_base import OneAdapter
from nla_release.engine.prefix import for_rows, run_prefix, shared_length, with_cache
from nla_release.errors import DataError

# An AR prompt's usual length: explanations of two or three sentences, in their template.
TOKENS_PER_ROW = 128

Texts = Sequence[str | Explanation]


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


class Reconstructor(OneAdapter):
    """An activation reconstructor (AR) on its base.

    Examples:
        >>> ar = Reconstructor.from_pretrained("ns/name-ar-v0_0_1", revision="v0.0.1")
        >>> ar.reconstruct(["the word rose in a text about gardening"])  # [1, d_model]
    """

    role = "ar"

    def __init__(
        self, base: LoadedBase, model: Any, head: torch.nn.Linear, sidecar: Sidecar
    ) -> None:
        super().__init__(base, model, sidecar)
        self._head = head

    @classmethod
    def _of(cls, base: LoadedBase, model: Any, sidecar: Sidecar, folder: Path) -> Self:
        return cls(base, model, load_head(folder, sidecar), sidecar)

    def reconstruct(self, texts: Texts, *, batch_size: int = 16) -> torch.Tensor:
        """Activations `[N, d_model]`, float32 on the CPU, that the AR reads out of N texts.

        Texts of like length are read together, as many at a time as fill `batch_size` rows of
        `TOKENS_PER_ROW` tokens.

        Raises:
            DataError: it is one text and not a list of them.
        """
        if isinstance(texts, str):
            raise DataError("reconstruct takes a list of texts, not one text")
        if not texts:
            return torch.empty(0, self.d_model)
        use(self._model, "ar")
        template = self.sidecar.prompt_templates.ar
        with stopping_after(self._model, self.sidecar.head.blocks - 1) as decoder:
            read = read_last(
                decoder,
                [self.base.encode(ar_prompt(template, str(text)), True) for text in texts],
                tokens=batch_size * TOKENS_PER_ROW,
                pad=self.base.pad_id,
                device=self.base.device,
            )
        head = self._head.to(read.device)
        return head(read.float()).cpu()  # type: ignore[no-any-return]
