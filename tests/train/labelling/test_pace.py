"""How long is waited, and after what."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.training.labelling.endpoint import asked_wait, backoff


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("17", 17),
        ("1.5", 1.5),
        (" 3 ", 3),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("", None),
        ("soon", None),
        ("-1", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header, seconds):
    assert asked_wait({"retry-after": header}) == seconds


def test_a_date_to_come_is_waited_for():
    """The header is in whole seconds; between it and the question the machine may be busy."""
    began = datetime.now(UTC)
    date = format_datetime(began + timedelta(seconds=60), usegmt=True)
    wait = asked_wait({"retry-after": date})
    passed = (datetime.now(UTC) - began).total_seconds()

    assert max(0, 59 - passed) <= wait <= 60


def test_without_the_header_nothing_is_asked():
    assert asked_wait({}) is None


@given(st.text())
def test_any_header_is_seconds_or_nothing(header):
    assert (asked_wait({"retry-after": header}) or 0) >= 0


@given(st.integers(0, 1000))
def test_the_wait_doubles_up_to_a_minute(retry):
    assert min(2.0**retry, 60) / 2 <= backoff(1.0, retry) <= min(2.0**retry, 60)
