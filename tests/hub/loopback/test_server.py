"""Starting and stopping: on a free port, on a taken one, without the extra, and by Ctrl-C."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import get_session, httpx

from nla_release.cli.hub import command
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
    with pytest.raises(EnvironmentProblem, match="cannot be made"):
        LoopbackHub(tmp_path / "file" / "hub").__enter__()


def test_every_answer_has_an_id_and_unknown_addresses_a_json_error(hub):
    answer = get_session().get(f"{hub.endpoint}/api/collections")
    assert answer.status_code == 404
    assert answer.json() == {"error": "Not Found"}
    assert len(answer.headers["X-Request-Id"]) == 32


def test_an_address_that_is_not_utf8_is_refused(hub, repo):
    answer = get_session().get(f"{hub.endpoint}/{repo}/resolve/main/%ff")
    assert answer.status_code == 400


class Running:
    """The command in a process of its own."""

    def __init__(self, root: Path, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", "from nla_release.cli.hub import command; command()"),
                *("--root", str(root), "--port", "0", *arguments),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert self.process.stdout is not None
        self.out = [self.process.stdout.readline().strip() for _ in range(2)]
        self.endpoint = self.out[0].removeprefix("Serving on ")

    def stop(self) -> tuple[int, str]:
        """Press Ctrl-C: exit code and stderr."""
        self.process.send_signal(signal.SIGINT)
        _, err = self.process.communicate(timeout=30)
        return self.process.returncode, err


def test_the_command_serves_until_ctrl_c_and_takes_its_token_from_the_environment(tmp_path):
    running = Running(tmp_path / "hub", NLA_RELEASE_HUB_TOKEN="hf_rehearsal")
    HfApi(endpoint=running.endpoint, token="hf_rehearsal").create_repo("team/pair")
    assert running.out[1] == f"export HF_ENDPOINT={running.endpoint}"
    code, err = running.stop()
    assert code == 0
    assert "Stopped" in err
    assert "hf_rehearsal" not in err
    assert "Traceback" not in err


def test_the_command_without_a_token_is_read_only_and_says_so(tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    running = Running(tmp_path / "hub", "--import", f"team/base={base}", NLA_RELEASE_HUB_TOKEN="")
    stranger = HfApi(endpoint=running.endpoint, token="hf_for_the_real_hub")
    assert stranger.file_exists("team/base", "config.json")
    with pytest.raises(HfHubHTTPError, match="read-only") as refusal:
        stranger.create_repo("team/pair")
    assert refusal.value.response.status_code == 403
    code, err = running.stop()
    assert code == 0
    assert "Read-only: set NLA_RELEASE_HUB_TOKEN" in err
    assert f"Imported {base} as team/base at " in err


def test_an_import_that_is_not_a_pair_is_a_usage_error():
    result = CliRunner().invoke(command, ["--import", "team/base"])
    assert result.exit_code == 2
    assert "is not REPO_ID=FOLDER" in result.output
