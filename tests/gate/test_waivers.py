"""A finding may be let stand for a time and a reason, and nobody can overlook that it was."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.cards.blocks import waivers_section
from nla_release.cards.render import render
from nla_release.errors import ConfigError
from nla_release.gate import RULES, apply_rules
from nla_release.gate.subject import find_subject
from nla_release.gate.waivers import can_be_waived, today
from nla_release.io.files import dump_yaml
from nla_release.release.config import Waiver
from nla_release.release.folder import read_release
from tests.pairs.zoo import SIDECAR, edited_yaml, judged, measured_as, waived


def states(verdict) -> dict[str, str]:
    return {outcome.rule.code: outcome.state for outcome in verdict.outcomes}


@pytest.fixture
def failing(release):
    """A release whose only errors are those of NLA609: 13 of its 60 rows were cut off."""
    measured_as(release, lambda _: None, failed=dict.fromkeys(range(13), "truncated"))
    errors = [each.code for each in judged(release).findings if each.severity == "error"]
    assert errors == ["NLA609"]
    return release


def test_a_waived_error_stands_and_decides_nothing(failing):
    waived(failing, "NLA609")

    verdict = judged(failing)

    assert (verdict.verdict, verdict.exit_code) == ("pass", 0)
    ((finding, waiver),) = verdict.waived
    assert (finding.code, finding.severity) == ("NLA609", "error")
    assert waiver.reason == "known since the last run"
    assert states(verdict)["NLA609"] == "waived"
    assert verdict.totals["waived"] == 1


def test_a_warning_that_strict_would_refuse_can_be_waived(release):
    measured_as(release, lambda _: None, failed={0: "empty"})
    assert judged(release, strict=True).verdict == "fail"

    waived(release, "NLA609")

    assert judged(release, strict=True).verdict == "pass"


def test_a_waiver_of_one_rule_hides_no_other(failing):
    waived(failing, "NLA604")

    assert judged(failing).verdict == "fail"


def test_a_waiver_holds_to_the_end_of_its_day_and_not_longer(failing, monkeypatch):
    waived(failing, "NLA609", until="2026-06-30")
    last = int(datetime(2026, 6, 30, 23, 59, 59, tzinfo=UTC).timestamp())

    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(last))
    assert judged(failing).verdict == "pass"

    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(last + 1))
    verdict = judged(failing)
    assert states(verdict)["NLA609"] == "failed"
    assert verdict.findings[0].message == "the waiver of NLA609 ended on 2026-06-30"


def test_a_waiver_without_an_end_in_sight_is_none(failing, monkeypatch):
    waived(failing, "NLA609", until="9999-12-31")
    verdict = judged(failing)

    assert states(verdict)["NLA609"] == "failed"
    assert verdict.findings[0].message == (
        "the waiver of NLA609 ends on 9999-12-31, more than a year ahead"
    )


def test_without_being_told_today_is_the_day_in_utc(monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    before = datetime.now(UTC).date()

    assert before <= today() <= datetime.now(UTC).date()


def test_a_source_date_that_is_no_number_is_a_configuration_error(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")

    with pytest.raises(ConfigError, match="SOURCE_DATE_EPOCH is 'yesterday'"):
        today()


NEVER = ["NLA101", "NLA104", "NLA301", "NLA302", "NLA305", "NLA601", "NLA608", "NLA701"]


@pytest.mark.parametrize("code", NEVER)
def test_what_other_rules_stand_on_cannot_be_waived(code, release):
    waived(release, code)

    (finding,) = [each for each in judged(release).findings if "not allowed" in each.message]

    assert finding.code == "NLA104"
    assert finding.message.startswith(f"the waiver of {code} is not allowed: ")


def test_a_waiver_is_possible_where_the_page_of_the_rule_names_a_reason():
    waivable = {rule.code for rule in RULES if can_be_waived(rule)}

    assert {"NLA102", "NLA304", "NLA402", "NLA504", "NLA508", "NLA604", "NLA609"} <= waivable
    assert not waivable & {*NEVER, "NLA103", "NLA202", "NLA303", "NLA502", "NLA602", "NLA603"}


def test_damage_stays_an_error_when_somebody_waives_it(release):
    (release / "pair" / "av" / SIDECAR).unlink()
    waived(release, "NLA101")

    assert states(judged(release))["NLA101"] == "failed"


def test_too_little_measured_stays_inconclusive_when_somebody_waives_it(release):
    measured_as(release, lambda _: None, rows=10, documents=10)
    waived(release, "NLA608")

    assert states(judged(release))["NLA608"] == "warned"


def test_a_release_with_a_waiver_passes_with_every_rule(release):
    """Rendered again, both cards show it; the history of the same version is left as it is."""
    waived(release, "NLA604")
    assert [each.code for each in judged(release).findings] == ["NLA104", "NLA104"]

    render(read_release(release), "0.0.1")

    assert judged(release).verdict == "pass"
    assert judged(release).totals["passed"] == len(RULES)


def test_a_stranger_judges_the_repositories_without_the_waivers_of_their_author(failing):
    """And the author, who verifies what was published, hands them over."""
    waived(failing, "NLA609")
    release = read_release(failing)
    render(release, "0.0.2")

    assert states(judged(failing, "dist"))["NLA609"] == "failed"
    verdict = apply_rules(find_subject(release.dist), waived=release.config.waivers)
    assert verdict.verdict == "pass"
    assert [finding.code for finding, _ in verdict.waived] == ["NLA609"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reason": " "}, "waivers.0.reason: must be plain text"),
        ({"reason": "red \x1b[31m"}, "waivers.0.reason: must be plain text"),
        ({"reason": "x" * 301}, "waivers.0.reason: String should have at most 300"),
        ({"until": "next year"}, "waivers.0.until: must be a date"),
        ({"for": "ever"}, "waivers.0.for is not a known key"),
    ],
)
def test_a_waiver_without_a_reason_or_a_day_is_a_configuration_error(release, change, words):
    waived(release, "NLA604")
    with edited_yaml(release / "release.yaml") as document:
        document["waivers"][0] |= change

    with pytest.raises(ConfigError, match=words.replace(".", r"\.")):
        read_release(release)


def test_a_rule_is_waived_once(release):
    waived(release, "NLA604")
    waived(release, "NLA604", until="2998-12-31")

    with pytest.raises(ConfigError, match="NLA604 is waived twice"):
        read_release(release)


@given(st.text(min_size=1, max_size=80).filter(lambda text: text.isprintable() and text.strip()))
def test_a_reason_is_one_line_of_the_card(reason):
    waiver = Waiver(code="NLA604", reason=reason, until=date(2027, 1, 1))

    lines = waivers_section([waiver]).split("\n")

    assert len(lines) == 3
    assert lines[2].startswith("- `NLA604`, until 2027-01-01: ")
    assert dump_yaml({"reason": reason})
