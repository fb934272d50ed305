"""Batches: how rows are put together, and what happens when a batch is too large."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from nla_release.errors import EnvironmentProblem
from nla_release.io.log import log

Result = TypeVar("Result")


def pad_right(
    rows: Sequence[Sequence[int]], pad_id: int, device: str | torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids and attention mask `[B, S]`, and each row's last real position `[B]`.

    Right padding leaves every position as it is without padding: attention is causal.
    """
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), pad_id, device=device)
    mask = torch.zeros((len(rows), longest), dtype=torch.long, device=device)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row, device=device)
        mask[index, : len(row)] = 1
    return ids, mask, mask.sum(dim=1) - 1


def by_length(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Rows in batches of like length, shortest first.

    Args:
        lengths: of each row, in tokens.
        tokens: most that a batch holds, padding included; a longer row is a batch of its own.

    Returns:
        The rows' indexes, each once.
    """
    batches: list[list[int]] = [[]]
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batches[-1] and lengths[row] * (len(batches[-1]) + 1) > tokens:
            batches.append([])
        batches[-1].append(row)
    return batches


def halving(rows: Sequence[int], work: Callable[[Sequence[int]], list[Result]]) -> list[Result]:
    """What `work` gives for rows; by halves, where the device has no memory for all at once.

    Raises:
        EnvironmentProblem: there is no memory for a single row.
    """
    try:
        return work(rows)
    except torch.OutOfMemoryError as error:
        if len(rows) == 1:
            raise EnvironmentProblem(
                f"the device has not enough memory for one row: {error}",
                hint="load the base in 4 bits (quantization: nf4), or run with --device cpu",
            ) from error
    torch.cuda.empty_cache()
    middle = len(rows) // 2
    log.warning(f"out of memory with {len(rows)} rows at once; continuing with {middle}")
    return halving(rows[:middle], work) + halving(rows[middle:], work)
