"""The fault layer itself: the real client meets each fault as it would on a bad day."""

import io
import socket
import threading
from urllib.parse import urlsplit

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils import get_session, httpx

from nla_release.hub_client.client import quiet_client
from nla_release.local_hub.store import Store
from tests.hub.faults import Fault
from tests.hub.faulty import FaultyHub, HubProcess
from tests.waiting import wait_until

pytestmark = pytest.mark.wire

REPO = "team/pair"


@pytest.fixture
def hub(tmp_path):
    quiet_client()
    with FaultyHub(tmp_path / "hub") as running:
        HfApi(endpoint=running.endpoint, token=running.token).create_repo(REPO)
        running.faults.inject()
        yield running


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.endpoint, token=hub.token)


def commit(api: HfApi, path: str = "a.txt", **options: object):
    addition = CommitOperationAdd(path, io.BytesIO(b"a"))
    return api.create_commit(REPO, [addition], commit_message="Add", **options)


def titles(hub) -> list[str]:
    return [each.title for each in Store(hub.root).repo(REPO).history("main")]


def at_commit(method: str, path: str, _number: int) -> bool:
    return method == "POST" and "/commit/" in path


def test_without_faults_it_is_the_hub_and_every_request_is_written_down(hub, api):
    commit(api)

    assert [(each.method, each.path) for each in hub.faults.requests] == [
        ("POST", f"/api/models/{REPO}/preupload/main"),
        ("POST", f"/api/models/{REPO}/commit/main"),
    ]
    assert titles(hub) == ["Add", "initial commit"]


@pytest.mark.parametrize(
    ("kind", "landed"),
    [("reset_before", False), ("reset_after", True)],
)
def test_a_reset_is_one_of_the_socket(hub, api, kind, landed):
    hub.faults.inject(Fault(kind, at_commit))
    with pytest.raises(httpx.ReadError, match="reset|Errno 104"):
        commit(api)

    assert hub.faults.requests[-1].faults == (kind,)
    assert ("Add" in titles(hub)) is landed
    commit(api, "b.txt")


@pytest.mark.parametrize(("kind", "landed"), [("500_before", False), ("500_after", True)])
def test_a_500_tells_nothing_about_the_effect(hub, api, kind, landed):
    hub.faults.inject(Fault(kind, at=1))
    with pytest.raises(HfHubHTTPError) as caught:
        commit(api)

    assert caught.value.response.status_code == 500
    assert ("Add" in titles(hub)) is landed


@pytest.mark.parametrize("at", [0, 1])
def test_a_server_that_is_gone_refuses_connections_until_it_is_back(hub, api, at):
    hub.faults.inject(Fault("refuse", at))
    address = f"{hub.endpoint}/api/models/{REPO}"
    for _ in range(at):
        assert get_session().get(address).status_code == 200
    with pytest.raises(httpx.TransportError):  # a connection that was open is reset
        get_session().get(address)
    with pytest.raises(httpx.ConnectError):
        get_session().get(address)
    assert len(hub.faults.requests) == at
    endpoint = hub.endpoint
    hub.clear()

    assert hub.endpoint == endpoint
    commit(api)
    assert titles(hub) == ["Add", "initial commit"]


def test_a_server_may_go_as_a_certain_request_arrives(hub, api):
    hub.faults.inject(Fault("refuse", at_commit))
    with pytest.raises(httpx.TransportError):
        commit(api)
    with pytest.raises(httpx.ConnectError):
        api.model_info(REPO)
    hub.clear()

    assert titles(hub) == ["initial commit"]


def test_a_429_says_when_to_come_back(hub):
    hub.faults.inject(Fault("429", seconds=7, ratelimit='"api";r=0;t=7'))
    address = f"{hub.endpoint}/api/models/{REPO}"
    first, second = httpx.get(address), httpx.get(address)

    assert (first.status_code, first.headers["Retry-After"]) == (429, "7")
    assert first.headers["RateLimit"] == '"api";r=0;t=7'
    assert second.status_code == 200


def test_a_slow_answer_comes_after_the_effect_and_after_the_client_gave_up(hub, api):
    hub.faults.inject(Fault("slow", seconds=100_000))
    body, address = b'{"tag": "v1"}', urlsplit(hub.endpoint)
    lines = [
        f"POST /api/models/{REPO}/tag/main HTTP/1.1",
        f"host: {address.netloc}",
        f"authorization: Bearer {hub.token}",
        "content-type: application/json",
        f"content-length: {len(body)}",
    ]
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        wait_until(lambda: Store(hub.root).repo(REPO).state().tags)
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):  # nothing was answered
            connection.recv(1)

    assert set(Store(hub.root).repo(REPO).state().tags) == {"v1"}


def test_a_slow_answer_comes_for_those_who_wait(hub, api):
    hub.faults.inject(Fault("slow", seconds=0))
    assert api.model_info(REPO).id == REPO


def test_a_token_can_lose_its_rights_for_one_repository(hub, api):
    api.create_repo("team/other")
    hub.faults.inject(Fault("403", lambda _method, path, _number: REPO in path, times=2))
    for _ in range(2):
        with pytest.raises(HfHubHTTPError) as caught:
            api.create_tag(REPO, tag="v1")
        assert caught.value.response.status_code == 403
    api.create_tag("team/other", tag="v1")
    api.create_tag(REPO, tag="v1")


def test_a_412_comes_once_and_changes_nothing(hub, api):
    hub.faults.inject(Fault("412_once"))
    with pytest.raises(HfHubHTTPError) as caught:
        commit(api)
    assert caught.value.response.status_code == 412
    assert titles(hub) == ["initial commit"]
    commit(api)


def test_somebody_elses_tag_can_be_there_first(hub, api):
    commit(api)
    hub.faults.inject(Fault("tag_409_other"))
    with pytest.raises(HfHubHTTPError) as caught:
        api.create_tag(REPO, tag="v1")

    assert caught.value.response.status_code == 409
    repository = Store(hub.root).repo(REPO)
    assert repository.resolve("v1").title == "initial commit"


def test_a_gated_repository_can_be_seen_and_not_read(hub, api):
    hub.faults.inject(Fault("gated"))
    assert api.model_info(REPO).id == REPO
    with pytest.raises(GatedRepoError):
        api.hf_hub_download(REPO, ".gitattributes", local_dir=hub.root / "copy")


def test_files_can_be_dropped_as_if_ignored(hub, api):
    hub.faults.inject(Fault("should_ignore"))
    commit(api)
    assert api.list_repo_files(REPO) == [".gitattributes"]


def test_a_server_can_make_a_commit_of_nothing(hub, api):
    commit(api)
    commit(api)
    assert titles(hub) == ["Add", "initial commit"]
    hub.faults.inject(Fault("no_oid"))
    commit(api)
    assert titles(hub) == ["Add", "Add", "initial commit"]


def test_a_server_can_ignore_the_parent(hub, api):
    parent = api.model_info(REPO).sha
    commit(api)
    hub.faults.inject(Fault("ignores_parent"))
    commit(api, "b.txt", parent_commit=parent)
    assert titles(hub) == ["Add", "Add", "initial commit"]


def test_a_server_can_say_500_for_412(hub, api):
    parent = api.model_info(REPO).sha
    commit(api)
    hub.faults.inject(Fault("500_for_412"))
    commit(api, "b.txt")
    with pytest.raises(HfHubHTTPError) as caught:
        commit(api, "c.txt", parent_commit=parent)
    assert caught.value.response.status_code == 500
    assert titles(hub) == ["Add", "Add", "initial commit"]


def test_a_server_can_leave_out_its_error_headers(hub, api):
    hub.faults.inject(Fault("no_error_headers"))
    with pytest.raises(HfHubHTTPError) as caught:
        api.model_info("team/missing")
    assert not isinstance(caught.value, RepositoryNotFoundError)
    assert caught.value.response.status_code == 404


def test_a_server_can_ignore_that_it_is_a_proposal(hub, api):
    hub.faults.inject(Fault("ignores_create_pr"))
    with pytest.raises(KeyError, match="pullRequestUrl"):
        commit(api, create_pr=True)
    assert titles(hub) == ["Add", "initial commit"]


def test_deviations_go_together(hub, api):
    parent = api.model_info(REPO).sha
    hub.faults.inject(Fault("ignores_parent"), Fault("no_error_headers"))
    commit(api)
    commit(api, "b.txt", parent_commit=parent)
    assert hub.faults.requests[-1].faults == ("ignores_parent", "no_error_headers")


def test_requests_at_once_are_all_written_down(hub, api):
    threads = [threading.Thread(target=api.model_info, args=(REPO,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(hub.faults.requests) == 8


@pytest.mark.parametrize(("kind", "landed"), [("kill_before", False), ("kill_after", True)])
def test_a_server_can_be_killed_around_a_request_and_come_back(tmp_path, kind, landed):
    quiet_client()
    Store(tmp_path / "hub").create(REPO)
    with HubProcess(tmp_path / "hub", Fault(kind, at=1)) as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        with pytest.raises(httpx.TransportError):
            commit(api)
        with pytest.raises(httpx.TransportError):
            api.model_info(REPO)
        hub.restart()

        assert ("Add" in [each.title for each in api.list_repo_commits(REPO)]) is landed
        commit(api, "b.txt")


def test_a_hub_in_the_tests_process_is_never_killed(hub):
    with pytest.raises(ValueError, match="use HubProcess"):
        hub.faults.inject(Fault("kill_after"))
