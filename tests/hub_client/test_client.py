"""Nothing waits for ever: neither for a silent server, nor because a server says so."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from huggingface_hub.utils import get_session, httpx

from nla_release.errors import ConfigError, EnvironmentProblem
from nla_release.hub_client import reader
from nla_release.hub_client.client import RateLimitWaits, quiet_client
from nla_release.hub_client.client_errors import OutcomeUnknownError
from tests.messages import heard

pytestmark = pytest.mark.wire


@pytest.fixture(autouse=True)
def _undone():
    """The client is one for all that runs in this process."""
    yield
    quiet_client()


@pytest.fixture
def slept(monkeypatch):
    seconds = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


def answer(status, url="https://hub.example/api/models", content=b"", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(
        status, headers=named, content=content, request=httpx.Request("POST", url)
    )


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "30"}, 30),
        ({"RateLimit": '"api";r=0;t=55'}, 56),
        ({"RateLimit": '"api";r=0;t=55', "Retry_After": "3"}, 56),
        ({"RateLimit": '"api";r=7;t=55', "Retry_After": "3"}, 3),
        ({}, 5),
        ({"Retry_After": "soon"}, 5),
    ],
)
def test_a_429_is_waited_for_as_it_says_once_and_in_words(slept, headers, seconds):
    response = answer(429, **headers)
    with heard() as said:
        RateLimitWaits(600).after(response)

    assert slept == [seconds]
    assert said == [f"waiting {seconds} s: rate limited"]
    # the client reads these too, and would wait again
    assert not {"retry-after", "ratelimit"} & response.headers.keys()


def test_a_date_to_come_back_at_is_understood(slept):
    """The header is in whole seconds; until it is read the machine may be busy."""
    began = datetime.now(UTC)
    then = format_datetime(began + timedelta(seconds=60), usegmt=True)
    RateLimitWaits(600).after(answer(429, Retry_After=then))
    passed = (datetime.now(UTC) - began).total_seconds()

    assert max(0, 59 - passed) <= slept[0] <= 60


def test_all_waits_together_have_a_limit(slept):
    waits = RateLimitWaits(100)
    waits.after(answer(429, Retry_After="60"))
    with pytest.raises(EnvironmentProblem, match=r"asks to wait 60 s .* 40 s of the allowed 100 s"):
        waits.after(answer(429, Retry_After="60"))
    assert slept == [60]


def test_the_clients_own_endless_loop_around_create_is_slowed_and_ends(slept):
    busy = b'{"error": "Cannot create repo: another conflicting operation is in progress"}'
    waits = RateLimitWaits(2)
    for _ in range(2):
        waits.after(answer(409, "https://hub.example/api/repos/create", busy))
    with pytest.raises(EnvironmentProblem, match="creating another repository"):
        waits.after(answer(409, "https://hub.example/api/repos/create", busy))


@pytest.mark.parametrize("status", [200, 404, 409, 500, 503])
def test_other_answers_are_not_waited_for(slept, status):
    RateLimitWaits(600).after(answer(status))
    assert slept == []


def test_the_limits_are_of_the_environment(monkeypatch):
    quiet_client()
    assert get_session().timeout == httpx.Timeout(300, connect=10)
    monkeypatch.setenv("NLA_RELEASE_TIMEOUT", "7.5")
    quiet_client()
    assert get_session().timeout == httpx.Timeout(7.5, connect=7.5)


@pytest.mark.parametrize("name", ["NLA_RELEASE_TIMEOUT", "NLA_RELEASE_RATE_LIMIT_WAIT"])
@pytest.mark.parametrize("text", ["soon", "-1", "0", "nan", "inf"])
def test_a_limit_that_is_no_number_of_seconds(monkeypatch, name, text):
    monkeypatch.setenv(name, text)
    with pytest.raises(ConfigError, match=f"{name}={text} is not"):
        quiet_client()


def test_a_question_that_insisted_by_itself_for_long_is_not_asked_again(monkeypatch):
    """A Hub that is gone is said to be gone after the client's own tries, not after three times."""
    clock, asked = [0.0], []
    monkeypatch.setattr(reader.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(reader.time, "sleep", lambda seconds: None)

    def question(seconds):
        asked.append(seconds)
        clock[0] += seconds
        raise OutcomeUnknownError("gone")

    for seconds, times in ((1.0, 3), (24.0, 1)):
        asked.clear()
        with pytest.raises(OutcomeUnknownError):
            reader._repeated(lambda seconds=seconds: question(seconds))
        assert len(asked) == times
