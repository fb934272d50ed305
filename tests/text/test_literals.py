"""Numbers in a sentence: which have the form of a measurement, and what they say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.text.literals import literals


def measured(text: str) -> list[str]:
    return [literal.shown for literal in literals(text) if literal.measured]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Round-trip cosine 0.46.", ["0.46"]),
        ("cosine\n.46", [".46"]),
        ("A cosine of 46 %", ["46 %"]),
        ("A cosine of 0,95.", ["0,95"]),
        ("cos_sim=0.95", ["0.95"]),
        ("mse 1.124", ["1.124"]),
        ("MSE 1.124", ["1.124"]),
        ("lr 1e-4", ["1e-4"]),
        ("0.893 ± 0.054", ["0.893", "0.054"]),
        ("[0.123, 0.456]", ["0.123", "0.456"]),
        ("0.98 to 1.00", ["0.98", "1.00"]),
        ("It retrieves 4/10 activations, 2.8x chance.", ["4/10", "2.8x"]),
        ("12 of 60 rows failed", ["12 of 60"]),
        ("12 out of the 60", ["12 out of the 60"]),
        ("Retrieval is 3 times chance, a 2-fold gain.", ["3 times", "2-fold"]),
        ("twofold", ["twofold"]),
        ("ninety percent of it", ["ninety percent"]),
        ("Ninety-five per cent", ["Ninety-five per cent"]),
        ("nine out of ten", ["nine out of ten"]),
        ("n = 10", ["10"]),
        ("N=50 held-out rows", ["50"]),
        ("We measured 10 rows of 13 documents.", ["10", "13"]),
        ("Over 1,000 activations.", ["1,000"]),
        ("$0.46$", ["0.46"]),
    ],
)
def test_a_measurement_is_known_by_its_form(text: str, shown: list[str]) -> None:
    assert measured(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "In layer 23 of E2B at block 3, top-1 of Gemma-3-27B.",
        "The activations of layer 23 activations have 1536 dimensions.",
        "It was made on 2026-05-18 at 10:00 with v0.3 and 1.2.3.",
        "1536-dimensional, 4-bit, Apache-2.0, CC-BY-4.0",
        "Built with Llama 3.1 on Python 3.11.",
        "One of two adapters, in two steps.",
        "2048 tokens, 4 GPUs",
        "manifold, fifty-fifty",
    ],
)
def test_other_numbers_are_no_measurement(text: str) -> None:
    assert measured(text) == []


def test_a_version_is_at_least_one_and_follows_a_name() -> None:
    assert measured("Cosine 0.46, Error: 1.12, loss 1.2") == ["0.46", "1.12", "1.2"]


@given(value=st.floats(-1, 1), decimals=st.integers(1, 6), percent=st.booleans())
def test_a_literal_means_the_number_that_it_rounds(
    value: float, decimals: int, percent: bool
) -> None:
    shown = f"{value:.{decimals}%}" if percent else f"{value:.{decimals}f}"
    (literal,) = literals(f"It is {shown} there.")

    assert literal.means(value)
    assert not literal.means(value + 1.1 * 10.0 ** -(decimals + 2 * percent) + 1e-5)


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    for literal in literals(text):
        assert " ".join(text[literal.start : literal.end].split()).startswith(literal.shown)


@pytest.mark.parametrize(
    "text",
    [
        "9" * 100_000,
        "0." + "4" * 100_000,
        "0.46 " * 20_000,
        "1/" * 50_000,
        "1 of " * 20_000,
        "ninety " * 20_000,
        "1,000" * 20_000,
    ],
    ids=lambda text: text[:8],
)
def test_a_long_text_comes_to_an_end(text: str) -> None:
    assert len(list(literals(text))) <= len(text)
