"""A verdict as GitHub-flavoured Markdown: a step summary, or a comment on a pull request."""

from collections.abc import Sequence

from nla_release.gate.model import Verdict
from nla_release.output.text import label_lines, measured_lines, totals_line
from nla_release.text.markdown import inline

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
            *_table("Not computed", _UNVERIFIED, unverified),
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
