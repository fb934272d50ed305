"""A collection holds the pair when somebody asks for it, and decides nothing."""

import json

import pytest

from nla_release.hub import collection
from nla_release.hub.collection import collect
from nla_release.hub.plan import PushOptions, make_plan
from nla_release.hub_client.remote import Hub
from tests.hub.publishing import VERSION, api_of, publish, repos
from tests.messages import heard

pytestmark = pytest.mark.wire


@pytest.fixture
def plan(release, client):
    publish(release, client)
    return make_plan(release.dist, VERSION, client)


def collected(plan, hub, wanted):
    with heard() as said:
        collect(plan, hub, wanted)
    return said


def only(server):
    """The one collection that there is, whole."""
    api = api_of(server)
    (found,) = api.list_collections()
    return api.get_collection(found.slug)


def items(server):
    return [(item.item_id, item.note) for item in only(server).items]


def test_a_new_title_makes_a_collection_of_both(plan, release, server, client):
    said = collected(plan, client, "Tiny readers")

    av, ar = repos(release)
    assert items(server) == [(av, "AV v0.0.1"), (ar, "AR v0.0.1")]
    assert only(server).title == "Tiny readers"
    assert only(server).owner["name"] == "someone"
    assert not only(server).private
    assert said == [f"collection {server.endpoint}/collections/{only(server).slug} lists both"]


def test_a_collection_that_exists_is_used_by_title_and_by_slug(plan, release, server, client):
    api = api_of(server)
    api.create_repo("someone/other")
    made = api.create_collection("Tiny readers", namespace="someone")
    api.add_collection_item(made.slug, "someone/other", "model")
    api.add_collection_item(made.slug, repos(release)[0], "model", note="AV v0.0.0")
    for wanted in ("Tiny readers", made.slug):
        collected(plan, client, wanted)

    assert items(server) == [
        ("someone/other", None),
        (repos(release)[0], "AV v0.0.1"),
        (repos(release)[1], "AR v0.0.1"),
    ]


def test_a_collection_of_private_repositories_is_private(release, server, client):
    publish(release, client, options=PushOptions(private=True))
    collected(make_plan(release.dist, VERSION, client), client, "Tiny readers")

    assert only(server).private


@pytest.mark.parametrize("wanted", ["someone/gone-0123456789abcdef01234567", "t" * 10])
def test_what_goes_wrong_is_a_warning(plan, server, wanted, capsys):
    token = "hf_0123456789abcdef" if wanted[0] == "t" else server.token
    (line,) = collected(plan, Hub(server.endpoint, token), wanted)

    assert line.startswith("warning: v0.0.1 is published, but was not added to a collection: ")
    assert token not in line


ITEM = {"_id": "x", "id": "a/b", "type": "model", "note": {"text": "AV"}, "position": 0}
WRONG = ({"slug": 1}, {"items": [ITEM | {"_id": 5}]}, {"items": [ITEM | {"note": {"text": 5}}]})
FOUND = {
    "slug": "someone/tiny-readers-0123456789abcdef01234567",
    "title": "Tiny readers",
    "owner": {"name": "someone"},
    "items": [ITEM],
}


@pytest.mark.parametrize(
    "body",
    [
        *(b"[]", b"null", b'{"slug": 1, "items": null}', b"<html>"),
        *(json.dumps(FOUND | wrong).encode() for wrong in WRONG),
    ],
)
def test_an_answer_that_is_none_is_a_warning_too(plan, odd, body):
    odd.body = body
    (line,) = collected(plan, Hub(odd.endpoint, "hf_0123456789abcdef"), "Tiny readers")

    assert line.startswith("warning: v0.0.1 is published, but was not added to a collection: ")
    assert "not one of a Hub" in line


def test_whatever_goes_wrong_is_no_more_than_a_warning(plan, client, monkeypatch):
    def broken(*_arguments, **_options):
        raise AssertionError

    monkeypatch.setattr(collection.HfApi, "create_collection", broken)
    assert collected(plan, client, "Tiny readers") == [
        "warning: v0.0.1 is published, but was not added to a collection: AssertionError"
    ]
