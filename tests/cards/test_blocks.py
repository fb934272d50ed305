"""Generated blocks: computed from calibration.json alone, and found again in a README."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nla_release.calibration.evidence_folder import read_evidence
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
    runs_block,
)
from nla_release.errors import InputError
from nla_release.io.files import read_json
from nla_release.release.folder import Release
from nla_release.statistics.row import HEADER
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
    found, matched = document["retrieval"], document["probes"]["text_retrieval"]["lexical"]
    yield from (value - found["document_alone"] for value in (found["top1"], *found["interval"]))
    mean = document["controls"]["predict_mean"]
    yield 2 * (1 - mean["mean"])
    yield from (2 * value for value in (mean["difference"], *mean["interval"]))
    share = matched["hits"] / matched["n"]
    yield share
    yield from (value - matched["chance"] for value in (share, *matched["interval"]))


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

    runs = runs_block(read_evidence(release.dist / role / "evidence"))
    assert generated_blocks(page) == expected_page_blocks(calibration) | runs
    assert set(expected_page_blocks(calibration)) == {*PAGE_NAMES, TABLES}


def test_every_number_in_the_calibration_block_is_in_calibration_json(release: Release) -> None:
    document = read_json(release.calibration)
    calibration = Calibration.read(release.calibration)
    page = expected_page_blocks(calibration)["calibration"]
    block = page + expected_blocks(calibration)["calibration"]
    text = re.sub(
        r"`[^`]*`|95%|2 \(1 - cos\)|1 in \d+|error 2|cosine 0|count 0|failures as 2", "", block
    )
    allowed = {number(abs(value)) for value in (*numbers_in(document), *derived(document))}
    allowed |= {str(int(value)) for value in numbers_in(document) if value == int(value)}
    shown = [found.lstrip("+-") for found in NUMBER.findall(text)]

    assert len(shown) > 70
    assert [found for found in shown if found not in allowed | {"60"}] == []


def test_no_metric_stands_without_value_control_difference_interval_and_n(release: Release) -> None:
    calibration = Calibration.read(release.calibration)
    for blocks, counts in ((expected_blocks, [5, 6, 1]), (expected_page_blocks, [9, 16, 1])):
        parts = blocks(calibration)["calibration"].split("?** ")[1:]
        assert len(parts) == len(counts), "one table for each question"
        for part, count in zip(parts, counts, strict=True):
            table = part.partition("\n\n")[2].partition("\n\n")[0].splitlines()
            header, _, *rows = [_cells(line) for line in table]
            assert header == list(HEADER)
            assert len(rows) == count
            for cells in rows:
                assert len(cells) == 6
                assert all(cells)
                name, *numbers = cells
                assert ("-" not in numbers) == (name != "Explanations that fail")


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_failures_and_survivors_stand_beside_the_headline(release: Release) -> None:
    calibration = Calibration.read(release.calibration)
    card, page = expected_blocks(calibration), expected_page_blocks(calibration)["calibration"]

    for block in (card["calibration"], page):
        assert "57 explained, 1 empty, 1 truncated, 1 without tags" in block
    assert "Every mean includes the failures, at cosine 0 and error 2." in card["calibration"]
    assert "All 60 are in every mean" in page
    assert "For reference only, without the 3 failures: cosine" in page


def test_an_edited_number_is_no_longer_what_is_expected(
    release: Release, cards: dict[str, str]
) -> None:
    expected = expected_blocks(Calibration.read(release.calibration))
    own = "| Centred cosine, own text | "
    edited = cards["av"].replace(f"{own}0.", f"{own}1.", 1)

    assert edited != cards["av"]
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

    assert "| Variance explained (FVE) | - | " in block
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
