"""The report: one HTML file that needs no network, from what the gate read and its verdict.

`report_context` gathers plain data, section by section; `render_report` fills the template. Jinja
escapes every value. The page's own policy lets a browser run one script and one style, named by
their hashes: no text of a third party can run, and nothing is fetched.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any, TypeVar

from nla_release import __version__
from nla_release.calibration.compare import compare
from nla_release.calibration.comparison_text import ComparisonTable, comparison_parts
from nla_release.calibration.measured import Measured, read_measured
from nla_release.calibration.questions import questions
from nla_release.calibration.report import CONTROL_NAMES, Calibration, CurrentCalibration
from nla_release.calibration.tables import measured, tables, without_numbers
from nla_release.cards.blocks import RUNS_HEADER, recorded_runs
from nla_release.contract.sidecar import Role
from nla_release.contract.training_chain import TrainingChain, training_chain
from nla_release.diagnostics.model import control_row
from nla_release.errors import NlaReleaseError
from nla_release.evidence.controls import CONTROLS
from nla_release.evidence.parts import Evidence
from nla_release.gate.findings import UnreadableError
from nla_release.gate.model import State, Verdict
from nla_release.gate.subject import MeasurementFolder, Subject
from nla_release.io.files import package_folder, read_text
from nla_release.output.verdict import totals_line, verdict_json
from nla_release.report import verdicts
from nla_release.report.figure import lowest, rows_figure
from nla_release.report.provenance import NamedValue, described, environment, provenance
from nla_release.report.rows import browsed, json_in_html, map_strings, visible, without_local_paths
from nla_release.statistics.row import HEADER
from nla_release.statistics.row import Row as CalibrationRow
from nla_release.text.numbers import count, number

Context = dict[str, Any]

Found = TypeVar("Found")

_ORDER: tuple[State, ...] = ("failed", "warned", "waived", "skipped", "passed")

# Shown in sections of their own, or no number at all.
_ELSEWHERE = {
    "schema_", "tool_version", "evidence", "denominators", "reference", "controls", "label",
    "probes", "energy",
}  # fmt: skip

_TEMPLATES = package_folder("model_cards")


def render_report(subject: Subject, verdict: Verdict) -> str:
    """The report as one HTML document, the same bytes for the same input.

    Args:
        subject: what was judged, in an absolute folder.
        verdict: of the gate.
    """
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from markupsafe import Markup

    sandbox = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    context = report_context(subject, verdict)
    style, script = (read_text(_TEMPLATES / f"report.{kind}") for kind in ("css", "js"))
    ours = {
        "style": style,
        "script": script,
        "policy": f"default-src 'none'; style-src {_allowed(style)}; script-src {_allowed(script)};"
        " base-uri 'none'; form-action 'none'",
        "data": json_in_html(context["data"]),
        "all_rows": context["rows"]["json"] if context["rows"] else "",
        "controls_figure": context["numbers"]["figure"] if context["numbers"] else "",
    }
    trusted: dict[str, Any] = {name: Markup(text) for name, text in ours.items()}  # noqa: S704
    trusted["answers"] = [
        each | {"figure": Markup(each["figure"])}  # noqa: S704 - made here, of escaped words
        for each in context["answers"]
    ]
    return sandbox.get_template("report.html.jinja").render(context | trusted)


def _allowed(text: str) -> str:
    """The source expression of the Content Security Policy that names exactly this text."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def report_context(subject: Subject, verdict: Verdict) -> Context:
    """All that the report shows, in texts that are safe to show but not yet escaped.

    Args:
        subject: what was judged, in an absolute folder.
        verdict: of the gate.
    """
    evidence, no_evidence = _read(subject, lambda each: each.evidence)
    calibration, no_numbers = _read(subject, _calibration)
    if calibration and (doubts := ", ".join(verdict.doubts)):
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
        "gate_verdict": verdicts.gate(verdict, calibration),
        "pair_verdict": verdicts.pair(verdict, calibration),
        "answers": verdicts.answers(verdict, calibration),
        "rows": browsed(evidence) if evidence else None,
        "choices": _choices(evidence) if evidence else None,
        "runs": {"header": RUNS_HEADER, "lines": recorded_runs(evidence)} if evidence else None,
        "environment": environment(evidence, _chains(subject)) if evidence else None,
        "provenance": provenance(subject.folder.name, evidence, calibration),
        **map_strings(without_local_paths(subject.folder), messages),
    }
    return {key: map_strings(visible, value) for key, value in context.items()} | {
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


def _read(subject: Subject, part: Callable[[MeasurementFolder], Found]) -> tuple[Found | None, str]:
    """A part of the first measurement; or None, and why."""
    if not subject.measurements:
        return None, "nothing was measured yet: run nla-release roundtrip"
    try:
        return part(subject.measurements[0]), ""
    except UnreadableError as error:
        return None, f"{error.path} cannot be used, see {error.rule}"


def _calibration(measurement: MeasurementFolder) -> Calibration:
    """What calibration.json says, where the evidence allows any number at all."""
    _, calibration = measurement.recomputed, measurement.calibration
    return calibration


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
    controls = list(_controls(calibration))
    low = lowest(controls)
    return {
        "label": calibration.label.name,
        "rule": calibration.label.rule,
        "header": HEADER,
        "tables": _tables(calibration),
        "controls": [row.cells for row in controls],
        "figure": ""
        if isinstance(calibration, CurrentCalibration)
        else rows_figure("controls", "The own explanation against controls", controls, low),
        "energy": _energy(calibration),
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


def _tables(calibration: Calibration) -> list[tuple[str, list[tuple[str, ...]]]]:
    """The rows of the three questions, which a calibration of an older format does not answer."""
    if not isinstance(calibration, CurrentCalibration):
        return []
    return [
        (each.question, [row.cells for row in [*each.rows, *each.more]])
        for each in questions(calibration)
    ]


def _controls(calibration: Calibration) -> Iterator[CalibrationRow]:
    """The plain cosine against each control, which every format has."""
    for name in CONTROL_NAMES:
        if name in calibration.controls:
            yield control_row(
                "Plain cosine (failures count 0)",
                calibration.cosine.mean,
                calibration.controls[name],
                CONTROLS[name].words,
            )


def _energy(calibration: Calibration) -> Context | None:
    """Which single dimensions hold the activations' energy, and whether they hold most of it."""
    energy = calibration.energy
    if energy is None:
        return None
    return {
        "dominated": energy.dominated,
        "mean_direction": number(energy.mean_direction),
        "lines": [
            (str(each.dimension), number(each.energy), number(each.cosine))
            for each in energy.dimensions
        ],
    }


def _others(calibration: Calibration) -> Iterator[NamedValue]:
    for name in type(calibration).model_fields:
        block = getattr(calibration, name)
        if name not in _ELSEWHERE and block is not None:
            for entry in described(block):
                yield entry | {"name": f"{name.replace('_', ' ')}: {entry['name']}"}


def _choices(evidence: Evidence) -> list[tuple[str, str]]:
    """How many rows were asked of how many there are, and what the author declares."""
    run, asked = evidence.run, evidence.run.evaluation
    documents = count(asked.documents, "document")
    available = asked.available
    return [
        ("activations measured", f"{asked.rows}, from {documents}"),
        ("activations available", "not recorded" if available is None else str(available)),
        (
            "checkpoints or settings tried, as declared by the author",
            "not declared" if run.attempts is None else str(run.attempts),
        ),
    ]


def _comparison(
    subject: Subject, evidence: Evidence | None, no_evidence: str
) -> list[str | Context]:
    """Sentences and tables against the release before, or one sentence why there are none."""
    release = subject.release
    if release is None or release.previous is None:
        return ["No previous release: set `previous` in release.yaml to compare with one."]
    if evidence is None:
        return [f"Not compared with the previous release: {no_evidence}."]
    try:
        before = read_measured(release.previous, f"previous: {release.previous.name}")
        facts = read_measured(subject.folder, "this release").facts
        found = compare([before, Measured("this release", evidence, facts)])
    except NlaReleaseError as error:
        return [f"Not compared with the previous release: {error.message}."]
    return [
        _table(part) if isinstance(part, ComparisonTable) else part
        for part in comparison_parts(found)
    ]


def _table(table: ComparisonTable) -> Context:
    return {"header": table.header, "lines": list(table.lines), "words": table.words}
