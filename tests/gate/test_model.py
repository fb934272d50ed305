"""A verdict follows from the outcomes of rules, and a skipped rule is never a passed one."""

import pytest

from nla_release.gate.findings import Problem, Skip, UnreadableError
from nla_release.gate.model import Scope, Verdict, rule


def outcome(*results, targets=("target",), strict=False, code="NLA999", **options):
    """The outcome of a rule whose function gives these results for every target."""

    def check(_target):
        """Summary.

        Checks: checks
        Why: why
        Fix: fix
        Example: example
        Waive: waive
        """
        for result in results:
            if isinstance(result, Exception):
                raise result
            yield result

    severity = options.pop("severity", "error")
    scope = Scope(lambda _: list(targets), "nothing of the kind")
    made = rule(code, severity, "title", each=scope, **options)(check)
    return made.apply(None, strict=strict)


def test_a_rule_without_findings_passes():
    verdict = Verdict((outcome(),))

    assert verdict.totals == {"passed": 1, "failed": 0, "warned": 0, "waived": 0, "skipped": 0}
    assert (verdict.verdict, verdict.exit_code) == ("pass", 0)


def test_an_error_fails():
    verdict = Verdict((outcome(), outcome(Problem("file", "is wrong"))))

    assert (verdict.verdict, verdict.exit_code) == ("fail", 1)
    assert verdict.totals == {"passed": 1, "failed": 1, "warned": 0, "waived": 0, "skipped": 0}


def test_a_warning_passes_unless_strict():
    assert Verdict((outcome(Problem("file", "odd"), severity="warning"),)).verdict == "pass"
    strict = Verdict((outcome(Problem("file", "odd"), severity="warning", strict=True),))

    assert strict.verdict == "fail"
    assert [finding.severity for finding in strict.findings] == ["error"]


def test_a_problem_may_be_milder_than_its_rule():
    assert outcome(Problem("file", "odd", severity="warning")).state == "warned"


def test_nothing_checked_is_inconclusive():
    verdict = Verdict((outcome(Skip("no tokenizer")), outcome(targets=())))

    assert (verdict.verdict, verdict.exit_code) == ("inconclusive", 3)
    assert [each.skipped for each in verdict.outcomes] == [
        ("no tokenizer",),
        ("nothing of the kind",),
    ]


def test_too_little_measured_is_inconclusive_even_when_strict():
    few = outcome(Problem("rows", "few"), severity="warning", inconclusive=True, strict=True)

    assert Verdict((outcome(), few)).verdict == "inconclusive"
    assert Verdict((few, outcome(Problem("file", "is wrong")))).verdict == "fail"


def test_a_rule_that_skipped_a_part_has_not_passed():
    assert outcome(Skip("no sidecar")).state == "skipped"
    assert outcome(Skip("no sidecar"), Problem("file", "is wrong")).state == "failed"


def test_an_unreadable_file_is_a_finding_of_one_rule_and_a_skip_of_the_others():
    unreadable = UnreadableError("NLA101", "nla_meta.yaml", "does not exist")

    owner = outcome(unreadable, code="NLA101")
    other = outcome(unreadable, code="NLA102")

    assert [finding.message for finding in owner.findings] == ["does not exist"]
    assert other.findings == ()
    assert other.skipped == ("nla_meta.yaml cannot be used, see NLA101",)


def test_one_unreadable_target_does_not_hide_the_next():
    applied = outcome(UnreadableError("NLA999", "file", "is damaged"), targets=("first", "second"))

    assert len(applied.findings) == 2


def test_errors_come_before_warnings_and_rules_stay_in_order():
    verdict = Verdict(
        (
            outcome(Problem("a", "odd"), code="NLA101", severity="warning"),
            outcome(Problem("b", "is wrong"), code="NLA103"),
            outcome(Problem("c", "is wrong"), code="NLA201"),
        )
    )

    assert [finding.code for finding in verdict.findings] == ["NLA103", "NLA201", "NLA101"]


def test_the_reason_of_a_skip_is_one_printable_line():
    assert outcome(Skip("no\x1b[31m\nfile")).skipped == (r"no\x1b[31m\nfile",)


@pytest.mark.parametrize("text", ["a\nb", "a\x1b[31mb", "a\udcffb", "a\u202eb"])
def test_findings_are_one_printable_line(text):
    (finding,) = outcome(Problem(text, text)).findings

    assert finding.path.isprintable()
    assert finding.message.isprintable()


def test_findings_are_of_bounded_length():
    (finding,) = outcome(Problem("file", "long " * 10_000)).findings

    assert len(finding.message) < 600
