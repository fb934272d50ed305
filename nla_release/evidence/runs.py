"""`runs.jsonl`: every round trip that was started, and what became of it.

A line says that a run started, with all that its numbers depend on, or how it ended. A run that
was interrupted and continued has one start and several ends. Nothing removes a line, so that who
measured until the numbers were good has to say so. The log is its author's: nothing proves that it
is complete.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, StringConstraints, model_validator

from nla_release.errors import EvidenceError
from nla_release.evidence.records import RunId, Setting, Sha256, UtcTime
from nla_release.io.files import read_json_lines, sha256_bytes
from nla_release.io.schema import Strict, parse
from nla_release.statistics.blocks import Cosine

NAME = "runs.jsonl"

MAX_BYTES = 4 * 1024**2
MAX_LINES = 10_000

_Short = Annotated[str, StringConstraints(min_length=1, max_length=200)]

_RESTORE = "restore it from a backup: lines are only ever added to it"
_FULL = "the log of runs is full: move evidence/ away, and say so in a note"


class Asked(Strict):
    """How many were asked, of how many that the data holds."""

    asked: PositiveInt = Field(description="how many were asked")
    available: PositiveInt | None = Field(
        default=None, description="how many the data holds; null where that was not recorded"
    )


class Headline(Strict):
    """What a finished run found. Own, same document and others are centred cosines."""

    cosine: Cosine
    own: Cosine | None = None
    same_document: Cosine | None = None
    other_documents: Cosine | None = None
    label: _Short


class Started(Strict):
    """A run began: what its numbers depend on.

    `inputs` are the sha256 of the held-out activations (`data`), the reference, and each file of
    the pair, such as `av/adapter_model.safetensors`.
    """

    event: Literal["started"] = "started"
    run: RunId
    time: UtcTime
    tool_version: _Short
    base: _Short
    inputs: Annotated[dict[_Short, Sha256], Field(max_length=64)]
    rows: Asked
    documents: Asked
    seed: NonNegativeInt
    settings: Annotated[dict[_Short, Setting], Field(max_length=64)]

    @property
    def pair(self) -> dict[str, str]:
        """The hashes of the pair's files."""
        return {name: digest for name, digest in self.inputs.items() if "/" in name}


class Ended(Strict):
    """What became of a run.

    `restored`: the evidence of an earlier run was put back; `run` is null where it is of a run from
    before there was a log.
    """

    event: Literal["finished", "interrupted", "failed", "restored"]
    run: RunId | None
    time: UtcTime
    rows_sha256: Sha256 | None = None
    vectors_sha256: Sha256 | None = None
    headline: Headline | None = None

    @property
    def left_evidence(self) -> bool:
        """Whether evidence/ was this run's after it."""
        return self.event in ("finished", "restored")

    @model_validator(mode="after")
    def _names_its_evidence(self) -> "Ended":
        named = {each is not None for each in (self.rows_sha256, self.vectors_sha256)}
        if named != {self.left_evidence}:
            raise ValueError(f"{self.event} and the hashes of evidence do not go together")
        if self.run is None and self.event != "restored":
            raise ValueError(f"{self.event} names no run")
        return self


Line = Started | Ended


@dataclass(frozen=True)
class RunLog:
    """The lines of a log, in order: every end is of a start above it, and time does not go back."""

    lines: tuple[Line, ...] = ()

    @property
    def started(self) -> list[Started]:
        """The runs, in the order in which they started."""
        return [line for line in self.lines if isinstance(line, Started)]

    @property
    def last_evidence(self) -> Ended | None:
        """The line that left the evidence that should be there now."""
        ends = [line for line in self.lines if isinstance(line, Ended) and line.left_evidence]
        return ends[-1] if ends else None

    def ends(self, run: str) -> list[Ended]:
        """How a run ended, each time."""
        return [line for line in self.lines if isinstance(line, Ended) and line.run == run]

    def finished(self, run: str) -> Ended | None:
        """The line of a run that finished, the last if it was added to."""
        return next((it for it in reversed(self.ends(run)) if it.event == "finished"), None)

    def outcome(self, run: str) -> str:
        """What became of a run: `unfinished` where nothing says so."""
        ends = [it.event for it in self.ends(run) if it.event != "restored"]
        return "finished" if "finished" in ends else ends[-1] if ends else "unfinished"

    def adding(self, line: Line) -> "RunLog":
        """The log with one more line.

        Raises:
            EvidenceError: it is full.
        """
        longer = RunLog((*self.lines, line))
        if len(longer.lines) > MAX_LINES or len(longer.dump().encode()) > MAX_BYTES:
            raise EvidenceError(f"{NAME} holds {len(self.lines)} lines", hint=_FULL)
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
    """The log in an evidence folder; None where there is none.

    Raises:
        EvidenceError: a line is damaged, or the lines do not follow from each other.
        InputError: it is larger than 4 MB, or not a regular file.
    """
    path = folder / NAME
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
            raise EvidenceError(f"{where} is of {line.time}, the line before of {lines[-1].time}")
        if line.run is not None:
            if isinstance(line, Started) == (line.run in ids):
                wrong = "starts twice" if isinstance(line, Started) else "ends and did not start"
                raise EvidenceError(f"{where}: run {line.run} {wrong}")
            ids.add(line.run)
        lines.append(line)
    if not lines:
        raise EvidenceError(f"{path} is empty")
    return RunLog(tuple(lines))


class RunCounts(Strict):
    """How often this was measured, by the log that lies with the evidence."""

    recorded: PositiveInt = Field(description="runs that were started, these weights or others")
    of_this_pair: NonNegativeInt = Field(description="of these, with the weights of the evidence")
    finished: NonNegativeInt = Field(description="of those of this pair, the ones that finished")
    position: PositiveInt | None = Field(
        description="which of those of this pair the evidence is of, in the order of their starts;"
        " null when none is"
    )
    data: PositiveInt = Field(
        description="different choices of data, rows and seed among those of this pair"
    )


def run_counts(log: RunLog, run: str | None, files: dict[str, str]) -> RunCounts:
    """What a log says of the pair with these files.

    Args:
        log: of the evidence.
        run: the run that the evidence is of.
        files: the hashes of the pair's files, as run.json records them.
    """
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
    """What is wrong where the log does not end with the run that evidence is of.

    Args:
        log: of the evidence.
        run: the run that run.json names.
        rows: the sha256 of rows.jsonl.
        vectors: the sha256 of vectors.safetensors.
    """
    last = log.last_evidence
    if last is None:
        return "no run in it finished, but there is evidence"
    if last.run != run:
        return f"the last evidence in it is of run {last.run}, {_named(run)} is here"
    if (last.rows_sha256, last.vectors_sha256) != (rows, vectors):
        return f"run {last.run} left other evidence than is here"
    return None


def _named(run: str | None) -> str:
    return f"that of run {run}" if run else "evidence of a run that is not in it"


def shown_runs(log: RunLog, most: int) -> Sequence[Started]:
    """The last runs, as many as a page shows."""
    return log.started[-most:]
