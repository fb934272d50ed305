"""What answers at the address may be no Hub: that is said, and never taken for an answer."""

import hashlib
import json

import pytest
from huggingface_hub.hf_api import RepoFile

from nla_release.errors import RefusedError
from nla_release.hub_client.client_errors import DeniedError, OutcomeUnknownError
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.remote_state import RemoteFile
from tests.hub.faulty import never_wait
from tests.hub.odd import OddServer

pytestmark = pytest.mark.wire

TOKEN = "hf_0123456789abcdef"


def ref(name, commit):
    """A branch or tag, as `refs` lists it."""
    return {"name": name, "ref": f"refs/{name}", "targetCommit": commit}


QUESTIONS = {
    "state": lambda hub: hub.state("a/b"),
    "commits": lambda hub: hub.commits("a/b"),
    "head": lambda hub: hub.head("a/b"),
    "tags": lambda hub: hub.tags("a/b"),
    "models": lambda hub: hub.models("a", "b", asked_for="a/b"),
    "check_card": lambda hub: hub.check_card("a/b", "# Card"),
}


@pytest.mark.parametrize(
    ("question", "body"),
    [
        *((name, body) for name in QUESTIONS for body in (b"null", b'"x"', b"[1]", b"\xff")),
        *((name, b"[]") for name in QUESTIONS if name != "models"),  # which are none, then
        *((name, b"{}") for name in ("state", "head", "tags", "commits")),
        ("check_card", b'{"errors": [null]}'),
    ],
)
def test_a_question_that_gets_no_answer_of_a_hub_says_so(odd, monkeypatch, question, body):
    never_wait(monkeypatch)
    odd.body = body
    with pytest.raises(OutcomeUnknownError, match="a/b: the answer is not one of a Hub"):
        QUESTIONS[question](Hub(odd.endpoint, TOKEN))


@pytest.mark.parametrize("status", [200, 302, 307])
def test_a_card_is_sent_to_nobody_but_the_hub(odd, monkeypatch, status):
    never_wait(monkeypatch)
    odd.status, odd.body = status, b'{"errors": []}'
    with OddServer() as elsewhere:
        odd.headers = {"Location": f"{elsewhere.endpoint}/api/validate-yaml"}
        ask = QUESTIONS["check_card"]
        if status == 200:
            ask(Hub(odd.endpoint, TOKEN))
        else:
            with pytest.raises(DeniedError, match=f"answered {status}, which points elsewhere"):
                ask(Hub(odd.endpoint, TOKEN))

        assert elsewhere.asked == []


def test_a_card_that_is_refused_without_a_reason_is_refused(odd):
    odd.status, odd.body = 400, b'{"errors": []}'
    with pytest.raises(RefusedError, match="refuses the card's metadata"):
        Hub(odd.endpoint, TOKEN).check_card("a/b", "# Card")


def test_a_refusal_of_a_card_without_its_reasons_is_none(odd, monkeypatch):
    never_wait(monkeypatch)
    odd.status = 400
    with pytest.raises(OutcomeUnknownError, match="the answer is not one of a Hub"):
        Hub(odd.endpoint, TOKEN).check_card("a/b", "# Card")


@pytest.mark.parametrize(
    ("status", "code", "words", "reason", "hint"),
    [
        (
            403,
            "",
            "Private repository storage limit reached.",
            "storage is used up",
            "free storage",
        ),
        (403, "StorageQuotaExceeded", "", "storage is used up", "free storage"),
        (
            402,
            "",
            "You have exceeded your monthly included credits",
            "payment is settled",
            "billing",
        ),
        (402, "", "", "payment is settled", "billing"),
        (403, "", "This needs a PRO subscription; upgrade", "payment is settled", "billing"),
        (
            403,
            "",
            "You must agree to the new Terms of Service",
            "until its terms are accepted",
            "accept them",
        ),
        (403, "", "Please verify your email address first", "is verified", "verify the account"),
        (403, "", "Access to this resource is disabled.", "is disabled", "another token does not"),
        (403, "", "Your organization wants SSO", "policy of the organization", "SSO"),
        (403, "", "The moon is full", "refuses this .403 The moon is full.", "answer asks for"),
        (403, "", "Forbidden: you must have write access", "token may not do this", "write access"),
        (403, "", "", "token may not do this", "write access"),
        (401, "", "Invalid username or password.", "token may not do this", "write access"),
    ],
)
def test_a_refusal_gives_the_reason_that_the_hub_gives(odd, status, code, words, reason, hint):
    """Only a refusal about rights is the token's."""
    odd.status, odd.body = status, json.dumps({"error": words} if words else {}).encode()
    odd.headers = {"X-Error-Code": code} if code else {}
    with pytest.raises(DeniedError, match=reason) as caught:
        Hub(odd.endpoint, TOKEN).check_write("a/b")
    assert hint in caught.value.hint
    assert ("token may not" in caught.value.message) == (hint == "write access")


OID = "0" * 40
REFS = {"branches": [], "converts": [], "tags": []}
TREE = [{"type": "file", "path": "a", "size": 1, "oid": OID}]
COMMITS = [{"id": OID, "title": "t", "message": "m", "date": "2026-01-01T00:00:00Z", "authors": []}]
WRONG = {
    "refs: a tag's commit": ("tags", REFS | {"tags": [ref("v1", True)]}),
    "refs: a tag's name": ("tags", REFS | {"tags": [ref(5, OID)]}),
    "refs: a commit in words": ("head", REFS | {"branches": [ref("main", "newest")]}),
    "commits: an id": ("commits", [COMMITS[0] | {"id": 7}]),
    "commits: a title": ("commits", [COMMITS[0] | {"title": ["t"]}]),
    "commits: a description": ("commits", [COMMITS[0] | {"message": {"a": 1}}]),
    "commits: an author": ("commits", [COMMITS[0] | {"authors": [{"user": 5}]}]),
    "validate-yaml: a message": ("check_card", {"errors": [{"message": 5}]}),
    "models: an id": ("models", [{"id": 5}]),
}


@pytest.mark.parametrize(("question", "document"), WRONG.values(), ids=WRONG)
def test_a_value_of_another_type_is_no_answer_of_a_hub(odd, monkeypatch, question, document):
    never_wait(monkeypatch)
    odd.body = json.dumps(document).encode()
    with pytest.raises(OutcomeUnknownError, match="a/b: the answer is not one of a Hub"):
        QUESTIONS[question](Hub(odd.endpoint, TOKEN))


@pytest.mark.parametrize(
    ("key", "value"),
    [("path", 5), ("size", "1"), ("size", True), ("size", -1), ("oid", None), ("oid", "main")],
)
def test_nor_is_a_tree_of_other_types(faulty, monkeypatch, key, value):
    never_wait(monkeypatch)
    client = Hub(faulty.endpoint, faulty.token)
    client.create("a/b", private=False)
    monkeypatch.setattr(
        "nla_release.hub_client.reader.HfApi.list_repo_tree",
        lambda *_arguments, **_options: [RepoFile(**(TREE[0] | {key: value}))],
    )
    with pytest.raises(OutcomeUnknownError, match="a/b: the answer is not one of a Hub"):
        client.state("a/b")


@pytest.mark.parametrize("header", [b"", b"blob 1\0"])
def test_a_file_is_known_by_an_id_of_64_digits(tmp_path, header):
    """Of git with SHA-256, or of the content alone."""
    path = tmp_path / "a"
    path.write_bytes(b"x")
    assert RemoteFile(1, None, hashlib.sha256(header + b"x").hexdigest()).is_same_as(path)
    assert not RemoteFile(1, None, hashlib.sha256(header + b"y").hexdigest()).is_same_as(path)
