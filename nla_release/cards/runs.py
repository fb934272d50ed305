"""The log of runs as a table, of RELEASE_CALIBRATION.md and of the report."""

from nla_release.calibration.evidence_folder import Evidence
from nla_release.evidence.runs import Headline, RunLog, Started, shown_runs
from nla_release.text.markdown import inline
from nla_release.text.numbers import number
from nla_release.text.sandbox import render_template

RUNS = "runs"

HEADER = (
    "run",
    "started",
    "weights",
    "rows",
    "documents",
    "seed",
    "outcome",
    "cosine",
    "centred: own, same document, others",
    "label",
)
MOST = 40


def runs_block(evidence: Evidence) -> dict[str, str]:
    """The block by its name: a table of the last runs, or that runs were not recorded."""
    text = render_template("blocks/runs.md.jinja", {"header": HEADER, "runs": _rows(evidence)})
    return {RUNS: text.strip()}


def _rows(evidence: Evidence) -> list[tuple[str, ...]]:
    return [(*cells, inline(label)) for *cells, label in recorded_runs(evidence)]


def recorded_runs(evidence: Evidence) -> list[tuple[str, ...]]:
    """The last runs of the log as plain text, a cell for each column of `HEADER`."""
    if evidence.runs is None:
        return []
    log, files = evidence.runs, evidence.run.files
    shown = shown_runs(log, MOST)
    first = len(log.started) - len(shown) + 1
    return [_cells(log, position, run, files) for position, run in enumerate(shown, start=first)]


def _cells(log: RunLog, position: int, run: Started, files: dict[str, str]) -> tuple[str, ...]:
    finished = log.finished(run.run)
    found = finished.headline if finished else None
    return (
        str(position),
        run.time,
        "these" if run.pair == files else "others",
        f"{run.rows.asked} of {run.rows.available or 'unknown'}",
        f"{run.documents.asked} of {run.documents.available or 'unknown'}",
        str(run.seed),
        log.outcome(run.run),
        number(found.cosine) if found else "-",
        _centred(found),
        found.label if found else "-",
    )


def _centred(found: Headline | None) -> str:
    if found is None:
        return "-"
    values = (found.own, found.same_document, found.other_documents)
    return ", ".join("-" if value is None else number(value) for value in values)
