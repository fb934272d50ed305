"""Commits that the client would never send, sent anyway."""

import base64
import json

import pytest
from huggingface_hub import CommitOperationAdd
from huggingface_hub.utils import build_hf_headers, get_session

from nla_release.local_hub import uploads
from nla_release.local_hub.git import LARGEST_REGULAR_FILE

HEADER = {"key": "header", "value": {"summary": "Release"}}


def put(path: str, content: bytes) -> dict:
    encoded = base64.b64encode(content).decode()
    return {"key": "file", "value": {"path": path, "content": encoded, "encoding": "base64"}}


@pytest.fixture
def send(hub, repo):
    """POST lines to the commit endpoint as the owner."""

    def send(*lines: object):
        body = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
        return get_session().post(
            f"{hub.endpoint}/api/models/{repo}/commit/main",
            content=body.encode(),
            headers={
                **build_hf_headers(token=hub.token),
                "Content-Type": "application/x-ndjson",
            },
        )

    return send


@pytest.mark.parametrize(
    "path",
    [
        "../outside",
        "/etc/passwd",
        "a/../../b",
        "a\\..\\b",
        ".git/config",
        "",
        "a//b",
        "C:/x",
        "a\nb",
    ],
)
def test_a_path_that_leads_outside_is_refused(api, repo, send, path):
    answer = send(HEADER, put(path, b"x"))
    assert answer.status_code == 400
    assert api.list_repo_files(repo) == [".gitattributes"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([put("a", b"")], "no header"),
        ([HEADER, {"key": "move", "value": {}}], "not an operation"),
        ([HEADER, {"key": "file", "value": {"path": "a", "content": "?"}}], "not base64"),
        ([HEADER, {"key": "file", "value": {"content": ""}}], "path is missing"),
        ([HEADER, "{"], "not valid JSON"),
        ([HEADER, "[]"], "a line of the commit"),
        ([{"key": "header", "value": {"summary": ""}}], "summary"),
    ],
)
def test_a_malformed_commit_is_refused_in_words(send, lines, words):
    answer = send(*lines)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_a_card_that_skipped_validation_is_refused_all_the_same(api, repo, send):
    answer = send(HEADER, put("README.md", b"---\nlicense: mine\n---\n"))
    assert answer.status_code == 400
    assert '"license[0]" must be one of' in answer.json()["error"]
    assert not api.file_exists(repo, "README.md")


def test_a_large_file_in_a_commit_is_sent_to_lfs(send):
    assert send(HEADER, put("a.txt", bytes(LARGEST_REGULAR_FILE + 1))).status_code == 413
    assert send(HEADER, put("a.txt", bytes(2 * LARGEST_REGULAR_FILE))).status_code == 413


def test_an_invalid_card_is_refused_before_anything_is_uploaded(hub, api, repo):
    card = CommitOperationAdd("README.md", b"---\nlicense: gpl-2.0-or-later\n---\n")
    with pytest.raises(ValueError, match=r"Invalid metadata in README\.md"):
        api.create_commit(repo, [card], commit_message="Release")
    assert [each.path for each in hub.log.writes] == ["/api/repos/create"]


def test_a_card_without_metadata_is_taken(api, repo):
    card = CommitOperationAdd("README.md", b"# Pair\n")
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        api.create_commit(repo, [card], commit_message="Release")
    assert api.file_exists(repo, "README.md")


def test_a_body_that_is_too_long_is_refused_whatever_it_holds(hub, repo, send, monkeypatch):
    monkeypatch.setattr(uploads, "_LARGEST_COMMIT", 10_000)
    answer = send(HEADER, *(put(f"{number}.txt", bytes(1000)) for number in range(10)))
    assert answer.status_code == 413
    assert "longer than 10000 bytes" in answer.json()["error"]
    tag = get_session().post(
        f"{hub.endpoint}/api/models/{repo}/tag/main",
        content=b" " * (17 * 1024 * 1024),
        headers={**build_hf_headers(token=hub.token), "Content-Type": "application/json"},
    )
    assert tag.status_code == 413


@pytest.mark.parametrize(
    "address",
    [
        "{repo}/resolve/main/..%2F..%2F..%2Frepository.json",
        "{repo}/resolve/main/%2e%2e/%2e%2e/token",
        "{repo}/resolve/..%2Fcommits/x",
        "{repo}/resolve/main/a%00b",
        "{repo}/resolve/main/..%5Ctoken",
        "..%2F..%2Fx/resolve/main/y",
        "api/models/team%2F..%2F../{repo}",
        "api/models/team/..%00",
        "api/models/{repo}/tree/main/..%2F..",
    ],
)
def test_no_address_leads_out_of_a_repository(hub, repo, address):
    target = f"{hub.endpoint}/{address.format(repo=repo)}"
    answer = get_session().get(target, headers=build_hf_headers(token=hub.token))
    assert answer.status_code in {400, 404}
    assert "error" in answer.json()
