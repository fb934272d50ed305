"""Injection: an activation replaces one embedding per row.

Training and release both inject through `inject`, which is a pure function.
"""

import torch

from nla_release.errors import InjectionError


def rescale(vectors: torch.Tensor, scale: float) -> torch.Tensor:
    """Give each vector `[B, d]` the L2 norm `scale`, in float32; a zero vector stays zero."""
    vectors = vectors.float()
    norms = vectors.norm(dim=-1, keepdim=True)
    return (
        torch.where(norms > 0, vectors / norms.clamp_min(torch.finfo(torch.float32).tiny), 0)
        * scale
    )


def inject(
    input_ids: torch.Tensor,
    embeddings: torch.Tensor,
    vectors: torch.Tensor,
    *,
    marker_id: int,
    left_id: int,
    right_id: int,
) -> torch.Tensor:
    """Replace the marker's embedding by a vector, in every row.

    The marker counts only between its recorded neighbours, so that a marker in quoted text is never
    replaced.

    Args:
        input_ids: token ids `[B, S]`.
        embeddings: what the model's input embedding gave for them, `[B, S, d]`.
        vectors: already at the injection scale, `[B, d]`; cast to the embeddings' dtype.
        marker_id: id of the marker token.
        left_id: id that must precede it.
        right_id: id that must follow it.

    Returns:
        New embeddings `[B, S, d]` that differ from the old at exactly one position per row.

    Raises:
        InjectionError: shapes disagree, or a row does not have exactly one marker between its
            neighbours; the message lists the rows.
    """
    batch, length = input_ids.shape
    if embeddings.shape[:2] != (batch, length) or vectors.shape != (batch, embeddings.shape[2]):
        raise InjectionError(
            f"cannot inject vectors {tuple(vectors.shape)} into embeddings"
            f" {tuple(embeddings.shape)} of ids {tuple(input_ids.shape)}"
        )
    is_marker = input_ids == marker_id
    in_place = torch.zeros_like(is_marker)
    in_place[:, 1:-1] = (
        is_marker[:, 1:-1] & (input_ids[:, :-2] == left_id) & (input_ids[:, 2:] == right_id)
    )
    if (in_place.sum(dim=1) != 1).any():
        raise InjectionError(_complaint(is_marker, in_place, marker_id, left_id, right_id))
    rows, positions = torch.arange(batch, device=input_ids.device), in_place.int().argmax(dim=1)
    injected = embeddings.clone(memory_format=torch.contiguous_format)
    # Not by `injected[rows, positions] =`, which takes as long as the copy.
    injected.view(batch * length, embeddings.shape[2]).index_copy_(
        0, rows * length + positions, vectors.to(embeddings.dtype)
    )
    return injected


def _complaint(
    is_marker: torch.Tensor, in_place: torch.Tensor, marker_id: int, left_id: int, right_id: int
) -> str:
    markers, placed = is_marker.sum(dim=1).tolist(), in_place.sum(dim=1).tolist()
    rows = [
        f"row {row}: {markers[row]} markers, {count} between their neighbours"
        for row, count in enumerate(placed)
        if count != 1
    ]
    more = f"; and {len(rows) - 8} more rows" if len(rows) > 8 else ""
    return (
        f"expected marker {marker_id} exactly once between {left_id} and {right_id} in every row;"
        f" {'; '.join(rows[:8])}{more}"
    )
