"""Collections with the real client: a pair on one page."""

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import BadRequestError, HfHubHTTPError

from nla_release.local_hub.server import LocalHub

AV, AR = "team/pair-av-v0_0_1", "team/pair-ar-v0_0_1"


@pytest.fixture
def pair(api):
    for repo in (AV, AR):
        api.create_repo(repo)


@pytest.fixture
def made(api, pair):
    return api.create_collection("A pair of Adapters!", namespace="team", description="Both")


def test_a_pair_is_collected_with_notes_in_order(api, made):
    assert made.slug.startswith("team/a-pair-of-adapters-")
    api.add_collection_item(made.slug, AR, "model", note="The reconstructor")
    api.add_collection_item(made.slug, AV, "model")
    items = api.get_collection(made.slug).items
    assert [(item.item_id, item.note, item.position) for item in items] == [
        (AR, "The reconstructor", 0),
        (AV, None, 1),
    ]
    api.update_collection_item(
        made.slug, items[1].item_object_id, position=0, note="The verbalizer"
    )
    items = api.get_collection(made.slug).items
    assert [(item.item_id, item.note) for item in items] == [
        (AV, "The verbalizer"),
        (AR, "The reconstructor"),
    ]
    api.delete_collection_item(made.slug, items[0].item_object_id)
    assert [item.item_id for item in api.get_collection(made.slug).items] == [AR]
    with pytest.raises(HfHubHTTPError, match="item not found"):
        api.delete_collection_item(made.slug, items[0].item_object_id)


def test_creating_it_again_finds_it(api, made):
    with pytest.raises(HfHubHTTPError) as refusal:
        api.create_collection("A pair of Adapters!", namespace="team")
    assert refusal.value.response.status_code == 409
    again = api.create_collection("A pair of Adapters!", namespace="team", exists_ok=True)
    assert again.slug == made.slug
    assert api.create_collection("A pair of Adapters!").owner == {"name": "loopback"}


def test_adding_an_item_again_changes_nothing(api, made):
    api.add_collection_item(made.slug, AV, "model")
    with pytest.raises(HfHubHTTPError) as refusal:
        api.add_collection_item(made.slug, AV, "model")
    assert refusal.value.response.status_code == 409
    api.add_collection_item(made.slug, AV, "model", exists_ok=True)
    assert len(api.get_collection(made.slug).items) == 1


def test_a_title_may_change_and_the_old_address_still_leads_there(api, made):
    changed = api.update_collection_metadata(made.slug, title="Pairs", description="More")
    assert (changed.title, changed.description) == ("Pairs", "More")
    assert changed.slug != made.slug
    assert api.get_collection(made.slug).title == "Pairs"


def test_collections_are_listed_by_owner_and_by_what_they_hold(api, made):
    other = api.create_collection("Other", namespace="somebody")
    api.add_collection_item(made.slug, AV, "model")
    assert [each.slug for each in api.list_collections(owner="team")] == [made.slug]
    assert [each.slug for each in api.list_collections(item=f"models/{AV}")] == [made.slug]
    assert {each.slug for each in api.list_collections()} == {made.slug, other.slug}


def test_a_private_collection_is_not_shown_to_others(api, anyone, pair):
    made = api.create_collection("Secret", namespace="team", private=True)
    assert api.get_collection(made.slug).private
    with pytest.raises(HfHubHTTPError) as refusal:
        anyone.get_collection(made.slug)
    assert refusal.value.response.status_code == 404
    assert list(anyone.list_collections()) == []


def test_it_is_gone_when_deleted_and_its_models_are_not(api, made):
    api.add_collection_item(made.slug, AV, "model")
    api.delete_collection(made.slug)
    with pytest.raises(HfHubHTTPError):
        api.delete_collection(made.slug)
    api.delete_collection(made.slug, missing_ok=True)
    assert api.repo_exists(AV)


def test_it_survives_a_restart(tmp_path):
    with LocalHub(tmp_path / "hub") as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        slug = api.create_collection("Pair", namespace="team").slug
    with LocalHub(tmp_path / "hub") as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        assert api.get_collection(slug).title == "Pair"


def test_what_the_hub_would_not_take_is_refused(api, anyone, made):
    with pytest.raises(BadRequestError, match="150"):
        api.create_collection("Long", namespace="team", description="x" * 151)
    with pytest.raises(BadRequestError, match="500"):
        api.add_collection_item(made.slug, AV, "model", note="x" * 501)
    with pytest.raises(HfHubHTTPError, match="not found"):
        api.add_collection_item(made.slug, "team/missing", "model")
    for slug in ("team/../../../token", "team/x-" + "0" * 24, "team/none"):
        with pytest.raises(HfHubHTTPError):
            api.get_collection(slug)
    with pytest.raises(HfHubHTTPError) as refusal:
        anyone.create_collection("Mine", namespace="team")
    assert refusal.value.response.status_code == 401
