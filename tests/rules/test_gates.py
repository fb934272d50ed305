"""The thresholds of the evidence rules are the author's, within what the rule can mean."""

import pytest

from nla_release.calibration.report import Calibration
from nla_release.errors import ConfigError
from nla_release.files import read_json, write_atomic
from nla_release.release import read_release
from tests.pairs import DEFECTS
from tests.pairs.zoo import dump_json, edited_yaml, judged


def gated(folder, **gates):
    with edited_yaml(folder / "release.yaml") as document:
        document["gates"] = gates


@pytest.mark.parametrize(
    ("defect", "gates"),
    [
        ("a_quarter_says_nothing", {"max_failed": 0.25}),
        ("seven_texts", {"min_prefixes": 7}),
        ("random_vector_says_the_same", {"max_same_as_random": 0.6}),
        ("ten_rows", {"min_rows": 10, "min_documents": 10}),
        ("a_quarter_is_in_the_markers_script", {"max_cjk": 0.25}),
        ("twenty_texts_for_twelve_documents", {"max_duplicates": 1.0}),
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
    "gates", [{"max_failed": 1.1}, {"min_rows": 0}, {"max_cjk": -0.1}, {"x": 1}]
)
def test_a_gate_that_means_nothing_is_refused(release, gates):
    gated(release, **gates)

    with pytest.raises(ConfigError, match=f"gates.{next(iter(gates))}"):
        read_release(release)


def as_format_1(release):
    """What an older tool calibrated and nobody has rendered since."""
    document = read_json(release / "calibration.json")
    for key in ("probes", "contamination", "multiplicity"):
        del document[key]
    del document["label"]["rule"]
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
    del document["controls"]["empty"]
    write_atomic(release / "calibration.json", dump_json(document))

    (message,) = differing(release)
    assert "cosine.mean is 0.9" in message
    assert "controls.empty.mean is missing" in message


def test_a_probe_cannot_be_left_out_of_format_2(release):
    document = read_json(release / "calibration.json")
    del document["probes"]["templates"]
    write_atomic(release / "calibration.json", dump_json(document))

    (message,) = differing(release)
    assert "probes.templates" in message
