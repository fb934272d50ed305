"""What the Hub acknowledged is still there after `kill -9`, and of racing writers one wins."""

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx

from nla_release.local_hub.store import Store
from tests.hub.faults import Fault
from tests.hub.faulty import HubProcess, never_wait
from tests.waiting import wait_until

REPO = "team/pair"
WRITERS = 8


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch):
    never_wait(monkeypatch)


def addition(path: str, number: int) -> CommitOperationAdd:
    return CommitOperationAdd(path, io.BytesIO(b"%d" % number))


def assert_whole(store: Store, repo: str = REPO) -> None:
    """Every ref leads to a commit, and every commit to its content, to the beginning."""
    repository = store.repo(repo)
    state = repository.state()
    for ref in {*state.branches, *state.tags, *state.pulls}:
        for commit in repository.history(ref):
            for entry in commit.tree.values():
                assert store.blobs.size(entry.sha256) == entry.size


def test_of_eight_clients_on_one_parent_exactly_one_wins(hub, repo):
    parent = HfApi(endpoint=hub.endpoint, token=hub.token).model_info(repo).sha
    together = threading.Barrier(WRITERS)

    def write(number: int) -> int:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        together.wait()
        try:
            api.create_commit(
                repo, [addition("a.txt", number)], commit_message="Race", parent_commit=parent
            )
        except HfHubHTTPError as error:
            return error.response.status_code
        return 200

    with ThreadPoolExecutor(WRITERS) as writers:
        answers = sorted(writers.map(write, range(WRITERS)))
    assert answers == [200] + [412] * (WRITERS - 1)
    assert len(list(hub.store.repo(repo).history("main"))) == 2


def test_eight_clients_with_large_files_of_their_own_all_land(hub, repo):
    def write(number: int) -> str:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        operation = addition(f"{number}.safetensors", number)
        return api.create_commit(repo, [operation], commit_message=f"Write {number}").oid

    with ThreadPoolExecutor(WRITERS) as writers:
        commits = set(writers.map(write, range(WRITERS)))
    history = list(hub.store.repo(repo).history("main"))
    assert {commit.id for commit in history[:-1]} == commits
    assert len(history[0].tree) == WRITERS + 1
    assert_whole(hub.store, repo)


@pytest.mark.parametrize("after", [0.2, 0.8])
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path, after):
    Store(tmp_path / "hub").create(REPO)
    commits: list[str] = []
    tags: dict[str, str] = {}

    def write(hub: HubProcess, who: int) -> None:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        try:
            for number in range(10_000):
                operation = addition(f"{who}.safetensors", number)
                made = api.create_commit(REPO, [operation], commit_message=f"{who} {number}")
                commits.append(made.oid)
                api.create_tag(REPO, tag=f"v{who}.{number}", revision=made.oid)
                tags[f"v{who}.{number}"] = made.oid
        except (httpx.HTTPError, OSError, RuntimeError):
            assert stopping.is_set()

    with HubProcess(tmp_path / "hub") as hub:
        stopping = threading.Event()
        with ThreadPoolExecutor(3) as writers:
            writing = [writers.submit(write, hub, who) for who in range(3)]
            wait_until(lambda: tags or any(writer.done() for writer in writing))
            time.sleep(after)
            stopping.set()
            hub.kill()
        for writer in writing:
            writer.result()
        store = Store(tmp_path / "hub")
        assert_whole(store)
        there = {commit.id for commit in store.repo(REPO).history("main")}
        assert set(commits) <= there
        assert tags.items() <= store.repo(REPO).state().tags.items()

        hub.restart()
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        head = api.model_info(REPO).sha
        made = api.create_commit(
            REPO, [addition("on.txt", 1)], commit_message="Go on", parent_commit=head
        )
        assert api.list_repo_commits(REPO)[0].commit_id == made.oid


@pytest.mark.parametrize("kind", ["kill_before", "kill_after"])
@pytest.mark.parametrize("at", range(5))
def test_a_kill_at_any_request_of_a_commit_leaves_all_of_it_or_nothing(tmp_path, kind, at):
    """preupload, LFS batch, LFS bytes, LFS verify, commit."""
    store = Store(tmp_path / "hub")
    store.create(REPO)
    with HubProcess(tmp_path / "hub", Fault(kind, at)) as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        with pytest.raises((httpx.HTTPError, OSError, RuntimeError)):
            api.create_commit(REPO, [addition("a.safetensors", 1)], commit_message="Release")
        assert_whole(store)
        titles = [commit.title for commit in store.repo(REPO).history("main")]
        landed = at == 4 and kind == "kill_after"
        assert titles == (["Release"] if landed else []) + ["initial commit"]
        hub.restart()
        api.create_commit(REPO, [addition("a.safetensors", 1)], commit_message="Release")
        assert api.list_repo_files(REPO) == [".gitattributes", "a.safetensors"]
