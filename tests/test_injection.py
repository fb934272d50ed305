"""Injection replaces exactly one position per row, or says why it cannot."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nla_release.contract.injection import inject, rescale
from nla_release.errors import InjectionError

MARKER, LEFT, RIGHT = 7, 8, 9
IDS = {"marker_id": MARKER, "left_id": LEFT, "right_id": RIGHT}


def plain_loop(ids, embeddings, vectors):
    """The same, written the slow way; None when some row has not exactly one marker in place."""
    result = embeddings.clone()
    for row in range(ids.shape[0]):
        places = [
            at
            for at in range(1, ids.shape[1] - 1)
            if (ids[row, at - 1], ids[row, at], ids[row, at + 1]) == (LEFT, MARKER, RIGHT)
        ]
        if len(places) != 1:
            return None
        result[row, places[0]] = vectors[row]
    return result


@given(
    batch=st.integers(1, 4),
    length=st.integers(1, 9),
    width=st.integers(1, 5),
    data=st.data(),
)
def test_it_does_what_a_plain_loop_does(batch, length, width, data):
    # Few distinct tokens, so that markers and neighbours meet often, also at the ends.
    tokens = st.lists(st.integers(6, 9), min_size=length, max_size=length)
    rows = data.draw(st.lists(tokens, min_size=batch, max_size=batch))
    if length >= 3 and data.draw(st.booleans()):
        for row in rows:
            at = data.draw(st.integers(0, length - 3))
            row[at : at + 3] = [LEFT, MARKER, RIGHT]
    ids = torch.tensor(rows)
    embeddings = torch.arange(batch * length * width, dtype=torch.float32)
    embeddings = embeddings.reshape(batch, length, width)
    vectors = -1 - torch.arange(batch * width, dtype=torch.float32).reshape(batch, width)
    before = embeddings.clone()
    expected = plain_loop(ids, embeddings, vectors)

    if expected is None:
        with pytest.raises(InjectionError):
            inject(ids, embeddings, vectors, **IDS)
    else:
        assert torch.equal(inject(ids, embeddings, vectors, **IDS), expected)
    assert torch.equal(embeddings, before), "the caller's embeddings are left alone"


def test_the_error_names_the_rows_and_what_they_hold():
    ids = torch.tensor(
        [[LEFT, MARKER, RIGHT, 1, 1, 1], [1, 1, MARKER, 1, 1, 1], [LEFT, MARKER, RIGHT] * 2]
    )
    with pytest.raises(InjectionError) as caught:
        inject(ids, torch.zeros(3, 6, 2), torch.ones(3, 2), **IDS)

    assert "row 0" not in caught.value.message
    assert "row 1: 1 markers, 0 between their neighbours" in caught.value.message
    assert "row 2: 2 markers, 2 between their neighbours" in caught.value.message


def test_a_marker_without_its_neighbours_is_not_written_to():
    ids = torch.tensor([[MARKER, LEFT, MARKER, RIGHT, MARKER]])
    out = inject(ids, torch.zeros(1, 5, 1), torch.ones(1, 1), **IDS)

    assert out.flatten().tolist() == [0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("embeddings", "vectors"), [((1, 3, 4), (1, 5)), ((1, 3, 4), (2, 4)), ((1, 2, 4), (1, 4))]
)
def test_shapes_that_disagree_are_an_error(embeddings, vectors):
    with pytest.raises(InjectionError, match="cannot inject"):
        inject(
            torch.tensor([[LEFT, MARKER, RIGHT]]),
            torch.zeros(embeddings),
            torch.zeros(vectors),
            **IDS,
        )


def test_gradients_flow_to_the_vector_and_to_the_other_positions():
    embeddings = torch.zeros(1, 4, 2, requires_grad=True)
    vectors = torch.ones(1, 2, requires_grad=True)
    inject(torch.tensor([[LEFT, MARKER, RIGHT, 1]]), embeddings, vectors, **IDS).sum().backward()

    assert vectors.grad.tolist() == [[1, 1]]
    assert embeddings.grad[0, :, 0].tolist() == [1, 0, 1, 1]


def test_vectors_take_the_embeddings_dtype():
    ids = torch.tensor([[LEFT, MARKER, RIGHT]])
    out = inject(ids, torch.zeros(1, 3, 2, dtype=torch.bfloat16), torch.ones(1, 2), **IDS)

    assert out.dtype == torch.bfloat16


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3), st.floats(0.1, 1e5))
def test_rescaled_vectors_have_the_scale_as_norm_and_zero_stays_zero(values, scale):
    vector = torch.tensor([values])
    norm = rescale(vector, scale).norm().item()
    if vector.norm() > 1e-30:
        assert norm == pytest.approx(scale, rel=1e-3)
    elif not vector.any():
        assert norm == 0
