"""An AR on a base: texts to the vectors it reads out of them."""

from collections.abc import Sequence
from typing import Any

import torch

from nla_release.contract.prompt import ar_prompt
from nla_release.contract.sidecar import Sidecar
from nla_release.engine.adapters import use
from nla_release.engine.architecture import stopping_after
from nla_release.engine.base import Base
from nla_release.engine.reading import read_last

# An AR prompt's usual length: explanations of two or three sentences, in their template.
TOKENS_PER_ROW = 128


class Reader:
    """A base with the adapter "ar" on it, and the AR's head."""

    def __init__(self, base: Base, model: Any, head: torch.nn.Linear, sidecar: Sidecar) -> None:
        self._base = base
        self._model = model
        self._head = head.to(base.device)
        self._sidecar = sidecar

    def reconstruct(self, texts: Sequence[str], *, batch_size: int = 16) -> torch.Tensor:
        """Activations `[N, d_model]`, float32 on the CPU, that the AR reads out of texts.

        Texts of like length are read together, as many at a time as fill `batch_size` rows of
        `TOKENS_PER_ROW` tokens.
        """
        if not texts:
            return torch.empty(0, self._sidecar.d_model)
        use(self._model, "ar")
        template = self._sidecar.prompt_templates.ar
        with stopping_after(self._model, self._sidecar.head.blocks - 1) as decoder:
            read = read_last(
                decoder,
                [self._base.encode(ar_prompt(template, text), True) for text in texts],
                tokens=batch_size * TOKENS_PER_ROW,
                pad=self._base.pad_id,
                device=self._base.device,
            )
        return self._head(read.float()).cpu()  # type: ignore[no-any-return]
