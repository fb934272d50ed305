"""A verdict as text, as JSON, and as GitHub-flavoured Markdown.

Each lists the findings, what was not checked and why, and the count of all rules.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from nla_release import __version__
from nla_release.calibration.report import Label
from nla_release.gate.model import Verdict
from nla_release.io.files import dump_json
from nla_release.release.config import Waiver
from nla_release.text.markdown import inline
from nla_release.text.numbers import number


def verdict_text(verdict: Verdict) -> str:
    """Lines without a final newline: `CODE severity  path  message`, then the totals."""
    lines = [
        f"{finding.code} {finding.severity:<7}  {finding.path}  {finding.message}"
        for finding in verdict.findings
    ]
    lines += [
        f"{finding.code} waived   {finding.path}  {finding.message} ({waiver_words(waiver)})"
        for finding, waiver in verdict.waived
    ]
    lines += skipped_lines(verdict)
    lines += unverified_lines(verdict)
    lines += measured_lines(verdict)
    if lines:
        lines.append("")
    return "\n".join([*lines, *closing_lines(verdict)])


def closing_lines(verdict: Verdict) -> list[str]:
    """The totals, how good the pair is where that is known, and the gate's verdict."""
    return [totals_line(verdict), *label_lines(verdict), f"verdict: {verdict.verdict}"]


def label_lines(verdict: Verdict) -> list[str]:
    """How good the pair is, on one line; none without a label. The gate does not decide by it."""
    label = verdict.label
    if label is None:
        return []
    if (grades := label.grades) is None:
        return [f"label: {label.name} (of an older format, without the three questions)"]
    answers = {
        "tells rows apart": grades.tells_rows_apart,
        "AR reads the text": grades.reads_text,
        "a reader can use the text": grades.readable,
    }
    return ["; ".join([f"label: {label.name}", *(f"{ask}: {it}" for ask, it in answers.items())])]


def skipped_lines(verdict: Verdict) -> list[str]:
    """What was not checked, and why, a line per reason: it is not a pass."""
    return [f"skipped  {reason}: {', '.join(codes)}" for reason, codes in verdict.reasons.items()]


def unverified_lines(verdict: Verdict) -> list[str]:
    """What people wrote or chose, and nothing was compared with, a line each."""
    return [f"not checkable from files: {what}" for what in verdict.unverified]


def measured_lines(verdict: Verdict) -> list[str]:
    """What measuring rows again found, a line where it was asked for."""
    if (found := verdict.measured) is None:
        return []
    largest, smallest_shown = found.cosine.value, 1e-6
    shown = "below 0.000001" if largest < smallest_shown else number(largest)
    line = (
        f"measured  {found.rows} of {found.available} rows again ({found.used}; --measure-seed"
        f" {found.seed}): {found.texts_same} of {found.rows} explanations are the same; of"
        f" {found.read} reconstructions the largest difference of a cosine is {shown}"
        f" (tolerance {number(found.tolerance.cosine)})"
    )
    activations = f"measured  {found.extracted} of {found.rows} activations extracted again"
    if found.activation is not None:
        activations += (
            f": the lowest cosine with the published one is {number(1 - found.activation.value)}"
            f" (minimum {number(1 - found.tolerance.activation)})"
        )
    if missing := found.rows - found.extracted:
        activations += f"; {missing} not extracted again (no text, or none that the base can read)"
    return [line, activations]


def totals_line(verdict: Verdict) -> str:
    """How many rules there are and what became of them; waivers only where there are any."""
    totals = verdict.totals
    shown = {state: count for state, count in totals.items() if count or state != "waived"}
    counts = ", ".join(f"{count} {state}" for state, count in shown.items())
    return f"{sum(totals.values())} rules: {counts}"


def waiver_words(waiver: Waiver) -> str:
    """Until when a finding may stand, and why."""
    return f"waived until {waiver.until}: {waiver.reason}"


SCHEMA_VERSION = 1


def verdict_json(verdict: Verdict) -> str:
    """The document with a final newline; findings in the order of the text."""
    totals = verdict.totals
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "tool_version": __version__,
        "verdict": verdict.verdict,
        "label": label_facts(verdict.label) if verdict.label else None,
        "findings": [asdict(finding) for finding in verdict.findings],
        "waived": [
            asdict(finding) | {"reason": waiver.reason, "until": waiver.until.isoformat()}
            for finding, waiver in verdict.waived
        ],
        "unverified": verdict.unverified,
        "rules": {"total": sum(totals.values()), **totals},
    }
    if verdict.measured:
        document["measured"] = asdict(verdict.measured)
    return dump_json(document)


def label_facts(label: Label) -> dict[str, str]:
    """How good the pair is: the label's name and its grades, where it has them."""
    return {"name": label.name, **(label.grades.model_dump() if label.grades else {})}


_FINDINGS = ("Rule", "Severity", "File", "Finding")
_WAIVED = ("Rule", "Until", "Reason", "File", "Finding")
_SKIPPED = ("Not checked, because", "Rules")
_UNVERIFIED = ("Words and choices of people",)


def verdict_markdown(verdict: Verdict) -> str:
    """Headed by the verdict and the totals; tables of all that was found or left out."""
    findings = [
        (each.code, each.severity, inline(each.path), inline(each.message))
        for each in verdict.findings
    ]
    waived = [
        (
            each.code,
            waiver.until.isoformat(),
            inline(waiver.reason),
            inline(each.path),
            inline(each.message),
        )
        for each, waiver in verdict.waived
    ]
    skipped = [(inline(reason), ", ".join(codes)) for reason, codes in verdict.reasons.items()]
    unverified = [(inline(what),) for what in verdict.unverified]
    return "\n\n".join(
        [
            f"### nla-release check: {verdict.verdict}",
            f"{totals_line(verdict)}.",
            *(f"**How good the pair is**, {line}." for line in label_lines(verdict)),
            *_table("Findings", _FINDINGS, findings),
            *_table("Waived", _WAIVED, waived),
            *_table("Skipped", _SKIPPED, skipped),
            *_table("Not checkable from files", _UNVERIFIED, unverified),
            *(f"{inline(line)}." for line in measured_lines(verdict)),
            "`nla-release explain CODE` says why a rule matters and how to fix what it finds.\n",
        ]
    )


def _table(title: str, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The title and the table; nothing when it would be empty."""
    if not rows:
        return []
    lines = [header, ("---",) * len(header), *rows]
    return [f"**{title}**", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
