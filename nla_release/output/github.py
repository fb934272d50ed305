"""A verdict as GitHub's workflow commands, which become annotations on files of a pull request.

The runner reads a command from any line of either stream that begins with `::`, and the older
form from any line that holds `##[` (actions/runner, ActionCommand.cs). Text of strangers is
escaped for the first and parted for the second.
"""

from nla_release.output.text import skipped_lines, totals_line, waiver_words
from nla_release.rules.model import Finding, Verdict


def verdict_github(verdict: Verdict) -> str:
    """Annotations, then skips and totals as plain lines, with a final newline."""
    lines = [
        *annotations(verdict),
        *map(without_commands, skipped_lines(verdict)),
        totals_line(verdict),
        f"verdict: {verdict.verdict}",
    ]
    return "".join(f"{line}\n" for line in lines)


def annotations(verdict: Verdict) -> list[str]:
    """A command per finding; a waived one is a notice."""
    titles = {outcome.rule.code: outcome.rule.title for outcome in verdict.outcomes}
    found = [
        _command(each.severity, each, f"{each.code}: {titles[each.code]}")
        for each in verdict.findings
    ]
    waived = [
        _command("notice", each, f"{each.code} {waiver_words(waiver)}")
        for each, waiver in verdict.waived
    ]
    return found + waived


def without_commands(text: str) -> str:
    """The text with the older form of a command taken apart."""
    return text.replace("##[", "## [")


def _command(kind: str, finding: Finding, title: str) -> str:
    place = f"file={_property(finding.path)},title={_property(title)}"
    return without_commands(f"::{kind} {place}::{_data(finding.message)}")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
