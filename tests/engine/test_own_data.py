"""Own activations become the files that `roundtrip` reads, from whatever tool they are."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from nla_release.engine.activations import read_activations
from nla_release.engine.own_data import make_data
from nla_release.errors import ConfigError, DataError, RefusedError
from nla_release.evidence.reference import read_reference

WIDTH, ROWS, TRAINED = 8, 12, 30
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(ROWS, WIDTH)).astype(np.float32)
OTHERS = (3 * RNG.normal(size=(TRAINED, WIDTH)) + 1).astype(np.float32)
TEXTS = [
    {"id": f"r{at}", "document": f"d{at // 3}", "text": f'text {at}, "so"', "explanation": None}
    for at in range(ROWS)
]


def save_array(path: Path, values: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".npz":
        np.savez_compressed(path, activation=values)
    elif path.suffix == ".safetensors":
        safetensors.numpy.save_file({"activation": values}, path)
    else:
        pq.write_table(pa.table({"activation": list(values)}), path)
    return path


def save_texts(path: Path, rows=TEXTS) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("texts", ["parquet", "jsonl", "csv"])
@pytest.mark.parametrize("arrays", ["parquet", "npy", "npz", "safetensors"])
def test_activations_and_texts_of_every_format_become_the_same_release_data(
    tmp_path, arrays, texts
):
    made = make_data(
        save_array(tmp_path / f"held.{arrays}", VECTORS),
        save_array(tmp_path / f"train.{arrays}", OTHERS),
        tmp_path / "data",
        texts=save_texts(tmp_path / f"texts.{texts}"),
    )

    rows = read_activations(tmp_path / "data" / "eval.parquet", WIDTH)
    assert np.array_equal(rows.vectors, VECTORS)
    assert rows.ids == [row["id"] for row in TEXTS]
    assert rows.documents == [row["document"] for row in TEXTS]
    assert rows.texts == [row["text"] for row in TEXTS]
    assert rows.explanations == [None] * ROWS
    lengths = np.linalg.norm(OTHERS.astype(np.float64), axis=1, keepdims=True)
    reference = read_reference(tmp_path / "data" / "reference.safetensors", WIDTH)
    assert np.allclose(reference.mean, (OTHERS / lengths).mean(axis=0), atol=1e-7)
    assert reference.rows == TRAINED
    assert reference.activation_mean == pytest.approx(lengths.mean())
    assert made.activation_mean == reference.activation_mean
    assert (made.rows, made.documents, made.width) == (ROWS, 4, WIDTH)


def test_activations_in_bfloat16_are_read(tmp_path):
    exact = torch.from_numpy(VECTORS).to(torch.bfloat16)
    safetensors.torch.save_file({"resid": exact}, tmp_path / "held.safetensors")

    make_data(
        tmp_path / "held.safetensors", save_array(tmp_path / "train.npy", OTHERS),
        tmp_path / "data", texts=save_texts(tmp_path / "t.jsonl"),
    )  # fmt: skip

    rows = read_activations(tmp_path / "data" / "eval.parquet", WIDTH)
    assert np.array_equal(rows.vectors, exact.float().numpy())


@pytest.mark.parametrize(
    "kind",
    [
        pa.dictionary(pa.int32(), pa.string()), pa.large_string(), pa.string_view(), pa.int64(),
        pa.dictionary(pa.int8(), pa.int64()),
    ],
    ids=str,
)  # fmt: skip
def test_ids_and_documents_of_every_type_that_tools_write_are_read(tmp_path, kind):
    """pandas writes categories, polars string views and large strings, many tools integers."""
    values = pa.array([str(at) for at in range(ROWS)])
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    column = values.cast(pa.int64()) if plain == pa.int64() else values.cast(plain)
    if pa.types.is_dictionary(kind):
        column = column.dictionary_encode()
    texts = pa.array(["x"] * ROWS, pa.large_string())
    table = pa.table(
        {
            "id": column, "document": column, "text": texts, "explanation": pa.nulls(ROWS),
            "activation": pa.FixedSizeListArray.from_arrays(VECTORS.reshape(-1), WIDTH),
        }
    )  # fmt: skip
    pq.write_table(table, tmp_path / "eval.parquet")

    rows = read_activations(tmp_path / "eval.parquet", WIDTH)

    assert rows.ids == rows.documents == [str(at) for at in range(ROWS)]
    assert rows.texts == ["x"] * ROWS
    assert np.array_equal(rows.vectors, VECTORS)


def test_columns_may_have_names_of_their_own(tmp_path):
    rows = [{"uid": row["id"], "doc": row["document"]} for row in TEXTS]
    table = pa.Table.from_pylist(rows).append_column("resid_3", pa.array(list(VECTORS)))
    pq.write_table(table, tmp_path / "held.parquet")
    training = pa.table({"resid_3": list(OTHERS)})
    pq.write_table(training, tmp_path / "train.parquet")

    make_data(
        tmp_path / "held.parquet", tmp_path / "train.parquet", tmp_path / "data",
        columns={"id": "uid", "document": "doc", "activation": "resid_3"},
    )  # fmt: skip

    assert read_activations(tmp_path / "data" / "eval.parquet", WIDTH).documents[3] == "d1"


def test_training_documents_are_listed_when_their_texts_are_there(tmp_path):
    trained = [
        {"document": f"t{at // 2}", "document_text": f"All of {at // 2}."} for at in range(TRAINED)
    ]
    held = [row | {"document_text": f"Whole {row['document']}"} for row in TEXTS]

    made = make_data(
        save_array(tmp_path / "held.npy", VECTORS), save_array(tmp_path / "train.npy", OTHERS),
        tmp_path / "data", texts=save_texts(tmp_path / "t.jsonl", held),
        training_texts=save_texts(tmp_path / "tt.jsonl", trained),
    )  # fmt: skip

    assert made.notes == ()
    lines = (tmp_path / "data" / "training_documents.jsonl").read_text().splitlines()
    assert len(lines) == TRAINED // 2
    assert all(read_activations(tmp_path / "data" / "eval.parquet", WIDTH).document_digests)


@pytest.mark.parametrize(
    ("held", "training", "texts", "error", "words"),
    [
        (VECTORS[:, :4], OTHERS, TEXTS, DataError, "is 4 wide"),
        (VECTORS, OTHERS, TEXTS[:5], DataError, "has 5 rows"),
        (VECTORS, np.concatenate([OTHERS, VECTORS[2:4]]), TEXTS, DataError, "2 activations of"),
        (VECTORS * np.nan, OTHERS, TEXTS, DataError, "NaN or infinity"),
        (VECTORS, OTHERS * 0, TEXTS, DataError, "zero vectors"),
        (VECTORS[0], OTHERS, TEXTS, DataError, "expected floats [N, d_model]"),
        (VECTORS.astype(np.int64), OTHERS, TEXTS, DataError, "expected floats [N, d_model]"),
        (VECTORS, OTHERS, [{"id": "x"}] * ROWS, DataError, "has no document"),
        (VECTORS, OTHERS, [*TEXTS[1:], TEXTS[1]], DataError, "ids are not unique"),
        (VECTORS, OTHERS, None, ConfigError, "has no texts"),
        (VECTORS[:0], OTHERS, [], DataError, "has no rows"),
    ],
)
def test_data_that_does_not_fit_together_is_refused_and_nothing_is_written(
    tmp_path, held, training, texts, error, words
):
    given = None
    if texts is not None:
        given = save_texts(tmp_path / "t.jsonl", texts)
    with pytest.raises(error) as caught:
        make_data(
            save_array(tmp_path / "held.npy", held), save_array(tmp_path / "train.npy", training),
            tmp_path / "data", texts=given,
        )  # fmt: skip

    assert words in caught.value.message
    assert not (tmp_path / "data" / "eval.parquet").exists()


def test_a_document_on_both_sides_is_refused(tmp_path):
    trained = [{"document": "d1" if at else "t"} for at in range(TRAINED)]

    with pytest.raises(DataError, match="1 held-out document also in") as caught:
        make_data(
            save_array(tmp_path / "held.npy", VECTORS), save_array(tmp_path / "train.npy", OTHERS),
            tmp_path / "data", texts=save_texts(tmp_path / "t.jsonl"),
            training_texts=save_texts(tmp_path / "tt.jsonl", trained),
        )  # fmt: skip

    assert "d1" in caught.value.message


def test_data_that_is_there_is_not_overwritten(tmp_path):
    files = [save_array(tmp_path / "h.npy", VECTORS), save_array(tmp_path / "t.npy", OTHERS)]
    texts = save_texts(tmp_path / "t.jsonl")
    make_data(*files, tmp_path / "data", texts=texts)

    with pytest.raises(RefusedError, match="is not overwritten"):
        make_data(*files, tmp_path / "data", texts=texts)


def test_a_small_file_of_large_content_is_refused_before_it_is_read(tmp_path):
    """A dictionary holds a text once, however many rows have it."""
    rows = 3000
    texts = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array(["x" * 10**6]))
    vectors = pa.FixedSizeListArray.from_arrays(np.ones(rows * WIDTH, np.float32), WIDTH)
    ids = pa.array([str(at) for at in range(rows)])
    table = pa.table(
        {"id": ids, "document": ids, "text": texts, "explanation": texts, "activation": vectors}
    )
    pq.write_table(table, tmp_path / "texts.parquet", compression="zstd")
    wide = pa.table({"activation": [np.zeros(10**7, np.float32)] * 20})
    pq.write_table(wide, tmp_path / "wide.parquet", compression="zstd")
    with (tmp_path / "bomb.npz").open("wb") as file:
        np.savez_compressed(file, activation=np.zeros((40_000, 1000), np.float32))

    with pytest.raises(DataError, match="GB of memory and is not read"):
        read_activations(tmp_path / "texts.parquet", WIDTH)
    for name in ("wide.parquet", "bomb.npz"):
        with pytest.raises(DataError, match="GB of memory and is not read"):
            make_data(
                tmp_path / name, save_array(tmp_path / "train.npy", OTHERS), tmp_path / "data"
            )


def test_a_pickle_in_an_array_file_is_not_executed(tmp_path):
    np.save(tmp_path / "held.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)

    with pytest.raises(DataError, match="is not a readable npy file"):
        make_data(
            tmp_path / "held.npy", save_array(tmp_path / "train.npy", OTHERS), tmp_path / "data"
        )


def test_messages_about_missing_or_foreign_data_name_the_command_that_makes_it(tmp_path):
    pq.write_table(pa.table({"vec": list(VECTORS)}), tmp_path / "eval.parquet")
    safetensors.numpy.save_file({"mean": VECTORS[0] / 100}, tmp_path / "reference.safetensors")

    for read, name in (
        (read_activations, "eval.parquet"),
        (read_activations, "none.parquet"),
        (read_reference, "reference.safetensors"),
        (read_reference, "none.safetensors"),
    ):
        with pytest.raises(DataError) as caught:
            read(tmp_path / name, WIDTH)
        assert "nla-release data HELD_OUT --training TRAINING" in caught.value.hint
