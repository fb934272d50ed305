"""`nla-release hub`: it says how to point a client at it, keeps its token to itself, and stops."""

import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from nla_release.cli.hub import command
from nla_release.errors import EnvironmentProblem, InputError
from tests.waiting import LONGEST


class Running:
    """The command in a process of its own."""

    def __init__(self, root: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("nla-release")),
                *("hub", "--root", str(root), "--port", "0", *arguments),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.out = [self.process.stdout.readline().strip() for _ in range(4)]
        self.endpoint = self.out[0].removeprefix("Serving on ")

    def stop(self) -> tuple[int, str]:
        """Press Ctrl-C: exit code and stderr."""
        self.process.send_signal(signal.SIGINT)
        _, err = self.process.communicate(timeout=LONGEST)
        return self.process.returncode, err


def test_it_prints_what_points_any_client_at_it_and_no_token(tmp_path):
    root = tmp_path / "my hub"
    running = Running(root)
    exports = [line for line in running.out if line.startswith("export ")]
    assert [line.split("=")[0] for line in exports] == [
        "export HF_ENDPOINT",
        "export HF_TOKEN",
        "export HF_HUB_DISABLE_XET",
    ]
    script = (
        "from huggingface_hub import HfApi; api = HfApi(); api.create_repo('team/pair');"
        "api.upload_file(path_or_fileobj=b'weights', path_in_repo='a.safetensors',"
        " repo_id='team/pair'); print(api.list_repo_files('team/pair'))"
    )
    shell = "\n".join([*exports, f'{sys.executable} -c "{script}"'])
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
    code, err = running.stop()

    assert done.stdout.strip() == "['.gitattributes', 'a.safetensors']", done.stderr
    assert code == 0
    assert err.endswith("Stopped\n")
    assert "Traceback" not in err
    token = (root / "token").read_text().strip()
    assert token not in err + "".join(running.out)


def test_sigterm_stops_it_as_ctrl_c_does(tmp_path):
    running = Running(tmp_path / "hub")
    running.process.send_signal(signal.SIGTERM)
    _, err = running.process.communicate(timeout=30)
    assert running.process.returncode == 0
    assert err.endswith("Stopped\n")
    assert "Traceback" not in err


def test_its_token_is_for_its_user_alone_and_stays_the_same(tmp_path):
    tokens = []
    for _ in range(2):
        running = Running(tmp_path / "hub")
        path = tmp_path / "hub" / "token"
        tokens.append(path.read_text().strip())
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        HfApi(endpoint=running.endpoint, token=tokens[-1]).whoami()
        running.stop()
    assert tokens[0] == tokens[1]


def test_anyone_reads_what_was_imported_and_writes_nothing(tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    running = Running(tmp_path / "hub", "--import", f"team/base={base}")
    anyone = HfApi(endpoint=running.endpoint, token=False)
    assert anyone.file_exists("team/base", "config.json")
    with pytest.raises(HfHubHTTPError) as refusal:
        anyone.create_repo("team/pair")
    assert refusal.value.response.status_code == 401
    code, err = running.stop()
    assert code == 0
    assert f"Imported {base} as team/base at " in err


def test_an_import_that_is_not_a_pair_is_a_usage_error():
    result = CliRunner().invoke(command, ["--import", "team/base"])
    assert result.exit_code == 2
    assert "is not REPO_ID=FOLDER" in result.output


def test_a_port_in_use_is_named_with_what_to_do(tmp_path, tool):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = tool("hub", "--root", tmp_path / "hub", "--port", port)
    assert done.returncode == 4
    assert f"port {port} on 127.0.0.1 is in use" in done.stderr
    assert "choose another port" in done.stderr
    assert done.stdout == ""


def test_a_folder_that_cannot_be_used_is_named(tmp_path, tool):
    (tmp_path / "file").write_text("in the way")
    done = tool("hub", "--root", tmp_path / "file" / "hub", "--port", "0")
    assert done.returncode == 4
    assert "cannot hold a Hub" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_token_that_cannot_be_kept_is_an_error_and_not_a_new_one_each_time(tmp_path):
    (tmp_path / "token").mkdir()
    with pytest.raises((InputError, EnvironmentProblem), match="token"):
        CliRunner().invoke(command, ["--root", str(tmp_path)], catch_exceptions=False)
    (tmp_path / "token").rmdir()
    (tmp_path / "token").write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        CliRunner().invoke(command, ["--root", str(tmp_path)], catch_exceptions=False)


def test_nobody_else_on_this_machine_reads_its_folder(tmp_path):
    """A folder of an earlier version, which everyone may read, is closed too."""
    root = tmp_path / "hub"
    (root / "blobs").mkdir(parents=True)
    root.chmod(0o755)
    (root / "token").write_text("hf_of_an_earlier_version\n")
    (root / "token").chmod(0o644)
    for folder in (root, tmp_path / "new" / "hub"):
        running = Running(folder)
        running.stop()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "token").stat().st_mode) == 0o600


def test_its_help_says_what_it_does_not_serve():
    said = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert "does not serve git clone" in said
    assert "only you can read ROOT" in said
