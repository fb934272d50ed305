"""Ranges of a file on a Hub that is gated, broken, hostile, or not there."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nla_release.base_model.ranged import HubFiles
from nla_release.errors import ConfigError, EnvironmentProblem, InputError, NlaReleaseError
from nla_release.local_hub.server import LocalHub

COMMIT = "1" * 40
CONTENT = bytes(range(200))
ENDLESS = 1 << 40

Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def asked(monkeypatch) -> Callable[[str], HubFiles]:
    """The files of a base, at the endpoint given."""

    def at(endpoint: str, commit: str = COMMIT) -> HubFiles:
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
            endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        )
        return HubFiles("someone/tiny", commit)

    return at


@contextmanager
def strange_hub(answer: Answer) -> Iterator[str]:
    """A server that answers every request in one way; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def do_HEAD(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def answering(status: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body)

    return answer


def test_size_and_bytes_are_those_of_the_commit(tmp_path, asked):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.safetensors").write_bytes(CONTENT)
    with LocalHub(tmp_path / "hub") as hub:
        commit = hub.store.import_folder("someone/tiny", tmp_path / "base")
        files = asked(hub.endpoint, commit)

        assert files.size("model.safetensors") == len(CONTENT)
        assert files.size("README.md") is None
        assert files.read("model.safetensors", 10, 20) == CONTENT[10:30]
        assert files.read("model.safetensors", 0, 0) == b""


def test_a_commit_or_repository_that_is_not_there(tmp_path, asked):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text("{}")
    with LocalHub(tmp_path / "hub") as hub:
        with pytest.raises(EnvironmentProblem, match="someone/tiny does not exist on the Hub"):
            asked(hub.endpoint).size("config.json")
        hub.store.import_folder("someone/tiny", tmp_path / "base")
        with pytest.raises(ConfigError, match=f"someone/tiny has no commit {COMMIT}"):
            asked(hub.endpoint).size("config.json")


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (answering(403, X_Error_Code="GatedRepo"), EnvironmentProblem, "is gated"),
        (answering(500), EnvironmentProblem, "the Hub answered 500"),
        (answering(429), EnvironmentProblem, "the Hub answered 429"),
        (answering(200, X_Repo_Commit="2" * 40), ConfigError, "the Hub gives commit 2222"),
        (answering(200), ConfigError, "the Hub gives commit None"),
    ],
)
def test_a_hub_that_does_not_tell_the_size_of_the_commits_file(asked, answer, kind, words):
    with strange_hub(answer) as endpoint, pytest.raises(kind, match=words):
        asked(endpoint).size("config.json")


def test_a_gated_base_says_where_to_accept_its_terms(asked):
    gated = answering(403, X_Error_Code="GatedRepo")
    with strange_hub(gated) as endpoint, pytest.raises(EnvironmentProblem) as problem:
        asked(endpoint).size("config.json")
    assert "accept its terms" in (problem.value.hint or "")


def test_a_hub_that_cannot_be_reached_has_a_way_around_it(asked):
    with pytest.raises(EnvironmentProblem, match="cannot be reached") as problem:
        asked("http://127.0.0.1:9").size("config.json")
    assert "copy base.json" in (problem.value.hint or "")


def test_offline_nothing_is_asked(asked, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    files = asked("http://127.0.0.1:9")
    for ask in (lambda: files.size("config.json"), lambda: files.read("config.json", 0, 8)):
        with pytest.raises(EnvironmentProblem, match="HF_HUB_OFFLINE is set"):
            ask()


def test_what_is_no_repository_id(monkeypatch):
    with pytest.raises(ConfigError, match="is not a repository id"):
        HubFiles("some one/ti..ny", COMMIT).cached("config.json")


def test_a_server_without_ranges_gives_the_beginning_of_a_file_and_no_more(asked):
    with strange_hub(answering(200, CONTENT)) as endpoint:
        assert asked(endpoint).read("config.json", 0, 20) == CONTENT[:20]
        with pytest.raises(EnvironmentProblem, match="answered 200 to a ranged request"):
            asked(endpoint).read("config.json", 1, 20)


def test_a_server_that_never_stops_sending_is_left(asked):
    def pour(request: BaseHTTPRequestHandler) -> None:
        request.send_response(206)
        request.send_header("Content-Length", str(ENDLESS))
        request.end_headers()
        try:
            while True:
                request.wfile.write(CONTENT)
        except OSError:  # the reader has what it asked for, and is gone
            request.close_connection = True

    with strange_hub(pour) as endpoint:
        assert asked(endpoint).read("model.safetensors", 5, 100) == CONTENT[:100]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (answering(206, CONTENT[:5]), InputError),
        (answering(206, CONTENT[:5], Content_Length="100"), EnvironmentProblem),
        (answering(416), EnvironmentProblem),
        (answering(503), EnvironmentProblem),
    ],
)
def test_a_range_that_is_not_whole_is_not_taken(asked, answer, kind: type[NlaReleaseError]):
    with strange_hub(answer) as endpoint, pytest.raises(kind):
        asked(endpoint).read("model.safetensors", 5, 100)
