"""A verdict for CI services: GitHub annotations, JUnit XML and SARIF 2.1.0.

GitHub's runner reads a command from any line of either stream that begins with `::`, and the older
form from any line that holds `##[` (actions/runner, ActionCommand.cs). Untrusted text is escaped
for the first and split for the second.

JUnit has no standard; this is what Jenkins, GitLab and GitHub's actions read. There is a test case
per rule, so that an empty run is visible. A warning passes and keeps its findings in `system-out`,
a waived rule is skipped, and a rule with too few measurements is an error.

SARIF (docs.oasis-open.org/sarif/sarif/v2.1.0) is what GitHub's code scanning reads.
"""

import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from nla_release import __version__
from nla_release.gate.findings import Finding
from nla_release.gate.model import Outcome, Rule, Verdict
from nla_release.io.files import dump_json
from nla_release.output.rule_pages import rule_page
from nla_release.output.verdict import (
    closing_lines,
    label_facts,
    measured_lines,
    skipped_lines,
    unverified_lines,
    verdict_json,
    verdict_markdown,
    verdict_text,
    waiver_words,
)
from nla_release.release.config import Waiver

_WITH_LINE = re.compile(r"(?P<path>.+):(?P<line>[1-9][0-9]{0,8})", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """A file as a POSIX path, and the line in it, from 1, where the rule knows one.

    `inside` is whether the path is relative to the root that was asked for.
    """

    path: str
    line: int | None
    inside: bool


def repository_root(folder: Path, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The root of the git repository that a folder is in; None outside of any.

    In GitHub Actions a workspace without `.git` counts as one too.
    """
    start = Path(os.path.abspath(folder))  # noqa: PTH100 - findings do not follow links either
    for each in (start, *start.parents):
        if (each / ".git").exists():
            return each
    workspace = environment.get("GITHUB_WORKSPACE")
    return Path(workspace) if workspace and start.is_relative_to(workspace) else None


def place_of(found: str, root: Path | None) -> Place:
    """The place of a finding, relative to `root` if it is in there.

    Args:
        found: the finding's `path`: absolute, or relative to the working directory, and perhaps
            with `:LINE` after it.
        root: a folder as an absolute path, or None to leave paths as they are.
    """
    path, line = found, None
    if (match := _WITH_LINE.fullmatch(found)) and not os.path.lexists(found):
        path, line = match["path"], int(match["line"])
    pure = PurePath(path)
    if root is None:
        return Place(pure.as_posix(), line, inside=False)
    absolute = Path(os.path.normpath(Path.cwd() / pure))  # without `..`, and following no links
    if absolute.is_relative_to(root):
        return Place(absolute.relative_to(root).as_posix(), line, inside=True)
    return Place(pure.as_posix(), line, inside=False)


def verdict_github(verdict: Verdict, folder: Path) -> str:
    """Annotations, then plain lines: skips, what is not checkable, totals; a final newline."""
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


SUITE = "nla-release check"


def verdict_junit(verdict: Verdict) -> str:
    """An XML document with a final newline; no times in it, so the same for the same verdict."""
    cases = [_junit_case(outcome) for outcome in verdict.outcomes]
    counts = {"tests": str(len(cases))} | {
        name: str(sum(case.find(tag) is not None for case in cases))
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
    }
    suites = ET.Element("testsuites", {"name": SUITE, **counts})
    suite = ET.SubElement(suites, "testsuite", {"name": SUITE, **counts})
    properties = ET.SubElement(suite, "properties")
    facts = {"tool_version": __version__, "verdict": verdict.verdict}
    if verdict.label:
        facts |= {f"label.{key}": value for key, value in label_facts(verdict.label).items()}
    for name, value in (facts | {key: str(count) for key, count in verdict.totals.items()}).items():
        ET.SubElement(properties, "property", {"name": name, "value": value})
    suite.extend(cases)
    ET.indent(suites)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{ET.tostring(suites, encoding='unicode')}\n"


def _junit_case(outcome: Outcome) -> ET.Element:
    rule, state = outcome.rule, outcome.state
    case = ET.Element("testcase", {"classname": rule.code, "name": rule.title})
    found = [f"{each.severity}: {each.path}: {each.message}" for each in outcome.findings]
    skipped = [f"skipped: {reason}" for reason in outcome.skipped]
    unverified = [f"not checkable from files: {what}" for what in outcome.unverified]
    if state == "failed":
        ET.SubElement(case, "failure", _junit_problem(found, rule.severity)).text = "\n".join(found)
        found = []
    elif state == "warned" and rule.inconclusive:
        ET.SubElement(case, "error", _junit_problem(found, "inconclusive")).text = "\n".join(found)
        found = []
    elif outcome.waiver is not None:
        ET.SubElement(case, "skipped", {"message": waiver_words(outcome.waiver)})
    elif state == "skipped":
        ET.SubElement(case, "skipped", {"message": "; ".join(outcome.skipped)})
        skipped = []
    if said := found + skipped + unverified:
        ET.SubElement(case, "system-out").text = "\n".join(said)
    return case


def _junit_problem(found: list[str], kind: str) -> dict[str, str]:
    others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return {"message": found[0] + others, "type": kind}


SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"

# The page about the method: the tool has no page of its own on the web.
INFORMATION = "https://transformer-circuits.pub/2026/nla/"

# Relative locations by what they are relative to. Code scanning knows the first by its name.
_REPOSITORY = "%SRCROOT%"
_CHECKED = "CHECKED_FOLDER"
_BASES = {_REPOSITORY: "The root of the repository.", _CHECKED: "The folder that was checked."}


@dataclass(frozen=True)
class _Root:
    """What locations are relative to: a repository, or outside of any the checked folder."""

    folder: Path
    base: str

    @classmethod
    def of(cls, folder: Path) -> "_Root":
        repository = repository_root(folder)
        if repository:
            return cls(repository, _REPOSITORY)
        return cls(folder.absolute(), _CHECKED)


def verdict_sarif(verdict: Verdict, folder: Path) -> str:
    """The log with a final newline.

    Locations are relative to the root of the repository that `folder` is in, which was checked, or
    else to `folder`.
    """
    root = _Root.of(folder)
    codes = [outcome.rule.code for outcome in verdict.outcomes]
    results = [_result(finding, codes, root) for finding in verdict.findings]
    results += [
        _result(finding, codes, root) | {"suppressions": [_suppression(waiver)]}
        for finding, waiver in verdict.waived
    ]
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "nla-release",
                "version": __version__,
                "informationUri": INFORMATION,
                "rules": [_rule(outcome.rule) for outcome in verdict.outcomes],
            }
        },
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {root.base: {"description": {"text": _BASES[root.base]}}},
        "results": results,
        "invocations": [
            {
                "executionSuccessful": True,
                "exitCode": verdict.exit_code,
                "toolExecutionNotifications": [
                    _note(index, outcome.rule.code, words)
                    for index, outcome in enumerate(verdict.outcomes)
                    for words in (
                        *(f"skipped: {reason}" for reason in outcome.skipped),
                        *(f"not checkable from files: {what}" for what in outcome.unverified),
                    )
                ],
            }
        ],
        "properties": {"verdict": verdict.verdict, "rules": verdict.totals},
    }
    if verdict.label:
        run["properties"] |= {"label": label_facts(verdict.label)}
    return dump_json({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(rule: Rule) -> dict[str, Any]:
    sections = [f"## {heading}\n\n{text}" for heading, text in rule.page.sections()]
    return {
        "id": rule.code,
        "shortDescription": {"text": _plain(rule.title)},
        "fullDescription": {"text": _plain(rule.page.checks)},
        "help": {"text": _plain(rule_page(rule)), "markdown": _plain("\n\n".join(sections))},
        "defaultConfiguration": {"level": rule.severity},
    }


def _result(finding: Finding, codes: list[str], root: _Root) -> dict[str, Any]:
    return {
        "ruleId": finding.code,
        "ruleIndex": codes.index(finding.code),
        "level": finding.severity,
        "message": {"text": _plain(finding.message)},
        "locations": [{"physicalLocation": _location(finding.path, root)}],
    }


def _location(found: str, root: _Root) -> dict[str, Any]:
    place = place_of(found, root.folder)
    artifact = {"uri": quote(place.path)}
    if place.inside:
        artifact["uriBaseId"] = root.base
    region = {"region": {"startLine": place.line}} if place.line else {}
    return {"artifactLocation": artifact, **region}


def _suppression(waiver: Waiver) -> dict[str, Any]:
    return {
        "kind": "external",
        "status": "accepted",
        "justification": waiver.reason,
        "properties": {"until": waiver.until.isoformat()},
    }


def _note(index: int, code: str, words: str) -> dict[str, Any]:
    return {
        "level": "note",
        "message": {"text": _plain(words)},
        "associatedRule": {"id": code, "index": index},
    }


def _plain(text: str) -> str:
    """Text in which no viewer finds a placeholder (3.11.5) or a link (3.11.6)."""
    return text.replace("{", "{{").replace("}", "}}").replace("](", "] (")


# The formats of `check`, by the name that --format takes: the verdict on a folder, as text.
FORMATS: dict[str, Callable[[Verdict, Path], str]] = {
    "text": lambda verdict, _: f"{without_commands(verdict_text(verdict))}\n",
    "json": lambda verdict, _: verdict_json(verdict),
    "junit": lambda verdict, _: verdict_junit(verdict),
    "sarif": verdict_sarif,
    "github": verdict_github,
    "markdown": lambda verdict, _: verdict_markdown(verdict),
}
