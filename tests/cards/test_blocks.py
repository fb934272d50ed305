"""Generated blocks: computed from calibration.json alone, and found again in a README."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nla_release.calibration.report import Calibration
from nla_release.cards.blocks import (
    CARD_NAMES,
    PAGE_NAMES,
    PROBES,
    TABLES,
    expected_blocks,
    expected_page_blocks,
    generated_blocks,
    marked,
)
from nla_release.errors import InputError
from nla_release.files import read_json
from nla_release.release import Release
from nla_release.text.numbers import number
from tests.builders_pair import make_release

# A number as the documents write it, not part of a word, a hash or a formula.
NUMBER = re.compile(r"(?<![\w.`])[+-]?\d+(?:\.\d+)?(?![\w`])(?!\.\d)")


def numbers_in(document: Any) -> Iterator[float]:
    if isinstance(document, dict):
        for value in document.values():
            yield from numbers_in(value)
    elif isinstance(document, list):
        for value in document:
            yield from numbers_in(value)
    elif isinstance(document, int | float):
        yield float(document)


def derived(document: Any) -> Iterator[float]:
    """What a table derives exactly from the calibration, and nothing else."""
    mean, found = document["controls"]["predict_mean"], document["retrieval"]
    yield 2 * (1 - mean["mean"])
    yield from (-2 * value for value in (mean["difference"], *mean["interval"]))
    yield from (value - found["chance"] for value in (found["top1"], *found["interval"]))
    yield document["denominators"]["documents"] / document["denominators"]["rows"]


@pytest.mark.parametrize("role", ["av", "ar"])
def test_the_blocks_of_a_card_are_those_of_its_calibration(
    release: Release, cards: dict[str, str], role: str
) -> None:
    calibration = Calibration.read(release.dist / role / "calibration.json")

    assert generated_blocks(cards[role]) == expected_blocks(calibration)
    assert set(expected_blocks(calibration)) == {*CARD_NAMES, PROBES}


@pytest.mark.parametrize("role", ["av", "ar"])
def test_the_blocks_of_the_calibrations_page_are_those_of_its_calibration(
    release: Release, role: str
) -> None:
    calibration = Calibration.read(release.dist / role / "calibration.json")
    page = (release.dist / role / "RELEASE_CALIBRATION.md").read_text(encoding="utf-8")

    assert generated_blocks(page) == expected_page_blocks(calibration)
    assert set(expected_page_blocks(calibration)) == {*PAGE_NAMES, TABLES}


def test_every_number_in_the_calibration_block_is_in_calibration_json(release: Release) -> None:
    document = read_json(release.calibration)
    calibration = Calibration.read(release.calibration)
    page = expected_page_blocks(calibration)["calibration"]
    block = page + expected_blocks(calibration)["calibration"]
    text = re.sub(
        r"`[^`]*`|95%|2 \(1 - cos\)|(?<![\w.])0: mean|1 in \d+|error 2|cosine 0", "", block
    )
    allowed = {number(abs(value)) for value in (*numbers_in(document), *derived(document))}
    allowed |= {str(int(value)) for value in numbers_in(document) if value == int(value)}
    shown = [found.lstrip("+-") for found in NUMBER.findall(text)]

    assert len(shown) > 70
    assert [found for found in shown if found not in allowed | {"60"}] == []


def test_no_metric_stands_without_value_control_difference_interval_and_n(release: Release) -> None:
    calibration = Calibration.read(release.calibration)
    for blocks, count in ((expected_blocks, 6), (expected_page_blocks, 10)):
        block = blocks(calibration)["calibration"]
        header, _, *rows = [line for line in block.splitlines() if line.startswith("|")]

        assert header == "| metric | value | control | difference | 95% CI of the difference | n |"
        assert len(rows) == count
        for row in rows:
            cells = [cell.strip() for cell in row.strip("|").split("|")]
            assert len(cells) == 6
            assert all(cells)


def test_a_zero_vector_that_does_as_well_stays_on_the_card(release: Release) -> None:
    """Where it is clearly beaten it is on the page alone."""
    calibration = Calibration.read(release.calibration)
    zero = calibration.controls["zero_vector"].model_copy(update={"interval": (-0.1, 0.1)})
    controls = dict(calibration.controls) | {"zero_vector": zero}
    as_well = calibration.model_copy(update={"controls": controls})

    assert "zero vector" not in expected_blocks(calibration)["calibration"]
    assert "explanation of the zero vector" in expected_blocks(as_well)["calibration"]


def test_failures_and_survivors_stand_beside_the_headline(release: Release) -> None:
    calibration = Calibration.read(release.calibration)
    card, page = expected_blocks(calibration), expected_page_blocks(calibration)["calibration"]

    for block in (card["calibration"], page):
        assert "57 explained, 1 empty, 1 truncated, 1 without tags" in block
    assert "Every mean includes the failures, at cosine 0." in card["calibration"]
    assert "All 60 are in every mean" in page
    assert "For reference only, without the 3 failures: cosine" in page


def test_an_edited_number_is_no_longer_what_is_expected(
    release: Release, cards: dict[str, str]
) -> None:
    expected = expected_blocks(Calibration.read(release.calibration))
    edited = cards["av"].replace("| Round-trip cosine | 0.", "| Round-trip cosine | 1.", 1)

    assert generated_blocks(edited)["calibration"] != expected["calibration"]
    assert generated_blocks(edited)["label"] == expected["label"]


def test_what_could_not_be_computed_is_a_dash(tmp_path: Path) -> None:
    """Such as the variance explained of a reference set that does not vary."""
    found = Calibration.read(make_release(tmp_path, gold_text=False).calibration)
    nothing = {
        "fve": found.fve.model_copy(update={"value": None, "interval": None}),
        "cosine": found.cosine.model_copy(update={"sd": None, "interval": None}),
    }
    block = expected_page_blocks(found.model_copy(update=nothing))["calibration"]

    assert "| - | 0: mean training vector, by definition | - | - | 40 |" in block
    assert "standard deviation -)" in block
    assert "None" not in block


@pytest.mark.parametrize(
    "readme",
    [
        marked("label", "one") + "\n" + marked("label", "two"),
        "<!-- nla-release:begin label -->\nopen",
        "<!-- nla-release:end label -->",
        "<!-- nla-release:begin label -->\n<!-- nla-release:begin calibration -->",
        "<!-- nla-release:begin label -->\n<!-- nla-release:end calibration -->",
    ],
    ids=["twice", "never closed", "never opened", "nested", "closed as another"],
)
def test_markers_out_of_place_are_an_error(readme: str) -> None:
    with pytest.raises(InputError, match="generated block"):
        generated_blocks(readme)


def test_a_readme_of_somebody_else_has_no_blocks() -> None:
    assert generated_blocks("# A model\n\nnla-release:begin label\n") == {}
