"""An AV on a base: activations to explanations."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nla_release.contract.explanation import Explanation, read_explanation
from nla_release.engine.adapters import use
from nla_release.engine.batches import halving
from nla_release.engine.decoding import Decoding
from nla_release.engine.hooks import injecting
from nla_release.engine.on_base import OneAdapter
from nla_release.errors import DataError

Vectors = torch.Tensor | npt.NDArray[Any]


class Verbalizer(OneAdapter):
    """An activation verbalizer (AV) on its base.

    Examples:
        >>> av = Verbalizer.from_pretrained("ns/name-av-v0_0_1", revision="v0.0.1")
        >>> av.explain(av.activations(["The rose bloomed"]).vectors)[0].text
    """

    role = "av"

    def explain(
        self,
        vectors: Vectors,
        *,
        max_new_tokens: int = 200,
        batch_size: int = 16,
        scale_factor: float = 1.0,
    ) -> list[Explanation]:
        """Explanations of activations `[N, d_model]`, decoded greedily.

        Args:
            vectors: N activations; only their direction matters.
            max_new_tokens: most tokens of an explanation.
            batch_size: how many run at once.
            scale_factor: vectors are injected at so many times the sidecar's scale.

        Raises:
            DataError: the vectors are not `[N, d_model]` or not finite.
        """
        checked = checked_vectors(vectors, self.d_model)
        use(self._model, "av")
        injection, tokenizer = self.sidecar.injection, self.base.tokenizer
        scale = injection.scale * scale_factor
        decoding = Decoding(
            self._model,
            injection.prompt_token_ids,
            injection.marker_position - 1,  # injection looks at the marker's left neighbour too
            end=tokenizer.eos_token_id,
            pad=self.base.pad_id,
            device=self.base.device,
        )

        def generate(rows: Sequence[int]) -> list[Explanation]:
            batch = checked[list(rows)]
            marked = injecting(self._model, batch, self.sidecar.tokens, scale)
            said = decoding.rows(len(batch), max_new_tokens, marked)
            return [self._explanation(row) for row in said]

        return [
            explanation
            for at in range(0, len(checked), batch_size)
            for explanation in halving(range(len(checked))[at : at + batch_size], generate)
        ]

    def _explanation(self, generated: Sequence[int]) -> Explanation:
        tokenizer = self.base.tokenizer
        raw = tokenizer.decode(generated, skip_special_tokens=True)
        return read_explanation(raw, ended=tokenizer.eos_token_id in generated)


def checked_vectors(vectors: Vectors, d_model: int) -> torch.Tensor:
    """Activations as float32 `[N, d_model]` on the CPU.

    Raises:
        DataError: they have another shape, or are not finite.
    """
    tensor = torch.as_tensor(np.asarray(vectors) if isinstance(vectors, np.ndarray) else vectors)
    tensor = tensor.detach().float().cpu()
    if tensor.ndim != 2 or tensor.shape[1] != d_model:
        raise DataError(f"vectors have shape {list(tensor.shape)}, this pair takes [N, {d_model}]")
    if not torch.isfinite(tensor).all():
        bad = (~torch.isfinite(tensor).all(dim=1)).nonzero().flatten().tolist()
        raise DataError(f"vectors {bad[:8]} hold NaN or infinity")
    return tensor
