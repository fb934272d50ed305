"""An unfinished training on disk: an adapter every N steps, and the state to continue from.

    checkpoints/av/step_000050/    the complete adapter: sidecar, weights, log
    checkpoints/av/state_000050/   weights.safetensors, optimizer.safetensors, state.json

Only the newest state is kept. Nothing is a pickle: reading a state runs no code. Data order and
random numbers are not stored, since both follow from the seed and the number of the step.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, FiniteFloat
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from nla_release.adapter.training_log import Step
from nla_release.contract.sidecar import Role
from nla_release.engine.processes import is_main, wait_for_all
from nla_release.errors import ConfigError, DataError, EnvironmentProblem, NlaReleaseError
from nla_release.io.files import dump_json, read_json, replacing_folder, sha256_file, write_atomic
from nla_release.io.schema import Strict, parse
from nla_release.training import optimizer as optimizers

WEIGHTS_NAME = "weights.safetensors"
OPTIMIZER_NAME = "optimizer.safetensors"
STATE_NAME = "state.json"

_STEP = re.compile(r"step_(\d{6,})")
_STATE = re.compile(r"state_(\d{6,})")


class TrainingState(Strict):
    """`state.json`: the inputs of the training, its progress, and the hashes of its files."""

    schema_: Literal[1] = Field(alias="schema")
    inputs: dict[str, Any]
    seconds: FiniteFloat
    log: list[Step]
    optimizer: str
    optimizer_values: dict[str, Any]
    files: dict[str, str]


@dataclass(frozen=True)
class Fit:
    """The log of a training, finished or not: steps, time, and the optimizer that ran."""

    steps: list[Step]
    seconds: float
    optimizer: str


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training.

    `inputs` is everything that the training depends on: a state with other inputs is refused.
    `write` saves the adapter in its current state.
    """

    folder: Path
    every: int | None
    inputs: Mapping[str, Any]
    write: Callable[[Path, Fit], None]

    def are_due(self, step: int) -> bool:
        """Whether the adapter is kept after a step."""
        return self.every is not None and step % self.every == 0

    def keep(
        self,
        fit: Fit,
        parameters: Mapping[str, torch.nn.Parameter],
        optimizer: torch.optim.Optimizer,
    ) -> None:
        """Write adapter and state after the last of the steps; older states go."""
        self.keep_adapter(fit)
        if is_main():
            number = f"state_{len(fit.steps):06d}"
            with replacing_folder(self.folder / number) as staging:
                self._write_state(staging, fit, parameters, optimizer)
            for older in _numbered(self.folder, _STATE).values():
                if older.name != number:
                    shutil.rmtree(older)
        wait_for_all()

    def keep_adapter(self, fit: Fit) -> None:
        """Write the adapter without a state; every process waits until it is written.

        The launcher ends all processes as soon as one fails.
        """
        if is_main():
            self.write(self.folder / f"step_{len(fit.steps):06d}", fit)
        wait_for_all()

    def resume(
        self,
        parameters: Mapping[str, torch.nn.Parameter],
        optimizer: torch.optim.Optimizer,
        name: str,
    ) -> Fit:
        """Restore the newest state into parameters and optimizer; returns its progress.

        Without a state the training starts, and checkpoints of an earlier one are removed.

        Raises:
            ConfigError: it has other inputs or another optimizer.
            DataError: it is damaged.
        """
        states = _numbered(self.folder, _STATE)
        if not states:
            if is_main():
                shutil.rmtree(self.folder, ignore_errors=True)
            wait_for_all()
            return Fit([], 0.0, name)
        place = states[max(states)]
        try:
            state = parse(TrainingState, read_json(place / STATE_NAME), place / STATE_NAME)
            for file, digest in state.files.items():
                if sha256_file(place / file) != digest:
                    raise DataError(f"{place / file} does not match its sha256 in state.json")
        except NlaReleaseError as error:
            raise DataError(
                error.message, hint=f"remove {place} to start this training again"
            ) from error
        if changed := _changed({**state.inputs, "optimizer": state.optimizer}, self.inputs, name):
            raise ConfigError(
                f"{place} belongs to a training with other inputs: {', '.join(changed)} changed",
                hint=f"finish that training with its own recipe, or remove {self.folder}",
            )
        weights = load_file(place / WEIGHTS_NAME)
        with torch.no_grad():
            for key, parameter in parameters.items():
                parameter.copy_(weights[key])
        optimizers.restore(optimizer, load_file(place / OPTIMIZER_NAME), state.optimizer_values)
        return Fit(state.log, state.seconds, name)

    def finish(self) -> None:
        """Drop the states: the training is done. The adapters stay."""
        if is_main():
            for place in _numbered(self.folder, _STATE).values():
                shutil.rmtree(place)
        wait_for_all()

    def _write_state(
        self,
        staging: Path,
        fit: Fit,
        parameters: Mapping[str, torch.nn.Parameter],
        optimizer: torch.optim.Optimizer,
    ) -> None:
        tensors, values = optimizers.dump(optimizer)
        write_tensors(staging / WEIGHTS_NAME, parameters)
        write_tensors(staging / OPTIMIZER_NAME, tensors)
        state = TrainingState(
            schema_=1,
            inputs=dict(self.inputs),
            seconds=fit.seconds,
            log=fit.steps,
            optimizer=fit.optimizer,
            optimizer_values=values,
            files={name: sha256_file(staging / name) for name in (WEIGHTS_NAME, OPTIMIZER_NAME)},
        )
        write_atomic(staging / STATE_NAME, dump_json(state.model_dump(mode="json", by_alias=True)))


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors of any device, which may share memory, as safetensors.

    Raises:
        EnvironmentProblem: the disk is full or the folder cannot be written.
    """
    values = {name: it.detach().cpu().contiguous().clone() for name, it in tensors.items()}
    with writable(path):
        save_file(values, path)


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Report a file that safetensors cannot write like any other file that cannot be written.

    Raises:
        EnvironmentProblem: the disk is full or the folder cannot be written.
    """
    try:
        yield
    except SafetensorError as error:
        raise EnvironmentProblem(f"{path} cannot be written: {error}") from error


def checkpoints_path(folder: Path, role: Role) -> Path:
    """The folder of an adapter's checkpoints."""
    return folder / "checkpoints" / role


def kept_steps(folder: Path, role: Role) -> dict[int, Path]:
    """The adapters kept during the training, by step."""
    return _numbered(checkpoints_path(folder, role), _STEP)


def _numbered(folder: Path, name: re.Pattern[str]) -> dict[int, Path]:
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return {int(match[1]): path for path in found if (match := name.fullmatch(path.name))}


def _changed(before: Mapping[str, Any], now: Mapping[str, Any], optimizer: str) -> list[str]:
    wanted = {**now, "optimizer": optimizer}
    return sorted(key for key in {*before, *wanted} if before.get(key) != wanted.get(key))
