"""Activations of texts: what decoder block K of the base puts out at a token, before any norm.

Training extraction, `Pair.activations` and the measuring of rows again all read them here. An
activation is `hidden_states[K + 1]`, of the base without its adapters, at its raw norm.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from nla_release.engine.architecture import block_output, context_of, width_of
from nla_release.engine.base import LoadedBase
from nla_release.engine.batches import by_length, halving, pad_right
from nla_release.errors import DataError
from nla_release.statistics.formulas import Floats, cosine_rows

Positions = int | Literal["all"] | Sequence[Sequence[int]]

# A batch of texts of a usual length.
_TOKENS_PER_ROW = 128
# The most of a published text, whose length is its publisher's choice.
_MOST_TOKENS = 16_384


@dataclass(frozen=True)
class TokenActivations:
    """Activations of N tokens of some texts, in the order of the texts.

    Attributes:
        vectors: `[N, d_model]` float32 on the CPU, at their raw norm.
        texts: which text each is of, by its index.
        positions: the token's index in its text; special tokens such as BOS count.
        tokens: the tokens themselves, as text.
    """

    vectors: torch.Tensor
    texts: list[int]
    positions: list[int]
    tokens: list[str]

    def __len__(self) -> int:
        return len(self.positions)


def encode_text(base: LoadedBase, text: str, *, max_tokens: int | None = None) -> Any:
    """A text's `input_ids`, with special tokens, and the `offset_mapping` of their characters."""
    return base.tokenizer(
        text,
        return_offsets_mapping=True,
        truncation=max_tokens is not None,
        max_length=max_tokens,
    )


@torch.inference_mode()
def activations_at(
    base: LoadedBase, layer: int, ids: Sequence[Sequence[int]], positions: Sequence[Sequence[int]]
) -> list[npt.NDArray[np.float32]]:
    """The output of block `layer` at chosen positions of texts, which run as one batch.

    Args:
        base: the model, without an adapter that is active.
        layer: K.
        ids: token ids of each text.
        positions: of each text, where to read.

    Returns:
        `[P, d]` of each text that a position was chosen of.
    """

    def work(rows: Sequence[int]) -> list[npt.NDArray[np.float32]]:
        padded, mask, _ = pad_right([ids[row] for row in rows], base.pad_id, base.device)
        hidden = block_output(base.model, layer, padded, mask)
        return [
            hidden[at, list(positions[row])].float().cpu().numpy() for at, row in enumerate(rows)
        ]

    wanted = [row for row, chosen in enumerate(positions) if chosen]
    return halving(wanted, work) if wanted else []


def token_activations(
    base: LoadedBase, layer: int, texts: Sequence[str], positions: Positions, *, batch_size: int
) -> TokenActivations:
    """The activations of texts at positions: see `Pair.activations`.

    Raises:
        DataError: a text has no token, or more than the base reads; a position is outside of its
            text; or an activation is not finite.
    """
    if isinstance(texts, str):
        raise DataError("activations takes a list of texts, not one text")
    ids = [encode_text(base, text)["input_ids"] for text in texts]
    for at, row in enumerate(ids):
        _check_length(base, at, len(row))
    chosen = _chosen(positions, [len(row) for row in ids])
    vectors: dict[int, npt.NDArray[np.float32]] = {}
    for batch in by_length([len(row) for row in ids], batch_size * _TOKENS_PER_ROW):
        batch = [row for row in batch if chosen[row]]
        found = activations_at(base, layer, [ids[at] for at in batch], [chosen[at] for at in batch])
        vectors |= dict(zip(batch, found, strict=True))
    places = [(row, at) for row, of_text in enumerate(chosen) for at in of_text]
    width = width_of(base.model)
    stacked = np.concatenate(
        [np.empty((0, width), np.float32), *(vectors[row] for row in sorted(vectors))]
    )
    if bad := np.flatnonzero(~np.isfinite(stacked).all(axis=1)).tolist():
        row, at = places[bad[0]]
        raise DataError(
            f"the activation of text {row} at token {at} is not finite",
            hint="use bfloat16 or float32: float16 has too little range for some bases",
        )
    return TokenActivations(
        torch.from_numpy(stacked),
        [row for row, _ in places],
        [at for _, at in places],
        [base.tokenizer.decode([ids[row][at]]) for row, at in places],
    )


def activations_at_the_end(
    base: LoadedBase, layer: int, texts: Sequence[str | None], near: Floats, *, batch_size: int
) -> Floats:
    """[N, d] the base's activations at the last token of N texts.

    A text is tried with the tokenizer's special tokens and without, and at every token that ends
    where it ends, since one character may be several tokens. What is nearest to its row of `near`
    [N, d] is given. Rows are NaN without a text, or with more tokens than the base reads.
    """
    tries = [
        (row, ids, ends)
        for row, text in enumerate(texts)
        for special in (True, False)
        for ids, ends in _endings(base, text or "", special)
    ]
    found, best = np.full(near.shape, np.nan), np.full(len(texts), -np.inf)
    for batch in by_length([len(ids) for _, ids, _ in tries], batch_size * _TOKENS_PER_ROW):
        chosen = [tries[at] for at in batch]
        given = activations_at(base, layer, [it[1] for it in chosen], [it[2] for it in chosen])
        for (row, _, _), vectors in zip(chosen, given, strict=True):
            cosines = cosine_rows(np.broadcast_to(near[row], vectors.shape), vectors)
            if (nearest := cosines.max()) > best[row]:
                best[row], found[row] = nearest, vectors[cosines.argmax()]
    return found


def _endings(base: LoadedBase, text: str, special: bool) -> Iterator[tuple[list[int], list[int]]]:
    """A text's ids, and the positions of the tokens that end with it; nothing if it is too long."""
    encoded = base.tokenizer(text, return_offsets_mapping=True, add_special_tokens=special)
    ids, ends = encoded["input_ids"], [end for _, end in encoded["offset_mapping"]]
    longest = max(ends, default=0)
    if longest > 0 and len(ids) <= min(context_of(base.model) or _MOST_TOKENS, _MOST_TOKENS):
        yield ids, [at for at, end in enumerate(ends) if end == longest]


def _check_length(base: LoadedBase, row: int, length: int) -> None:
    if length == 0:
        raise DataError(f"text {row} has no token")
    if (most := context_of(base.model)) is not None and length > most:
        raise DataError(f"text {row} has {length} tokens, the base reads {most}")


def _chosen(positions: Positions | str, lengths: Sequence[int]) -> list[list[int]]:
    """Of each text its positions, counted from its beginning."""
    if positions == "all":
        return [list(range(length)) for length in lengths]
    if isinstance(positions, int):
        positions = [[positions]] * len(lengths)
    if isinstance(positions, str) or len(positions) != len(lengths):
        raise DataError(
            f"positions {positions!r} do not fit {len(lengths)} texts",
            hint='give one position for all texts, "all", or a list of positions for each text',
        )
    for row, (chosen, length) in enumerate(zip(positions, lengths, strict=True)):
        for at in chosen:
            if not -length <= at < length:
                raise DataError(f"text {row} has {length} tokens, and none at position {at}")
    return [
        [range(length)[at] for at in chosen]
        for chosen, length in zip(positions, lengths, strict=True)
    ]
