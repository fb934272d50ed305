"""Reading and writing the evidence folder: the recorded rows, vectors and settings of a run.

`rows.jsonl` is for people, `vectors.safetensors` has the tensors, and `run.json` has the settings
and the hashes of both. Reading checks every promise of the format and repairs nothing.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from nla_release.adapter.weights import Tensor, read_header
from nla_release.diagnostics import registered
from nla_release.errors import ConfigError, EvidenceError, InputError, NothingCheckedError
from nla_release.evidence.controls import check_shuffle
from nla_release.evidence.parts import NAMES, OPTIONAL_NAMES, Condition, Evidence, Vectors, row_name
from nla_release.evidence.records import EvidenceRow, Run, RunFacts, TextCondition
from nla_release.evidence.runs import RunLog, read_runs
from nla_release.evidence.training_documents import TrainingShingles, read_shingles
from nla_release.io.files import (
    dump_json,
    read_json,
    read_json_lines,
    replacing_folder,
    sha256_bytes,
    sha256_file,
    write_atomic,
)
from nla_release.io.layout import (
    ROWS_FILE,
    RUN_FILE,
    RUNS_FILE,
    TRAINING_SHINGLES_FILE,
    VECTORS_FILE,
)
from nla_release.io.schema import parse

_MAX_ROWS_BYTES = 256 * 1024 * 1024
_AGAIN = "measure again with `nla-release roundtrip`"
_FIRST = "measure with `nla-release roundtrip`"


_VARIANCE_TOLERANCE = 1e-5  # float32 means of unit vectors agree with float64 ones to about 1e-7

# Labels of the held-out rows and of the training rows are optional.
_LABELS = {"gold_text", "lookup_table"}
_BASE = {"gold", "reference_mean", *get_args(Condition)} - _LABELS


def read_evidence(folder: Path) -> Evidence:
    """Read evidence, and check every promise of the format.

    Raises:
        EvidenceError: damaged, incomplete, or made of files from different runs; the message names
            the file and the line, key or tensor.
        NothingCheckedError: it holds no rows.
    """
    try:
        if not folder.parent.exists():
            raise EvidenceError(f"{folder.parent} does not exist", hint=_FIRST)
        for name in NAMES:
            if not (folder / name).exists():
                raise EvidenceError(f"{folder / name} does not exist", hint=_FIRST)
            if not (folder / name).is_file():
                raise EvidenceError(f"{folder / name} is not a regular file, and is not read")
        run = parse(Run, read_json(folder / RUN_FILE), folder / RUN_FILE)
        rows = _read_rows(folder / ROWS_FILE)
        vectors = _read_vectors(folder / VECTORS_FILE, rows)
        _check_hash(folder / ROWS_FILE, run.rows_sha256)
        _check_hash(folder / VECTORS_FILE, run.vectors_sha256)
        evidence = Evidence(
            rows,
            vectors,
            run,
            sha256_file(folder / RUN_FILE),
            read_runs(folder),
            _read_shingles(folder / TRAINING_SHINGLES_FILE, run),
        )
        _check_parts_fit(folder, evidence)
    except InputError as error:
        raise EvidenceError(error.message, hint=error.hint or _AGAIN) from error
    return evidence


def check_replaceable(folder: Path) -> None:
    """Refuse a folder that holds anything but evidence: writing would delete it.

    Raises:
        ConfigError: it is a file, or a folder with other files in it.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file, where a folder of evidence would be written")
    ours = {*NAMES, *OPTIONAL_NAMES}
    other = sorted(path.name for path in folder.glob("*") if path.name not in ours)
    if other:
        raise ConfigError(
            f"{folder} holds {other[0]}, which writing evidence there would delete",
            hint="move it away, or name another folder",
        )


def write_evidence(
    folder: Path,
    rows: Sequence[EvidenceRow],
    vectors: Mapping[str, npt.NDArray[np.float32]],
    run: RunFacts,
    *,
    shingles: TrainingShingles | None = None,
    log: Callable[[Evidence], RunLog] | None = None,
) -> Evidence:
    """Write an evidence folder. It replaces an older one only once it is complete and reads back.

    The same arguments give the same bytes.

    Args:
        folder: where.
        rows: of rows.jsonl.
        vectors: of vectors.safetensors.
        run: of run.json, without what follows from the other arguments.
        shingles: of the training documents.
        log: makes the log of runs once the evidence is read back; by default the existing log
            is kept.

    Raises:
        ConfigError: the folder holds other things than evidence.
        EvidenceError: the parts do not fit together; an older folder is unchanged.
        NothingCheckedError: there are no rows.
        EnvironmentProblem: the folder cannot be written.
    """
    check_replaceable(folder)
    row_bytes = "".join(
        json.dumps(row.model_dump(exclude_defaults=True), ensure_ascii=False) + "\n" for row in rows
    ).encode()
    # safetensors orders tensors by name, but writes a view's memory, so a transposed one scrambled
    vector_bytes: bytes = safetensors.numpy.save(
        {name: np.ascontiguousarray(values) for name, values in vectors.items()}
    )
    sample = {"shingles_sha256": shingles.sha256} if shingles else {}
    whole = {
        **run.model_dump(by_alias=True, exclude_unset=True),
        **sample,
        "rows_sha256": sha256_bytes(row_bytes),
        "vectors_sha256": sha256_bytes(vector_bytes),
    }
    with replacing_folder(folder) as staging:
        write_atomic(staging / ROWS_FILE, row_bytes)
        write_atomic(staging / VECTORS_FILE, vector_bytes)
        write_atomic(staging / RUN_FILE, dump_json(whole))
        if shingles:
            write_atomic(staging / TRAINING_SHINGLES_FILE, shingles.dump())
        if log is None and (folder / RUNS_FILE).exists():
            shutil.copyfile(folder / RUNS_FILE, staging / RUNS_FILE)
        evidence = read_evidence(staging)
        if log is not None:
            write_atomic(staging / RUNS_FILE, log(evidence).dump())
            evidence = read_evidence(staging)
        return evidence


def has_evidence(folder: Path) -> bool:
    """Whether a folder holds any evidence; a log of runs alone is none."""
    return any((folder / name).exists() for name in NAMES)


def record_attempts(folder: Path, attempts: int) -> None:
    """Record in run.json how many checkpoints were tried. No measurement depends on it.

    Raises:
        EvidenceError: the evidence is damaged, or of format 1, which cannot record it.
        EnvironmentProblem: run.json cannot be written.
    """
    run = read_evidence(folder).run
    if run.schema_ == 1:
        raise EvidenceError(f"{folder} is of format 1, which records no attempts", hint=_AGAIN)
    document = run.model_dump(mode="json", by_alias=True, exclude_unset=True)
    write_atomic(folder / RUN_FILE, dump_json(document | {"attempts": attempts}))


def _read_rows(path: Path) -> tuple[EvidenceRow, ...]:
    rows: list[EvidenceRow] = []
    first_line: dict[str, int] = {}
    lines = read_json_lines(path, limit=_MAX_ROWS_BYTES, error=EvidenceError)
    for number, (where, document) in enumerate(lines, start=1):
        row = parse(EvidenceRow, document, where)
        if row.id in first_line:
            raise EvidenceError(f"{where}: id {row.id!r} is also on line {first_line[row.id]}")
        first_line[row.id] = number
        rows.append(row)
    if not rows:
        raise NothingCheckedError(f"{path} holds no rows", hint=_FIRST)
    return tuple(rows)


def _read_shingles(path: Path, run: Run) -> TrainingShingles | None:
    """The sample that run.json names; a sample that it does not name belongs to other evidence."""
    if run.shingles_sha256 is None:
        if path.exists():
            raise EvidenceError(f"{path} exists, but {RUN_FILE} does not name it")
        return None
    shingles = read_shingles(path)
    _check_hash(path, run.shingles_sha256)
    return shingles


def _check_hash(path: Path, recorded: str) -> None:
    if (found := sha256_file(path)) != recorded:
        raise EvidenceError(
            f"{path} has sha256 {found[:12]}..., but {RUN_FILE} records {recorded[:12]}...:"
            " it was edited, or belongs to another run"
        )


def _read_vectors(path: Path, rows: Sequence[EvidenceRow]) -> Vectors:
    """The tensors: all known, of the right shapes, float32 and finite."""
    header = read_header(path)
    if missing := sorted(_BASE - set(header)):
        raise EvidenceError(f"{path} has no tensor {', '.join(missing)}")
    known = (_BASE | _LABELS).union(*(each.recorded.names for each in registered()))
    if foreign := sorted(set(header) - known):
        raise EvidenceError(f"{path} holds an unknown tensor {', '.join(foreign)}")
    _check_texts(path, rows, header)
    _check_shapes(path, rows, header)
    vectors: Vectors = safetensors.numpy.load_file(path)
    for name, values in vectors.items():
        if not np.isfinite(values).all():
            raise EvidenceError(
                f"{path} tensor {name} holds NaN or infinity{_place(rows, ~np.isfinite(values))}"
            )
    return vectors


def _check_parts_fit(folder: Path, evidence: Evidence) -> None:
    """Check rows, vectors and run.json against each other, each valid by itself."""
    _check_parts(folder / ROWS_FILE, evidence)
    _check_diagnostics(folder / RUN_FILE, evidence)
    check_shuffle(folder / ROWS_FILE, evidence.rows, evidence.run)
    _check_controls(folder / VECTORS_FILE, evidence)
    _check_failures_hold_zeros(folder / VECTORS_FILE, evidence)
    _check_run(folder / RUN_FILE, evidence)


def _check_parts(path: Path, evidence: Evidence) -> None:
    """Format 1 has no records of diagnostics; in format 2 every row has the same ones."""
    first = evidence.rows[0]
    for number, row in enumerate(evidence.rows, start=1):
        where = f"{path} line {number}"
        if evidence.run.schema_ == 1 and (unknown := row.parts_of_format_2):
            raise EvidenceError(f"{where}: {RUN_FILE} says schema 1, without {', '.join(unknown)}")
        for key, parts, wanted in (
            ("texts", row.texts, first.texts),
            ("spoken", row.spoken, first.spoken),
        ):
            if parts.keys() != wanted.keys():
                raise EvidenceError(f"{where}: {key} holds {_keys(parts)}, not {_keys(wanted)}")


def _check_diagnostics(path: Path, evidence: Evidence) -> None:
    """The records of a diagnostic exist exactly when it ran."""
    found = {*evidence.vectors, *evidence.rows[0].spoken}
    for each in registered():
        if each.name in evidence.run.probed:
            if missing := sorted(each.recorded.always - found):
                raise EvidenceError(
                    f"{path}: diagnostic {each.name} ran, but its {', '.join(missing)} is missing"
                )
        elif unasked := sorted(each.recorded.names & found):
            raise EvidenceError(
                f"{path}: diagnostic {each.name} did not run, but the evidence"
                f" holds {', '.join(unasked)}"
            )


def _keys(parts: Iterable[str]) -> str:
    return ", ".join(sorted(parts)) or "nothing"


def _check_controls(path: Path, evidence: Evidence) -> None:
    """A text that the AR read twice has one reconstruction. Older evidence is not checked."""
    if evidence.run.shuffle is None:
        return
    position = {row.id: index for index, row in enumerate(evidence.rows)}
    sources = [position[row.shuffled_from] for row in evidence.rows]
    same = {name: [0] * len(evidence.rows) for name in ("empty", "zero_vector")}
    for name, rows in {"shuffled": sources, **same}.items():
        read = evidence.vectors["real" if name == "shuffled" else name][rows]
        wrong = (evidence.vectors[name] != read).any(axis=1)
        if wrong.any():
            raise EvidenceError(
                f"{path} tensor {name} differs, in {row_name(evidence.rows, wrong)}, from the"
                " AR's reconstruction of the same text in another tensor"
            )


def _check_failures_hold_zeros(path: Path, evidence: Evidence) -> None:
    conditions = (*get_args(Condition), *get_args(TextCondition), "encoder_explanation")
    failed = {name: evidence.failed(name) for name in conditions}
    for name in failed.keys() & evidence.vectors.keys():
        wrong = evidence.vectors[name].any(axis=1) & failed[name]
        if wrong.any():
            raise EvidenceError(
                f"{path} tensor {name} is not zero in {row_name(evidence.rows, wrong)},"
                " whose text failed"
            )


def _check_run(path: Path, evidence: Evidence) -> None:
    if (evidence.run.lookup is None) == ("lookup_table" in evidence.vectors):
        raise EvidenceError(
            f"{path}: lookup is recorded without the tensor lookup_table, or the tensor"
            " without lookup"
        )
    asked = evidence.run.evaluation
    found = (len(evidence.rows), len(set(evidence.documents)))
    if (asked.rows, asked.documents) != found:
        raise EvidenceError(
            f"{path}: evaluation asked {asked.rows} rows of {asked.documents} documents, but"
            f" {ROWS_FILE} holds {found[0]} rows of {found[1]}: rows must never be dropped"
        )
    if training := evidence.run.training:
        documents, ids = set(evidence.documents), {row.id for row in evidence.rows}
        foreign = {*training.ids_overlapping} - documents | {*training.texts_overlapping} - ids
        if foreign:
            raise EvidenceError(
                f"{path}: training overlaps with {min(foreign)!r}, which {ROWS_FILE} lacks"
            )
        overlapping, compared = len(training.texts_overlapping), training.texts_compared
        if compared is not None and not overlapping <= compared <= len(evidence.rows):
            raise EvidenceError(
                f"{path}: training.texts_compared is {compared}, of {len(evidence.rows)} rows and"
                f" with {overlapping} that overlap"
            )
    mean = evidence.vectors["reference_mean"].astype(np.float64)
    if not mean.any():
        raise EvidenceError(
            f"{path}: reference_mean is zero, which is not the mean of any activations"
        )
    variance = 1 - float(mean @ mean)
    if abs(variance - evidence.run.reference.variance) > _VARIANCE_TOLERANCE:
        raise EvidenceError(
            f"{path}: reference.variance is {evidence.run.reference.variance}, but reference_mean"
            f" gives 1 - ||mean||^2 = {variance:.6f}"
        )


def _place(rows: Sequence[EvidenceRow], marked: npt.NDArray[np.bool_]) -> str:
    over_rows = marked.ndim == 2 and len(marked) == len(rows)
    return f" in {row_name(rows, marked)}" if over_rows else ""


def _check_texts(path: Path, rows: Sequence[EvidenceRow], header: Mapping[str, Tensor]) -> None:
    """Every tensor has its texts in the rows, and every text its tensor."""
    if "gold_text" in header and (bare := [row.id for row in rows if row.gold is None]):
        raise EvidenceError(f"{path} holds gold_text, but row {bare[0]!r} has no gold explanation")
    read = set(header) & set(get_args(TextCondition))
    if different := sorted(read ^ set(rows[0].texts)):
        raise EvidenceError(f"{path} and the rows' texts disagree about {', '.join(different)}")
    for recorded in (each.recorded for each in registered()):
        if len(recorded.tensors.keys() & header.keys()) not in (0, len(recorded.tensors)):
            raise EvidenceError(
                f"{path} holds only some of the tensors {', '.join(recorded.tensors)}"
            )
        if wrong := recorded.misfit(rows, header):
            raise EvidenceError(f"{path} {wrong}")


def _check_shapes(path: Path, rows: Sequence[EvidenceRow], header: Mapping[str, Tensor]) -> None:
    gold = header["gold"].shape
    if len(gold) != 2 or gold[0] != len(rows) or gold[1] == 0:
        raise EvidenceError(
            f"{path} tensor gold has shape {list(gold)}, expected [{len(rows)}, d] for the"
            f" {len(rows)} rows of rows.jsonl"
        )
    expected = {"reference_mean": gold[1:], **_expected_of_diagnostics(rows, header)}
    for name, tensor in header.items():
        wanted = expected.get(name, gold)
        if tensor.shape != wanted or (len(wanted) != 2 and name != "reference_mean"):
            raise EvidenceError(
                f"{path} tensor {name} has shape {list(tensor.shape)}, expected {list(wanted)}"
            )
        if tensor.dtype != "F32":
            raise EvidenceError(f"{path} tensor {name} has dtype {tensor.dtype}, expected F32")


def _expected_of_diagnostics(
    rows: Sequence[EvidenceRow], header: Mapping[str, Tensor]
) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors that diagnostics record."""
    expected: dict[str, tuple[int, ...]] = {}
    for recorded in (each.recorded for each in registered()):
        counts = {**recorded.tensors, **recorded.sometimes}
        first = next((header[name] for name in counts if name in header), header["gold"])
        width = first.shape[1:] if recorded.free_width else header["gold"].shape[1:]
        expected |= {name: (count(rows), *width) for name, count in counts.items()}
    return expected
