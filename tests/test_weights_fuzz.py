"""Whatever a safetensors header says, it is read or refused, soon and in little room."""

import json
import resource

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from nla_release.adapter.lora import lora_modules
from nla_release.adapter.weights import MAX_HEADER_BYTES, Tensor, largest_values, read_header
from nla_release.errors import WeightsError

MODULE = "base_model.model.model.layers.0.q_proj"
NAMES = st.sampled_from(
    [
        f"{MODULE}.lora_A.weight",
        f"{MODULE}.lora_B.weight",
        f"{MODULE}.lora_A.default.weight",
        f"{MODULE}.lora_magnitude_vector",
        "base_model.model.lm_head.weight",
        "__metadata__",
        "",
        "\x00",
        "\u202e",
    ]
) | st.text(max_size=12)
DTYPES = st.sampled_from(
    ["F64", "F32", "F16", "BF16", "F8_E4M3", "F4", "I64", "U8", "BOOL", "C64", "f32", "Z9", ""]
)
SIZES = st.integers(0, 8) | st.sampled_from(
    [-1, 2**31, 2**32 + 1, 2**62, 2**63, 2**64 - 1, 2**64, 10**400]
)
OFFSETS = st.integers(0, 64) | SIZES
TENSORS = st.fixed_dictionaries(
    {
        "dtype": DTYPES,
        "shape": st.lists(SIZES, max_size=4),
        "data_offsets": st.lists(OFFSETS, min_size=1, max_size=3),
    }
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
SOUND = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "x.safetensors"


def write(path, text, data=b"", length=None):
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)


def read_or_refused(path):
    """Everything that reads such a file gives values of the promised kind, or a WeightsError."""
    header = attempt(read_header, path)
    for read in (largest_values, lora_modules):
        found = attempt(read, path)
        if found is not None:
            assert header is not None, "what is refused once is refused always"
            assert len(found) <= len(header)
    for name, tensor in (header or {}).items():
        assert isinstance(tensor, Tensor)
        assert tensor.name == name
        assert 8 <= tensor.start <= tensor.stop <= path.stat().st_size


def attempt(read, path):
    """What `read` gives, or None when it refuses the file by name."""
    try:
        return read(path)
    except WeightsError as error:
        refusal = error.message
    assert str(path) in refusal
    return None


@given(st.binary(max_size=200))
def test_any_bytes(path, data):
    path.write_bytes(data)
    read_or_refused(path)


@given(st.dictionaries(NAMES, TENSORS, max_size=4), st.binary(max_size=128))
@settings(max_examples=300)
def test_any_tensors(path, tensors, data):
    write(path, json.dumps(tensors).encode(), data)
    read_or_refused(path)


@given(st.lists(st.tuples(NAMES, st.integers(0, 4), st.integers(0, 4)), max_size=5), st.data())
@settings(max_examples=200)
def test_tensors_that_are_sound_but_for_one_offset(path, shapes, data):
    """The usual mistakes: holes, overlaps, and ends that are not the next beginning."""
    header, stop = {}, 0
    for name, rows, columns in shapes:
        start, stop = stop, stop + 4 * rows * columns
        header[name] = {"dtype": "F32", "shape": [rows, columns], "data_offsets": [start, stop]}
    if header:
        moved = header[data.draw(st.sampled_from(sorted(header)))]["data_offsets"]
        moved[data.draw(st.integers(0, 1))] += data.draw(st.integers(-8, 8))
    write(path, json.dumps(header).encode(), bytes(stop))
    read_or_refused(path)


@given(JSON)
@settings(max_examples=200)
def test_any_json(path, document):
    write(path, json.dumps(document).encode())
    read_or_refused(path)


@given(st.data())
@settings(max_examples=200)
def test_a_sound_file_with_bytes_changed(path, data):
    content = bytearray(save({f"{MODULE}.lora_{x}.weight": np.ones((2, 2)) for x in "AB"}))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    read_or_refused(path)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":' + b"[" * 200,
        b'{"\xff":{}}',
        b'{"\\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} {',
        b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}',
        b"\x00" * 64,
        b"",
    ],
    ids=["arrays", "objects", "nested", "not utf-8", "surrogate", "more", "nan", "zeros", "none"],
)
def test_a_header_that_is_no_header_is_refused(path, text):
    write(path, text, bytes(8))
    with pytest.raises(WeightsError, match="is not a complete safetensors file"):
        read_header(path)


@pytest.mark.parametrize(
    ("tensors", "data"),
    [
        ({"a": SOUND, "b": SOUND}, 8),
        ({"a": SOUND, "b": SOUND | {"data_offsets": [4, 12]}}, 12),
        ({"a": SOUND, "b": SOUND | {"data_offsets": [12, 20]}}, 20),
        ({"a": SOUND}, 9),
        ({"a": SOUND}, 7),
        ({"a": SOUND | {"data_offsets": [8, 0]}}, 8),
        ({"a": SOUND | {"shape": [3]}}, 8),
        ({"a": SOUND | {"shape": [2**40, 2**40]}}, 8),
        ({"a": SOUND | {"shape": [2**62, 2**62, 0], "data_offsets": [0, 0]}}, 0),
        ({"__metadata__": {"step": 3}, "a": SOUND}, 8),
    ],
    ids=[
        "same place", "overlap", "hole", "tail", "short", "backwards", "shape", "product",
        "product before zero", "metadata",
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit_their_file_are_refused(path, tensors, data):
    write(path, json.dumps(tensors).encode(), bytes(data))
    with pytest.raises(WeightsError, match="is not a complete safetensors file"):
        read_header(path)


def test_a_key_that_stands_twice_is_refused(path):
    """The library takes the second of them, others the first."""
    entry = json.dumps(SOUND).encode()
    write(path, b'{"a":%b,"a":%b}' % (entry, entry), bytes(8))

    with pytest.raises(WeightsError, match="key 'a' appears twice"):
        read_header(path)


@pytest.mark.parametrize("length", [MAX_HEADER_BYTES + 1, 100_000_000, 2**63, 2**64 - 1])
def test_a_claim_of_a_huge_header_takes_no_room(path, length):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    write(path, b"{}", length=length)

    with pytest.raises(WeightsError, match=f"its header claims {length} bytes"):
        read_header(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024


def test_a_shape_beyond_all_arrays_without_values_is_a_tensor_of_zeros(path):
    empty = {"dtype": "F32", "shape": [0, 2**62, 2**62], "data_offsets": [0, 0]}
    write(path, json.dumps({"a": empty}).encode())

    assert read_header(path)["a"].shape == (0, 2**62, 2**62)
    assert largest_values(path) == {"a": 0.0}


@pytest.mark.parametrize("cut", [1, 4, 100])
def test_a_truncated_file_is_named_as_such(path, cut):
    path.write_bytes(save({"a": np.ones(8, np.float32)})[:-cut])
    with pytest.raises(WeightsError, match="is not a complete safetensors file") as refused:
        read_header(path)
    assert "a truncated download looks like this" in refused.value.hint
