import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nla_release.statistics import places as module
from nla_release.statistics.formulas import TIE, unit_rows
from nla_release.statistics.places import ROUNDING, narrow_blocks, own_places, places, retrieved


@given(st.integers(1, 20))
def test_perfect_reconstructions_are_all_retrieved(n):
    gold = np.random.default_rng(n).normal(size=(n, 32))
    assert retrieved(gold, gold).all()


def test_a_tie_is_a_miss():
    """The same activation twice: no reconstruction can tell which one it came from."""
    gold = np.array([[1.0, 0.1], [3.0, 0.3], [0.0, 1.0]])
    assert retrieved(gold, gold).tolist() == [False, False, True]


def test_a_zero_reconstruction_retrieves_nothing_not_even_from_one_candidate():
    assert not retrieved(np.zeros((1, 2)), np.ones((1, 2))).any()
    assert not retrieved(np.zeros((3, 2)), np.ones((3, 2))).any()


def test_one_reconstruction_for_everything_retrieves_exactly_one():
    """The chance level of a collapsed pair, whatever it says."""
    gold = np.random.default_rng(0).normal(size=(50, 8))
    same = np.tile(np.random.default_rng(1).normal(size=8), (50, 1))
    assert retrieved(same, gold).sum() == 1


tables = st.tuples(st.integers(1, 8), st.integers(2, 8)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(-2, 2).map(float))
)


def of_table(table, own):
    return places([table.copy()], own)


@given(tables, st.integers(0, 7))
def test_a_rank_counts_who_is_as_good_or_better(table, own):
    own = np.full(len(table), own % table.shape[1])
    found = of_table(table, own).rank

    for row, mine, rank in zip(table, own, found, strict=True):
        assert rank == sum(row >= row[mine])
    assert found.tolist() == of_table(table * 7 + 1, own).rank.tolist()


@given(tables)
def test_only_the_first_alone_is_found(table):
    first = of_table(table, np.zeros(len(table), np.intp)).first
    for row, found in zip(table, first, strict=True):
        best = np.flatnonzero(row == row.max())
        assert found == (best[0] if len(best) == 1 else -1)


@given(tables)
def test_the_candidate_that_is_found_is_the_one_of_rank_one(table):
    found = of_table(table, np.arange(len(table)) % table.shape[1])

    assert (found.first == found.own).tolist() == found.found.tolist()


def vectors(rows):
    """Reconstructions and activations, among them equal ones, a zero one and nearly equal ones."""
    random = np.random.default_rng(rows)
    gold = random.normal(size=(rows, 16)).astype(np.float32)
    real = (gold + random.normal(size=gold.shape)).astype(np.float32)
    gold[3] = 2 * gold[5]
    gold[7] = gold[11] * (1 + 1e-6)
    real[2] = 0
    return real, gold


@pytest.mark.parametrize("numbers", [1, 30 * 7, 10_000])
def test_blocks_of_rows_give_what_the_whole_matrix_gives(monkeypatch, numbers):
    """One row at a time, seven, and all."""
    monkeypatch.setattr(module, "AT_ONCE", numbers)
    real, gold = vectors(30)
    found = own_places(real, gold)

    whole = unit_rows(real) @ unit_rows(gold).T
    others = np.where(np.eye(30, dtype=bool), -np.inf, whole)
    ordered = np.sort(whole, axis=1)
    own = whole.diagonal()
    assert found.rank.tolist() == (whole >= own[:, np.newaxis] - TIE).sum(axis=1).tolist()
    assert found.first.tolist() == [
        row.argmax() if high > second + TIE else -1
        for row, (second, high) in zip(whole, ordered[:, -2:], strict=True)
    ]
    for name, expected in {
        "score": own,
        "highest": ordered[:, -1],
        "second": ordered[:, -2],
        "nearest_other": others.max(axis=1),
    }.items():
        np.testing.assert_allclose(getattr(found, name), expected, atol=1e-12)


@pytest.mark.parametrize("few", [0, 1, 16])
@pytest.mark.parametrize("numbers", [1, 30 * 7, 10_000])
def test_float32_never_decides_what_is_too_near_for_it(monkeypatch, few, numbers):
    """Each row asks for the score of one candidate, and for a little more or less than that."""
    monkeypatch.setattr(module, "AT_ONCE", numbers)
    monkeypatch.setattr(module, "_FEW", few)
    real, gold = vectors(30)
    whole = unit_rows(real) @ unit_rows(gold).T
    for apart in (-1e-4, -TIE, -1e-9, 1e-9, TIE, 1e-4):
        for candidate in range(30):
            asked = whole[:, candidate] + apart

            def close(rows, found, asked=asked):
                return np.abs(found - asked[rows, np.newaxis]) <= ROUNDING

            found = np.concatenate([*narrow_blocks(real, gold, close)])
            above = asked[:, np.newaxis]
            assert ((found >= above) == (whole >= above)).all()
            np.testing.assert_allclose(found, whole, atol=1e-6)


def test_rows_in_another_order_place_the_same():
    real, gold = vectors(30)
    order = np.random.default_rng(0).permutation(30)
    found, other = own_places(real, gold).in_order(order), own_places(real[order], gold[order])

    assert found.rank.tolist() == other.rank.tolist()
    assert found.first.tolist() == other.first.tolist()
    assert found.own.tolist() == list(range(30))
    for name in ("score", "highest", "second"):
        np.testing.assert_allclose(getattr(found, name), getattr(other, name), atol=1e-12)
