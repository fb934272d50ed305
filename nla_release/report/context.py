"""What the report's template is given: plain data, section by section."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np

from nla_release import __version__
from nla_release.calibration.compare import compare
from nla_release.calibration.controls import CONTROLS, cosines
from nla_release.calibration.evidence import Evidence
from nla_release.calibration.measured import Measured, read_measured
from nla_release.calibration.questions import questions
from nla_release.calibration.records import Row
from nla_release.calibration.report import CONTROL_NAMES, Calibration, CurrentCalibration
from nla_release.calibration.row import HEADER
from nla_release.diagnostics.tables import measured, tables, without_numbers
from nla_release.errors import NlaReleaseError
from nla_release.output.comparison_text import Table, comparison_parts
from nla_release.output.json import verdict_json
from nla_release.output.text import totals_line
from nla_release.report.described import Entry, described
from nla_release.report.figure import controls_figure
from nla_release.report.provenance import environment, provenance
from nla_release.report.texts import everywhere, placeless, shortened, visible
from nla_release.rules.model import State, UnreadableError, Verdict
from nla_release.rules.subject import Measurement, Subject
from nla_release.sidecar import Role
from nla_release.text.numbers import count, interval, number, signed
from nla_release.training_chain import TrainingChain, training_chain

MAX_ROWS = 500

Context = dict[str, Any]
Found = TypeVar("Found")

_ORDER: tuple[State, ...] = ("failed", "warned", "waived", "skipped", "passed")
# Shown in sections of their own, or no number at all.
_ELSEWHERE = {
    "schema_", "tool_version", "evidence", "denominators", "reference", "controls", "label",
    "probes",
}  # fmt: skip


def report_context(subject: Subject, verdict: Verdict) -> Context:
    """All that the report shows, in texts that are safe to show but not yet escaped.

    Args:
        subject: what was judged, in an absolute folder.
        verdict: of the gate.
    """
    evidence, no_evidence = _read(subject, lambda each: each.evidence)
    calibration, no_numbers = _read(subject, _calibration)
    if calibration and (doubts := _doubts(verdict)):
        calibration, no_numbers = None, f"those of calibration.json cannot be trusted, see {doubts}"
    messages = {
        "totals": totals_line(verdict),
        "gate": _gate(verdict),
        "unverified": verdict.unverified,
        "no_evidence": no_evidence,
        "no_numbers": no_numbers,
        "comparison": _comparison(subject, evidence, no_evidence),
        "data": json.loads(verdict_json(verdict)),
    }
    context: Context = {
        "title": subject.release.config.title if subject.release else subject.folder.name,
        "folder": subject.folder.name,
        "verdict": verdict.verdict,
        "tool_version": __version__,
        "waivers": _waivers(subject, verdict),
        "numbers": _numbers(calibration) if calibration else None,
        "rows": _rows(evidence) if evidence else None,
        "max_rows": MAX_ROWS,
        "environment": environment(evidence, _chains(subject)) if evidence else None,
        "provenance": provenance(subject.folder.name, evidence, calibration),
        **everywhere(placeless(subject.folder), messages),
    }
    return {key: everywhere(visible, value) for key, value in context.items()} | {
        "data": {
            "verdict": context["data"],
            "calibration": json.loads(calibration.dump()) if calibration else None,
        }
    }


def _chains(subject: Subject) -> dict[Role, TrainingChain]:
    """How each adapter was trained, by role; without those whose sidecar cannot be read."""
    chains: dict[Role, TrainingChain] = {}
    for adapter in subject.adapters:
        with suppress(NlaReleaseError):
            chains[adapter.role] = training_chain(adapter.sidecar.nla_release.training)
    return chains


def _read(subject: Subject, part: Callable[[Measurement], Found]) -> tuple[Found | None, str]:
    """A part of the first measurement; or None, and why."""
    if not subject.measurements:
        return None, "nothing was measured yet; nla-release roundtrip measures"
    try:
        return part(subject.measurements[0]), ""
    except UnreadableError as error:
        return None, f"{error.path} cannot be used, see {error.rule}"


def _calibration(measurement: Measurement) -> Calibration:
    """What calibration.json says, where the evidence allows any number at all."""
    _, calibration = measurement.recomputed, measurement.calibration
    return calibration


def _doubts(verdict: Verdict) -> str:
    """The rules by which the numbers are not what these files gave: then none is shown."""
    failed = (each.rule.code for each in verdict.outcomes if each.state == "failed")
    return ", ".join(code for code in failed if code in ("NLA601", "NLA602"))


def _gate(verdict: Verdict) -> list[Context]:
    """The rules with what became of them: what needs looking at first, in the order of codes."""
    outcomes = sorted(verdict.outcomes, key=lambda outcome: _ORDER.index(outcome.state))
    return [
        {
            "code": outcome.rule.code,
            "title": outcome.rule.title,
            "severity": outcome.rule.severity,
            "state": outcome.state,
            "findings": [asdict(finding) for finding in outcome.findings],
            "skipped": list(outcome.skipped),
        }
        for outcome in outcomes
    ]


def _waivers(subject: Subject, verdict: Verdict) -> list[Context]:
    """Every waiver that is named, with how many findings it lets stand."""
    standing = [finding.code for finding, _ in verdict.waived]
    named = subject.release.config.waivers if subject.release else []
    return [
        {
            "code": waiver.code,
            "reason": waiver.reason,
            "until": waiver.until.isoformat(),
            "findings": count(standing.count(waiver.code), "finding"),
        }
        for waiver in named
    ]


def _numbers(calibration: Calibration) -> Context:
    """Everything that calibration.json says, in words and in lines."""
    controls = {
        name: calibration.controls[name] for name in CONTROL_NAMES if name in calibration.controls
    }
    return {
        "label": calibration.label.name,
        "sentence": calibration.label.sentence,
        "rule": calibration.label.rule,
        "real": number(calibration.cosine.mean),
        "real_interval": interval(calibration.cosine.interval),
        "controls": [
            {
                "name": CONTROLS[name].words,
                "mean": number(each.mean),
                "difference": signed(each.difference),
                "interval": interval(each.interval),
                "n": each.n,
                "failed": each.failed,
            }
            for name, each in controls.items()
        ],
        "figure": controls_figure(controls),
        "header": HEADER,
        "headline_lines": _headline(calibration),
        "denominators": described(calibration.denominators),
        "others": list(_others(calibration)),
        "diagnostics": [
            asdict(table) | {"lines": [row.cells for row in table.rows]}
            for table in tables(calibration.probes)
        ],
        "without_numbers": without_numbers(calibration.probes),
        "reports": [
            {"name": each.title, "meaning": each.meaning, "entries": described(report)}
            for each, report in measured(calibration.probes)
        ],
    }


def _headline(calibration: Calibration) -> list[tuple[str, ...]]:
    """The rows of the three questions, which a calibration of an older format does not answer."""
    if not isinstance(calibration, CurrentCalibration):
        return []
    return [row.cells for each in questions(calibration) for row in [*each.rows, *each.more]]


def _others(calibration: Calibration) -> Iterator[Entry]:
    for name in type(calibration).model_fields:
        block = getattr(calibration, name)
        if name not in _ELSEWHERE and block is not None:
            for entry in described(block):
                yield entry | {"name": f"{name.replace('_', ' ')}: {entry['name']}"}


def _rows(evidence: Evidence) -> Context:
    """The rows that reconstruct worst, worst first."""
    real, control = cosines(evidence, "real"), cosines(evidence, "shuffled")
    # Rounded as they are shown, so that the last bits of a machine do not decide the order.
    worst = np.argsort(np.round(real, 3), kind="stable")[:MAX_ROWS]
    return {
        "total": len(evidence.rows),
        "labelled": any(row.gold is not None for row in evidence.rows),
        "shown": [
            _row(evidence.rows[at], f"{real[at] + 0.0:.3f}", f"{control[at] + 0.0:.3f}")
            for at in worst
        ],
    }


def _row(row: Row, cosine: str, control: str) -> Context:
    return {
        "id": shortened(row.id),
        "document": shortened(row.document),
        "cosine": cosine,
        "control": control,
        "status": row.status,
        "text": None if row.text is None else shortened(row.text),
        "explanation": shortened(row.explanation if row.status == "ok" else row.raw),
        "gold": None if row.gold is None else shortened(row.gold),
    }


def _comparison(
    subject: Subject, evidence: Evidence | None, no_evidence: str
) -> list[str | Context]:
    """Sentences and tables against the release before, or one sentence why there are none."""
    release = subject.release
    if release is None or release.previous is None:
        return ["No previous release is named; `previous` in release.yaml names one."]
    if evidence is None:
        return [f"Not compared with the previous release: {no_evidence}."]
    try:
        before = read_measured(release.previous, f"previous: {release.previous.name}")
        facts = read_measured(subject.folder, "this release").facts
        found = compare([before, Measured("this release", evidence, facts)])
    except NlaReleaseError as error:
        return [f"Not compared with the previous release: {error.message}."]
    return [_table(part) if isinstance(part, Table) else part for part in comparison_parts(found)]


def _table(table: Table) -> Context:
    return {"header": table.header, "lines": list(table.lines), "words": table.words}
