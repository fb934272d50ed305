"""One process or several, as torchrun or `accelerate launch` started them: which one this is.

Each takes every n-th piece of what all do. They need torch only to meet (`train.processes`), and a
single process, such as one that labels, does without.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

from nla_release.errors import EnvironmentProblem

Item = TypeVar("Item")


@dataclass(frozen=True)
class Processes:
    """How many there are, and which of them this is, from 0."""

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
            hint="unset both, or start the step with `torchrun --nproc-per-node N -m`",
        )

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """What this one does of what all do: the shares meet nowhere and leave nothing out."""
        return items[self.rank :: self.count]

    def merge(self, shares: Sequence[Sequence[Item]]) -> list[Item]:
        """All items in their order, from the shares of all."""
        rounds = zip_longest(*([(item,) for item in share] for share in shares), fillvalue=())
        return [item for once in rounds for held in once for item in held]

    def gather(self, mine: Item) -> list[Item]:
        """What every process gives here, in the order of their ranks; waits for the last.

        Raises:
            EnvironmentProblem: one is not there any more.
        """
        if self.count == 1:
            return [mine]
        from accelerate.utils import gather_object

        from train.processes import state, together

        state()
        with together():
            gathered: list[Item] = gather_object([mine])
        return gathered
