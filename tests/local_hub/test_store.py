"""The store keeps what it was given: across restarts, kills and races, and says what it refuses."""

import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from nla_release.errors import InputError
from nla_release.local_hub import collections, disk
from nla_release.local_hub import store as stores
from nla_release.local_hub.records import Put
from nla_release.local_hub.refusals import (
    AlreadyExistsError,
    BadRequestError,
    BrokenUploadError,
    StaleParentError,
)
from nla_release.local_hub.server import LocalHub
from nla_release.local_hub.store import Store
from tests.waiting import wait_until

REPO = "team/base"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A base as it lies on a disk."""
    folder = tmp_path / "base"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}\n")
    (folder / "sub" / "notes.txt").write_bytes(b"notes\n")
    (folder / "model.safetensors").write_bytes(bytes(range(256)))
    return folder


def test_the_same_folder_is_the_same_commit_everywhere_and_always(tmp_path, folder):
    commits = {Store(tmp_path / name).import_folder(REPO, folder) for name in ("one", "two")}
    # Written down: a commit id that changes breaks everything that pins a base by revision.
    assert commits == {"1673b18b28172ccfaa8f672735f6d53e5726cefd"}


def test_importing_again_changes_nothing(tmp_path, folder):
    store = Store(tmp_path / "hub")
    commit = store.import_folder(REPO, folder)
    assert store.import_folder(REPO, folder) == commit
    assert [each.title for each in store.repo(REPO).history("main")] == [
        "Import folder",
        "initial commit",
    ]


def test_importing_a_changed_folder_moves_main_and_keeps_the_old_commit(tmp_path, folder):
    store = Store(tmp_path / "hub")
    old = store.import_folder(REPO, folder)
    (folder / "config.json").write_bytes(b"{ }\n")
    new = store.import_folder(REPO, folder)
    assert new != old
    assert store.repo(REPO).resolve("main").id == new
    assert store.repo(REPO).resolve(old).tree["config.json"].size == 3
    fresh = Store(tmp_path / "fresh")
    assert fresh.import_folder(REPO, folder) == new


def test_an_import_never_hides_pushed_commits(tmp_path, folder):
    store = Store(tmp_path / "hub")
    store.import_folder(REPO, folder)
    store.repo(REPO).commit("main", [Put("a", store.regular(b"a"))], title="Push")
    with pytest.raises(AlreadyExistsError, match="contains pushed commits"):
        store.import_folder(REPO, folder)


def test_an_import_takes_content_and_leaves_the_traces_of_tools(tmp_path, folder):
    for trace in (".git/HEAD", ".cache/huggingface/x.lock"):
        (folder / trace).parent.mkdir(parents=True)
        (folder / trace).write_text("trace")
    store = Store(tmp_path / "hub")
    store.import_folder(REPO, folder)
    tree = store.repo(REPO).resolve("main").tree
    assert tree.keys() == {".gitattributes", "config.json", "model.safetensors", "sub/notes.txt"}
    assert [path for path, entry in tree.items() if entry.lfs] == ["model.safetensors"]


def test_an_import_publishes_nothing_that_a_link_leads_to(tmp_path, folder):
    (tmp_path / "secret").write_text("private")
    for name, target in (("sub/more.txt", tmp_path / "secret"), ("lib", "/etc"), ("gone", "/gone")):
        link = folder / name
        link.symlink_to(target)
        with pytest.raises(InputError, match=f"{re.escape(str(link))} is a link") as refusal:
            Store(tmp_path / "hub").import_folder(REPO, folder)
        assert "hf download --local-dir" in refusal.value.hint
        link.unlink()
    assert not (tmp_path / "hub" / "repos").exists()


def test_an_import_of_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a folder with files"):
        Store(tmp_path / "hub").import_folder(REPO, tmp_path / "missing")
    assert not (tmp_path / "hub" / "repos").exists()


def test_an_imported_folder_can_be_downloaded(tmp_path, folder):
    with LocalHub(tmp_path / "hub") as hub:
        commit = hub.store.import_folder(REPO, folder)
        api = HfApi(endpoint=hub.endpoint, token=False)
        copy = api.snapshot_download(REPO, revision=commit, cache_dir=tmp_path / "cache")
    assert (Path(copy) / "sub" / "notes.txt").read_bytes() == b"notes\n"


def test_everything_survives_a_restart(tmp_path):
    root = tmp_path / "hub"
    with LocalHub(root) as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        api.create_repo(REPO, private=True)
        api.create_tag(REPO, tag="v0.0.1")
        commit = api.model_info(REPO).sha
    with LocalHub(root) as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        assert api.model_info(REPO, revision="v0.0.1").sha == commit
        assert api.model_info(REPO).private


def test_of_writers_on_the_same_parent_one_wins(tmp_path):
    store = Store(tmp_path / "hub")
    repository = store.create(REPO)
    parent = repository.resolve("main").id

    def write(number: int) -> bool:
        entry = store.regular(b"%d" % number)
        try:
            repository.commit("main", [Put("a", entry)], title="Race", parent=parent)
        except StaleParentError:
            return False
        return True

    with ThreadPoolExecutor(8) as writers:
        assert sum(writers.map(write, range(8))) == 1
    assert len(list(repository.history("main"))) == 2


def test_a_parent_may_be_given_by_the_beginning_of_its_id(tmp_path):
    store = Store(tmp_path / "hub")
    repository = store.create(REPO)
    parent = repository.resolve("main").id
    made = repository.commit(
        "main", [Put("a", store.regular(b"a"))], title="Push", parent=parent[:8].upper()
    )
    assert repository.resolve(made.id[:7]) == made


KILLED = """
import sys
from pathlib import Path
from nla_release.local_hub import collections, disk
from nla_release.local_hub import store as stores
from nla_release.local_hub.records import Put
from nla_release.local_hub.store import Store

store = Store(Path(sys.argv[1]))
repository = store.create("team/base")
for number in range(100_000):
    entry = store.regular(b"%d" % number)
    commit = repository.commit("main", [Put("a", entry)], title=str(number))
    repository.create_ref("tags", f"v{number}", commit.id)
"""


def test_a_kill_leaves_no_ref_without_its_commit_and_no_commit_without_its_content(tmp_path):
    root = tmp_path / "hub"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(root)])
    state = root / "repos" / "team" / "base" / "repository.json"
    wait_until(
        lambda: state.exists() and len(list(state.parent.glob("commits/*.json"))) > 20,
        alive=lambda: process.poll() is None,
    )
    process.kill()
    process.wait()
    store = Store(root)
    repository = store.repo("team/base")
    assert len(list(repository.history("main"))) >= 20
    for name in repository.state().tags:
        for entry in repository.resolve(name).tree.values():
            assert store.blobs.size(entry.sha256) == entry.size
    parent = repository.resolve("main").id
    repository.commit("main", [Put("a", store.regular(b"on"))], title="Go on", parent=parent)


def test_deleting_a_repository_leaves_others_their_shared_content(tmp_path, folder):
    store = Store(tmp_path / "hub")
    store.import_folder("team/one", folder)
    store.import_folder("team/two", folder)
    store.delete("team/one")
    for entry in store.repo("team/two").resolve("main").tree.values():
        assert store.blobs.size(entry.sha256) == entry.size


def test_gitattributes_must_be_text(tmp_path):
    store = Store(tmp_path / "hub")
    repository = store.create(REPO)
    with pytest.raises(BadRequestError, match="not UTF-8"):
        repository.commit("main", [Put(".gitattributes", store.regular(b"\xff"))], title="x")


def test_what_a_killed_hub_left_behind_is_cleared_a_day_later(tmp_path):
    store = Store(tmp_path / "hub")
    old, new = (tmp_path / "hub" / "incoming" / name for name in ("old", "new"))
    folder = old.with_name("retired")
    folder.mkdir(parents=True)
    for path in (old, new, folder / "repository"):
        path.write_bytes(b"part")
    for path in (old, folder):
        os.utime(path, (time.time() - 90_000,) * 2)
    Store(store.root)

    assert list(new.parent.iterdir()) == [new]


def test_the_name_of_every_folder_is_brought_to_the_disk(tmp_path, monkeypatch):
    """The machine may lose its power as soon as the answer is sent."""
    synced = set()
    for module in (collections, disk, stores):
        monkeypatch.setattr(module, "sync_folder", synced.add)
    root = tmp_path / "deep" / "hub"
    store = Store(root)
    store.create(REPO)
    of_repo = root / "repos" / REPO
    assert {tmp_path, root.parent, root, of_repo.parent.parent, of_repo.parent, of_repo} <= synced
    assert {root / "blobs", of_repo / "commits"} <= synced

    listed = collections.Collections(store)
    made, _ = listed.create("team", "Readers", description=None, private=False)
    for delete, changed in (
        (partial(store.delete, REPO), of_repo.parent),
        (partial(listed.delete, made.slug), root / "collections"),
    ):
        synced.clear()
        delete()
        assert changed in synced


def test_a_hash_is_never_a_path(tmp_path):
    store = Store(tmp_path / "hub")
    shutil.copy(__file__, tmp_path / "secret")
    with pytest.raises(BrokenUploadError):
        store.large("../../secret")
