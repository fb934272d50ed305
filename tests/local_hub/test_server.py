"""Starting, stopping, and answering whatever is asked."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from huggingface_hub.utils import get_session, httpx

from nla_release.errors import EnvironmentProblem, install_hint
from nla_release.hub_client.card_metadata import CardReport
from nla_release.local_hub import uploads
from nla_release.local_hub.repository import Repository
from nla_release.local_hub.server import LocalHub
from tests.waiting import LONGEST


def test_a_hub_is_there_when_entered_and_gone_when_left(tmp_path):
    with LocalHub(tmp_path) as hub:
        assert hub.endpoint.startswith("http://127.0.0.1:")
        assert get_session().get(f"{hub.endpoint}/api/agent-harnesses").status_code == 404
    with pytest.raises(httpx.ConnectError):
        get_session().get(f"{hub.endpoint}/api/agent-harnesses")


def test_a_taken_port_is_named_with_what_to_do(tmp_path):
    with LocalHub(tmp_path / "one") as hub:
        port = int(hub.endpoint.rpartition(":")[2])
        with pytest.raises(EnvironmentProblem, match=f"port {port} on 127.0.0.1 is in use") as no:
            LocalHub(tmp_path / "two", port=port).__enter__()
    assert "another port" in str(no.value.hint)
    with LocalHub(tmp_path / "two", port=port) as again:
        assert again.endpoint == hub.endpoint


def test_a_missing_extra_is_named_with_its_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(EnvironmentProblem, match="needs the hub extra") as missing:
        LocalHub(tmp_path).__enter__()
    assert missing.value.hint == install_hint("hub")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EnvironmentProblem, match="cannot hold a Hub"):
        LocalHub(tmp_path / "file" / "hub").__enter__()


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_served(tmp_path):
    (tmp_path / "lock").mkdir()
    with pytest.raises(EnvironmentProblem, match="cannot hold a Hub") as problem:
        LocalHub(tmp_path).__enter__()
    assert "may write" in str(problem.value.hint)


def test_every_answer_has_an_id_and_unknown_addresses_a_json_error(hub):
    answer = get_session().get(f"{hub.endpoint}/api/papers")
    assert answer.status_code == 404
    assert answer.json() == {"error": "Not Found"}
    assert len(answer.headers["X-Request-Id"]) == 32


def test_an_address_that_is_not_utf8_is_refused(hub, repo):
    answer = get_session().get(f"{hub.endpoint}/{repo}/resolve/main/%ff")
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/lfs/" + "a" * 64 + "/" + "9" * 5000 + "/x"),
        ("PUT", "/lfs/" + "a" * 64 + "/1/x/" + "9" * 5000),
        ("GET", "/api/models/team/pair/discussions/" + "9" * 5000),
    ],
)
def test_a_number_beyond_all_measure_is_part_of_no_address(hub, method, path):
    assert get_session().request(method, hub.endpoint + path).status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/validate-yaml", b'{"content": "---\\n\\ud800: 1\\n---"}'),
        ("/api/validate-yaml", b'{"content": "\xed\xa0\x80"}'),
        ("/api/repos/create", b'{"name": "\\uD800"}'),
        ("/api/models/team/pair-av-v0_0_1/commit/main", b'{"key": "\\ud800", "value": {}}'),
        (
            "/oauth/token",
            b"""{"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
            "subject_token": "a.b.\\ud800", "resource": "a/b"}""",
        ),
    ],
)
def test_half_a_character_is_no_text(hub, repo, path, body):
    answer = get_session().post(
        hub.endpoint + path,
        content=body,
        headers={"Authorization": f"Bearer {hub.token}", "Content-Type": "application/json"},
    )
    assert (answer.status_code, "not valid JSON" in answer.json()["error"]) == (400, True)


def test_what_the_hub_stumbles_over_is_said_in_json(hub, repo, monkeypatch):
    def broken(_self):
        raise AssertionError

    monkeypatch.setattr(Repository, "state", broken)
    answer = get_session().get(f"{hub.endpoint}/api/models/{repo}")
    assert answer.status_code == 500
    assert answer.json() == {"error": "Internal error of the local Hub"}


def test_the_card_of_a_stranger_keeps_nobody_waiting(hub, monkeypatch):
    """Checking one takes a second; whoever asks for another thing meanwhile is answered."""
    judging, answered = threading.Event(), threading.Event()

    def slow(_text):
        judging.set()
        return CardReport(errors=[] if answered.wait(LONGEST) else ["nobody else was answered"])

    monkeypatch.setattr(uploads, "check_card", slow)
    address = f"{hub.endpoint}/api/validate-yaml"
    with ThreadPoolExecutor(1) as other:
        asked = other.submit(get_session().post, address, json={"content": "---"}, timeout=LONGEST)
        assert judging.wait(LONGEST)
        get_session().get(f"{hub.endpoint}/api/models", timeout=LONGEST)
        answered.set()
        assert asked.result().json()["errors"] == []
