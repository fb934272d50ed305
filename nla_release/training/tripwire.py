"""Whether a half-trained adapter does what it is for, asked of held-out rows while it trains.

A loss falls too when an AV learns the form of its answers and nothing of its vectors, or an AR the
mean of its targets. So each is given its rows' own inputs and, for comparison, wrong ones:

* an AV is asked how likely a row's label is, per token, with the row's vector, with that of a row
  of another document, with a random direction, and with zero; and what it says itself, once of
  the vectors and once of the random directions;
* an AR reads each row's label and that of a row of another document, and the cosine with the
  row's vector is compared.

Both ask one adapter alone, so that AV and AR can be trained in any order. The formulas are in
docs/reference/training.md. Nothing here draws from the random numbers of the training.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cosine_similarity

from nla_release.adapter.training_log import Tripwire
from nla_release.engine.activations import Activations
from nla_release.errors import DataError
from nla_release.evidence.controls import other_rows
from nla_release.training.loop import Watch
from nla_release.training.settings import TripwireSettings, VerbalizerTripwire

# Vectors `[N, d]` -> mean log-likelihood per token of each row's label, `[N]`.
Likelihood = Callable[[torch.Tensor], torch.Tensor]
# Vectors `[N, d]` -> what the AV says of them.
Say = Callable[[torch.Tensor], list[str]]
# Texts -> what the AR reads out of them, `[N, d]`.
Read = Callable[[Sequence[str]], torch.Tensor]


def held_out_rows(
    data: Activations, count: int, seed: int, path: Path, *, fits: Callable[[str], bool]
) -> Activations:
    """At most `count` rows of as many documents as there are: those with labels that fit.

    With less than two of these, which can be compared with nothing, any rows, and no labels.

    Args:
        data: all of them.
        count: how many.
        seed: of the choice.
        path: where they are from, for messages.
        fits: whether a label is short enough to be tried.

    Raises:
        DataError: there are fewer than two rows, so no row can be compared with another.
    """
    texts = enumerate(data.explanations)
    rows = [row for row, text in texts if text is not None and fits(text)]
    if len(rows) < 2:
        rows = list(range(len(data)))
        data = replace(data, explanations=[None] * len(data))
    if len(rows) < 2:
        raise DataError(
            f"{path} has {len(rows)} rows, and a tripwire needs at least two",
            hint="hold more documents out, or set tripwire to null",
        )
    shuffled = np.random.default_rng(seed).permutation(rows).tolist()
    seen: dict[str, int] = {}
    turns = []
    for row in shuffled:
        turns.append(seen.get(data.documents[row], 0))
        seen[data.documents[row]] = turns[-1] + 1
    chosen = [shuffled[at] for at in np.argsort(turns, kind="stable")[:count]]
    return _rows(data, chosen)


def watch_av(
    data: Activations,
    likelihood: Likelihood | None,
    say: Say,
    settings: VerbalizerTripwire,
    seed: int,
) -> Watch:
    """The AV's tripwire. Without labels there is no likelihood, and only what it says is looked at.

    Args:
        data: held-out rows.
        likelihood: of the rows' labels.
        say: what the AV says.
        settings: of the recipe.
        seed: of the random directions, and of the pairing with other rows.
    """
    real = torch.from_numpy(data.vectors)
    other = real[other_rows(data.documents, seed)]
    random = torch.randn(real.shape, generator=torch.Generator().manual_seed(seed))

    def watch() -> Tripwire:
        said, of_random = say(real), say(random)
        differences: dict[str, float | None] = dict.fromkeys(
            ("real_minus_shuffled", "real_minus_random", "real_minus_zero")
        )
        if likelihood:
            own = likelihood(real)
            for name, vectors in zip(
                differences, (other, random, torch.zeros_like(real)), strict=True
            ):
                differences[name] = float((own - likelihood(vectors)).mean())
        shown = Tripwire(
            rows=len(data),
            unit="nats per token",
            distinct=len(set(said)),
            same_as_random=sum(map(str.__eq__, said, of_random)),
            failures=[],
            **differences,
        )
        failures = _no_better(shown, settings.min_difference) + _alike(shown, settings.min_distinct)
        return shown.model_copy(update={"failures": failures})

    return watch


def watch_ar(
    data: Activations, read: Read, settings: TripwireSettings, seed: int, path: Path
) -> Watch:
    """The AR's tripwire.

    Raises:
        DataError: the held-out rows have no labels that could be tried.
    """
    texts = [text for text in data.explanations if text is not None]
    if len(texts) < len(data):
        raise DataError(
            f"{path} has no two labels of at most ar.max_tokens, which an AR's tripwire reads",
            hint="label the held-out rows too, raise ar.max_tokens, or set ar.tripwire to null",
        )
    gold = torch.from_numpy(data.vectors)
    others = other_rows(data.documents, seed)

    def watch() -> Tripwire:
        found = read(texts)
        own = cosine_similarity(found, gold, dim=-1)
        shuffled = cosine_similarity(found[others], gold, dim=-1)
        shown = Tripwire(
            rows=len(data),
            unit="cosine",
            real_minus_shuffled=float((own - shuffled).mean()),
            failures=[],
        )
        return shown.model_copy(update={"failures": _no_better(shown, settings.min_difference)})

    return watch


def _no_better(shown: Tripwire, least: float) -> list[str]:
    """The wrong inputs that do as well as the own one."""
    found = []
    for name, value in (
        ("another row's", shown.real_minus_shuffled),
        ("a random", shown.real_minus_random),
        ("a zero", shown.real_minus_zero),
    ):
        if value is not None and value <= least:
            what = "vector" if shown.unit != "cosine" else "text"
            found.append(
                f"the row's own {what} is better than {name} {what} by {value:.4f}"
                f" {shown.unit}, expected more than {least:g}"
            )
    return found


def _alike(shown: Tripwire, least: int) -> list[str]:
    """Whether an AV's explanations are too much alike."""
    found = []
    if shown.distinct is not None and shown.distinct < min(least, shown.rows):
        found.append(
            f"{shown.distinct} distinct explanations of {shown.rows} vectors, expected at least"
            f" {least}"
        )
    if shown.same_as_random is not None and 2 * shown.same_as_random > shown.rows:
        found.append(
            f"{shown.same_as_random} of {shown.rows} vectors are explained word for word as a"
            " random direction is"
        )
    return found


def _rows(data: Activations, rows: Sequence[int]) -> Activations:
    columns = {field.name: getattr(data, field.name) for field in fields(data)}
    chosen: dict[str, Any] = {
        name: [column[row] for row in rows]
        for name, column in columns.items()
        if isinstance(column, list)
    }
    return replace(data, **chosen, vectors=data.vectors[list(rows)])
