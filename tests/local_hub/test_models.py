"""The list of repositories: of a namespace, by a part of the id, and of what the caller may see."""

import pytest
from huggingface_hub.errors import HfHubHTTPError

pytestmark = pytest.mark.wire


@pytest.fixture
def ids(api):
    """Three repositories of two namespaces, one of them private."""
    api.create_repo("team/pair-av-v0_0_1")
    api.create_repo("team/Secret", private=True)
    api.create_repo("other/x")
    return lambda asking, **query: [model.id for model in asking.list_models(**query)]


def test_the_owner_sees_every_repository(api, ids):
    assert ids(api) == ["other/x", "team/Secret", "team/pair-av-v0_0_1"]
    assert ids(api, author="team") == ["team/Secret", "team/pair-av-v0_0_1"]
    assert ids(api, author="tea") == []
    assert ids(api, author="team", search="pair-AV") == ["team/pair-av-v0_0_1"]
    assert [model.private for model in api.list_models(author="team")] == [True, False]


def test_what_is_private_is_listed_to_nobody_else(anyone, ids):
    assert ids(anyone) == ["other/x", "team/pair-av-v0_0_1"]


def test_a_deleted_repository_is_not_listed(api, ids):
    api.delete_repo("other/x")
    assert ids(api, author="other") == []


def test_what_it_cannot_list_by_is_refused_and_not_ignored(api, ids):
    with pytest.raises(HfHubHTTPError, match="does not list models by") as refused:
        ids(api, pipeline_tag="text-generation")
    assert refused.value.response.status_code == 501
