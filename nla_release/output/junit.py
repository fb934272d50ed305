"""A verdict as a JUnit report: a test case per rule, so that an empty run is seen to be empty.

JUnit has no standard; this is what Jenkins, GitLab and GitHub's actions read. Its states are fewer
than ours: a warning passes and keeps its findings in `system-out`, a waived rule is a skipped one,
and a rule that says too little was measured is an error, which neither passes nor fails.
"""

import xml.etree.ElementTree as ET

from nla_release import __version__
from nla_release.gate.model import Outcome, Verdict
from nla_release.output.json import label_facts
from nla_release.output.text import waiver_words

SUITE = "nla-release check"


def verdict_junit(verdict: Verdict) -> str:
    """An XML document with a final newline; no times in it, so the same for the same verdict."""
    cases = [_case(outcome) for outcome in verdict.outcomes]
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


def _case(outcome: Outcome) -> ET.Element:
    rule, state = outcome.rule, outcome.state
    case = ET.Element("testcase", {"classname": rule.code, "name": rule.title})
    found = [f"{each.severity}: {each.path}: {each.message}" for each in outcome.findings]
    skipped = [f"skipped: {reason}" for reason in outcome.skipped]
    unverified = [f"not computed: {what}" for what in outcome.unverified]
    if state == "failed":
        ET.SubElement(case, "failure", _shown(found, rule.severity)).text = "\n".join(found)
        found = []
    elif state == "warned" and rule.inconclusive:
        ET.SubElement(case, "error", _shown(found, "inconclusive")).text = "\n".join(found)
        found = []
    elif outcome.waiver is not None:
        ET.SubElement(case, "skipped", {"message": waiver_words(outcome.waiver)})
    elif state == "skipped":
        ET.SubElement(case, "skipped", {"message": "; ".join(outcome.skipped)})
        skipped = []
    if said := found + skipped + unverified:
        ET.SubElement(case, "system-out").text = "\n".join(said)
    return case


def _shown(found: list[str], kind: str) -> dict[str, str]:
    others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return {"message": found[0] + others, "type": kind}
