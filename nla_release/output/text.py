"""A verdict for people: a line per finding, a line per skip, and the count of all rules."""

from nla_release.rules.model import Verdict


def verdict_text(verdict: Verdict) -> str:
    """Lines without a final newline: `CODE severity  path  message`, then the totals."""
    lines = [
        f"{finding.code} {finding.severity:<7}  {finding.path}  {finding.message}"
        for finding in verdict.findings
    ]
    lines += skipped_lines(verdict)
    if lines:
        lines.append("")
    totals = verdict.totals
    counts = ", ".join(f"{count} {state}" for state, count in totals.items())
    return "\n".join(
        [*lines, f"{sum(totals.values())} rules: {counts}", f"verdict: {verdict.verdict}"]
    )


def skipped_lines(verdict: Verdict) -> list[str]:
    """What was not checked, and why: it is not a pass."""
    return [
        f"{outcome.rule.code} skipped  {reason}"
        for outcome in verdict.outcomes
        for reason in outcome.skipped
    ]
