"""The thresholds of the evidence rules are the author's, within what the rule can mean."""

import shutil

import pytest

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import read_evidence
from nla_release.calibration.report import Calibration
from nla_release.cards.render import render
from nla_release.errors import ConfigError
from nla_release.io.files import write_atomic
from nla_release.release.config import Gates
from nla_release.release.folder import read_release
from tests.pairs import DEFECTS
from tests.pairs.evidence import single
from tests.pairs.zoo import dump_json, edited_yaml, judged, measured_as


def gated(folder, **gates):
    with edited_yaml(folder / "release.yaml") as document:
        document["gates"] = gates


@pytest.mark.parametrize(
    ("defect", "gates"),
    [
        ("more_than_a_fifth_says_nothing", {"max_failed": 0.25}),
        ("seven_beginnings", {"min_prefixes": 7}),
        ("thirty_rows", {"min_rows": 30}),
        ("a_quarter_is_in_the_markers_script", {"max_cjk": 0.25}),
        ("every_text_is_said_of_two_documents", {"max_duplicates": 1.0}),
    ],
)
def test_a_wider_gate_lets_pass_what_the_default_stops(release, defect, gates):
    (broken,) = [each for each in DEFECTS if each.name == defect]
    broken.break_it(release)
    gated(release, **gates)

    assert [f for f in judged(release).findings if f.severity == "error"] == []


@pytest.mark.parametrize(
    ("gates", "code"),
    [
        ({"max_failed": 0.0, "min_rows": 61}, "NLA608"),
        ({"min_prefixes": 61, "min_prefixes_per_row": 1.0, "min_documents": 13}, "NLA608"),
    ],
)
def test_a_narrower_gate_stops_what_the_default_lets_pass(release, gates, code):
    gated(release, **gates)

    assert {finding.code for finding in judged(release).findings} == {code}


@pytest.mark.parametrize(
    "gates",
    [
        {"max_failed": 0.51},
        {"min_rows": 19},
        {"min_documents": 9},
        {"min_rows": 50.0},
        {"min_rows": True},
        {"max_failed": True},
        {"max_failed": "0.2"},
        {"max_cjk": -0.1},
        {"min_prefixes": 2},
        {"min_prefixes_per_row": 0},
        {"max_same_as_random": 0.51},
        {"max_failed": float("nan")},
        {"x": 1},
    ],
)
def test_a_gate_that_means_nothing_or_buys_a_pass_is_refused(release, gates):
    gated(release, **gates)

    with pytest.raises(ConfigError, match=f"gates.{next(iter(gates))}"):
        read_release(release)


def test_gates_without_any_are_the_defaults(release):
    gated(release, x=1)
    text = (release / "release.yaml").read_text()
    (release / "release.yaml").write_text(text.replace("gates:\n  x: 1\n", "gates:\n"))

    assert read_release(release).config.gates == Gates()


def test_what_a_gate_lets_pass_is_told_in_the_verdict_and_on_the_card(release):
    gated(release, min_rows=20, max_failed=0.5, max_cjk=0.1)
    config = read_release(release)
    shutil.rmtree(config.dist)
    render(config, "0.0.1")

    found = judged(release)

    assert found.verdict == "pass"
    assert [(finding.code, finding.severity, finding.message) for finding in found.findings] == [
        ("NLA619", "warning", "gates.min_rows is 20, less strict than the default 50"),
        ("NLA619", "warning", "gates.max_failed is 0.5, less strict than the default 0.2"),
    ]
    for role in ("av", "ar"):
        card = (config.dist / role / "README.md").read_text(encoding="utf-8")
        told = "`min_rows` is 20 (default 50); `max_failed` is 0.5 (default 0.2)"
        assert told in card[card.index("## Limitations") : card.index("## Intended use")]


def test_a_gate_at_its_default_or_stricter_is_nothing_to_tell(release):
    gated(release, min_rows=60, min_documents=10, max_failed=0.1)

    assert judged(release).findings == []


def test_who_loosened_a_gate_cannot_waive_that_it_is_told(release):
    with edited_yaml(release / "release.yaml") as document:
        document["gates"] = {"min_rows": 20}
        document["waivers"] = [{"code": "NLA619", "reason": "hush", "until": "2100-01-01"}]

    assert {"NLA104", "NLA619"} == {finding.code for finding in judged(release).findings}


@pytest.mark.parametrize("options", [{"rows": 19, "documents": 10}, {"documents": 9}])
def test_too_little_for_a_label_is_inconclusive_whatever_the_gates(release, options):
    gated(release, min_rows=20, min_documents=10)
    measured_as(release, lambda parts: None, **options)

    found = judged(release)

    assert (found.verdict, found.exit_code) == ("inconclusive", 3)


@pytest.mark.parametrize(("rows", "documents"), [(1, 1), (60, 1)], ids=["one row", "one document"])
def test_a_single_row_or_document_is_inconclusive_and_no_rule_gives_a_number(
    release, rows, documents
):
    single(release, rows=rows, documents=documents)

    found = judged(release)

    assert found.verdict == "inconclusive"
    (finding,) = [each for each in found.findings if each.code.startswith("NLA6")]
    assert finding.code == "NLA608"
    assert finding.message.endswith("a calibration needs two or more of each")


def as_format_2(release):
    """What the version before this one calibrated."""
    calibration = calibrate(read_evidence(release / "evidence"), 2)
    return calibration.model_dump(mode="json", by_alias=True, exclude_unset=True)


def as_format_1(release):
    """What an older tool calibrated and nobody has rendered since."""
    document = as_format_2(release)
    for key in ("probes", "contamination", "multiplicity"):
        del document[key]
    del document["label"]["rule"]
    del document["cosine_survivors"]["gold_text"]
    del document["reference"]["other_documents"]
    del document["retrieval"]["above_chance_interval"]
    del document["retrieval"]["above_document_interval"]
    return document | {"schema": 1}


def differing(release):
    return [f.message for f in judged(release).findings if f.code == "NLA602"]


def test_a_calibration_of_format_1_need_not_have_what_came_later(release):
    write_atomic(release / "calibration.json", dump_json(as_format_1(release)))

    assert Calibration.read(release / "calibration.json").schema_ == 1
    assert differing(release) == []


def test_a_number_of_format_1_is_held_to_the_evidence_still(release):
    document = as_format_1(release)
    document["cosine"]["mean"] = 0.9
    write_atomic(release / "calibration.json", dump_json(document))

    (message,) = differing(release)
    assert "cosine.mean is 0.9" in message


def test_a_control_that_format_1_lacks_is_named(release):
    document = as_format_1(release)
    del document["controls"]["empty"]
    write_atomic(release / "calibration.json", dump_json(document))

    (message,) = differing(release)
    assert "controls: empty is missing" in message
    assert "nla-release calibrate" in message


def test_a_calibration_of_format_2_is_computed_and_judged_by_its_own_rules(release):
    document = as_format_2(release)
    write_atomic(release / "calibration.json", dump_json(document))

    assert document["label"]["name"] == "content-reading"
    (finding,) = [f for f in judged(release).findings if f.code.startswith("NLA6")]
    assert (finding.code, finding.severity) == ("NLA612", "warning")
    assert finding.message.endswith("training texts: the evidence has an earlier format")


def test_a_number_of_format_2_is_held_to_the_evidence_still(release):
    document = as_format_2(release)
    document["controls"]["shuffled"]["interval"][0] += 0.01
    write_atomic(release / "calibration.json", dump_json(document))

    (message,) = differing(release)
    assert message.startswith("controls.shuffled.interval is")


def test_a_control_of_format_2_that_decides_fails_it_still(release):
    measured_as(release, lambda parts: None, noise=20)
    write_atomic(release / "calibration.json", dump_json(as_format_2(release)))

    (finding,) = [f for f in judged(release).findings if f.code == "NLA603"]
    assert "own text" in finding.message
    assert "another row's" in finding.message


def test_a_probe_cannot_be_left_out_of_format_2(release):
    document = as_format_2(release)
    del document["probes"]["templates"]
    write_atomic(release / "calibration.json", dump_json(document))

    (message,) = differing(release)
    assert "probes.templates" in message
