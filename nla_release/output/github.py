"""A verdict as GitHub's workflow commands, which become annotations on files of a pull request.

The runner reads a command from any line of either stream that begins with `::`, and the older
form from any line that holds `##[` (actions/runner, ActionCommand.cs). Text of strangers is
escaped for the first and parted for the second.
"""

from pathlib import Path

from nla_release.gate.findings import Finding
from nla_release.gate.model import Verdict
from nla_release.output.places import place_of, repository_root
from nla_release.output.text import (
    closing_lines,
    measured_lines,
    skipped_lines,
    unverified_lines,
    waiver_words,
)


def verdict_github(verdict: Verdict, folder: Path) -> str:
    """Annotations, then plain lines: skips, what was not computed, totals; a final newline."""
    lines = [
        *annotations(verdict, folder),
        *map(without_commands, skipped_lines(verdict)),
        *map(without_commands, unverified_lines(verdict)),
        *map(without_commands, measured_lines(verdict)),
        *closing_lines(verdict),
    ]
    return "".join(f"{line}\n" for line in lines)


def annotations(verdict: Verdict, folder: Path) -> list[str]:
    """A command per finding; a waived one is a notice.

    Files are named from the root of the repository that `folder` is in, which was checked.
    """
    root = repository_root(folder)
    titles = {outcome.rule.code: outcome.rule.title for outcome in verdict.outcomes}
    found = [
        _command(each.severity, each, root, f"{each.code}: {titles[each.code]}")
        for each in verdict.findings
    ]
    waived = [
        _command("notice", each, root, f"{each.code} {waiver_words(waiver)}")
        for each, waiver in verdict.waived
    ]
    return found + waived


def without_commands(text: str) -> str:
    """The text with the older form of a command taken apart."""
    return text.replace("##[", "## [")


def _command(kind: str, finding: Finding, root: Path | None, title: str) -> str:
    place = place_of(finding.path, root)
    line = f",line={place.line}" if place.line else ""
    where = f"file={_property(place.path)}{line},title={_property(title)}"
    return without_commands(f"::{kind} {where}::{_data(finding.message)}")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
