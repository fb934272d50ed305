"""The options of `check` and `verify` that measure rows again, and what they ask for."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from nla_release.calibration.evidence_folder import read_evidence
from nla_release.calibration.remeasured import Remeasured
from nla_release.contract.sidecar import Dtype
from nla_release.gate import Measure
from nla_release.gate.subject import Subject
from nla_release.io.log import log

_Command = TypeVar("_Command", bound=Callable[..., Any])
_SEEDS = 2**32


@dataclass(frozen=True)
class Remeasuring:
    """How many rows to measure again, chosen by what, and how the base is loaded for it."""

    count: int | None
    seed: int | None
    device: str | None
    dtype: Dtype | None

    def of(self, base: Path | None) -> Measure | None:
        """The measuring, or None where it was not asked for.

        Args:
            base: a local copy of the base; where None, that of the subject's release.yaml.

        Raises:
            UsageError: an option of it was given without --measure.
            EnvironmentProblem: the engine is not installed.
        """
        if self.count is None:
            for name in ("seed", "device", "dtype"):
                if getattr(self, name) is not None:
                    raise click.UsageError("--measure-seed, --device and --dtype need --measure N")
            return None
        from nla_release.engine.remeasure import remeasure  # before anything is downloaded

        count, seed = self.count, secrets.randbelow(_SEEDS) if self.seed is None else self.seed

        def measure(subject: Subject) -> Remeasured:
            folders, evidence = subject.pair_to_measure
            log.info(f"measuring {count} rows again; --measure-seed {seed} repeats the choice")
            local = subject.release.base_path if subject.release else None
            return remeasure(
                read_evidence(evidence),
                folders,
                count=count,
                seed=seed,
                base=base or local,
                device=self.device,
                dtype=self.dtype,
            )

        return measure


def remeasuring_options(command: _Command) -> _Command:
    """Give a command --measure and what belongs to it, as one argument `remeasuring`."""

    @wraps(command)
    def gathered(
        *,
        measure: int | None,
        measure_seed: int | None,
        device: str | None,
        dtype: Dtype | None,
        **others: Any,
    ) -> Any:
        return command(remeasuring=Remeasuring(measure, measure_seed, device, dtype), **others)

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
        type=click.IntRange(0, _SEEDS - 1),
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
