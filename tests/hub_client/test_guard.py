"""A token goes to the Hub that it is for and to no other server; a hostile Hub's answers end."""

import gzip
import json
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.utils import build_hf_headers, get_session

from nla_release.errors import EnvironmentProblem
from nla_release.gate import tokenizer
from nla_release.gate.findings import Skip
from nla_release.gate.tokenizer import _from_hub
from nla_release.hub_client import client
from nla_release.hub_client.client import quiet_client
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.remote_state import RemoteFile, RemoteState

LOGIN, GIVEN = "hf_of_the_login_cache_0123456789", "hf_of_the_environment_0123456789"
COMMIT = "0123456789abcdef0123456789abcdef01234567"

# The client compares the size that an answer states with the disk of the machine that runs this.
SMALL_DISK = pytest.mark.filterwarnings("ignore:Not enough free disk space:UserWarning")


class Server:
    """A server on this machine that keeps what it was asked, and answers as a test says."""

    def __init__(self):
        self.asked = []
        self.answers = {}
        self.encodings = set()

    def __enter__(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.encodings.add(self.headers.get("accept-encoding"))
                server.asked.append((self.path, self.headers.get("authorization")))
                status, headers, pieces = server.answer(self.path.partition("?")[0])
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for piece in pieces:
                        self.wfile.write(piece)
                except OSError:
                    """The client has had enough."""
                self.close_connection = True

            do_HEAD = do_GET  # noqa: N815 - the name of the base class

            def log_message(self, *arguments):
                """The test's output is for the test."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path):
        return self.answers.get(path, (404, {}, []))

    @property
    def tokens(self):
        return {token for _, token in self.asked if token}


def sent(document, **headers):
    body = json.dumps(document).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return (
        200,
        {"Content-Type": "application/json", "Content-Length": str(len(body)), **named},
        [body],
    )


@pytest.fixture
def here():
    with Server() as running:
        yield running


@pytest.fixture
def elsewhere():
    with Server() as running:
        yield running


@pytest.fixture
def hub(here, tmp_path, monkeypatch):
    """HF_ENDPOINT names a server, and the machine is logged in to huggingface.co."""
    login = tmp_path / "token"
    login.write_text(LOGIN)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(login))
    monkeypatch.setattr(constants, "ENDPOINT", here.url)
    template = f"{here.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    monkeypatch.setattr(client, "_hubs", set())
    monkeypatch.delenv("HF_TOKEN", raising=False)
    quiet_client()
    yield here
    quiet_client()


def ask(url, token):
    return get_session().get(url, headers=build_hf_headers(token=token))


def test_the_login_token_is_for_no_other_hub(hub, monkeypatch):
    assert build_hf_headers()["authorization"] == f"Bearer {LOGIN}"  # what the client would send
    ask(f"{hub.url}/api/models/team/base", None)
    assert hub.tokens == set()
    monkeypatch.setenv("HF_TOKEN", GIVEN)
    ask(f"{hub.url}/api/models/team/base", None)
    assert hub.tokens == {f"Bearer {GIVEN}"}


def test_a_list_that_goes_on_elsewhere_takes_no_token_there(hub, elsewhere, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", GIVEN)
    link = f'<{elsewhere.url}/api/models?cursor=2>; rel="next"'
    hub.answers["/api/models"] = sent([{"id": "team/one"}], Link=link)
    elsewhere.answers["/api/models"] = sent([{"id": "team/two"}])
    found = [each.id for each in HfApi(endpoint=hub.url).list_models(author="team")]
    assert found == ["team/one", "team/two"]
    assert hub.tokens == {f"Bearer {GIVEN}"}
    assert elsewhere.asked
    assert elsewhere.tokens == set()


def test_a_hub_that_this_process_was_pointed_at_gets_its_token(hub, elsewhere):
    Hub(elsewhere.url, "hf_of_a_local_hub_0123456789").state("team/base")
    assert elsewhere.tokens == {"Bearer hf_of_a_local_hub_0123456789"}


def test_what_is_no_hub_token_is_left_alone(hub, elsewhere):
    """An upload address of a Hub's storage may come with a header of its own."""
    ask(f"{elsewhere.url}/upload", "storage-key")
    assert elsewhere.tokens == {"Bearer storage-key"}


@pytest.mark.parametrize("verb", ["base", "init", "compare", "check", "roundtrip", "sweep"])
def test_the_reading_verbs_send_the_login_token_to_no_other_hub(
    tool, here, tmp_path, verb, rendered
):
    home = tmp_path / "home"
    home.mkdir()
    (home / "token").write_text(LOGIN)
    release = _of_a_base_on_the_hub(rendered, tmp_path)
    if verb == "sweep":  # it reads no base.json, and the base's own downloads are transformers'
        shutil.copy(rendered.folder / "base.json", release)
    arguments = {
        "base": ("base", release),
        "roundtrip": ("roundtrip", release),
        "sweep": ("sweep", release, "--ar", release / "dist" / "ar", "--out", tmp_path / "out"),
        "init": ("init", "team/av", "team/ar", "--out", tmp_path / "new"),
        "compare": ("compare", "team/av@v1", "team/av@v2"),
        "check": ("check", _away_from_its_base(rendered, tmp_path)),
    }[verb]
    environment = {"HF_ENDPOINT": here.url, "HF_HOME": str(home), "HF_TOKEN": ""}
    done = tool(*arguments, environment=environment)
    assert "Traceback" not in done.stderr
    assert LOGIN not in done.stdout + done.stderr
    assert here.asked, done.stderr
    assert here.tokens == set()


def _of_a_base_on_the_hub(rendered, tmp_path):
    """A release whose base is not on this machine, and not measured yet."""
    folder = shutil.copytree(rendered.folder, tmp_path / "release")
    config = folder / "release.yaml"
    lines = [each for each in config.read_text().splitlines() if not each.startswith("base_path")]
    config.write_text("\n".join(lines) + "\n")
    (folder / "base.json").unlink(missing_ok=True)
    return folder


def _away_from_its_base(rendered, tmp_path):
    """A single repository's folder, whose base is not on this machine."""
    return shutil.copytree(rendered.dist / "av", tmp_path / "av")


def test_pages_without_end_are_given_up(hub):
    link = f'<{hub.url}/api/models?cursor=2>; rel="next"'
    hub.answers["/api/models"] = sent([{"id": "team/one"}], Link=link)
    with pytest.raises(EnvironmentProblem, match="lists without end"):
        list(HfApi(endpoint=hub.url).list_models(author="team"))


def _endless():
    while True:
        yield b'{"a": [' + b" " * 65536


@pytest.mark.parametrize("path", ["/api/models", "/team/base/resolve/main/config.json"])
def test_a_body_without_end_is_given_up(hub, path):
    hub.answers[path] = 200, {"Content-Type": "application/json"}, _endless()
    with pytest.raises(EnvironmentProblem, match="sent an answer of more than"):
        get_session().get(f"{hub.url}{path}")


def test_a_small_body_that_unpacks_without_end_is_given_up(hub):
    packed = gzip.compress(os.urandom(2 * 1024 * 1024))
    hub.answers["/api/models"] = 200, {"Content-Encoding": "gzip"}, [packed]
    with pytest.raises(EnvironmentProblem, match="sent an answer of more than"):
        get_session().get(f"{hub.url}/api/models")


def test_files_are_asked_for_unpacked_so_that_a_large_one_is_no_bomb(hub):
    """A vocabulary of five megabytes is more than one, packed."""
    body = os.urandom(2 * 1024 * 1024)
    path = "/team/base/resolve/main/vocab.json"
    hub.answers[path] = 200, {"Content-Length": str(len(body))}, [body]
    assert get_session().get(f"{hub.url}{path}").content == body
    assert hub.encodings == {"identity"}


@pytest.mark.parametrize("status", [302, 403, 500])
def test_an_answer_that_is_no_file_is_bounded_whatever_length_it_declares(hub, status):
    headers = {"Content-Length": str(40 * 1024**3), "Location": "/elsewhere"}
    hub.answers["/team/base/resolve/main/config.json"] = status, headers, _endless()
    with pytest.raises(EnvironmentProblem, match="sent an answer of more than"):
        get_session().get(f"{hub.url}/team/base/resolve/main/config.json")


@SMALL_DISK
def test_a_file_that_is_longer_than_the_tree_says_is_given_up(hub):
    """The tree says ten bytes; the file itself declares gigabytes, and sends them."""
    _has_endless_file(hub, "release.json")
    file = RemoteFile(10, None, COMMIT)
    state = RemoteState(COMMIT, {"release.json": file}, {}, False, {}, frozenset())
    with pytest.raises(EnvironmentProblem, match="sent an answer of more than 10 bytes"):
        Hub(hub.url, GIVEN).read("team/base", "release.json", state)


@SMALL_DISK
def test_a_tokenizer_that_grew_since_its_size_was_asked_is_given_up(hub, monkeypatch):
    sizes = iter([1024])
    _has_endless_file(hub, "tokenizer.json", lambda: next(sizes, 40 * 1024**3))
    monkeypatch.setattr(tokenizer, "_LARGEST", 1024 * 1024)
    found = _from_hub(SimpleNamespace(id="team/base", revision=COMMIT), "tokenizer.json")
    assert isinstance(found, Skip)
    assert "more than 1,048,576 bytes" in found.reason


def _has_endless_file(hub, name, size=lambda: 40 * 1024**3):
    def answer(path):
        if path != f"/team/base/resolve/{COMMIT}/{name}":
            return 404, {}, []
        headers = {"Content-Length": str(size()), "X-Repo-Commit": COMMIT, "ETag": '"x"'}
        return 200, headers, _endless()

    hub.answer = answer


def test_a_tokenizer_of_a_third_party_is_not_downloaded_when_it_is_huge(hub):
    name = "tokenizer.json"
    size = 40 * 1024**3
    hub.answers[f"/team/base/resolve/{COMMIT}/{name}"] = (
        200,
        {"Content-Length": str(size), "X-Repo-Commit": COMMIT, "ETag": '"x"'},
        [],
    )
    found = _from_hub(SimpleNamespace(id="team/base", revision=COMMIT), name)
    assert isinstance(found, Skip)
    assert f"{size} bytes" in found.reason
    assert "--tokenizer" in found.reason
    assert len(hub.asked) == 1  # its size, and no byte of it
