"""Numbers are rounded alike everywhere, and never to what they are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.text.numbers import interval, number, signed, unsigned


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (-0.00053, "-0.00053"),
        (-0.0018, "-0.0018"),
        (-0.0172, "-0.017"),
        (-1.23456, "-1.235"),
        (0.0000312, "+0.000031"),
        (0.25, "+0.250"),
        (0.0, "+0.000"),
        (-0.0, "+0.000"),
        (-1e-30, "-0.000000000000"),
    ],
)
def test_a_slope_has_two_digits_that_count(value, written):
    assert signed(value) == written


@given(st.floats(1e-6, 1) | st.floats(-1, -1e-6))
def test_no_number_that_is_measured_is_shown_as_zero(value: float) -> None:
    assert float(number(value)) != 0
    assert float(number(value)) == pytest.approx(value, rel=0.06, abs=5.1e-7)
    assert signed(value).startswith("-" if value < 0 else "+")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.000"), (-0.0, "0.000"), (0.4375, "0.438"), (-0.00031, "-0.00031"), (None, "-")],
)
def test_numbers_have_three_decimals_or_two_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_an_interval_of_a_difference_has_signs_and_one_of_a_share_has_none() -> None:
    assert interval((-0.0013, 0.011)) == "-0.0013 to +0.011"
    assert unsigned((0.12, 0.163)) == "0.120 to 0.163"
    assert interval(None) == unsigned(None) == "-"
