"""Whatever goes wrong, and whenever: the same command once more, and all is as if it had not.

All cases are played by `make fault-matrix`; here are those of each request that writes, and one or
two of every other moment. `make test` plays every third of these, `make test-long` the others.
"""

import sys
from collections import Counter

import pytest

from tests.hub.accidents import (
    BOUNDARIES,
    KINDS,
    REQUESTS,
    all_cases,
    chosen_cases,
    named,
)
from tests.hub.fault_matrix import ENDS, documented, table
from tests.hub.faulty import never_wait
from tests.hub.scene import scene


@pytest.fixture(scope="module")
def stage(rendered):
    with pytest.MonkeyPatch.context() as patch, scene(rendered.dist) as ready:
        never_wait(patch)
        yield ready


@pytest.fixture(scope="module")
def ended():
    """How the pushes ended that have been played."""
    return []


def test_a_push_makes_the_requests_and_steps_that_the_matrix_is_of(stage):
    assert stage.pushed(stage.hub.endpoint, stage.hub.token) == "published"
    assert tuple(map(named, stage.hub.faults.requests)) == REQUESTS
    assert stage.steps() == BOUNDARIES


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[] if place % 3 == 0 else pytest.mark.long)
        for place, case in enumerate(sorted(chosen_cases(), key=str))
    ],
    ids=str,
)
def test_after_an_accident_the_same_command_completes_the_release(stage, ended, case):
    ended.append((case.kind, stage.play(case)))


def test_the_cases_here_cover_every_moment_and_every_kind():
    chosen, every = set(chosen_cases()), list(all_cases())
    assert {case.at for case in chosen} == {case.at for case in every}
    assert {case for case in every if case.at.writes} <= chosen
    kinds = Counter(case.at for case in chosen)
    assert all(kinds[at] >= 2 for at in kinds if at.what == "request")


def test_the_documentation_has_the_table_of_this_push(ended):
    """Of each kind as many cases, none of which went wrong, and none that ended here otherwise."""
    shown = table(ended)
    sys.stdout.write(f"{len(ended)} of {len(list(all_cases()))} cases\n\n{shown}")
    written = _cells(documented())
    cases = Counter(case.kind for case in all_cases())
    assert {kind: int(written[kind][0]) for kind in KINDS} == cases
    assert int(written["all"][0]) == int(written["all"][-1]) == cases.total()
    for kind, numbers in _cells(shown).items():
        for here, there in zip(numbers, written[kind], strict=True):
            assert int(here or 0) <= int(there or 0), (kind, [*ENDS])


def _cells(table):
    _, _, *rows = table.splitlines()
    return {
        kind: numbers
        for kind, *numbers in ([c.strip() for c in row.split("|")[1:-1]] for row in rows)
    }
