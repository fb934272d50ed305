"""Safetensors are read without torch, bfloat16 included, and damage is named."""

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import save_file

from nla_release.adapter import weights
from nla_release.adapter.weights import (
    BANDS,
    largest_values,
    non_finite_tensors,
    read_header,
    zero_bands,
)
from nla_release.errors import WeightsError

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.safetensors"


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_value_of_every_dtype_is_torchs(path, dtype):
    values = torch.randn(300, 70, generator=torch.Generator().manual_seed(0)).to(dtype)
    save_file(
        {"before": torch.zeros(7, dtype=dtype), "mixed": values, "minus": -values.abs()}, path
    )

    largest = float(values.abs().max())
    assert largest_values(path) == {"before": 0.0, "minus": largest, "mixed": largest}


@given(
    st.lists(st.floats(width=16, allow_nan=False, allow_infinity=False), max_size=40),
    st.sampled_from(DTYPES),
)
def test_size_is_read_off_the_bits(tmp_path_factory, numbers, dtype):
    path = tmp_path_factory.mktemp("x") / "x.safetensors"
    values = torch.tensor(numbers, dtype=torch.float64).to(dtype)
    save_file({"a": values}, path)

    expected = float(values.abs().max()) if numbers else 0.0
    assert largest_values(path) == {"a": expected}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [float("nan"), -float("nan"), float("inf"), -float("inf")])
def test_one_value_that_is_not_finite_is_found_among_many(path, dtype, value):
    values = torch.zeros(1000, 1500, dtype=dtype)  # of more than one piece
    values[-1, -1] = value
    save_file({"sound": torch.ones(3), "broken": values}, path)

    assert non_finite_tensors(path) == ["broken"]
    assert not math.isfinite(largest_values(path)["broken"])


def test_minus_zero_is_zero(path):
    save_file({"a": -torch.zeros(5, dtype=torch.bfloat16)}, path)

    assert largest_values(path) == {"a": 0.0}


def test_a_tensor_without_values_and_one_without_dimensions_are_read(path):
    save_file({"none": torch.zeros(0, 4), "one": torch.tensor(-2.5)}, path)

    assert largest_values(path) == {"none": 0.0, "one": 2.5}


def test_integers_are_not_weights(path):
    save_file({"a": torch.ones(2, dtype=torch.int64)}, path)
    with pytest.raises(WeightsError, match="tensor a has dtype I64, expected a float"):
        largest_values(path)


def test_a_file_that_shrinks_while_it_is_read_is_named(path, monkeypatch):
    save_file({"a": torch.ones(8)}, path)
    header = read_header(path)
    path.write_bytes(path.read_bytes()[:-4])
    monkeypatch.setattr(weights, "read_header", lambda _: header)

    with pytest.raises(WeightsError, match="became shorter while it was read"):
        largest_values(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match="does not exist"):
        read_header(tmp_path / "nowhere")


def bands_by_hand(values: torch.Tensor, axis: int) -> tuple[bool, ...]:
    zero = (values == 0).all(dim=1 - axis)
    count = min(BANDS, len(zero))
    return tuple(
        bool(zero[len(zero) * band // count : len(zero) * (band + 1) // count].all())
        for band in range(count)
    )


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.integers(0, 70),
    st.integers(0, 70),
    st.sampled_from(DTYPES),
    st.sampled_from([64, 512, 256 * 1024]),
)
@example(33, 1, 1, 1, torch.float32, 64)  # the second row begins the second of 32 bands
@example(33, 20, 1, 20, torch.float32, 64)
def test_the_bands_of_zeros_are_those_of_the_values(
    tmp_path_factory, height, width, row, column, dtype, piece
):
    """However many rows a piece of the file holds, or of how many pieces a row is."""
    path = tmp_path_factory.mktemp("x") / "x.safetensors"
    values = torch.ones(height, width, dtype=dtype)
    values[row:], values[:, column:] = -0.0, 0.0
    save_file({"a": values, "flat": torch.ones(3)}, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "_PIECE_BYTES", piece)
        found = zero_bands(path)

    assert list(found) == ["a"]
    assert (found["a"].rows, found["a"].columns) == (
        bands_by_hand(values, 0),
        bands_by_hand(values, 1),
    )


def test_an_8_bit_float_is_named(path):
    save_file({"a": torch.zeros(2, 2).to(torch.float8_e4m3fn)}, path)

    for read in (largest_values, zero_bands):
        with pytest.raises(WeightsError, match="F8_E4M3") as found:
            read(path)
        assert "8-bit floating point" in found.value.hint
