"""The real client does against the local Hub what a release does against the real one."""

import hashlib
import json
import struct
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import get_session

from nla_release.local_hub.server import LocalHub

pytestmark = pytest.mark.wire

CARD = b"---\nlicense: apache-2.0\nbase_model: team/base\ntags: [nla]\n---\n# Pair\n"
HEADER = json.dumps(
    {"lora_A.weight": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]}}
).encode()
WEIGHTS = struct.pack("<Q", len(HEADER)) + HEADER + bytes(8)
RELEASE = {
    "README.md": CARD,
    "adapter_config.json": b'{"base_model_name_or_path": "team/base", "task_type": "CAUSAL_LM"}',
    "adapter_model.safetensors": WEIGHTS,
    "figures/cosine.png": b"\x89PNG\r\n\x1a\n",
}


def test_a_release_is_one_commit_on_the_initial_one(api, repo, push):
    first = api.model_info(repo).sha
    commit = push(RELEASE, parent_commit=first)
    history = api.list_repo_commits(repo)
    assert [each.commit_id for each in history] == [commit, first]
    assert [each.title for each in history] == ["Release", "initial commit"]
    assert api.model_info(repo).sha == commit


def test_the_tree_shows_git_ids_for_text_and_sha256_for_large_files(api, repo, push):
    push(RELEASE)
    files = {entry.path: entry for entry in api.list_repo_tree(repo, recursive=True)}
    assert files.keys() == {*RELEASE, ".gitattributes", "figures"}
    git_id = hashlib.sha1(b"blob %d\0" % len(CARD) + CARD).hexdigest()
    assert (files["README.md"].blob_id, files["README.md"].lfs) == (git_id, None)
    large = files["adapter_model.safetensors"].lfs
    assert (large.sha256, large.size) == (hashlib.sha256(WEIGHTS).hexdigest(), len(WEIGHTS))
    assert [entry.path for entry in api.list_repo_tree(repo, "figures")] == ["figures/cosine.png"]
    assert "figures/cosine.png" not in {entry.path for entry in api.list_repo_tree(repo)}
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(repo, "nowhere"))


def test_paths_info_leaves_out_what_is_missing(api, repo, push):
    push(RELEASE)
    found = api.get_paths_info(repo, ["README.md", "missing.txt", "figures"])
    assert [entry.path for entry in found] == ["README.md", "figures"]


def test_model_info_lifts_the_card_and_the_adapter_configuration(api, repo, push):
    push(RELEASE)
    info = api.model_info(repo, files_metadata=True)
    assert info.card_data.base_model == "team/base"
    assert info.tags == ["nla"]
    assert info.config["peft"] == {
        "base_model_name_or_path": "team/base",
        "task_type": "CAUSAL_LM",
    }
    large = next(each for each in info.siblings if each.rfilename.endswith(".safetensors"))
    assert large.lfs["sha256"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert api.model_info(repo, expand=["sha"]).sha == info.sha


def test_a_commit_on_a_parent_that_is_no_longer_the_tip_is_refused(api, repo, push):
    stale = api.model_info(repo).sha
    push({"one.txt": b"1"}, parent_commit=stale)
    with pytest.raises(HfHubHTTPError) as refusal:
        push({"two.txt": b"2"}, parent_commit=stale)
    assert refusal.value.response.status_code == 412
    assert not api.file_exists(repo, "two.txt")


def test_pushing_the_same_bytes_again_changes_nothing(hub, api, repo, push):
    commit = push(RELEASE)
    before = len(hub.log.requests)
    assert push(RELEASE) == commit
    assert not [each for each in hub.log.requests[before:] if each.writes]


def test_deleting_a_file_that_is_not_there_is_refused(api, repo):
    with pytest.raises(EntryNotFoundError):
        api.create_commit(repo, [CommitOperationDelete("missing.txt")], commit_message="Delete")


def test_files_and_folders_can_be_deleted(api, repo, push):
    push({**RELEASE, "old/a.txt": b"a", "old/b.txt": b"b"})
    api.create_commit(
        repo,
        [CommitOperationDelete("old/"), CommitOperationDelete("figures/cosine.png")],
        commit_message="Delete",
    )
    assert api.list_repo_files(repo) == sorted(
        {*RELEASE, ".gitattributes"} - {"figures/cosine.png"}
    )


def test_a_path_cannot_be_both_a_file_and_a_folder(push):
    push({"a": b"file"})
    with pytest.raises(BadRequestError, match="both a file and a folder"):
        push({"a/b": b"inside"})


def test_a_gitignore_in_the_repository_drops_files_without_a_word(api, repo, push):
    push({".gitignore": b"*.log\nsecret/\n!keep.log\n"})
    push({"a.log": b"a", "keep.log": b"k", "secret/x.txt": b"x", "b.txt": b"b"})
    assert api.list_repo_files(repo) == [".gitattributes", ".gitignore", "b.txt", "keep.log"]


def test_a_large_file_of_an_unknown_kind_is_tracked_in_gitattributes(api, repo, push, tmp_path):
    push({"odd name.weights": b"\0\1\2"})
    path = api.hf_hub_download(repo, ".gitattributes", cache_dir=tmp_path / "cache")
    assert "odd[[:space:]]name.weights filter=lfs" in Path(path).read_text()


def test_tags_pin_a_commit_and_never_move(api, repo, push):
    commit = push(RELEASE)
    api.create_tag(repo, tag="v0.0.1", revision=commit)
    push({"later.txt": b"later"})
    assert {tag.name: tag.target_commit for tag in api.list_repo_refs(repo).tags} == {
        "v0.0.1": commit
    }
    with pytest.raises(HfHubHTTPError) as refusal:
        api.create_tag(repo, tag="v0.0.1")
    assert refusal.value.response.status_code == 409
    with pytest.raises(RevisionNotFoundError):
        api.create_tag(repo, tag="v0.0.2", revision="nowhere")
    with pytest.raises(BadRequestError):
        api.create_tag(repo, tag="not a tag")
    api.delete_tag(repo, tag="v0.0.1")
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(repo, tag="v0.0.1")
    assert api.list_repo_refs(repo).tags == []


def test_branches_with_slashes_in_their_names_work_like_any_other(api, repo, push):
    api.create_branch(repo, branch="candidate/0.0.2")
    commit = push({"new.txt": b"new"}, revision="candidate/0.0.2")
    assert api.model_info(repo, revision="candidate/0.0.2").sha == commit
    assert not api.file_exists(repo, "new.txt")
    assert api.file_exists(repo, "new.txt", revision="candidate/0.0.2")
    with pytest.raises(HfHubHTTPError) as refusal:
        api.create_branch(repo, branch="candidate/0.0.2")
    assert refusal.value.response.status_code == 409
    api.delete_branch(repo, branch="candidate/0.0.2")
    assert [each.name for each in api.list_repo_refs(repo).branches] == ["main"]
    with pytest.raises(BadRequestError, match="Cannot delete"):
        api.delete_branch(repo, branch="main")


def test_a_squash_is_one_commit_and_a_tag_keeps_the_old_ones(api, repo, push):
    push({"one.txt": b"1"})
    old = push({"two.txt": b"2"})
    api.create_tag(repo, tag="v0.0.1")
    api.super_squash_history(repo, commit_message="All of it")
    assert [each.title for each in api.list_repo_commits(repo)] == ["All of it"]
    assert api.list_repo_files(repo) == [".gitattributes", "one.txt", "two.txt"]
    assert api.model_info(repo, revision="v0.0.1").sha == old
    assert len(api.list_repo_commits(repo, revision="v0.0.1")) == 3
    with pytest.raises(RevisionNotFoundError):
        api.super_squash_history(repo, branch="nowhere")


@pytest.mark.parametrize("pin", ["tag", "commit"])
def test_a_pinned_download_has_the_bytes_that_were_pushed(api, repo, push, tmp_path, pin):
    commit = push(RELEASE)
    api.create_tag(repo, tag="v0.0.1")
    push({"README.md": b"---\nlicense: mit\n---\nLater.\n"})
    revision = "v0.0.1" if pin == "tag" else commit
    folder = Path(api.snapshot_download(repo, revision=revision, cache_dir=tmp_path / "cache"))
    assert folder.name == commit
    for path, content in RELEASE.items():
        assert (folder / path).read_bytes() == content


def test_a_download_needs_no_settings_but_the_endpoint(hub, api, repo, push, tmp_path):
    push(RELEASE)
    path = hf_hub_download(
        repo,
        "adapter_model.safetensors",
        endpoint=hub.endpoint,
        token=False,
        cache_dir=tmp_path / "cache",
    )
    assert Path(path).read_bytes() == WEIGHTS


def test_checksums_of_a_download_are_verified_against_the_hub(api, repo, push, tmp_path):
    push(RELEASE)
    folder = tmp_path / "copy"
    api.snapshot_download(repo, local_dir=folder)
    verified = api.verify_repo_checksums(repo, local_dir=folder)
    assert (verified.mismatches, verified.missing_paths) == ([], [])
    (folder / "README.md").write_text("tampered")
    (folder / "adapter_model.safetensors").write_bytes(b"tampered")
    verified = api.verify_repo_checksums(repo, local_dir=folder)
    assert {each["path"] for each in verified.mismatches} == {
        "README.md",
        "adapter_model.safetensors",
    }


def test_existence_is_told_from_absence(api, repo, push):
    push(RELEASE)
    assert api.file_exists(repo, "adapter_model.safetensors")
    assert not api.file_exists(repo, "adapter_model.bin")
    assert not api.file_exists(repo, "README.md", revision="v9")
    assert api.revision_exists(repo, "main")
    assert not api.revision_exists(repo, "v9")
    assert api.repo_exists(repo)
    assert not api.repo_exists("team/other")


def test_a_safetensors_header_is_read_without_downloading_the_file(hub, api, repo, push):
    push(RELEASE)
    metadata = api.parse_safetensors_file_metadata(repo, "adapter_model.safetensors")
    assert metadata.tensors["lora_A.weight"].shape == [2, 1]
    assert hub.log.requests[-1].status == 206


def test_a_range_returns_exactly_those_bytes(hub, repo, push):
    push(RELEASE)
    url = f"{hub.endpoint}/{repo}/resolve/main/adapter_model.safetensors"
    answer = get_session().get(url, headers={"Range": "bytes=8-9"})
    assert (answer.status_code, answer.content) == (206, WEIGHTS[8:10])
    assert answer.headers["Content-Range"] == f"bytes 8-9/{len(WEIGHTS)}"
    assert get_session().get(url, headers={"Range": "bytes=9999-"}).status_code == 416


def test_a_head_pins_commit_hash_and_size(hub, api, repo, push):
    commit = push(RELEASE)
    api.create_tag(repo, tag="v0.0.1")
    url = f"{hub.endpoint}/{repo}/resolve/v0.0.1/adapter_model.safetensors"
    headers = get_session().head(url).headers
    assert headers["X-Repo-Commit"] == commit
    assert headers["ETag"] == headers["X-Linked-ETag"] == f'"{hashlib.sha256(WEIGHTS).hexdigest()}"'
    assert headers["Content-Length"] == headers["X-Linked-Size"] == str(len(WEIGHTS))
    missing = get_session().head(f"{hub.endpoint}/{repo}/resolve/v0.0.1/missing.txt")
    assert missing.status_code == 404
    assert missing.headers["X-Error-Code"] == "EntryNotFound"
    assert missing.headers["X-Repo-Commit"] == commit


def test_creating_a_repository_twice_is_allowed_only_when_asked(api, repo):
    with pytest.raises(HfHubHTTPError) as refusal:
        api.create_repo(repo)
    assert refusal.value.response.status_code == 409
    assert str(api.create_repo(repo, exist_ok=True)).endswith(repo)


def test_a_deleted_repository_is_gone_and_its_name_free(api, repo, push):
    push(RELEASE)
    api.delete_repo(repo)
    assert not api.repo_exists(repo)
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo(repo)
    api.create_repo(repo)
    assert api.list_repo_files(repo) == [".gitattributes"]


def test_only_model_repositories_exist(api):
    with pytest.raises(HfHubHTTPError, match="no repositories of type 'dataset'"):
        api.create_repo("team/data", repo_type="dataset")


def test_large_files_can_be_staged_before_the_commit(api, repo, tmp_path):
    path = tmp_path / "adapter_model.safetensors"
    path.write_bytes(WEIGHTS)
    with path.open("rb") as stream:
        operation = CommitOperationAdd(path.name, stream)
        api.preupload_lfs_files(repo, [operation])
        assert api.list_repo_files(repo) == [".gitattributes"]
        api.create_commit(repo, [operation], commit_message="Release")
    assert api.file_exists(repo, path.name)


def test_the_log_tells_questions_from_changes(hub: LocalHub, api: HfApi, repo, push):
    api.model_info(repo)
    push(RELEASE)
    writes = [(each.method, each.path, each.status) for each in hub.log.writes]
    assert [each for each in writes if "/lfs/" not in each[1]] == [
        ("POST", "/api/repos/create", 200),
        ("POST", f"/api/models/{repo}/commit/main", 200),
    ]
    assert [each[0] for each in writes if "/lfs/" in each[1]] == ["PUT", "PUT"]
