"""How a push ends that cannot go on: with what is public by then, whoever made it so."""

import pytest

from nla_release.errors import EnvironmentProblem, PartlyPublishedError, RefusedError
from nla_release.hub.journal import Journal
from nla_release.hub.plan import PushOptions, make_plan
from nla_release.hub.push import push
from nla_release.hub_client.remote import Hub
from tests.hub.faults import Fault
from tests.hub.publishing import VERSION, api_of, publish, repos
from tests.messages import heard

pytestmark = pytest.mark.wire


@pytest.fixture
def client(faulty):
    return Hub(faulty.endpoint, faulty.token)


@pytest.fixture
def half(release, faulty, client):
    """A push that was cut off between the tags; the two repositories."""
    publish(release, client)
    api_of(faulty).delete_tag(repos(release)[1], tag="v0.0.1")
    return repos(release)


def refusing():
    raise RefusedError("does not pass", hint="mend it")


def pushed(release, client, *, check=lambda: None, options=None):
    plan = make_plan(release.dist, VERSION, client, options)
    push(plan, client, Journal(release.dist, plan.release_id, "x"), check=check)


def test_a_token_that_may_no_longer_write_does_not_hide_what_is_tagged(
    release, faulty, client, half
):
    faulty.faults.inject(Fault("403", at=lambda _method, path, _: "/auth-check" in path, times=9))
    with pytest.raises(PartlyPublishedError) as caught:
        publish(release, client)
    assert f"Public so far: {half[0]} is tagged v0.0.1; {half[1]} is committed (" in (
        caught.value.message
    )
    assert "write access" in caught.value.hint


def test_nor_does_a_release_that_no_longer_passes(release, faulty, client, half):
    with pytest.raises(PartlyPublishedError, match="does not pass. Public so far: ") as caught:
        pushed(release, client, check=refusing)
    assert caught.value.hint == "mend it"


def test_an_blocker_is_told_before_anything_is_checked_or_resumed(release, client, half):
    private = "--private was asked for. Public so far: "
    with heard() as said, pytest.raises(PartlyPublishedError, match=private):
        pushed(release, client, check=pytest.fail, options=PushOptions(private=True))
    assert said == []


def test_new_repositories_that_stay_empty_are_told_by_whichever_run(release, faulty, client):
    faulty.faults.inject(Fault("403", at=lambda _method, path, _: "/commit/" in path, times=9))
    for _again in range(2):
        with heard() as said, pytest.raises(EnvironmentProblem):
            pushed(release, client)
        assert said.pop() == f"Public so far: only {' and '.join(repos(release))}, without files"
        assert said.pop().startswith("uploaded ")


def test_one_that_was_made_otherwise_than_asked_is_told(release, client, monkeypatch):
    create = client.create
    monkeypatch.setattr(client, "create", lambda repo, *, private: create(repo, private=False))
    with heard() as said, pytest.raises(RefusedError, match="was to be private"):
        pushed(release, client, options=PushOptions(private=True))
    assert said[-1] == f"Public so far: only {repos(release)[0]}, without files"
