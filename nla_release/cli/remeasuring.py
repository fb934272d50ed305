"""The options of `check` and `verify` that measure rows again."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from nla_release.api import SEEDS, RemeasureOptions
from nla_release.contract.sidecar import Dtype

_Command = TypeVar("_Command", bound=Callable[..., Any])


def remeasuring_options(command: _Command) -> _Command:
    """Give a command with --base also --measure and its options, as one argument `measure`."""

    @wraps(command)
    def gathered(
        *,
        measure: int | None,
        measure_seed: int | None,
        device: str | None,
        dtype: Dtype | None,
        base: Path | None,
        **others: Any,
    ) -> Any:
        options = None
        if measure is not None:
            options = RemeasureOptions(measure, measure_seed, base, device, dtype)
        elif any(each is not None for each in (measure_seed, device, dtype)):
            raise click.UsageError("--measure-seed, --device and --dtype need --measure N")
        return command(measure=options, base=base, **others)

    for option in reversed(_OPTIONS):
        option(gathered)
    return gathered  # type: ignore[return-value]


_OPTIONS = (
    click.option(
        "--measure",
        metavar="N",
        type=click.IntRange(min=1),
        help="Also measure N rows of the evidence again; needs the engine extra.",
    ),
    click.option(
        "--measure-seed",
        metavar="SEED",
        type=click.IntRange(0, SEEDS - 1),
        help="Choose the rows as an earlier --measure did.  [default: a new seed]",
    ),
    click.option("--device", help="Torch device for --measure; by default CUDA when there is one."),
    click.option(
        "--dtype",
        type=click.Choice(get_args(Dtype)),
        help="Load the base for --measure in this, without quantization; as the evidence records by"
        " default.",
    ),
)
