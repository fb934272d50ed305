"""`python -m tests.hub.fault_matrix`: every accident at every moment of a push, as a table.

The table is the one in docs/explanation/one-release.md. The suite plays a third of the cases; this
plays all.
"""

import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from nla_release.cards.render import render
from tests.builders_pair import make_release
from tests.hub.accidents import KINDS, REQUESTS, Case, Kind, all_cases
from tests.hub.faulty import FORKS, never_wait
from tests.hub.publishing import VERSION
from tests.hub.scene import scene

DOCUMENT = Path(__file__).parents[2] / "docs" / "explanation" / "one-release.md"
TABLE = re.compile(r"(?<=<!-- fault-matrix:begin -->\n).*(?=<!-- fault-matrix:end -->)", re.DOTALL)
# How the push ended that the accident happened to, and what that is called.
ENDS = {
    "published": "went on",
    "4": "exit 4",
    "5": "exit 5",
    "130": "exit 130",
    "killed": "killed",
}
_VIOLATION = "wrong"


def table(ended: Iterable[tuple[Kind, str]]) -> str:
    """How pushes ended, by what happened to them, in Markdown."""
    counts = Counter(ended)
    lines = [
        f"| what goes wrong | cases | {' | '.join(ENDS.values())} | once more: published |",
        f"|---|{'---:|' * (len(ENDS) + 2)}",
    ]
    totals = [0] * (len(ENDS) + 2)
    for kind in KINDS:
        row = [counts[kind, end] for end in ENDS]
        total = sum(row) + counts[kind, _VIOLATION]
        numbers = [total, *row, sum(row)]
        totals = [sum(pair) for pair in zip(totals, numbers, strict=True)]
        lines.append(_row(kind, numbers))
    return "\n".join([*lines, _row("all", totals)]) + "\n"


def documented() -> str:
    """The table in the documentation."""
    found = TABLE.search(DOCUMENT.read_text())
    assert found is not None, "the marks around the table are gone"
    return found[0]


def _row(name: str, numbers: list[int]) -> str:
    return f"| {name} | {' | '.join(str(number or '') for number in numbers)} |"


def _play(cases: list[Case], dist: Path) -> list[tuple[Case, str]]:
    """Play some cases; what is not as it should be is said, and counted."""
    ended = []
    with pytest.MonkeyPatch.context() as patch, scene(dist) as ready:
        never_wait(patch)
        for case in cases:
            try:
                ended.append((case, ready.play(case)))
            except Exception as error:  # the other cases are of interest too
                sys.stdout.write(f"{case}: {type(error).__name__}: {error}\n")
                ended.append((case, _VIOLATION))
    return ended


def main() -> int:
    """Play all, and compare with the documentation; the exit code."""
    started, cases, cores = time.monotonic(), list(all_cases()), os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        release = make_release(Path(folder) / "release", rows=20, documents=5)
        render(release, VERSION)
        with ProcessPoolExecutor(cores, mp_context=FORKS) as workers:
            played = [
                workers.submit(_play, cases[first :: 8 * cores], release.dist)
                for first in range(8 * cores)
            ]
            ended = [each for part in played for each in part.result()]
    found = table((case.kind, end) for case, end in ended)
    sys.stdout.write(
        f"{len(REQUESTS)} requests, {len(cases)} cases, {time.monotonic() - started:.0f} s on"
        f" {cores} cores\n\n{found}"
    )
    if found == documented():
        return 0
    sys.stdout.write(f"\n{DOCUMENT.name} says otherwise\n")
    if "--write" in sys.argv:
        DOCUMENT.write_text(TABLE.sub(lambda _match: found, DOCUMENT.read_text()))
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
