"""A retracted number is known by its value and its metric, however somebody writes both."""

import pytest

from nla_release.calibration.calibrate import calibrate
from nla_release.history.log import Superseded
from nla_release.prose.quantities import quantities
from nla_release.prose.reader import read_prose
from nla_release.prose.retracted import restated
from tests.builders import make_evidence

COSINE = Superseded(version="0.0.1", metric="cosine.mean", value=0.438, reason="wrong scale")
ROWS = Superseded(version="0.0.1", metric="denominators.rows", value=42, reason="8 left out")
JUDGED = Superseded(version="0.0.1", metric="content match", value=1.23, reason="too few judges")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The numbers of a version that has a cosine of its own."""
    folder = tmp_path_factory.mktemp("evidence")
    return quantities(calibrate(make_evidence(folder, rows=60, documents=12, noise=0.9)))


def shown(markdown, *retracted, own=()):
    return [
        (line, literal.shown)
        for passage in read_prose(markdown, skip_generated=True)
        for line, literal, _ in restated(passage, retracted or (COSINE,), own)
    ]


@pytest.mark.parametrize(
    ("markdown", "number"),
    [
        ("A cosine of 0.438.", "0.438"),
        ("Round-trip:\n**.438**", ".438"),
        ("The cosine is 43.8%.", "43.8%"),
        ("The cosine is about 0.44.", "0.44"),
        ("The cosine is 0.43784.", "0.43784"),
        ("We measured the cosine. It was 0.438.", "0.438"),
        ("| metric | value |\n|---|---|\n| cosine | 0.438 ± 0.05 |", "0.438"),
        ("| cosine |\n|---|\n| 0.438 |", "0.438"),
        ("![cosine 0.438](figure.png)", "0.438"),
        ("[A cosine of 0.438](https://example.org/post).", "0.438"),
        ("The cosine of v0.0.1, corrected for failures, is 0.438.", "0.438"),
        ("A bias-corrected cosine of 0.438.", "0.438"),
        ("It was not retracted: cosine 0.438 of v0.0.1 stands.", "0.438"),
        ("The cosine 0.438 has never been retracted.", "0.438"),
        ("The cosine 0.438 wasn't withdrawn.", "0.438"),
        ("It corrects the cosine, 0.438.", "0.438"),
        ('<img alt="v0.0.1: cosine 0.438">', "0.438"),
        ("A plot <img src=x title='cosine 0.438'> of it.", "0.438"),
        ('![A plot](figure.png "cosine 0.438")', "0.438"),
        ('[A plot](figure.png "cosine 0.438").', "0.438"),
        ("v0.0.1 scored 0.438.", "0.438"),
        ("| | v0.0.1 |\n|---|---|\n| score | 0.438 |", "0.438"),
    ],
)
def test_a_retracted_number_is_found(markdown, number):
    assert [literal for _, literal in shown(markdown)] == [number]


@pytest.mark.parametrize(
    "markdown",
    [
        "A cosine of 0.439.",
        "A cosine of 0.4.",
        "A cosine of 0.4389.",
        "A learning rate of 0.438.",
        "The cosine 0.438 of v0.0.1 was retracted.",
        "Superseded: cosine 0.438.",
        "The cosine is 0.512 (corrected from 0.438).",
        "The cosine 0.438 was corrected to 0.512.",
        "Cosine 0.438: see the [correction](HISTORY.md#x).",
        "v0.0.10 scored 0.438.",
        "v0.0.1 took 0.4 hours.",
        "`cosine = 0.438`",
        "```\ncosine 0.438\n```",
        "Cosine.\n\nAnother paragraph: 0.438.",
        "<!-- nla-release:begin retracted -->\n- cosine 0.438\n<!-- nla-release:end retracted -->",
    ],
)
def test_another_number_or_a_report_of_the_retraction_is_none(markdown):
    assert shown(markdown) == []


def test_the_line_is_where_the_number_stands():
    assert shown("# Title\n\nThe round-trip cosine\nof 0.438.\n") == [(4, "0.438")]


def test_a_count_and_a_metric_of_ones_own_are_known_by_their_words():
    assert shown("On 42 rows.", ROWS) == [(1, "42")]
    assert shown("42 is the answer.", ROWS) == []
    assert shown("Judges gave the content 1.23 of 5.", JUDGED) == [(1, "1.23")]
    assert shown("A loss of 1.23.", JUDGED) == []


def test_a_number_of_this_version_is_its_own_unless_the_other_is_named(own):
    """Both versions may come out the same; the older one is retracted all the same."""
    mean = next(each.value for each in own if each.name == "cosine.mean")
    same = COSINE.model_copy(update={"value": round(mean, 3)})

    assert shown(f"A cosine of {mean:.3f}.", same, own=own) == []
    assert shown(f"v0.0.1 reached a cosine of {mean:.3f}.", same, own=own) == [(1, f"{mean:.3f}")]
    assert shown(f"A cosine of {mean:.3f}.", same) == [(1, f"{mean:.3f}")]
