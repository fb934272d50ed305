"""A verdict as SARIF 2.1.0 (OASIS, docs.oasis-open.org/sarif/sarif/v2.1.0), for code scanning.

Every rule is described with its whole page. A waived finding is a result that is suppressed, and
what was skipped or not computed is a notification of the run: neither disappears.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nla_release import __version__
from nla_release.gate.findings import Finding
from nla_release.gate.model import Rule, Verdict
from nla_release.io.files import dump_json
from nla_release.output.json import label_facts
from nla_release.output.page import rule_page
from nla_release.output.places import place_of, repository_root
from nla_release.release.config import Waiver

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
                        *(f"not computed: {what}" for what in outcome.unverified),
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
