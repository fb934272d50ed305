"""`runs.jsonl`: every round trip that was started, and how it ended.

A line records that a run started, with everything its numbers depend on, or how it ended. A run
that was interrupted and continued has one start and several ends. Lines are only added, so repeated
measurements of one pair stay visible. The log is kept by the author: nothing proves that it is
complete.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, StringConstraints, model_validator

from nla_release.errors import EvidenceError
from nla_release.evidence.records import RunId, Setting, Sha256, UtcTime
from nla_release.io.files import read_json_lines, sha256_bytes
from nla_release.io.layout import RUNS_FILE
from nla_release.io.schema import Strict, parse
from nla_release.statistics.blocks import Cosine

MAX_BYTES = 4 * 1024**2
MAX_LINES = 10_000

_Short = Annotated[str, StringConstraints(min_length=1, max_length=200)]

_RESTORE = "restore it from a backup: lines are only ever added to it"
_FULL = "the log of runs is full: move evidence/ away, and say so in a note"


class MeasuredCount(Strict):
    """How many were measured, of how many in the data."""

    asked: PositiveInt = Field(description="how many were measured")
    available: PositiveInt | None = Field(
        default=None, description="how many the data holds; null where not recorded"
    )


class Headline(Strict):
    """The main results of a finished run; all but `cosine` are centred cosines."""

    cosine: Cosine
    own: Cosine | None = None
    same_document: Cosine | None = None
    other_documents: Cosine | None = None
    label: _Short


class Started(Strict):
    """A run started: everything its numbers depend on.

    `inputs` are the sha256 of the held-out activations (`data`), the reference, and each file of
    the pair, such as `av/adapter_model.safetensors`.
    """

    event: Literal["started"] = "started"
    run: RunId
    time: UtcTime
    tool_version: _Short
    base: _Short
    inputs: Annotated[dict[_Short, Sha256], Field(max_length=64)]
    rows: MeasuredCount
    documents: MeasuredCount
    seed: NonNegativeInt
    settings: Annotated[dict[_Short, Setting], Field(max_length=64)]

    @property
    def pair(self) -> dict[str, str]:
        """The hashes of the pair's files."""
        return {name: digest for name, digest in self.inputs.items() if "/" in name}


class Ended(Strict):
    """How a run ended.

    `restored`: the evidence of an earlier run was put back; `run` is null where that run is older
    than the log.
    """

    event: Literal["finished", "interrupted", "failed", "restored"]
    run: RunId | None
    time: UtcTime
    rows_sha256: Sha256 | None = None
    vectors_sha256: Sha256 | None = None
    headline: Headline | None = None

    @property
    def left_evidence(self) -> bool:
        """Whether evidence/ was of this run afterwards."""
        return self.event in ("finished", "restored")

    @model_validator(mode="after")
    def _names_its_evidence(self) -> "Ended":
        named = {each is not None for each in (self.rows_sha256, self.vectors_sha256)}
        if named != {self.left_evidence}:
            raise ValueError(f"{self.event} and the hashes of evidence contradict each other")
        if self.run is None and self.event != "restored":
            raise ValueError(f"{self.event} names no run")
        return self


Line = Started | Ended


@dataclass(frozen=True)
class RunLog:
    """The lines of a log: each end follows its start, and times do not decrease."""

    lines: tuple[Line, ...] = ()

    @property
    def started(self) -> list[Started]:
        """The runs, in the order in which they started."""
        return [line for line in self.lines if isinstance(line, Started)]

    @property
    def last_evidence(self) -> Ended | None:
        """The last line that says whose evidence is in the folder."""
        ends = [line for line in self.lines if isinstance(line, Ended) and line.left_evidence]
        return ends[-1] if ends else None

    def ends(self, run: str) -> list[Ended]:
        """How a run ended, each time."""
        return [line for line in self.lines if isinstance(line, Ended) and line.run == run]

    def finished(self, run: str) -> Ended | None:
        """The last line that says that the run finished."""
        return next((it for it in reversed(self.ends(run)) if it.event == "finished"), None)

    def outcome(self, run: str) -> str:
        """How a run ended; `unfinished` where no line says so."""
        ends = [it.event for it in self.ends(run) if it.event != "restored"]
        return "finished" if "finished" in ends else ends[-1] if ends else "unfinished"

    def adding(self, line: Line) -> "RunLog":
        """The log with one more line.

        Raises:
            EvidenceError: it is full.
        """
        longer = RunLog((*self.lines, line))
        if len(longer.lines) > MAX_LINES or len(longer.dump().encode()) > MAX_BYTES:
            raise EvidenceError(f"{RUNS_FILE} holds {len(self.lines)} lines", hint=_FULL)
        return longer

    def dump(self) -> str:
        """The log as text."""
        return "".join(
            json.dumps(line.model_dump(mode="json"), sort_keys=True, ensure_ascii=False) + "\n"
            for line in self.lines
        )

    @property
    def sha256(self) -> str:
        """Of the text."""
        return sha256_bytes(self.dump().encode())


def read_runs(folder: Path) -> RunLog | None:
    """Read the log in an evidence folder; None without one.

    Raises:
        EvidenceError: a line is damaged, or the lines do not follow from each other.
        InputError: it is larger than 4 MB, or not a regular file.
    """
    path = folder / RUNS_FILE
    if not path.exists() and not path.is_symlink():
        return None
    try:
        return _read(path)
    except EvidenceError as error:
        raise EvidenceError(error.message, hint=_RESTORE) from error


def _read(path: Path) -> RunLog:
    lines: list[Line] = []
    ids: set[str] = set()
    for where, document in read_json_lines(path, limit=MAX_BYTES, error=EvidenceError):
        if len(lines) == MAX_LINES:
            raise EvidenceError(f"{path} holds more than {MAX_LINES} lines")
        event = document.get("event") if isinstance(document, dict) else None
        line: Line = (
            parse(Started, document, where, error=EvidenceError)
            if event == "started"
            else parse(Ended, document, where, error=EvidenceError)
        )
        if lines and line.time < lines[-1].time:
            raise EvidenceError(
                f"{where} has time {line.time}, earlier than {lines[-1].time} on the line before"
            )
        if line.run is not None:
            if isinstance(line, Started) == (line.run in ids):
                wrong = "starts twice" if isinstance(line, Started) else "ends, but has not started"
                raise EvidenceError(f"{where}: run {line.run} {wrong}")
            ids.add(line.run)
        lines.append(line)
    if not lines:
        raise EvidenceError(f"{path} is empty")
    return RunLog(tuple(lines))


class RunCounts(Strict):
    """How often the pair was measured, according to the log in the evidence."""

    recorded: PositiveInt = Field(description="runs that were started, with any weights")
    of_this_pair: NonNegativeInt = Field(
        description="of these, runs with the weights of the evidence"
    )
    finished: NonNegativeInt = Field(description="runs of this pair that finished")
    position: PositiveInt | None = Field(
        description="position of the evidence's run among those of this pair, by start; null when"
        " it is not among them"
    )
    data: PositiveInt = Field(
        description="different choices of data, rows and seed among the runs of this pair"
    )


def run_counts(log: RunLog, run: str | None, files: dict[str, str]) -> RunCounts:
    """Count the runs of the pair with these file hashes, and the position of `run` among them."""
    own = [it for it in log.started if it.pair == files]
    ids = [it.run for it in own]
    chosen = {(it.inputs.get("data"), it.rows.asked, it.documents.asked, it.seed) for it in own}
    return RunCounts(
        recorded=len(log.started),
        of_this_pair=len(own),
        finished=sum(log.outcome(it) == "finished" for it in ids),
        position=ids.index(run) + 1 if run in ids else None,
        data=max(len(chosen), 1),
    )


def disagreement(log: RunLog, run: str | None, rows: str, vectors: str) -> str | None:
    """How the log contradicts the evidence; None where it does not.

    `run` is the run that run.json names, `rows` and `vectors` the sha256 of the two other files.
    """
    last = log.last_evidence
    if last is None:
        return "it has no finished run, but there is evidence"
    if last.run != run:
        held = f"that of run {run}" if run else "evidence of a run that is not in it"
        return f"its last evidence is of run {last.run}, but the folder holds {held}"
    if (last.rows_sha256, last.vectors_sha256) != (rows, vectors):
        return f"the hashes that it records for run {last.run} are not those of the evidence"
    return None
