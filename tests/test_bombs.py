"""Small files that stand for gigabytes, and files that never end, are refused before they cost."""

import os
import resource
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from safetensors.torch import save_file

from nla_release.adapter.weights import largest_values, read_header
from nla_release.base_model.source import FolderFiles
from nla_release.cli import cli
from nla_release.contract.prompt import load_tokenizer
from nla_release.engine.activations import read_activations
from nla_release.engine.base import load_base_tokenizer
from nla_release.engine.own_data import open_vectors
from nla_release.engine.pickles import convert_adapter, convert_head
from nla_release.errors import DataError, InputError, NlaReleaseError, WeightsError
from nla_release.evidence.reference import read_reference
from nla_release.evidence.training_documents import training_overlap
from nla_release.io.files import read_json, read_yaml, sha256_file
from nla_release.io.parquet import SMALL_BYTES, parquet_batches, read_parquet
from nla_release.training import corpus_files
from nla_release.training.label import read_unlabelled

TINY = Path(__file__).parents[1] / "train" / "tiny" / "base"


def read_corpus(path: Path) -> list[object]:
    return [row for file, reader in corpus_files._files(path) for row in reader(file)]


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("convert", [convert_head, convert_adapter])
@pytest.mark.parametrize(
    "weight",
    [
        torch.ones(1).expand(20_000, 20_000),
        torch.ones(20_000, 1).expand(20_000, 20_000),
        torch.ones(64).as_strided((30_000, 30_000), (0, 0)),
    ],
)
def test_a_pickled_view_that_repeats_its_values_is_refused_at_once(tmp_path, convert, weight):
    torch.save({"weight": weight}, tmp_path / "head.pt")
    before = peak()

    with pytest.raises(WeightsError, match=r"head\.pt describes [\d,]+ bytes of values, and is"):
        convert(tmp_path / "head.pt", tmp_path / "out.safetensors")
    assert peak() - before < 256 * 1024 * 1024
    assert [path.name for path in tmp_path.iterdir()] == ["head.pt"]


def test_many_names_for_the_same_values_are_a_bomb_and_two_are_tied_weights(tmp_path):
    values = torch.ones(256, 256)
    torch.save({f"a{at}.weight": values for at in range(2)}, tmp_path / "tied.bin")
    convert_adapter(tmp_path / "tied.bin", tmp_path / "tied.safetensors")
    torch.save({f"a{at}.weight": values for at in range(500)}, tmp_path / "bomb.bin")

    assert load_file(tmp_path / "tied.safetensors").keys() == {"a0.weight", "a1.weight"}
    with pytest.raises(WeightsError, match="describes"):
        convert_adapter(tmp_path / "bomb.bin", tmp_path / "bomb.safetensors")


def test_an_ordinary_view_is_converted_with_its_values(tmp_path):
    weight = torch.arange(64.0).reshape(8, 8).t()
    torch.save({"weight": weight}, tmp_path / "head.pt")
    convert_head(tmp_path / "head.pt", tmp_path / "out.safetensors")

    assert (load_file(tmp_path / "out.safetensors")["weight"] == weight.numpy()).all()


def test_a_compressed_pickle_is_not_unpacked(tmp_path):
    torch.save({"weight": torch.zeros(2_000, 2_000)}, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / "head.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))

    with pytest.raises(WeightsError, match="is a compressed archive"):
        convert_head(tmp_path / "head.pt", tmp_path / "out.safetensors")


def bomb(kind: str) -> pa.Table:
    """A table of some hundred kilobytes on disk that takes 320 MB or more in memory."""
    rows = 20_000
    columns = {
        "id": [str(at) for at in range(rows)],
        "document": ["d"] * rows,
        "text": pa.array(["t"] * rows),
        "explanation": pa.array(["e"] * rows),
        "activation": pa.array([[1.0]] * rows, pa.list_(pa.float32())),
    }
    indices = pa.array(np.zeros(rows, np.int32))
    large = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * 64_000]))
    if kind == "text":
        columns["text"] = large
    elif kind == "claims":
        columns["claims"] = pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32), large)
    elif kind == "vectors":
        values = pa.array(np.ones(rows * 4_000, np.float32))
        offsets = np.arange(rows + 1, dtype=np.int32) * 4_000
        columns["activation"] = pa.ListArray.from_arrays(offsets, values)
    return pa.table(columns)


@pytest.mark.parametrize("kind", ["text", "claims", "vectors"])
def test_a_parquet_file_that_repeats_itself_is_refused_before_it_is_read(tmp_path, kind):
    path = tmp_path / "bomb.parquet"
    pq.write_table(bomb(kind), path, compression="zstd", row_group_size=4_000)
    assert path.stat().st_size < 2_000_000
    before = peak()

    with pytest.raises(
        DataError, match=r"bomb\.parquet of \d+ bytes would take \S+ GB of memory and is not read"
    ):
        read_parquet(path)
    assert peak() - before < 2 * SMALL_BYTES
    for read in (lambda: read_activations(path, 4), lambda: read_corpus(path)):
        with pytest.raises(DataError, match="would take"):
            read()
    if kind == "text":
        with pytest.raises(DataError, match="would take"):
            read_unlabelled(path)


TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@given(
    st.lists(st.tuples(TEXTS, st.none() | st.lists(TEXTS, max_size=3), st.booleans()), max_size=9)
)
def test_what_is_no_bomb_is_read_as_pyarrow_reads_it(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("table") / "rows.parquet"
    texts, lists, flags = zip(*rows, strict=True) if rows else ((), (), ())
    table = pa.table(
        {
            "text": pa.array(texts, pa.string()),
            "large": pa.array(texts, pa.large_string()),
            "view": pa.array(texts, pa.string_view()),
            "map": pa.array([[("k", text)] for text in texts], pa.map_(pa.string(), pa.string())),
            "coded": pa.array(texts, pa.string()).dictionary_encode(),
            "lists": pa.array(lists, pa.list_(pa.string())),
            "nested": pa.array(
                [{"a": text, "b": each} for text, each in zip(texts, lists, strict=True)],
                pa.struct([("a", pa.string()), ("b", pa.list_(pa.string()))]),
            ),
            "flags": pa.array(flags, pa.bool_()),
            "nothing": pa.nulls(len(rows)),
        }
    )
    pq.write_table(table, path)

    found = read_parquet(path)
    assert found.schema.equals(table.schema)
    assert found.to_pydict() == table.to_pydict()
    assert read_parquet(path, ["flags", "text", "absent"]).column_names == ["text", "flags"]
    assert sum(batch.num_rows for batch in parquet_batches(path)) == len(rows)


READERS = {
    "sha256_file": sha256_file,
    "read_json": read_json,
    "read_yaml": read_yaml,
    "read_header": read_header,
    "largest_values": largest_values,
    "load_tokenizer": load_tokenizer,
    "convert_head": lambda path: convert_head(path, path.with_name("out")),
    "read_activations": lambda path: read_activations(path, 4),
    "read_reference": lambda path: read_reference(path, 4),
    "read_parquet": read_parquet,
    "read_corpus": read_corpus,
    "training_overlap": lambda path: training_overlap([path], ids=[], documents=[], digests=[]),
    "a base's file": lambda path: FolderFiles(path.parent).read(path.name, 0, 1),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("kind", ["a pipe", "a device", "a link to a device", "a folder"])
def test_what_is_no_regular_file_is_not_opened(tmp_path, reader, kind):
    path = tmp_path / "x.jsonl"
    match kind:
        case "a pipe":
            os.mkfifo(path)
        case "a device":
            path = Path("/dev/zero")
        case "a link to a device":
            path.symlink_to("/dev/zero")
        case "a folder":
            path.mkdir()

    with pytest.raises(
        NlaReleaseError, match=r"regular file|is a folder|(no|not a) \.jsonl|does not exist"
    ):
        reader(path)


@pytest.mark.parametrize("verb", ["render", "roundtrip", "check", "report", "calibrate"])
@pytest.mark.parametrize(
    "name",
    ["pair/av/adapter_model.safetensors", "pair/ar/value_head.safetensors", "pair/av/nla_meta.yaml",
     "pair/av/adapter_config.json", "pair/av/training_log.jsonl", "base/config.json",
     "base/model.safetensors", "evidence/rows.jsonl", "evidence/vectors.safetensors",
     "calibration.json"],
)  # fmt: skip
def test_a_pipe_in_place_of_a_file_stops_no_verb(rendered, copy_of, tmp_path, verb, name):
    """A pipe that nobody writes to: whoever opens it waits for ever."""
    folder = copy_of(rendered.folder)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    more = {
        "render": ["--version", "0.0.2"],
        "report": ["-o", str(tmp_path / "report.html")],
    }.get(verb, [])
    done = CliRunner().invoke(cli, [verb, str(folder), *more])

    assert isinstance(done.exception, SystemExit | NlaReleaseError | None), done.exception


@pytest.mark.parametrize("damage", [b"{}", b'{"model": {"type": "BPE"}}', b"[[[[", b"\xff", b""])
def test_a_damaged_tokenizer_of_a_base_is_said_to_be_one(tmp_path, damage):
    for file in TINY.iterdir():
        if file.suffix in (".json", ".jinja"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    load_base_tokenizer(str(tmp_path), None)
    (tmp_path / "tokenizer.json").write_bytes(damage)

    with pytest.raises((InputError, ValueError, OSError)):
        load_base_tokenizer(str(tmp_path), None)


def test_a_pipe_in_a_base_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    (tmp_path / "tokenizer.json").write_bytes((TINY / "tokenizer.json").read_bytes())

    with pytest.raises(InputError, match=r"config\.json is not a regular file"):
        load_base_tokenizer(str(tmp_path), None)


def npy(shape: str, kind: str = "'<f4'") -> bytes:
    """A file of numpy with 64 bytes of values, whatever its header says."""
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}"
    header = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(64)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize(
    "content",
    [
        npy("(1000000000000, 10)"),
        npy("(1" + "0" * 30 + ", 10)"),
        npy("(-1, 4)"),
        npy("(True, 4)"),
        npy("(2, 2)", "'|O'"),
        npy("(2, 2)", "'<U99999999'"),
        b"no array",
    ],
)
def test_an_array_that_is_not_what_its_header_says_is_named(tmp_path, content, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    if suffix == ".npz":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("activation.npy" if content[:1] == b"\x93" else "activation", content)

    with pytest.raises(DataError, match=rf"x\{suffix} "):
        open_vectors(path, {})


@pytest.mark.parametrize("method", [b"\x63\x00", b"\x01\x00"])
def test_an_archive_packed_in_another_way_is_named(tmp_path, method):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("activation.npy", npy("(4, 4)"))
    content = path.read_bytes()
    at = content.rindex(b"PK\x01\x02") + 10
    path.write_bytes(content[:8] + method + content[10:at] + method + content[at + 2 :])

    with pytest.raises(DataError, match="not a readable npz file"):
        open_vectors(path, {})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.int64, torch.bool])
def test_a_reference_of_another_dtype_is_named(tmp_path, dtype):
    path = tmp_path / "reference.safetensors"
    record = {"rows": "10", "sha256": "a" * 64}
    save_file({"mean": torch.zeros(4).to(dtype)}, path, metadata=record)

    with pytest.raises(DataError, match="mean is .*, expected F32"):
        read_reference(path, 4)
