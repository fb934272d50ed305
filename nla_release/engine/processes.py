"""One process or several, as torchrun or `accelerate launch` started them.

A round trip and an extraction share out pieces of work, whose results are files that all processes
read. In training every process holds the whole base and the same trainable parameters, takes its
share of the rows of each step, and receives the others' gradients in one sum per step. The model is
not wrapped, because a reconstructor stops in the middle of it, which a wrapper would not notice.

Only several processes need torch to communicate: a single one can label without it.
"""

import atexit
import functools
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest
from typing import TYPE_CHECKING, TypeVar

from nla_release.errors import ConfigError, EnvironmentProblem, one_line
from nla_release.io.log import Advance, log, logger

if TYPE_CHECKING:
    import torch
    from accelerate import PartialState

Item = TypeVar("Item")

# What `accelerate launch` sets when it means to start several processes.
_LAUNCHED_BY_ACCELERATE = {"MASTER_ADDR", "ACCELERATE_MIXED_PRECISION"}

# The others wait while one does the work that is not shared, or waits for an endpoint.
_LONGEST_WAIT = timedelta(days=7)


@dataclass(frozen=True)
class Processes:
    """The number of processes, and the rank of this one, from 0."""

    rank: int
    count: int

    @classmethod
    def from_environment(cls) -> "Processes":
        """As RANK and WORLD_SIZE say; one process where they are not set.

        Raises:
            EnvironmentProblem: they say something impossible.
        """
        said = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
        if all(word.isdecimal() for word in said) and int(said[0]) < int(said[1]):
            return cls(int(said[0]), int(said[1]))
        raise EnvironmentProblem(
            f"RANK is {said[0]!r} and WORLD_SIZE {said[1]!r}",
            hint="unset both, or start the command with `torchrun --nproc-per-node N -m"
            " nla_release ...`",
        )

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """The items of this process; the shares are disjoint and complete."""
        return items[self.rank :: self.count]

    def merge(self, shares: Sequence[Sequence[Item]]) -> list[Item]:
        """All items in their order, from the shares of all."""
        rounds = zip_longest(*([(item,) for item in share] for share in shares), fillvalue=())
        return [item for once in rounds for held in once for item in held]


@functools.cache
def state() -> "PartialState":
    """This process among the others; joins them when it is asked for first.

    Raises:
        EnvironmentProblem: it is alone, and RANK and WORLD_SIZE say that it is not, or it cannot
            join the others.
    """
    import torch
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    on_cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    if os.environ.keys() >= _LAUNCHED_BY_ACCELERATE and "WORLD_SIZE" not in os.environ:
        log.warning(
            "accelerate was asked for several processes and started one, as it does on"
            " CPUs; start them with `torchrun --nproc-per-node N -m nla_release ...`"
        )
    with together():
        joined = PartialState(cpu=on_cpu, timeout=_LONGEST_WAIT)
    if joined.num_processes != process_count():
        raise EnvironmentProblem(
            f"WORLD_SIZE says {process_count()} processes, and accelerate finds"
            f" {joined.num_processes}",
            hint="start them with torchrun or `accelerate launch`, which set LOCAL_RANK too",
        )
    # At the end of the interpreter the group's threads sometimes abort the process.
    atexit.register(joined.destroy_process_group)
    return joined


def device_here(device: str | None) -> str | None:
    """The device of this process: as asked for, or of several processes the one of its rank.

    Raises:
        ConfigError: several processes were started, and another kind of device is asked for.
    """
    if process_count() == 1:
        return device
    import torch

    here = state().device
    if device is not None and torch.device(device).type != here.type:
        raise ConfigError(
            f"--device is {device}, and accelerate started {process_count()} processes on"
            f" {here.type}",
            hint="leave --device out; the launcher chooses devices",
        )
    return "cpu" if here.type == "cpu" else str(here)


def share(pieces: Sequence[Item]) -> Iterator[tuple[int, Item]]:
    """The pieces of work that this process does, with their numbers: each is done by one."""
    yield from Processes.from_environment().share(list(enumerate(pieces)))


def take_over(pieces: Sequence[Item], work: Callable[[Item], None]) -> None:
    """Work on the other processes' pieces, whose results are kept, once all processes have theirs.

    Args:
        pieces: the same in all processes.
        work: of a piece whose result is kept, takes it from there.

    Raises:
        EnvironmentProblem: a process has ended.
    """
    if process_count() == 1:
        return
    wait_for_all()
    mine = {number for number, _ in share(pieces)}
    for number, piece in enumerate(pieces):
        if number not in mine:
            work(piece)
    wait_for_all()  # nobody removes what another still reads


@contextmanager
def main_first() -> Iterator[None]:
    """The first process goes through the block, then the others.

    Raises:
        EnvironmentProblem: a process has ended.
    """
    several = process_count() > 1
    if several and not is_main():
        wait_for_all()
    yield
    if several and is_main():
        wait_for_all()


def only_the_first_talks() -> None:
    """Leave messages, but for errors, and progress to the first process."""
    if not is_main():
        logger.setLevel(logging.ERROR)
        log.bar = None


def add_up(parameters: "Iterable[torch.nn.Parameter]", figure: "torch.Tensor") -> "torch.Tensor":
    """Make each gradient the sum over the processes, all in one message; give the figure's sum.

    A parameter that no process has a gradient of has none afterwards, as with a single process.
    """
    if process_count() == 1:
        return figure
    import torch
    from accelerate.utils import reduce

    changed = list(parameters)
    have = torch.tensor([p.grad is not None for p in changed], device=figure.device)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in changed]
    parts = [gradient.float().flatten() for gradient in gradients]
    message = torch.cat([*parts, have.float(), figure.detach().float().reshape(1)])
    with together():
        total: torch.Tensor = reduce(message, reduction="sum")
    sums = torch.split(total[: -len(changed) - 1], [part.numel() for part in parts])
    somewhere = total[-len(changed) - 1 : -1].tolist()
    for parameter, values, count in zip(changed, sums, somewhere, strict=True):
        parameter.grad = values.view_as(parameter).to(parameter.dtype) if count else None
    return total[-1]


def any_process(here: bool) -> bool:
    """Whether `here` is true in any process."""
    if process_count() == 1:
        return here
    import torch
    from accelerate.utils import reduce

    mine = torch.tensor(float(here), device=state().device)
    with together():
        found = reduce(mine, reduction="sum")
    return bool(found.item())


def gather(mine: Item) -> list[Item]:
    """The values of all processes in the order of their ranks; waits for the last.

    Raises:
        EnvironmentProblem: a process has ended.
    """
    if process_count() == 1:
        return [mine]
    from accelerate.utils import gather_object

    state()
    with together():
        gathered: list[Item] = gather_object([mine])
    return gathered


def process_count() -> int:
    """How many processes take part."""
    return Processes.from_environment().count


def is_main() -> bool:
    """Whether this process writes the files and messages."""
    return Processes.from_environment().rank == 0


def wait_for_all() -> None:
    """Wait until every process has reached this point."""
    joined = state()
    with together():
        joined.wait_for_everyone()


@contextmanager
def together() -> Iterator[None]:
    """Wraps communication among all processes.

    Raises:
        EnvironmentProblem: a process has ended.
    """
    import torch

    try:
        yield
    except torch.OutOfMemoryError:
        raise  # concerns this process alone
    except RuntimeError as error:  # gloo raises it; NCCL's error is a subclass
        raise EnvironmentProblem(
            f"the {process_count()} processes lost their connection: {one_line(error)[:400]}",
            hint="if one of them ended, read its last message; start all of them again",
        ) from error


@contextmanager
def shared_progress(title: str, total: int, unit: str) -> Iterator[Advance]:
    """`progress`, shown by the main process alone."""
    if is_main():
        with log.progress(title, total, unit) as advance:
            yield advance
    else:
        yield _silent


def _silent(done: int, note: str = "") -> None:
    """Progress that the main process shows."""
