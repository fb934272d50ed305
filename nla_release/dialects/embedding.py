"""The mean norm of a base's input embeddings, measured where the base is at hand."""

from dataclasses import dataclass
from pathlib import Path

from nla_release.base_model.measure import measure_base
from nla_release.errors import NlaReleaseError


@dataclass(frozen=True)
class Measured:
    """The mean L2 norm of the sampled rows, their width, and which rows of what these are."""

    norm: float
    width: int
    source: str


def measured_embedding(
    base: str | None, commit: str | None, folder: Path | None
) -> Measured | None:
    """The norm in a copy of the base, or else at its pinned commit; None if neither is at hand.

    Args:
        base: Hub id.
        commit: the pinned commit; without one, only a copy is measured.
        folder: a copy of the base, weights included, that somebody names.

    Raises:
        InputError: the folder's weights are damaged.
    """
    if folder is not None:
        return _measured(base or "the base", commit or "unpinned", folder)
    if base is None or commit is None:
        return None
    try:
        return _measured(base, commit, None)
    except NlaReleaseError:  # nothing there or no way there: the norm is asked for
        return None


def _measured(base: str, commit: str, folder: Path | None) -> Measured:
    facts = measure_base(base, commit, folder)
    rows = f"{facts.embedding.rows} sampled rows of {facts.embedding.vocabulary}"
    where = "the copy given of the base" if folder else f"{base} at {commit}"
    return Measured(
        facts.embedding.norm_mean, facts.hidden_size, f"the embedding of {where}, {rows}"
    )
