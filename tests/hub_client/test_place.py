"""Places on the Hub as people write them: what cannot be fetched is said in words for people."""

import pytest
from huggingface_hub import constants

from nla_release.errors import ConfigError, EnvironmentProblem
from nla_release.hub_client.place import HubPlace
from nla_release.hub_client.reader import fetch
from tests.hub.faults import Fault
from tests.hub.publishing import api_of

pytestmark = pytest.mark.wire


@pytest.fixture
def hub(faulty, monkeypatch):
    """A Hub with one public repository, asked by somebody without a token."""
    files = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, faulty.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
    monkeypatch.setattr(constants, "ENDPOINT", faulty.endpoint)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    api_of(faulty).create_repo("someone/tiny-av")
    return faulty


def test_what_is_fetched_is_pinned_to_its_commit(hub, tmp_path):
    place = fetch(HubPlace("someone/tiny-av", "main"), [".gitattributes"], tmp_path)

    assert place.revision == api_of(hub).model_info("someone/tiny-av").sha
    assert (tmp_path / ".gitattributes").is_file()


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (HubPlace("someone/unknown"), "does not exist on the Hub, or the token may not see it"),
        (HubPlace("someone/tiny-av", "v9"), "the Hub answered 404 Invalid rev id: 'v9'"),
    ],
)
def test_what_is_not_there_is_named_with_the_reason(hub, tmp_path, place, reason):
    with pytest.raises(EnvironmentProblem) as caught:
        fetch(place, ["*"], tmp_path)

    assert caught.value.message == (
        f"{place.repo} is not a local folder and cannot be fetched from the Hub: {reason}"
    )
    assert "check the path or the id" in caught.value.hint


def test_a_gated_repository_is_called_gated(hub, tmp_path):
    api_of(hub).update_repo_settings("someone/tiny-av", gated="auto")
    with pytest.raises(EnvironmentProblem, match="from the Hub: is gated"):
        fetch(HubPlace("someone/tiny-av"), ["*"], tmp_path)


def test_a_hub_that_does_not_give_a_file_is_quoted(hub, tmp_path):
    hub.faults.inject(Fault("403", at=lambda _method, path, _number: "/resolve/" in path))
    with pytest.raises(EnvironmentProblem, match="from the Hub: the token may not do this .403"):
        fetch(HubPlace("someone/tiny-av"), ["*"], tmp_path)


def test_a_name_that_no_repository_can_have_is_none(hub, tmp_path):
    with pytest.raises(ConfigError, match="some--body/av is neither a folder nor a Hub id"):
        fetch(HubPlace("some--body/av"), ["*"], tmp_path)
