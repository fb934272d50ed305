"""Anyone may read what is public; one token writes; nothing else gets in."""

import logging

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils import get_session

from nla_release.local_hub.server import LocalHub


@pytest.fixture
def wrong(hub: LocalHub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token="hf_somebody_else")


def test_the_owner_may_write_everywhere(api, repo):
    assert api.whoami()["auth"]["accessToken"]["role"] == "write"
    api.auth_check(repo)
    api.auth_check(repo, write=True)


def test_without_a_token_public_repositories_can_be_read_and_not_written(anyone, repo):
    assert anyone.list_repo_files(repo) == [".gitattributes"]
    anyone.auth_check(repo)
    addition = [CommitOperationAdd("a.txt", b"a")]
    for attempt in (
        lambda: anyone.auth_check(repo, write=True),
        lambda: anyone.create_commit(repo, addition, commit_message="Deface"),
        lambda: anyone.create_tag(repo, tag="v9"),
        lambda: anyone.update_repo_settings(repo, private=True),
    ):
        with pytest.raises(RepositoryNotFoundError):
            attempt()
    for attempt in (
        lambda: anyone.create_repo("team/new"),
        lambda: anyone.delete_repo(repo),
        lambda: HfApi(endpoint=anyone.endpoint, token="hf_somebody_else").whoami(),
    ):
        with pytest.raises(HfHubHTTPError) as refusal:
            attempt()
        assert refusal.value.response.status_code == 401


def test_a_private_repository_looks_missing_to_everyone_else(hub, api, anyone):
    api.create_repo("team/secret", private=True)
    assert api.model_info("team/secret").private
    with pytest.raises(RepositoryNotFoundError) as hidden:
        anyone.model_info("team/secret")
    with pytest.raises(RepositoryNotFoundError) as missing:
        anyone.model_info("team/missing")
    assert hidden.value.response.json() == missing.value.response.json()
    address = f"{hub.endpoint}/team/secret/resolve/main/.gitattributes"
    assert get_session().get(address).status_code == 401
    api.update_repo_settings("team/secret", private=False)
    assert not anyone.model_info("team/secret").private


def test_a_gated_repository_can_be_seen_and_only_its_owner_has_the_files(
    api, anyone, repo, tmp_path
):
    api.update_repo_settings(repo, gated="auto")
    assert anyone.model_info(repo).gated == "auto"
    with pytest.raises(GatedRepoError):
        anyone.hf_hub_download(repo, ".gitattributes", cache_dir=tmp_path / "anyone")
    api.hf_hub_download(repo, ".gitattributes", cache_dir=tmp_path / "owner")
    api.update_repo_settings(repo, gated=False)
    anyone.hf_hub_download(repo, ".gitattributes", cache_dir=tmp_path / "anyone")


def test_settings_that_no_hub_has_are_refused(api, hub, repo):
    answer = get_session().put(
        f"{hub.endpoint}/api/models/{repo}/settings",
        json={"gated": "sometimes"},
        headers={"authorization": f"Bearer {hub.token}"},
    )
    assert answer.status_code == 400
    assert api.model_info(repo).gated is False


def test_a_wrong_token_is_called_wrong_and_not_a_missing_repository(wrong, repo):
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as refusal:
        wrong.model_info(repo)
    assert refusal.value.response.status_code == 401
    assert not isinstance(refusal.value, RepositoryNotFoundError)


def test_the_token_reaches_neither_disk_nor_log(hub, api, repo, push, caplog):
    caplog.set_level(logging.DEBUG)
    push({"config.json": b"{}", "w.safetensors": b"\0"})
    assert hub.token not in caplog.text
    assert hub.token not in repr(hub.log.requests)
    kept = [path.read_bytes() for path in hub.root.rglob("*") if path.is_file()]
    assert kept
    assert not any(hub.token.encode() in content for content in kept)


def test_every_hub_makes_its_own_token(tmp_path):
    assert LocalHub(tmp_path).token != LocalHub(tmp_path).token
    assert LocalHub(tmp_path, token="hf_given").token == "hf_given"


def test_a_web_page_under_another_name_gets_no_answer(hub, repo):
    address = f"{hub.endpoint}/api/models/{repo}"
    assert get_session().get(address).status_code == 200
    assert get_session().get(address, headers={"Host": "evil.example"}).status_code == 400
