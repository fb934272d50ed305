"""Every rule passes on a good release, and finds each defect that is its own, and only it."""

import pytest

from nla_release.gate import RULES
from tests.pairs import DEFECTS
from tests.pairs.zoo import judged


def test_every_rule_passes_on_a_good_release(good):
    verdict = judged(good)

    assert [outcome.rule.code for outcome in verdict.outcomes if outcome.state != "passed"] == []
    assert (verdict.verdict, verdict.exit_code) == ("pass", 0)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_is_found_by_its_rule(defect, release):
    """This code fires and no other, but that what was rendered before differs now."""
    folder = release if defect.what == "release" else release / defect.what
    defect.break_it(folder)

    verdict = judged(release, defect.what)

    found = {finding.code for finding in verdict.findings}
    assert found - {"NLA514", *defect.also} == {defect.code} - {"NLA514"}
    assert defect.code in found


def test_every_rule_has_a_defect_in_the_zoo():
    assert {defect.code for defect in DEFECTS} == {rule.code for rule in RULES}
