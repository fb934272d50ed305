"""The evidence folder: what a run saw and said, row by row, and what produced it.

`rows.jsonl` is for people, `vectors.safetensors` for arithmetic, and `run.json` binds both by hash.
Nothing is repaired on reading: numbers computed from doubtful evidence are worse than none.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from nla_release.calibration.evidence_fit import check_parts_fit, read_vectors
from nla_release.errors import ConfigError, EvidenceError, InputError, NothingCheckedError
from nla_release.evidence.parts import (
    NAMES,
    OPTIONAL_NAMES,
    ROWS_NAME,
    RUN_NAME,
    VECTORS_NAME,
    Evidence,
    evidence_files,
)
from nla_release.evidence.records import Row, Run, RunFacts
from nla_release.evidence.runs import NAME as RUNS_NAME
from nla_release.evidence.runs import RunLog, read_runs
from nla_release.evidence.shingles import FILE_NAME as SHINGLES_NAME
from nla_release.evidence.shingles import TrainingShingles, read_shingles
from nla_release.evidence.vectors import Condition, Vectors
from nla_release.io.files import (
    dump_json,
    read_json,
    read_json_lines,
    replacing_folder,
    sha256_bytes,
    sha256_file,
    write_atomic,
)
from nla_release.io.schema import parse

__all__ = [
    "NAMES",
    "OPTIONAL_NAMES",
    "ROWS_NAME",
    "RUNS_NAME",
    "RUN_NAME",
    "SHINGLES_NAME",
    "VECTORS_NAME",
    "Condition",
    "Evidence",
    "Vectors",
    "evidence_files",
    "read_evidence",
    "write_evidence",
]

_MAX_ROWS_BYTES = 256 * 1024 * 1024
_AGAIN = "make the evidence again with `nla-release roundtrip`"


def read_evidence(folder: Path) -> Evidence:
    """Evidence from its folder, every promise of the format checked.

    Raises:
        EvidenceError: damaged, incomplete, or made of files from different runs; the message names
            the file and the line, key or tensor.
        NothingCheckedError: it holds no rows.
    """
    try:
        if not folder.parent.exists():
            raise EvidenceError(f"{folder.parent} does not exist")
        for name in NAMES:
            if not (folder / name).exists():
                raise EvidenceError(f"{folder / name} does not exist")
            if not (folder / name).is_file():
                raise EvidenceError(f"{folder / name} is not a regular file, and is not read")
        run = parse(Run, read_json(folder / RUN_NAME), folder / RUN_NAME)
        rows = _read_rows(folder / ROWS_NAME)
        vectors = read_vectors(folder / VECTORS_NAME, rows)
        _check_hash(folder / ROWS_NAME, run.rows_sha256)
        _check_hash(folder / VECTORS_NAME, run.vectors_sha256)
        evidence = Evidence(
            rows,
            vectors,
            run,
            sha256_file(folder / RUN_NAME),
            read_runs(folder),
            _read_shingles(folder / SHINGLES_NAME, run),
        )
        check_parts_fit(folder, evidence)
    except InputError as error:
        raise EvidenceError(error.message, hint=error.hint or _AGAIN) from error
    return evidence


def check_replaceable(folder: Path) -> None:
    """Refuse a place for evidence that holds anything but evidence: writing would delete it.

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
    rows: Sequence[Row],
    vectors: Mapping[str, npt.NDArray[np.float32]],
    run: RunFacts,
    *,
    shingles: TrainingShingles | None = None,
    log: Callable[[Evidence], RunLog] | None = None,
) -> Evidence:
    """Write an evidence folder, in place of an older one only once it is whole and reads back.

    The same arguments give the same bytes.

    Args:
        folder: where.
        rows: of rows.jsonl.
        vectors: of vectors.safetensors.
        run: of run.json, but for what follows from the other arguments.
        shingles: of the training documents.
        log: gives the log of runs once the evidence is read back; the log that is there is kept
            by default.

    Raises:
        ConfigError: the folder holds other things than evidence.
        EvidenceError: the parts do not fit together; an older folder is as it was.
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
        write_atomic(staging / ROWS_NAME, row_bytes)
        write_atomic(staging / VECTORS_NAME, vector_bytes)
        write_atomic(staging / RUN_NAME, dump_json(whole))
        if shingles:
            write_atomic(staging / SHINGLES_NAME, shingles.dump())
        if log is None and (folder / RUNS_NAME).exists():
            shutil.copyfile(folder / RUNS_NAME, staging / RUNS_NAME)
        evidence = read_evidence(staging)
        if log is not None:
            write_atomic(staging / RUNS_NAME, log(evidence).dump())
            evidence = read_evidence(staging)
        return evidence


def has_evidence(folder: Path) -> bool:
    """Whether a folder holds any of what a finished run leaves; a log of runs alone is not that."""
    return any((folder / name).exists() for name in NAMES)


def record_attempts(folder: Path, attempts: int) -> None:
    """Write into a run.json how many checkpoints were tried, which no measurement depends on.

    Raises:
        EvidenceError: the evidence is damaged, or of format 1, which has no place for it.
        EnvironmentProblem: run.json cannot be written.
    """
    run = read_evidence(folder).run
    if run.schema_ == 1:
        raise EvidenceError(f"{folder} is of format 1, which records no attempts", hint=_AGAIN)
    document = run.model_dump(mode="json", by_alias=True, exclude_unset=True)
    write_atomic(folder / RUN_NAME, dump_json(document | {"attempts": attempts}))


def _read_rows(path: Path) -> tuple[Row, ...]:
    rows: list[Row] = []
    first_line: dict[str, int] = {}
    lines = read_json_lines(path, limit=_MAX_ROWS_BYTES, error=EvidenceError)
    for number, (where, document) in enumerate(lines, start=1):
        row = parse(Row, document, where)
        if row.id in first_line:
            raise EvidenceError(f"{where}: id {row.id!r} stands on line {first_line[row.id]} too")
        first_line[row.id] = number
        rows.append(row)
    if not rows:
        raise NothingCheckedError(f"{path} holds no rows", hint=_AGAIN)
    return tuple(rows)


def _read_shingles(path: Path, run: Run) -> TrainingShingles | None:
    """The sample that run.json names; one that it does not name is of other evidence."""
    if run.shingles_sha256 is None:
        if path.exists():
            raise EvidenceError(f"{path} is there, but {RUN_NAME} does not name it")
        return None
    shingles = read_shingles(path)
    _check_hash(path, run.shingles_sha256)
    return shingles


def _check_hash(path: Path, recorded: str) -> None:
    if (found := sha256_file(path)) != recorded:
        raise EvidenceError(
            f"{path} has sha256 {found[:12]}..., but {RUN_NAME} records {recorded[:12]}...:"
            " it was edited, or belongs to another run"
        )
