"""A verdict for machines: one JSON document, the same for the same verdict."""

from dataclasses import asdict
from typing import Any

from nla_release import __version__
from nla_release.calibration.report import Label
from nla_release.gate.model import Verdict
from nla_release.io.files import dump_json

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
