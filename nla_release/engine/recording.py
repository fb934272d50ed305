"""Recording a round trip in `runs.jsonl`: a line when it starts, and one however it ends.

A run that continues, because its pieces are there or because evidence of the same inputs is added
to, is the same run. Anything else is another one, `--fresh` too.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nla_release.calibration.calibrate import calibrate
from nla_release.engine.activations import Activations
from nla_release.engine.checkpoint import Checkpoint
from nla_release.engine.processes import is_main
from nla_release.engine.provenance import now
from nla_release.errors import NothingCheckedError
from nla_release.evidence.parts import Evidence
from nla_release.evidence.runs import (
    Ended,
    Headline,
    Line,
    MeasuredCount,
    RunLog,
    Started,
    read_runs,
)
from nla_release.io.files import write_atomic
from nla_release.io.layout import RUNS_FILE


class Recording:
    """The log in an evidence folder, and the run that is under way in it."""

    def __init__(
        self,
        folder: Path,
        work: Checkpoint,
        inputs: dict[str, Any],
        data: Activations,
        before: Evidence | None,
    ) -> None:
        """Find the run that goes on, or start another.

        Args:
            folder: of the evidence.
            work: the pieces of the run, which hold its id.
            inputs: what its numbers depend on, as `run.json` records it.
            data: the held-out activations.
            before: the evidence that the run adds to.

        Raises:
            EvidenceError: the log is damaged, or full.
        """
        self._folder = folder
        self._log = read_runs(folder) or RunLog()
        known = {it.run for it in self._log.started}
        mine = before.run.run_id if before and before.run.run_id in known else None
        self.run: str = work.document("run", lambda: mine or secrets.token_hex(8))
        if self.run not in known:
            self._write(_started(self.run, self._time(), inputs, data))

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Record how the run ends where it does not finish."""
        try:
            yield
        except KeyboardInterrupt:
            self._write(Ended(event="interrupted", run=self.run, time=self._time()))
            raise
        except Exception:
            self._write(Ended(event="failed", run=self.run, time=self._time()))
            raise

    def finished(self, evidence: Evidence) -> RunLog:
        """The log once the run has left this evidence."""
        run = evidence.run
        return self._log.adding(
            Ended(
                event="finished",
                run=self.run,
                time=self._time(),
                rows_sha256=run.rows_sha256,
                vectors_sha256=run.vectors_sha256,
                headline=_headline(evidence),
            )
        )

    def _write(self, line: Line) -> None:
        self._log = self._log.adding(line)
        if is_main():
            write_atomic(self._folder / RUNS_FILE, self._log.dump())

    def _time(self) -> str:
        """The time of day; a clock that was set back does not make the log go backwards."""
        return max([now(), *(line.time for line in self._log.lines[-1:])])


def _started(run: str, time: str, inputs: dict[str, Any], data: Activations) -> Started:
    base, asked = inputs["base"], inputs["evaluation"]
    return Started(
        run=run,
        time=time,
        tool_version=inputs["tool_version"],
        base=f"{base['id']}@{base['revision']}",
        inputs={
            "data": asked["sha256"],
            "reference": inputs["reference"]["sha256"],
            **inputs["files"],
        },
        rows=MeasuredCount(asked=asked["rows"], available=asked["available"]),
        documents=MeasuredCount(asked=asked["documents"], available=data.documents_available),
        seed=inputs["seed"],
        settings={
            **inputs["precision"],
            **inputs["decoding"],
            "scale": inputs["injection"]["scale"],
        },
    )


def _headline(evidence: Evidence) -> Headline | None:
    """What the numbers are; None where a single row or document gives none."""
    try:
        found = calibrate(evidence)
    except NothingCheckedError:
        return None
    within = found.contrasts.within
    return Headline(
        cosine=found.cosine.mean,
        own=found.centred.mean,
        same_document=within.second if within else None,
        other_documents=found.contrasts.above_others.second,
        label=found.label.name,
    )
