"""Large files: only the promised bytes are taken, and only at an address that the Hub gave out."""

import hashlib
import io
import json
from functools import partial
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.utils import build_hf_headers, get_session

from nla_release.local_hub import app
from nla_release.local_hub.lfs import LARGEST_OBJECT
from nla_release.local_hub.server import LocalHub

REPO = "team/pair"

CONTENT = b"the weights"
OID = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def ask(hub, repo):
    """POST a document to the Hub as its owner."""

    def ask(path: str, document: object):
        return get_session().post(
            f"{hub.endpoint}/{path}", json=document, headers=build_hf_headers(token=hub.token)
        )

    return ask


@pytest.fixture
def objects(repo):
    return f"{repo}.git/info/lfs/objects"


@pytest.fixture
def batch(ask, objects):
    """The answer for one object."""

    def batch(size: int = len(CONTENT)) -> dict:
        document = {"operation": "upload", "objects": [{"oid": OID, "size": size}]}
        return ask(f"{objects}/batch", document).json()["objects"][0]

    return batch


def put(batch_answer: dict, content: bytes) -> int:
    return get_session().put(batch_answer["actions"]["upload"]["href"], content=content).status_code


def commit_lines(*operations: dict) -> bytes:
    header = {"key": "header", "value": {"summary": "Release"}}
    return b"".join(json.dumps(line).encode() + b"\n" for line in (header, *operations))


def test_an_upload_needs_no_token_and_is_asked_for_once(ask, batch, objects):
    assert put(batch(), CONTENT) == 200
    assert "actions" not in batch()
    assert ask(f"{objects}/verify", {"oid": OID, "size": len(CONTENT)}).status_code == 200
    assert ask(f"{objects}/verify", {"oid": OID, "size": 1}).status_code == 422


@pytest.mark.parametrize("content", [b"the weighty", b"short", CONTENT + b" and more", b""])
def test_bytes_other_than_promised_are_refused(hub, ask, batch, objects, content):
    assert put(batch(), content) == 422
    assert ask(f"{objects}/verify", {"oid": OID, "size": len(CONTENT)}).status_code == 422
    assert list((hub.root / "incoming").iterdir()) == []


def test_an_address_is_good_for_its_own_object_only(batch):
    href = batch()["actions"]["upload"]["href"]
    other = hashlib.sha256(b"other").hexdigest()
    assert get_session().put(href.replace(OID, other), content=b"other").status_code == 403
    assert get_session().put(f"{href[:-1]}x", content=CONTENT).status_code == 403


def test_a_commit_cannot_name_an_object_that_was_not_uploaded(hub, api, ask, repo):
    before = api.model_info(repo).sha
    answer = get_session().post(
        f"{hub.endpoint}/api/models/{repo}/commit/main",
        content=commit_lines({"key": "lfsFile", "value": {"path": "w.bin", "oid": OID}}),
        headers={**build_hf_headers(token=hub.token), "Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code == 422
    assert "was not uploaded" in answer.json()["error"]
    assert api.model_info(repo).sha == before


@pytest.mark.parametrize(
    "document",
    [
        {"operation": "download", "objects": []},
        {"operation": "upload", "objects": [{"oid": "../../etc/passwd", "size": 1}]},
        {"operation": "upload", "objects": [{"oid": OID, "size": -1}]},
        [],
    ],
)
def test_a_malformed_batch_is_refused_in_words(ask, objects, document):
    answer = ask(f"{objects}/batch", document)
    assert answer.status_code == 400
    assert answer.json()["error"]


PART = 7


@pytest.fixture
def in_parts(tmp_path, monkeypatch):
    """A Hub that takes at most seven bytes at once."""
    monkeypatch.setattr(app, "create_app", partial(app.create_app, part_size=PART))
    with LocalHub(tmp_path / "parts") as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        api.create_repo(REPO)
        yield hub, api


def test_a_file_too_large_for_one_request_comes_in_parts(in_parts, tmp_path):
    hub, api = in_parts
    content = bytes(range(5 * PART + 3))
    files = {"a.safetensors": content, "b.safetensors": content[: 2 * PART], "c.bin": b"small"}
    additions = [CommitOperationAdd(name, io.BytesIO(data)) for name, data in files.items()]
    api.create_commit(REPO, additions, commit_message="Release")

    copy = Path(api.snapshot_download(REPO, local_dir=tmp_path / "copy"))
    assert {name: (copy / name).read_bytes() for name in files} == files
    puts = [each for each in hub.log.requests if each.method == "PUT"]
    assert len(puts) == 6 + 2 + 1
    assert sum(each.method == "POST" and "/lfs/" in each.path for each in hub.log.writes) == 2


@pytest.mark.parametrize(
    ("number", "content", "status"),
    [(1, b"1234567", 200), (2, b"1234", 200), (2, b"12345", 422), (1, b"", 422), (3, b"1", 422)],
)
def test_a_part_has_the_length_of_its_place(in_parts, number, content, status):
    hub, _ = in_parts
    href = addresses(hub)["href"]
    assert get_session().put(f"{href}/{number}", content=content).status_code == status


def test_parts_that_are_not_the_promised_object_are_refused(in_parts):
    hub, _ = in_parts
    upload = addresses(hub)
    parts = []
    for number, piece in ((1, b"another"), (2, b"file")):
        answer = get_session().put(upload["header"][f"{number:05d}"], content=piece)
        parts.append({"partNumber": number, "etag": answer.headers["ETag"]})
    wrong = get_session().post(upload["href"], json={"oid": OID, "parts": parts})
    missing = get_session().post(
        upload["href"], json={"oid": OID, "parts": [{"partNumber": 1, "etag": "0" * 64}]}
    )
    assert (wrong.status_code, missing.status_code) == (422, 422)
    assert "hashes to" in wrong.json()["error"]
    assert hub.store.blobs.size(OID) is None


def test_an_object_larger_than_a_file_may_be_is_refused_by_name(ask, objects):
    document = {"operation": "upload", "objects": [{"oid": OID, "size": LARGEST_OBJECT + 1}]}
    answer = ask(f"{objects}/batch", document).json()["objects"][0]
    assert answer["error"]["code"] == 413
    assert "actions" not in answer


def addresses(hub: LocalHub) -> dict:
    answer = get_session().post(
        f"{hub.endpoint}/{REPO}.git/info/lfs/objects/batch",
        json={"operation": "upload", "objects": [{"oid": OID, "size": len(CONTENT)}]},
        headers=build_hf_headers(token=hub.token),
    )
    return answer.json()["objects"][0]["actions"]["upload"]
