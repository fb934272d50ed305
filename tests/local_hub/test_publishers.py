"""A CI job's token: from an ID token, for one repository, for an hour, and for nothing else."""

import io

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub._oidc import exchange_oidc_token
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils import get_session

from nla_release.local_hub import publishers

CLAIMS = {"repository": "team/pair", "workflow": "release.yml", "ref": "refs/heads/main"}
OTHER = "team/other"


@pytest.fixture
def exchange(hub, api, repo):
    """Exchanges what a job would have, as the real client does."""
    api.create_repo(OTHER)
    hub.publishers.trust(repo, repository="team/pair", workflow="release.yml")

    def exchange(resource: str = repo, *, audience: str = hub.endpoint, **claims: str) -> dict:
        token = hub.publishers.id_token(audience, **{**CLAIMS, **claims})
        return exchange_oidc_token(subject_token=token, resource=resource, endpoint=hub.endpoint)

    return exchange


@pytest.fixture
def job(hub, exchange):
    return HfApi(endpoint=hub.endpoint, token=exchange()["access_token"])


def refused(call, *arguments: object, **options: object) -> int:
    with pytest.raises(HfHubHTTPError) as refusal:
        call(*arguments, **options)
    return refusal.value.response.status_code


def addition() -> list[CommitOperationAdd]:
    return [CommitOperationAdd("a.safetensors", io.BytesIO(b"weights"))]


def test_a_trusted_job_publishes_to_its_repository_and_is_named_as_a_job(exchange, job, repo):
    answer = exchange()
    assert answer["access_token"].startswith("hf_jwt_")
    assert (answer["token_type"], answer["expires_in"]) == ("bearer", 3600)
    job.auth_check(repo, write=True)
    job.create_commit(repo, addition(), commit_message="Release")
    job.create_tag(repo, tag="v0.0.1")
    assert job.list_repo_commits(repo)[0].authors == ["[OIDC]"]


def test_it_can_write_to_no_other_repository(job, api):
    job.auth_check(OTHER)
    for call in (job.auth_check, job.super_squash_history):
        options = {"write": True} if call == job.auth_check else {}
        assert refused(call, OTHER, **options) == 403
    assert refused(job.create_commit, OTHER, addition(), commit_message="Deface") == 403
    assert refused(job.create_tag, OTHER, tag="v9") == 403
    api.update_repo_settings(OTHER, private=True)
    with pytest.raises(RepositoryNotFoundError):
        job.model_info(OTHER)


def test_it_can_do_nothing_but_publish(job, repo):
    assert refused(job.create_repo, "team/new") == 401
    assert refused(job.delete_repo, repo) == 401
    assert refused(job.update_repo_settings, repo, private=True) == 401
    assert refused(job.whoami) == 401
    assert refused(job.create_collection, "Mine", namespace="team") == 401


def test_a_private_repository_is_its_jobs_too(api, job, repo):
    api.update_repo_settings(repo, private=True)
    assert job.model_info(repo).private


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"workflow": "other.yml"}, "has the claims of this job"),
        ({"repository": "stranger/pair"}, "has the claims of this job"),
        ({"resource": OTHER}, "no trusted publisher of team/other"),
        ({"audience": "https://huggingface.co"}, "is not for"),
    ],
)
def test_other_jobs_get_nothing(exchange, claims, words):
    with pytest.raises(HfHubHTTPError) as refusal:
        exchange(**claims)
    answer = refusal.value.response.json()
    assert refusal.value.response.status_code == 400
    assert answer["error"] == "invalid_grant"
    assert words in answer["error_description"]


@pytest.mark.parametrize("forge", [lambda token: token[:-2], lambda _: "", lambda _: "a.b.c"])
def test_a_forged_id_token_gets_nothing(hub, repo, exchange, forge):
    token = forge(hub.publishers.id_token(hub.endpoint, **CLAIMS))
    with pytest.raises(HfHubHTTPError, match="not signed"):
        exchange_oidc_token(subject_token=token, resource=repo, endpoint=hub.endpoint)


def test_a_late_id_token_gets_nothing(hub, repo, exchange):
    token = hub.publishers.id_token(hub.endpoint, expires_in=-1, **CLAIMS)
    with pytest.raises(HfHubHTTPError, match="expired"):
        exchange_oidc_token(subject_token=token, resource=repo, endpoint=hub.endpoint)


def test_a_token_is_good_for_an_hour(job, repo, monkeypatch):
    job.auth_check(repo, write=True)
    now = publishers.time.time()
    monkeypatch.setattr(publishers.time, "time", lambda: now + 3601)
    assert refused(job.auth_check, repo, write=True) == 401


def test_another_kind_of_exchange_is_refused(hub):
    answer = get_session().post(f"{hub.endpoint}/oauth/token", json={"grant_type": "password"})
    assert answer.status_code == 400


def test_an_exchange_is_not_a_change(hub, exchange):
    before = hub.log.writes
    exchange()
    assert hub.log.writes == before
