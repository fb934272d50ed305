"""The evidence folder: what a run saw and said, row by row, and what produced it.

`rows.jsonl` is for people, `vectors.safetensors` for arithmetic, and `run.json` binds both by hash.
Nothing is repaired on reading: numbers computed from doubtful evidence are worse than none.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from nla_release.calibration.records import (
    ProbeName,
    Row,
    Run,
    RunFacts,
    TextCondition,
)
from nla_release.calibration.shuffle import check_shuffle
from nla_release.calibration.vectors import (
    CLAIM_TENSORS,
    DISCRIMINATION_TENSORS,
    ENCODER_TENSORS,
    JOINED_CLAIMS,
    Condition,
    Vectors,
    first_with_text,
    read_vectors,
    row_name,
)
from nla_release.errors import ConfigError, EvidenceError, InputError, NothingCheckedError
from nla_release.files import (
    dump_json,
    read_json,
    read_text,
    replacing_folder,
    sha256_bytes,
    sha256_file,
    write_atomic,
)
from nla_release.schema import parse

__all__ = ["Condition", "Evidence", "Vectors", "read_evidence", "write_evidence"]

ROWS_NAME = "rows.jsonl"
VECTORS_NAME = "vectors.safetensors"
RUN_NAME = "run.json"
NAMES = (ROWS_NAME, VECTORS_NAME, RUN_NAME)

# What each probe leaves: always, and where every row has a source text.
_LEFT_BY: dict[ProbeName, tuple[set[str], set[str]]] = {
    "text-controls": ({"gibberish", "word_shuffled"}, {"source_text"}),
    "injection": ({"half_scale", "double_scale"}, set()),
    "text-retrieval": (set(ENCODER_TENSORS), set()),
    "claims": (set(CLAIM_TENSORS), {JOINED_CLAIMS}),
    "paraphrase": ({"paraphrase", "sentence_shuffled"}, set()),
    "discrimination": (set(DISCRIMINATION_TENSORS), set()),
}

_MAX_ROWS_BYTES = 256 * 1024 * 1024
_VARIANCE_TOLERANCE = 1e-5  # float32 means of unit vectors agree with float64 ones to about 1e-7
_AGAIN = "make the evidence again with `nla-release roundtrip`"


@dataclass(frozen=True, eq=False)
class Evidence:
    """One run's evidence, as `read_evidence` found it to be whole.

    `vectors` holds float32 tensors over the rows in order: `gold` [N, d] at raw norm,
    `reference_mean` [d], and a reconstruction [N, d] per condition, where rows whose text failed
    hold zeros. What probes add is in `docs/evidence.md`.
    """

    rows: tuple[Row, ...]
    vectors: Vectors
    run: Run
    run_sha256: str

    @property
    def documents(self) -> list[str]:
        """The document of every row, in order."""
        return [row.document for row in self.rows]

    @property
    def discriminated(self) -> list[int]:
        """[M] the rows whose source texts the tensors `discrimination_*` are of."""
        return first_with_text(self.rows)

    def failed(self, condition: Condition | TextCondition) -> npt.NDArray[np.bool_]:
        """[N] whether the condition had no text to reconstruct from; given texts never fail."""
        match condition:
            case "real" | "gibberish" | "word_shuffled" | "sentence_shuffled" | "paraphrase":
                statuses = [row.status for row in self.rows]
            case "shuffled":
                statuses = [row.shuffled_status for row in self.rows]
            case "random_vector":
                statuses = [row.random_vector.status for row in self.rows]
            case "zero_vector":
                statuses = [self.run.zero_vector.status] * len(self.rows)
            case _:
                statuses = ["ok"] * len(self.rows)
        return np.array([status != "ok" for status in statuses])


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
        evidence = Evidence(rows, vectors, run, sha256_file(folder / RUN_NAME))
        _check_parts(folder / ROWS_NAME, evidence)
        _check_probes(folder / RUN_NAME, evidence)
        check_shuffle(folder / ROWS_NAME, rows, run)
        _check_controls(folder / VECTORS_NAME, evidence)
        _check_failures_hold_zeros(folder / VECTORS_NAME, evidence)
        _check_run(folder / RUN_NAME, evidence)
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
    other = sorted(path.name for path in folder.glob("*") if path.name not in NAMES)
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
) -> Evidence:
    """Write an evidence folder, in place of an older one only once it is whole and reads back.

    The same arguments give the same bytes.

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
    whole = {
        **run.model_dump(by_alias=True, exclude_unset=True),
        "rows_sha256": sha256_bytes(row_bytes),
        "vectors_sha256": sha256_bytes(vector_bytes),
    }
    with replacing_folder(folder) as staging:
        write_atomic(staging / ROWS_NAME, row_bytes)
        write_atomic(staging / VECTORS_NAME, vector_bytes)
        write_atomic(staging / RUN_NAME, dump_json(whole))
        return read_evidence(staging)


def _read_rows(path: Path) -> tuple[Row, ...]:
    lines = read_text(path, limit=_MAX_ROWS_BYTES).removesuffix("\n").split("\n")
    if lines == [""]:
        raise NothingCheckedError(f"{path} holds no rows", hint=_AGAIN)
    rows: list[Row] = []
    first_line: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        where = f"{path} line {number}"
        try:
            document = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise EvidenceError(f"{where} is not valid JSON: {error}") from error
        row = parse(Row, document, where)
        if row.id in first_line:
            raise EvidenceError(f"{where}: id {row.id!r} stands on line {first_line[row.id]} too")
        first_line[row.id] = number
        rows.append(row)
    return tuple(rows)


def _check_hash(path: Path, recorded: str) -> None:
    if (found := sha256_file(path)) != recorded:
        raise EvidenceError(
            f"{path} has sha256 {found[:12]}..., but {RUN_NAME} records {recorded[:12]}...:"
            " it was edited, or belongs to another run"
        )


def _check_parts(path: Path, evidence: Evidence) -> None:
    """Format 1 has no parts of probes; in format 2 every row has the same ones."""
    first = evidence.rows[0]
    for number, row in enumerate(evidence.rows, start=1):
        where = f"{path} line {number}"
        if evidence.run.schema_ == 1 and (unknown := row.parts_of_format_2):
            raise EvidenceError(f"{where}: {RUN_NAME} says schema 1, without {', '.join(unknown)}")
        if row.texts.keys() != first.texts.keys():
            raise EvidenceError(
                f"{where}: texts holds {_keys(row.texts)}, not {_keys(first.texts)}"
            )
        if row.spoken.keys() != first.spoken.keys():
            raise EvidenceError(
                f"{where}: spoken holds {_keys(row.spoken)}, not {_keys(first.spoken)}"
            )


def _check_probes(path: Path, evidence: Evidence) -> None:
    """A probe left its parts when it ran, and only then."""
    found = {*evidence.vectors, *evidence.rows[0].spoken}
    for probe, (always, sometimes) in _LEFT_BY.items():
        if probe in evidence.run.probed:
            if missing := sorted(always - found):
                raise EvidenceError(f"{path}: probe {probe} ran, but left no {', '.join(missing)}")
        elif unasked := sorted((always | sometimes) & found):
            raise EvidenceError(
                f"{path}: probe {probe} did not run, but there is {', '.join(unasked)}"
            )


def _keys(parts: Iterable[str]) -> str:
    return ", ".join(sorted(parts)) or "nothing"


def _check_controls(path: Path, evidence: Evidence) -> None:
    """Since the rule of the shuffle is frozen, a text that is read twice has one reconstruction."""
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
                f"{path} tensor {name} is not, in {row_name(evidence.rows, wrong)}, what the AR"
                " made of the same text elsewhere"
            )


def _check_failures_hold_zeros(path: Path, evidence: Evidence) -> None:
    conditions = (*get_args(Condition), *get_args(TextCondition))
    failed = {name: evidence.failed(name) for name in conditions}
    failed[ENCODER_TENSORS[0]] = evidence.failed("real")
    for name in failed.keys() & evidence.vectors.keys():
        wrong = evidence.vectors[name].any(axis=1) & failed[name]
        if wrong.any():
            raise EvidenceError(
                f"{path} tensor {name} is not zero in {row_name(evidence.rows, wrong)},"
                " whose text failed"
            )


def _check_run(path: Path, evidence: Evidence) -> None:
    asked = evidence.run.evaluation
    found = (len(evidence.rows), len(set(evidence.documents)))
    if (asked.rows, asked.documents) != found:
        raise EvidenceError(
            f"{path}: evaluation asked {asked.rows} rows of {asked.documents} documents, but"
            f" {ROWS_NAME} holds {found[0]} rows of {found[1]}: rows must never be dropped"
        )
    if training := evidence.run.training:
        documents, ids = set(evidence.documents), {row.id for row in evidence.rows}
        foreign = {*training.ids_overlapping} - documents | {*training.texts_overlapping} - ids
        if foreign:
            raise EvidenceError(
                f"{path}: training overlaps with {min(foreign)!r}, which {ROWS_NAME} lacks"
            )
        overlapping, compared = len(training.texts_overlapping), training.texts_compared
        if compared is not None and not overlapping <= compared <= len(evidence.rows):
            raise EvidenceError(
                f"{path}: training.texts_compared is {compared}, of {len(evidence.rows)} rows and"
                f" with {overlapping} that overlap"
            )
    mean = evidence.vectors["reference_mean"].astype(np.float64)
    if not mean.any():
        raise EvidenceError(f"{path}: reference_mean is zero, which no activations have for a mean")
    variance = 1 - float(mean @ mean)
    if abs(variance - evidence.run.reference.variance) > _VARIANCE_TOLERANCE:
        raise EvidenceError(
            f"{path}: reference.variance is {evidence.run.reference.variance}, but reference_mean"
            f" gives 1 - ||mean||^2 = {variance:.6f}"
        )
