"""Safetensors are read without torch, bfloat16 included, and damage is named."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from nla_release.errors import WeightsError
from nla_release.weights import (
    lora_modules,
    non_finite_tensors,
    read_header,
    read_values,
    zero_b_modules,
)

KEY = "base_model.model.model.layers.0.q_proj.lora_{}.weight"


def adapter(path, a=(4, 8), b=(6, 4), fill=1.0, **more):
    save_file(
        {KEY.format("A"): torch.ones(a), KEY.format("B"): torch.full(b, fill), **more},
        path / "adapter.safetensors",
    )
    return path / "adapter.safetensors"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_values_of_every_float_dtype_are_read_as_torch_reads_them(tmp_path, dtype):
    values = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    save_file({"a": torch.zeros(7), "b": values}, tmp_path / "x.safetensors")
    tensor = read_header(tmp_path / "x.safetensors")["b"]

    found = read_values(tmp_path / "x.safetensors", tensor)

    assert np.array_equal(found, values.float().numpy())


def test_integers_are_not_weights(tmp_path):
    save_file({"a": torch.ones(2, dtype=torch.int64)}, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="dtype I64, expected a float"):
        non_finite_tensors(tmp_path / "x.safetensors")


@given(cut=st.integers(1, 120))
def test_a_truncated_file_is_named_as_such(cut):
    import tempfile
    from pathlib import Path

    content = save({"a": torch.ones(8)})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        path.write_bytes(content[: max(len(content) - cut, 0)])
        with pytest.raises(WeightsError, match="not a whole safetensors file"):
            read_header(path)


@given(st.binary(max_size=200))
def test_no_bytes_at_all_cause_anything_but_a_weights_error(data):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        path.write_bytes(data)
        with pytest.raises(WeightsError):
            lora_modules(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match="does not exist"):
        read_header(tmp_path / "nowhere")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_tensors_that_are_not_finite_are_found(tmp_path, value):
    path = adapter(tmp_path, fill=value)

    assert non_finite_tensors(path) == [KEY.format("B")]


def test_a_module_has_its_rank_and_sizes(tmp_path):
    (module,) = lora_modules(adapter(tmp_path))

    assert (module.name, module.rank, module.in_features, module.out_features) == (
        "model.layers.0.q_proj",
        4,
        8,
        6,
    )


def test_an_adapter_that_does_nothing_is_found(tmp_path):
    assert zero_b_modules(adapter(tmp_path, fill=0.0)) == ["model.layers.0.q_proj"]
    assert zero_b_modules(adapter(tmp_path)) == []


@pytest.mark.parametrize(
    ("shapes", "more", "words"),
    [
        ({"a": (4, 8), "b": (6, 5)}, {}, "do not multiply"),
        ({"a": (4,), "b": (6, 4)}, {}, "do not multiply"),
        ({"a": (0, 8), "b": (6, 0)}, {}, "do not multiply"),
        ({}, {"v_head.weight": torch.ones(1)}, "is not a LoRA factor"),
        ({}, {KEY.format("A").replace("q_proj", "k_proj"): torch.ones(4, 8)}, "has no lora_B"),
    ],
)
def test_an_adapter_that_is_not_whole_is_refused(tmp_path, shapes, more, words):
    with pytest.raises(WeightsError, match=words):
        lora_modules(adapter(tmp_path, **shapes, **more))


def test_an_empty_adapter_is_refused(tmp_path):
    save_file({}, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="holds no tensors"):
        lora_modules(tmp_path / "x.safetensors")
