"""A verdict as SARIF 2.1.0 (OASIS, docs.oasis-open.org/sarif/sarif/v2.1.0), for code scanning.

Every rule is described with its whole page. A waived finding is a result that is suppressed, and
what was skipped is a notification of the run: neither disappears.
"""

from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from nla_release import __version__
from nla_release.files import dump_json
from nla_release.output.page import rule_page
from nla_release.release_config import Waiver
from nla_release.rules.model import Finding, Rule, Verdict

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"

_CHECKED = "CHECKED_FOLDER"


def verdict_sarif(verdict: Verdict, folder: Path) -> str:
    """The log with a final newline; locations are relative to `folder`, which was checked."""
    codes = [outcome.rule.code for outcome in verdict.outcomes]
    results = [_result(finding, codes, folder) for finding in verdict.findings]
    results += [
        _result(finding, codes, folder) | {"suppressions": [_suppression(waiver)]}
        for finding, waiver in verdict.waived
    ]
    run = {
        "tool": {
            "driver": {
                "name": "nla-release",
                "version": __version__,
                "rules": [_rule(outcome.rule) for outcome in verdict.outcomes],
            }
        },
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_CHECKED: {"description": {"text": "The folder that was checked."}}},
        "results": results,
        "invocations": [
            {
                "executionSuccessful": True,
                "exitCode": verdict.exit_code,
                "toolExecutionNotifications": [
                    _skip(index, outcome.rule.code, reason)
                    for index, outcome in enumerate(verdict.outcomes)
                    for reason in outcome.skipped
                ],
            }
        ],
        "properties": {"verdict": verdict.verdict, "rules": verdict.totals},
    }
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


def _result(finding: Finding, codes: list[str], folder: Path) -> dict[str, Any]:
    return {
        "ruleId": finding.code,
        "ruleIndex": codes.index(finding.code),
        "level": finding.severity,
        "message": {"text": _plain(finding.message)},
        "locations": [
            {"physicalLocation": {"artifactLocation": _location(finding.path, folder)}},
        ],
    }


def _location(found: str, folder: Path) -> dict[str, str]:
    path = PurePath(found)
    if not path.is_absolute() or not path.is_relative_to(folder):
        return {"uri": quote(path.as_posix())}
    return {"uri": quote(path.relative_to(folder).as_posix()), "uriBaseId": _CHECKED}


def _suppression(waiver: Waiver) -> dict[str, Any]:
    return {
        "kind": "external",
        "status": "accepted",
        "justification": waiver.reason,
        "properties": {"until": waiver.until.isoformat()},
    }


def _skip(index: int, code: str, reason: str) -> dict[str, Any]:
    return {
        "level": "note",
        "message": {"text": _plain(f"skipped: {reason}")},
        "associatedRule": {"id": code, "index": index},
    }


def _plain(text: str) -> str:
    """Text in which no viewer finds a placeholder (3.11.5) or a link (3.11.6)."""
    return text.replace("{", "{{").replace("}", "}}").replace("](", "] (")
