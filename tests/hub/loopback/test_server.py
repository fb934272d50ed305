"""Starting and stopping: on a free port, on a taken one, and without the extra."""

import sys

import pytest
from huggingface_hub.utils import get_session, httpx

from nla_release.errors import EnvironmentProblem
from nla_release.hub.loopback.server import LoopbackHub


def test_a_hub_is_there_when_entered_and_gone_when_left(tmp_path):
    with LoopbackHub(tmp_path) as hub:
        assert hub.endpoint.startswith("http://127.0.0.1:")
        assert get_session().get(f"{hub.endpoint}/api/agent-harnesses").status_code == 404
    with pytest.raises(httpx.ConnectError):
        get_session().get(f"{hub.endpoint}/api/agent-harnesses")


def test_a_taken_port_is_named_with_what_to_do(tmp_path):
    with LoopbackHub(tmp_path / "one") as hub:
        port = int(hub.endpoint.rpartition(":")[2])
        with pytest.raises(EnvironmentProblem, match=f"port {port} on 127.0.0.1 is in use") as no:
            LoopbackHub(tmp_path / "two", port=port).__enter__()
    assert "another port" in str(no.value.hint)
    with LoopbackHub(tmp_path / "two", port=port) as again:
        assert again.endpoint == hub.endpoint


def test_a_missing_extra_is_named_with_its_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(EnvironmentProblem, match="needs the hub extra") as missing:
        LoopbackHub(tmp_path).__enter__()
    assert missing.value.hint == "pip install 'nla-release[hub]'"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EnvironmentProblem, match="cannot hold a Hub"):
        LoopbackHub(tmp_path / "file" / "hub").__enter__()


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_served(tmp_path):
    (tmp_path / "lock").mkdir()
    with pytest.raises(EnvironmentProblem, match="cannot hold a Hub") as problem:
        LoopbackHub(tmp_path).__enter__()
    assert "may write" in str(problem.value.hint)


def test_every_answer_has_an_id_and_unknown_addresses_a_json_error(hub):
    answer = get_session().get(f"{hub.endpoint}/api/papers")
    assert answer.status_code == 404
    assert answer.json() == {"error": "Not Found"}
    assert len(answer.headers["X-Request-Id"]) == 32


def test_an_address_that_is_not_utf8_is_refused(hub, repo):
    answer = get_session().get(f"{hub.endpoint}/{repo}/resolve/main/%ff")
    assert answer.status_code == 400
