"""Numbers are rounded alike everywhere, and never to what they are not."""

import pytest

from nla_release.text.numbers import signed


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
