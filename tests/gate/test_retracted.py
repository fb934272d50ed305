"""A retracted number is known by its value, however somebody writes it."""

import pytest

from nla_release.calibration.report import Calibration
from nla_release.gate.history import nothing_retracted_shown
from nla_release.gate.subject import find_subject
from nla_release.io.files import write_atomic
from tests.pairs.history import retracting
from tests.pairs.zoo import edited_yaml


@pytest.fixture(scope="module")
def shown(good, tmp_path_factory):
    """The findings in a note of v0.0.2, where a number of v0.0.1 is retracted."""
    import shutil

    folder = tmp_path_factory.mktemp("retracting") / "release"
    shutil.copytree(good, folder, symlinks=True)

    def check(note, **superseded):
        write_atomic(folder / "notes" / "summary.md", "Words.")
        with edited_yaml(folder / "release.yaml") as document:
            document["notes"] = "notes"
        retracting(folder, **superseded)
        write_atomic(folder / "notes" / "summary.md", note)
        outcome = nothing_retracted_shown.apply(find_subject(folder), strict=False)
        return [f"{each.path.rpartition('/')[2]} {each.message}" for each in outcome.findings]

    return check


@pytest.mark.parametrize(
    ("note", "number"),
    [
        ("A cosine of 0.438.", "0.438"),
        ("Round-trip:\n**.438**", ".438"),
        ("The cosine is 43.8%.", "43.8%"),
        ("The cosine is 0.43784.", "0.43784"),
        ("A score of 0.438 in `code`, another in words.", "0.438"),
        ("v0.0.1 scored 0.44.", "0.44"),
        ("| | v0.0.1 |\n|---|---|\n| score | 0.438 |", "0.438"),
        ("[A cosine of 0.438](https://example.org/post).", "0.438"),
        ("The cosine of v0.0.1, corrected for failures, is 0.438.", "0.438"),
        ("It was not retracted: cosine 0.438 of v0.0.1 is right.", "0.438"),
        ("The cosine 0.438 has never been retracted.", "0.438"),
        ("The cosine 0.438 wasn't withdrawn.", "0.438"),
        ("![cosine 0.438](figure.png)", "0.438"),
        ('[A plot](figure.png "cosine 0.438").', "0.438"),
    ],
)
def test_a_retracted_number_is_found(shown, note, number):
    (finding,) = shown(note)

    words = f" {number}, the cosine.mean of v0.0.1 that HISTORY.md retracts"
    assert finding.startswith("summary.md:")
    assert finding.endswith(words)


@pytest.mark.parametrize(
    "note",
    [
        "A cosine of 0.4389.",
        "A cosine of 0.4.",
        "The cosine 0.438 of v0.0.1 was retracted.",
        "Superseded: cosine 0.438.",
        "The cosine is 0.512 (corrected from 0.438).",
        "Cosine 0.438: see [the entry](HISTORY.md#x).",
        "v0.0.1 took 0.4 hours.",
        "`cosine = 0.438`",
        "```\ncosine 0.438\n```",
    ],
)
def test_another_number_or_a_report_of_the_retraction_is_none(shown, note):
    assert shown(note) == []


def test_a_count_is_known_by_a_word_of_its_name_or_the_version(shown):
    rows = {"metric": "denominators.rows", "value": 42.0}

    assert shown("On 42 rows.", **rows)
    assert shown("v0.0.1 has 42.", **rows)
    assert shown("The answer is 42.", **rows) == []


def test_a_number_of_this_version_is_its_own_unless_the_other_is_named(shown, good):
    """Both versions may come out the same; the older one is retracted all the same."""
    mean = round(Calibration.read(good / "calibration.json").cosine.mean, 3)

    assert shown(f"A cosine of {mean}.", value=mean) == []
    assert shown(f"v0.0.1 reached a cosine of {mean}.", value=mean)


def test_a_retracted_number_that_the_calibration_still_holds_is_found(release):
    mean = Calibration.read(release / "calibration.json").cosine.mean
    retracting(release, "0.0.1", value=round(mean, 3))

    outcome = nothing_retracted_shown.apply(find_subject(release), strict=False)

    assert {each.path.rpartition("/")[2] for each in outcome.findings} == {"calibration.json"}
    assert {each.message for each in outcome.findings} == {
        f"shows {round(mean, 3)}, the cosine.mean of v0.0.1 that HISTORY.md retracts"
    }


def test_another_number_of_the_same_calibration_is_not_the_retracted_one(release):
    """It has the value, under another name."""
    mean = Calibration.read(release / "calibration.json").cosine.mean
    retracting(release, "0.0.1", metric="fve.value", value=round(mean, 3))

    assert nothing_retracted_shown.apply(find_subject(release), strict=False).findings == ()
