"""Work divided among processes: nothing twice, nothing left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.engine.processes import Processes
from nla_release.errors import EnvironmentProblem


@given(st.lists(st.integers()), st.integers(1, 9))
def test_the_shares_of_all_make_up_the_whole_in_order(items, count):
    shares = [Processes(rank, count).share(items) for rank in range(count)]

    assert sum(map(len, shares)) == len(items)
    assert Processes(0, count).merge(shares) == items


@pytest.mark.parametrize(("rank", "count"), [("2", "2"), ("x", "2"), ("0", "0"), ("-1", "2")])
def test_an_impossible_rank_is_refused(monkeypatch, rank, count):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", count)
    with pytest.raises(EnvironmentProblem, match=f"RANK is '{rank}'"):
        Processes.from_environment()


def test_one_process_is_the_rule(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert Processes.from_environment() == Processes(0, 1)
