"""Large files: only the promised bytes are taken, and only at an address that the Hub gave out."""

import hashlib
import json

import pytest
from huggingface_hub.utils import build_hf_headers, get_session

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
        headers=build_hf_headers(token=hub.token),
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
