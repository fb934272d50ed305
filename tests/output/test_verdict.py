"""One verdict, two renderings: what a person reads and what a machine reads never disagree."""

import json
import re

import pytest

from nla_release import __version__
from nla_release.calibration.report import Grades, Label
from nla_release.gate.findings import Finding, Page
from nla_release.gate.model import Outcome, Rule, Verdict
from nla_release.output.ci import verdict_junit, verdict_sarif
from nla_release.output.rule_pages import rule_list, rule_page
from nla_release.output.verdict import verdict_json, verdict_text
from tests.output.readers import junit_properties, sarif_run


def a_rule(code, severity="error", **options):
    page = Page("It looks.", "It broke once.", "Mend it.", "it is broken", "Never.")
    return Rule(code, severity, f"title of {code}", page, lambda _: iter(()), **options)


def failing(code, severity="error", *, skipped=(), **options):
    finding = Finding(code, severity, f"av/{code}.json", f"is wrong as {code} says")
    return Outcome(a_rule(code, severity, **options), (finding,), skipped)


PASSED = Outcome(a_rule("NLA101"), (), ())
SKIPPED = Outcome(a_rule("NLA202"), (), ("no tokenizer",))

VERDICTS = {
    "pass": Verdict((PASSED, SKIPPED)),
    "fail": Verdict(
        (PASSED, SKIPPED, failing("NLA402", "warning"), failing("NLA301", skipped=("no head",)))
    ),
    "inconclusive": Verdict((PASSED, failing("NLA608", "warning", inconclusive=True))),
}

FAIL_TEXT = """\
NLA301 error    av/NLA301.json  is wrong as NLA301 says
NLA402 warning  av/NLA402.json  is wrong as NLA402 says
skipped  no tokenizer: NLA202
skipped  no head: NLA301

4 rules: 1 passed, 1 failed, 1 warned, 1 skipped
verdict: fail"""


def test_the_text_names_findings_skips_and_the_count():
    assert verdict_text(VERDICTS["fail"]) == FAIL_TEXT


def test_the_text_of_a_pass_without_skips_is_two_lines():
    assert verdict_text(Verdict((PASSED,))) == (
        "1 rules: 1 passed, 0 failed, 0 warned, 0 skipped\nverdict: pass"
    )


def test_how_good_the_pair_is_stands_on_a_line_of_its_own_and_the_gate_does_not_decide_by_it():
    grades = Grades(reads_text="no", tells_rows_apart="no", readable="not measured")
    label = Label(name="format-only", sentence="Format-only.", grades=grades)
    verdict = Verdict((PASSED,), label=label)

    assert verdict.exit_code == 0
    line, last = verdict_text(verdict).splitlines()[-2:]
    assert last == "verdict: pass"
    assert line == (
        "label: format-only; tells rows apart: no; AR reads the text: no;"
        " a reader can use the text: not measured"
    )
    assert json.loads(verdict_json(verdict))["label"] == {
        "name": "format-only",
        "reads_text": "no",
        "tells_rows_apart": "no",
        "readable": "not measured",
    }


def test_every_document_for_machines_has_the_label_next_to_the_verdict(tmp_path):
    """A dashboard of any format shows both: the gate does not say how good the pair is."""
    grades = Grades(reads_text="yes", tells_rows_apart="partly", readable="no")
    verdict = Verdict((PASSED,), label=Label(name="token-level", sentence="", grades=grades))
    label = json.loads(verdict_json(verdict))["label"]

    assert sarif_run(verdict_sarif(verdict, tmp_path))["properties"]["label"] == label
    found = junit_properties(verdict_junit(verdict))
    assert (found["verdict"], found["label.name"]) == ("pass", "token-level")
    assert {f"label.{key}": value for key, value in label.items()}.items() <= found.items()
    bare = Verdict((PASSED,))
    assert "label" not in sarif_run(verdict_sarif(bare, tmp_path))["properties"]
    assert not [name for name in junit_properties(verdict_junit(bare)) if "label" in name]


def test_a_label_of_an_older_format_has_no_grades():
    verdict = Verdict((PASSED,), label=Label(name="topic-level", sentence="Topic-level."))

    assert verdict_text(verdict).splitlines()[-2] == (
        "label: topic-level (of an older format, without the three questions)"
    )
    assert json.loads(verdict_json(verdict))["label"] == {"name": "topic-level"}


def test_the_json_document_has_the_fixed_keys():
    assert json.loads(verdict_json(VERDICTS["fail"])) == {
        "schema_version": 1,
        "tool_version": __version__,
        "verdict": "fail",
        "label": None,
        "findings": [
            {
                "code": "NLA301",
                "severity": "error",
                "path": "av/NLA301.json",
                "message": "is wrong as NLA301 says",
            },
            {
                "code": "NLA402",
                "severity": "warning",
                "path": "av/NLA402.json",
                "message": "is wrong as NLA402 says",
            },
        ],
        "waived": [],
        "unverified": [],
        "rules": {"total": 4, "passed": 1, "failed": 1, "warned": 1, "waived": 0, "skipped": 1},
    }


@pytest.mark.parametrize("name", VERDICTS)
def test_text_and_json_agree(name):
    verdict = VERDICTS[name]
    text, document = verdict_text(verdict), json.loads(verdict_json(verdict))

    assert document["verdict"] == name
    assert text.splitlines()[-1] == f"verdict: {name}"
    counted = re.search(
        r"(\d+) rules: (\d+) passed, (\d+) failed, (\d+) warned, (\d+) skipped", text
    )
    assert [int(count) for count in counted.groups()] == [
        document["rules"][key] for key in ("total", "passed", "failed", "warned", "skipped")
    ]
    lines = re.findall(r"^(NLA\d+) (error|warning) +(\S+)  (.+)$", text, re.MULTILINE)
    assert lines == [tuple(finding.values()) for finding in findings_of(document)]


def findings_of(document):
    return [
        {key: finding[key] for key in ("code", "severity", "path", "message")}
        for finding in document["findings"]
    ]


def test_a_page_is_read_from_title_to_version():
    assert rule_page(a_rule("NLA999")) == (
        "NLA999 error: title of NLA999\n\n"
        "What it checks\n  It looks.\n\n"
        "Why it matters\n  It broke once.\n\n"
        "How to fix\n  Mend it.\n\n"
        "Example\n  it is broken\n\n"
        "When to waive\n  Never.\n\n"
        "Since version\n  0.1.0"
    )


def test_the_list_has_a_line_per_rule():
    rules = [a_rule("NLA101"), a_rule("NLA402", "warning")]

    assert rule_list(rules) == "NLA101 error    title of NLA101\nNLA402 warning  title of NLA402"
