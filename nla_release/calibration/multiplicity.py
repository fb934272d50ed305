"""How much was tried and measured: the best of many looks better than it is."""

from typing import Any

from pydantic import Field, NonNegativeInt, PositiveInt

from nla_release.evidence.parts import Evidence
from nla_release.evidence.runs import MeasuredCount, RunCounts, run_counts
from nla_release.io.schema import Strict
from nla_release.statistics.blocks import BOOTSTRAP


class Multiplicity(Strict):
    """The number of checkpoints, runs, rows and intervals behind the report."""

    attempts: PositiveInt | None = Field(
        description="checkpoints or settings tried, this one included, as the author declares it;"
        " null when not declared"
    )
    metrics: NonNegativeInt = Field(description="intervals and p values in this report")
    note: str = Field(description="what follows, in words")
    rows: MeasuredCount | None = Field(
        default=None,
        description="rows measured, of how many the data holds; absent before format 3",
    )
    documents: MeasuredCount | None = Field(
        default=None,
        description="documents measured, of how many the data holds; absent before format 3",
    )
    runs: RunCounts | None = Field(
        default=None, description="null when runs were not recorded; absent before format 3"
    )


def multiplicity(evidence: Evidence, report: Any, format_: int) -> Multiplicity:
    """Count what was tried, measured and reported.

    Args:
        evidence: with the log of runs, if any.
        report: the rest of the calibration, as JSON gives it.
        format_: of the calibration; before 3 only attempts, intervals and p values are counted.
    """
    run, log = evidence.run, evidence.runs
    metrics, level = _tests(report), BOOTSTRAP.level
    counted = Multiplicity(
        attempts=run.attempts,
        metrics=metrics,
        note=f"{_tried(run.attempts, format_)} Of the {metrics} intervals and p values none is"
        f" adjusted for the others: of as many at {level:.0%} confidence about"
        f" {metrics * (1 - level):.0f} mislead by chance.",
    )
    if format_ < 3:
        return counted
    started = next((it for it in log.started if it.run == run.run_id), None) if log else None
    return counted.model_copy(
        update={
            "rows": MeasuredCount(asked=run.evaluation.rows, available=run.evaluation.available),
            "documents": MeasuredCount(
                asked=run.evaluation.documents,
                available=started.documents.available if started else None,
            ),
            "runs": run_counts(log, run.run_id, run.files) if log else None,
        }
    )


def _tried(attempts: int | None, format_: int) -> str:
    """The declared attempts, in the published words of a format."""
    if format_ < 3:
        return (
            "How many checkpoints or settings were tried before is not recorded"
            " (release.yaml, evaluation.attempts)."
            if attempts is None
            else "Nothing was tried before this pair."
            if attempts == 1
            else f"This pair is one of {attempts} that were tried; the best of many flatters."
        )
    return (
        "The author does not declare how many checkpoints or settings were tried before"
        " (release.yaml, evaluation.attempts)."
        if attempts is None
        else "The author declares that nothing was tried before this pair."
        if attempts == 1
        else f"The author declares that this pair is one of {attempts} that were tried; the"
        " best of many looks better than it is."
    )


def _tests(document: Any) -> int:
    if not isinstance(document, dict):
        return 0
    return sum(
        int((key == "p" or key.endswith("interval")) and value is not None) + _tests(value)
        for key, value in document.items()
    )


def adjusted_sentence(found: Multiplicity) -> str:
    """What `note` says, in the words of a card."""
    level = BOOTSTRAP.level
    return (
        f"{_tried(found.attempts, 3)} The {found.metrics} intervals and p values"
        f" ({level:.0%} confidence) are not adjusted for one another, so about"
        f" {found.metrics * (1 - level):.0f} of the {found.metrics} would be wrong by chance alone."
    )


def tried_sentence(found: Multiplicity) -> str:
    """How many others were tried, how often this pair was measured, and on how many rows."""
    return " ".join(filter(None, (_declared(found), runs_sentence(found))))


def _declared(found: Multiplicity) -> str:
    if found.attempts is None:
        return "The author does not declare how many checkpoints or settings were tried."
    if found.attempts == 1:
        return "Declared by the author: no other checkpoint or setting was tried."
    return (
        f"Declared by the author: this pair is one of {found.attempts} checkpoints or settings that"
        " were tried. The best of many looks better than it is."
    )


def runs_sentence(found: Multiplicity) -> str | None:
    """How often the pair was measured, and on how many rows; None in older formats."""
    if found.rows is None:
        return None
    return f"{_runs(found.runs)} {_asked(found.rows, found.documents)}"


def _runs(runs: RunCounts | None) -> str:
    if runs is None:
        return "Runs were not recorded."
    more = runs.recorded - runs.of_this_pair
    others = f" ({more} more of other weights)" if more else ""
    if runs.of_this_pair == 1:
        return f"1 run of this pair is recorded{others}."
    which = (
        "none of them produced these numbers"
        if runs.position is None
        else "the numbers are those of the last"
        if runs.position == runs.of_this_pair
        else f"the numbers are those of run {runs.position}"
    )
    return f"{runs.of_this_pair} runs of this pair are recorded{others}; {which}."


def _asked(rows: MeasuredCount, documents: MeasuredCount | None) -> str:
    if rows.available is None:
        return f"Rows measured: {rows.asked}; how many the data holds is not recorded."
    of = (
        f", of {documents.asked} of {documents.available} documents"
        if documents and documents.available
        else ""
    )
    return f"Rows measured: {rows.asked} of {rows.available}{of}."
