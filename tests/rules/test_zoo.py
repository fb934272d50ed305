"""Every rule passes on a good release, and finds each defect that is its own, and only it."""

import pytest

from nla_release.rules import RULES
from tests.rules.zoo import DEFECTS, judged


def test_every_rule_passes_on_a_good_release(good):
    verdict = judged(good)

    assert [outcome.rule.code for outcome in verdict.outcomes if outcome.state != "passed"] == []
    assert (verdict.verdict, verdict.exit_code) == ("pass", 0)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_is_found_by_its_rule(defect, release):
    """An error is the only error; a warning comes without any."""
    folder = release if defect.what == "release" else release / defect.what
    defect.break_it(folder)

    verdict = judged(release, defect.what)

    severity = next(rule.severity for rule in RULES if rule.code == defect.code)
    errors = {finding.code for finding in verdict.findings if finding.severity == "error"}
    assert errors == ({defect.code} if severity == "error" else set())
    assert defect.code in {finding.code for finding in verdict.findings}


def test_every_rule_has_a_defect_in_the_zoo():
    assert {defect.code for defect in DEFECTS} == {rule.code for rule in RULES}
