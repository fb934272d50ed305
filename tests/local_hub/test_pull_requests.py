"""Pull requests from proposal to merge, and discussions, with the real client."""

import io
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RevisionNotFoundError

from nla_release.local_hub.server import LocalHub


def large(path: str, content: bytes) -> CommitOperationAdd:
    """A binary file, which goes through LFS: given open, as the client's Xet is not for here."""
    return CommitOperationAdd(path, io.BytesIO(content))


@pytest.fixture
def propose(api, repo):
    """Opens a pull request that adds files; what the client makes of it."""

    def propose(files: dict[str, bytes], **options: object):
        additions = [CommitOperationAdd(path, data) for path, data in files.items()]
        return api.create_commit(
            repo, additions, commit_message="Propose", create_pr=True, **options
        )

    return propose


def test_a_proposal_changes_nothing_until_it_is_merged(api, repo, propose):
    before = api.model_info(repo).sha
    proposed = propose({"a.txt": b"a"}, commit_description="Because")
    assert (proposed.pr_num, proposed.pr_revision) == (1, "refs/pr/1")
    assert api.model_info(repo).sha == before
    assert api.file_exists(repo, "a.txt", revision="refs/pr/1")
    assert not api.file_exists(repo, "a.txt")
    details = api.get_discussion_details(repo, 1)
    assert (details.title, details.status, details.is_pull_request) == ("Propose", "open", True)
    assert (details.target_branch, details.conflicting_files) == ("refs/heads/main", [])
    assert [event.type for event in details.events] == ["comment", "commit"]
    assert (details.events[0].content, details.events[1].oid) == ("Because", proposed.oid)

    api.merge_pull_request(repo, 1, comment="Thanks")

    details = api.get_discussion_details(repo, 1)
    assert details.status == "merged"
    assert details.merge_commit_oid == api.model_info(repo).sha
    assert [event.type for event in details.events][2:] == ["comment", "status-change"]
    assert api.file_exists(repo, "a.txt")
    assert [each.title for each in api.list_repo_commits(repo)] == [
        "Propose (#1)",
        "initial commit",
    ]


def test_pull_requests_are_refs_when_asked_for(api, repo, propose):
    assert api.list_repo_refs(repo, include_pull_requests=True).pull_requests == []
    proposed = propose({"a.txt": b"a"})
    refs = api.list_repo_refs(repo, include_pull_requests=True)
    assert [(each.ref, each.target_commit) for each in refs.pull_requests] == [
        ("refs/pr/1", proposed.oid)
    ]
    assert [each.name for each in refs.branches] == ["main"]
    with pytest.raises(RevisionNotFoundError):
        api.model_info(repo, revision="refs/pr/2")


def test_a_proposal_starts_from_the_parent_it_names(api, repo, push, propose):
    first = api.model_info(repo).sha
    push({"later.txt": b"later"})
    propose({"a.txt": b"a"}, parent_commit=first)
    assert not api.file_exists(repo, "later.txt", revision="refs/pr/1")
    api.merge_pull_request(repo, 1)
    assert api.list_repo_files(repo) == [".gitattributes", "a.txt", "later.txt"]


def test_a_proposal_can_be_committed_to(api, repo, push, propose):
    propose({"a.txt": b"a"})
    commit = push({"b.txt": b"b"}, revision="refs/pr/1")
    assert api.model_info(repo, revision="refs/pr/1").sha == commit
    assert api.list_repo_files(repo) == [".gitattributes"]
    with pytest.raises(RevisionNotFoundError):
        push({"c.txt": b"c"}, revision="refs/pr/2")


def test_a_draft_is_opened_filled_and_merged(api, repo, push):
    draft = api.create_pull_request(repo, title="Draft", description="To come")
    assert (draft.num, draft.status) == (1, "draft")
    push({"a.txt": b"a"}, revision=draft.git_reference)
    with pytest.raises(BadRequestError, match="not an open pull request"):
        api.merge_pull_request(repo, 1)
    changed = api.change_discussion_status(repo, 1, "open", comment="Ready")
    assert changed.new_status == "open"
    api.merge_pull_request(repo, 1)
    assert api.file_exists(repo, "a.txt")
    with pytest.raises(BadRequestError, match="not an open pull request"):
        api.merge_pull_request(repo, 1)


def test_both_sides_changing_a_file_is_a_conflict_and_nothing_is_merged(api, repo, push, propose):
    push({"a.txt": b"before", "gone.txt": b"gone"})
    propose({"a.txt": b"theirs"})
    ours = push({"a.txt": b"ours"})
    assert api.get_discussion_details(repo, 1).conflicting_files == ["a.txt"]
    with pytest.raises(HfHubHTTPError, match=r"Both sides changed a\.txt") as refusal:
        api.merge_pull_request(repo, 1)
    assert refusal.value.response.status_code == 409
    assert api.model_info(repo).sha == ours


def test_a_merge_keeps_deletions_of_both_sides_and_large_files_tracked(api, repo, push, tmp_path):
    push({"ours.txt": b"1", "theirs.txt": b"2", "keep.txt": b"3"})
    deletion = [CommitOperationDelete("theirs.txt"), large("x.weights", b"\0\1")]
    api.create_commit(repo, deletion, commit_message="Propose", create_pr=True)
    deletion = [CommitOperationDelete("ours.txt"), large("y.weights", b"\0\2")]
    api.create_commit(repo, deletion, commit_message="Delete")
    api.merge_pull_request(repo, 1)
    files = {entry.path: entry for entry in api.list_repo_tree(repo)}
    assert files.keys() == {".gitattributes", "keep.txt", "x.weights", "y.weights"}
    attributes = Path(api.hf_hub_download(repo, ".gitattributes", local_dir=tmp_path)).read_text()
    assert "x.weights filter=lfs" in attributes
    assert "y.weights filter=lfs" in attributes


def test_a_closed_proposal_can_be_reopened_and_not_merged(api, repo, propose):
    propose({"a.txt": b"a"})
    api.change_discussion_status(repo, 1, "closed")
    with pytest.raises(BadRequestError):
        api.merge_pull_request(repo, 1)
    with pytest.raises(BadRequestError, match="closed cannot become closed"):
        api.change_discussion_status(repo, 1, "closed")
    api.change_discussion_status(repo, 1, "open")
    api.merge_pull_request(repo, 1)


def test_discussions_are_numbered_with_proposals_and_listed_newest_first(api, repo, propose):
    talk = api.create_discussion(repo, title="A question", description="Why?")
    propose({"a.txt": b"a"})
    assert (talk.num, talk.is_pull_request, talk.status) == (1, False, "open")
    assert api.comment_discussion(repo, 1, "Because").content == "Because"
    assert [event.content for event in api.get_discussion_details(repo, 1).events] == [
        "Why?",
        "Because",
    ]
    assert [each.num for each in api.get_repo_discussions(repo)] == [2, 1]
    with pytest.raises(HfHubHTTPError, match="Discussion 3 not found"):
        api.get_discussion_details(repo, 3)
    with pytest.raises(BadRequestError, match="not an open pull request"):
        api.merge_pull_request(repo, 1)


def test_more_discussions_than_a_page_are_all_listed(api, hub: LocalHub, repo):
    for number in range(1, 53):
        api.create_discussion(repo, title=f"Question {number}")
    assert [each.num for each in api.get_repo_discussions(repo)] == list(range(52, 0, -1))


def test_strangers_propose_nothing(anyone, repo):
    with pytest.raises(HfHubHTTPError):
        anyone.create_discussion(repo, title="Spam spam spam")
    assert list(anyone.get_repo_discussions(repo)) == []
