import json
import os

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nla_release.calibration.evidence_folder import read_evidence, write_evidence
from nla_release.errors import ConfigError, EvidenceError, NothingCheckedError
from nla_release.evidence.records import EvidenceRow
from nla_release.io.files import sha256_file
from tests.builders import evidence_parts, make_evidence, verbalization


@pytest.fixture
def folder(tmp_path):
    make_evidence(tmp_path / "evidence", rows=6, documents=3)
    return tmp_path / "evidence"


def rehash(folder):
    """Make run.json agree with edited files, so that the edit itself is what is found."""
    edit_run(
        folder,
        rows_sha256=sha256_file(folder / "rows.jsonl"),
        vectors_sha256=sha256_file(folder / "vectors.safetensors"),
    )


def edit_run(folder, **changes):
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**run, **changes}))


def edit_row(folder, line, **changes):
    lines = (folder / "rows.jsonl").read_text().splitlines()
    lines[line - 1] = json.dumps({**json.loads(lines[line - 1]), **changes})
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    rehash(folder)


def edit_vectors(folder, **changes):
    """Replace tensors; None removes one."""
    path = folder / "vectors.safetensors"
    vectors = {**safetensors.numpy.load_file(path), **changes}
    safetensors.numpy.save_file({k: v for k, v in vectors.items() if v is not None}, path)
    rehash(folder)


def refused(folder, *mentions):
    with pytest.raises(EvidenceError) as caught:
        read_evidence(folder)
    for mention in mentions:
        assert mention in caught.value.message
    assert "nla-release roundtrip" in caught.value.hint or "save it again" in caught.value.hint


def test_what_is_written_reads_back(tmp_path):
    rows, vectors, run = evidence_parts(failed={1: "empty", 2: "truncated", 4: "unparsed"})
    evidence = write_evidence(tmp_path / "evidence", rows, vectors, run)
    assert list(evidence.rows) == rows
    assert evidence.vectors.keys() == vectors.keys()
    for name, values in vectors.items():
        np.testing.assert_array_equal(evidence.vectors[name], values)
    assert evidence.run_sha256 == sha256_file(tmp_path / "evidence" / "run.json")
    assert evidence.run.rows_sha256 == sha256_file(tmp_path / "evidence" / "rows.jsonl")
    assert np.flatnonzero(evidence.failed("real")).tolist() == [1, 2, 4]


def test_the_same_evidence_gives_the_same_bytes(tmp_path):
    rows, vectors, run = evidence_parts()
    write_evidence(tmp_path / "one", rows, vectors, run)
    write_evidence(tmp_path / "two", rows, dict(reversed(vectors.items())), run)
    for name in ("rows.jsonl", "vectors.safetensors", "run.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_transposed_view_is_written_as_it_reads(tmp_path):
    rows, vectors, run = evidence_parts()
    vectors["real"] = np.asfortranarray(vectors["real"])
    evidence = write_evidence(tmp_path / "evidence", rows, vectors, run)
    np.testing.assert_array_equal(evidence.vectors["real"], vectors["real"])


def test_rows_are_readable_by_a_person(folder):
    """One line each, the id first, characters as they are."""
    first = (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith('{"id": "r0", "document": "d0", "text": "A text about topic0: w0x0 ')


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_text_survives(tmp_path, text):
    """Line separators, quotes, control characters and the marker come back as they went in."""
    rows, vectors, run = evidence_parts(rows=3, documents=3)
    rows[1] = rows[1].model_copy(update={"text": text, "raw": text, "gold": text})
    assert write_evidence(tmp_path / "evidence", rows, vectors, run).rows[1] == rows[1]


def test_evidence_that_does_not_read_back_leaves_the_older_folder_alone(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    rows, vectors, run = evidence_parts()
    vectors["real"][0, 0] = np.nan
    with pytest.raises(EvidenceError, match="NaN"):
        write_evidence(folder, rows, vectors, run)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["evidence"]


@pytest.mark.parametrize("name", ["rows.jsonl", "vectors.safetensors", "run.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    refused(folder, f"{name} does not exist")


def test_a_missing_folder_is_named(tmp_path):
    refused(tmp_path / "evidence", "evidence/rows.jsonl does not exist")
    refused(tmp_path / "nope" / "evidence", f"{tmp_path / 'nope'} does not exist")


def test_what_is_no_file_is_named_as_that_and_not_opened(folder):
    """A pipe would wait for ever, and this device never ends."""
    (folder / "rows.jsonl").unlink()
    os.mkfifo(folder / "rows.jsonl")
    refused(folder, "rows.jsonl is not a regular file")
    (folder / "rows.jsonl").unlink()
    (folder / "rows.jsonl").symlink_to("/dev/zero")
    refused(folder, "rows.jsonl is not a regular file")


def test_nothing_but_evidence_is_replaced(tmp_path):
    """An adapter that lies where evidence would go is not deleted."""
    adapter = tmp_path / "ar" / "adapter_model.safetensors"
    adapter.parent.mkdir()
    adapter.write_bytes(b"weights")
    with pytest.raises(ConfigError, match=r"ar holds adapter_model\.safetensors"):
        write_evidence(tmp_path / "ar", *evidence_parts())
    with pytest.raises(ConfigError, match="is a file, where a folder of evidence"):
        write_evidence(adapter, *evidence_parts())
    assert adapter.read_bytes() == b"weights"


def test_no_rows_is_nothing_checked(folder):
    """Exit code 3, never a pass."""
    (folder / "rows.jsonl").write_text("")
    with pytest.raises(NothingCheckedError, match=r"rows\.jsonl holds no rows") as caught:
        read_evidence(folder)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("not json", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ('{"id": NaN', "is not valid JSON"),
        ("", "is not valid JSON"),
        ("[]", "must be a mapping, not a list"),
        ("{}", "status is missing"),
    ],
)
def test_a_damaged_line_is_named(folder, line, complaint):
    lines = (folder / "rows.jsonl").read_text().splitlines()
    lines[2] = line
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    refused(folder, "rows.jsonl line 3", complaint)


def test_a_blank_line_at_the_end_is_damage(folder):
    with (folder / "rows.jsonl").open("a") as rows:
        rows.write("\n")
    refused(folder, "rows.jsonl line 7")


def test_text_that_is_not_utf8_is_named(folder):
    (folder / "rows.jsonl").write_bytes(b"\xff\xfe")
    refused(folder, "rows.jsonl is not UTF-8")


@pytest.mark.parametrize(
    ("changes", "mention"),
    [
        ({"status": "fine"}, "status"),
        ({"id": 7}, "id"),
        ({"id": ""}, "id"),
        ({"surprise": 1}, "surprise is not a known key"),
        ({"text": "\ud800"}, "half of a surrogate pair"),
        ({"random_vector": {"explanation": "x", "status": "ok"}}, "random_vector.raw is missing"),
        ({"random_vector": {"explanation": "x", "status": "empty", "raw": ""}}, "random_vector"),
        ({"status": "truncated"}, "status truncated with explanation"),
        ({"explanation": " "}, "status ok with explanation"),
        ({"id": "r0"}, "id 'r0' is also on line 1"),
        ({"shuffled_from": "r99"}, "shuffled_from 'r99' is not the id of a row"),
        ({"shuffled_status": "empty"}, "shuffled_status is empty"),
        ({"shuffled_from": "r4"}, "is of the same document 'd1'"),
    ],
)
def test_a_row_that_breaks_the_format_is_named(folder, changes, mention):
    edit_row(folder, 2, **changes)
    refused(folder, "rows.jsonl line 2", mention)


@pytest.mark.parametrize("keep", [0, 4, 8, 100, -1])
def test_a_truncated_vectors_file_is_refused(folder, keep):
    path = folder / "vectors.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    refused(folder, "vectors.safetensors is not a complete safetensors file")


def test_a_header_that_claims_more_than_the_file_holds_is_refused(folder):
    header = b'{"gold":{"dtype":"F32","shape":[4000000000,4096],"data_offsets":[0,65536000000000]}}'
    (folder / "vectors.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    refused(folder, "vectors.safetensors is not a complete safetensors file")


@pytest.mark.parametrize(
    ("changes", "mention"),
    [
        ({"real": None}, "has no tensor real"),
        ({"gold": None}, "has no tensor gold"),
        ({"surprise": np.zeros(3, np.float32)}, "unknown tensor surprise"),
        ({"real": np.zeros((5, 16), np.float32)}, "real has shape [5, 16], expected [6, 16]"),
        ({"real": np.zeros((6, 15), np.float32)}, "real has shape [6, 15], expected [6, 16]"),
        ({"reference_mean": np.zeros((1, 16), np.float32)}, "reference_mean has shape [1, 16]"),
        ({"real": np.zeros((6, 16), np.float16)}, "real has dtype F16, expected F32"),
        ({"gold": np.array(1, np.float32)}, "gold has shape [], expected [6, d]"),
        ({"gold": np.zeros((6, 0), np.float32)}, "gold has shape [6, 0]"),
        ({"gold": np.zeros((7, 16), np.float32)}, "gold has shape [7, 16], expected [6, d]"),
        ({"reference_mean": np.full(16, np.nan, np.float32)}, "reference_mean holds NaN"),
    ],
)
def test_a_tensor_that_does_not_belong_is_named(folder, changes, mention):
    edit_vectors(folder, **changes)
    refused(folder, "vectors.safetensors", mention)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_row_that_is_not_finite_is_named(folder, value):
    real = evidence_parts(rows=6, documents=3).vectors["real"]
    real[4, 2] = value
    edit_vectors(folder, real=real)
    refused(folder, "tensor real holds NaN or infinity in row 5 (id 'r4')")


def test_gold_text_needs_a_gold_explanation_in_every_row(folder):
    edit_row(folder, 3, gold=None)
    refused(folder, "gold_text, but row 'r2' has no gold explanation")


@pytest.mark.parametrize(
    ("condition", "change"),
    [
        ("real", {}),
        ("random_vector", {"random_vector": verbalization("", "empty").model_dump()}),
    ],
)
def test_a_reconstruction_from_text_that_failed_is_refused(tmp_path, condition, change):
    """There was nothing to reconstruct from: a score for it would be made up."""
    folder = tmp_path / "evidence"
    make_evidence(folder, rows=6, documents=3, failed={2: "truncated"})
    edit_row(folder, 3, **change)
    parts = evidence_parts(rows=6, documents=3)
    edit_vectors(folder, **{condition: parts.vectors[condition]})
    refused(folder, f"tensor {condition} is not zero in row 3 (id 'r2')")


@pytest.mark.parametrize("name", ["rows.jsonl", "vectors.safetensors"])
def test_an_edited_file_does_not_pass_for_the_one_that_was_measured(folder, name):
    other = folder.parent / "other"
    make_evidence(other, rows=6, documents=3, noise=0.1, gold_text=False)
    (folder / name).write_bytes((other / name).read_bytes())
    if name == "rows.jsonl":  # these rows have no gold explanations for the gold_text tensor
        vectors = safetensors.numpy.load_file(folder / "vectors.safetensors")
        vectors.pop("gold_text")
        safetensors.numpy.save_file(vectors, folder / "vectors.safetensors")
    refused(folder, f"{name} has sha256", "was edited, or belongs to another run")


@pytest.mark.parametrize(
    ("changes", "mention"),
    [
        ({"schema": 3}, "schema"),
        ({"seed": -1}, "seed"),
        ({"tokenizer_sha256": "abc"}, "tokenizer_sha256"),
        ({"started_at": "yesterday"}, "started_at"),
        ({"injection": {"site": "embedding", "op": "replace", "scale": 0}}, "injection.scale"),
        ({"zero_vector": {"explanation": "", "status": "ok", "raw": ""}}, "zero_vector"),
        ({"surprise": 1}, "surprise is not a known key"),
        ({"evaluation": {"sha256": "3" * 64, "rows": 8, "documents": 3}}, "asked 8 rows"),
        (
            {"reference": {"sha256": "4" * 64, "rows": 9, "variance": 0.99}},
            "reference.variance is 0.99, but reference_mean gives",
        ),
    ],
)
def test_a_run_that_breaks_the_format_is_named(folder, changes, mention):
    edit_run(folder, **changes)
    refused(folder, "run.json", mention)


def test_rows_dropped_after_the_run_are_noticed(folder):
    """The old way: failures left out of the file, and so out of the mean."""
    rows, vectors, run = evidence_parts(rows=6, documents=3)
    kept = [row.model_copy(update={"shuffled_from": "r0"}) for row in rows[:3]]
    kept[0] = kept[0].model_copy(update={"shuffled_from": "r1"})
    fewer = {k: v if v.ndim == 1 else v[:3] for k, v in vectors.items()}
    with pytest.raises(EvidenceError, match=r"asked 6 rows of 3 documents, but .* holds 3 rows"):
        write_evidence(folder, kept, fewer, run)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    name=st.sampled_from(["rows.jsonl", "vectors.safetensors", "run.json"]),
    position=st.floats(0, 1, exclude_max=True),
    replacement=st.binary(max_size=6),
)
def test_no_damage_ends_in_anything_but_an_evidence_error(tmp_path, name, position, replacement):
    """A few bytes overwritten anywhere: a message, or evidence that still holds together."""
    folder = tmp_path / "evidence"
    make_evidence(folder, rows=3, documents=3, width=4)
    data = bytearray((folder / name).read_bytes())
    start = int(position * len(data))
    data[start : start + len(replacement)] = replacement
    (folder / name).write_bytes(bytes(data))
    try:
        evidence = read_evidence(folder)
    except (EvidenceError, NothingCheckedError):
        return
    assert len(evidence.rows) == 3


def test_a_row_cannot_be_made_with_an_explanation_and_a_failure():
    row = evidence_parts(rows=1, documents=1).rows[0]
    with pytest.raises(ValueError, match="exactly when the status is ok"):
        EvidenceRow(**{**row.model_dump(), "status": "empty"})


def test_a_reference_mean_of_zero_is_refused(folder):
    """It has no direction: the baseline would score 0, which flatters any pair."""
    edit_vectors(folder, reference_mean=np.zeros(16, np.float32))
    run = json.loads((folder / "run.json").read_text())
    edit_run(folder, reference=run["reference"] | {"variance": 1.0})
    refused(folder, "reference_mean is zero")
