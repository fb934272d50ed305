"""A token is read from the environment, or exchanged for a proof per repository; never shown."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from nla_release.errors import EnvironmentProblem
from nla_release.hub_client import tokens
from nla_release.hub_client.client import quiet_client
from nla_release.hub_client.client_errors import DeniedError, OutcomeUnknownError
from nla_release.hub_client.place import CANONICAL_ENDPOINT
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.tokens import HubTokens
from nla_release.io import masking
from nla_release.io.masking import known_secrets, masked
from tests.hub.odd import OddServer
from tests.hub.publishing import api_of, publish, repos, tags

pytestmark = pytest.mark.wire

CLAIMS = {"repository": "team/pair", "workflow": "release.yml"}
RUNNER_TOKEN = "runner-token-0123456789"
VARIABLES = (
    "HF_TOKEN",
    "HF_OIDC_ID_TOKEN",
    "HF_OIDC_RESOURCE",
    "GITHUB_ACTIONS",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    """No token of whoever runs the tests, and none that another test was given."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(masking, "_known", set())


class Provider(BaseHTTPRequestHandler):
    """What GitHub's runner asks for ID tokens."""

    def do_GET(self):
        query = parse_qs(urlsplit(self.path).query)
        right = self.headers["Authorization"] == f"Bearer {RUNNER_TOKEN}"
        self.server.asked.append(query)
        self.send_response(200 if right and query["api-version"] == ["2.0"] else 401)
        self.end_headers()
        token = self.server.publishers.id_token(query["audience"][0], **CLAIMS)
        self.wfile.write(b'{"count": 1, "value": "%s"}' % token.encode())

    def log_message(self, *arguments):
        pass


@pytest.fixture
def provider(server, monkeypatch):
    """A CI job of the fake provider, on whose ID tokens the local Hub relies."""
    running = HTTPServer(("127.0.0.1", 0), Provider)
    running.publishers, running.asked = server.publishers, []
    threading.Thread(target=running.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{running.server_port}/token?api-version=2.0"
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", address)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", RUNNER_TOKEN)
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture
def trusted(server, release):
    """Both repositories exist, and trust the job."""
    for repo in repos(release):
        api_of(server).create_repo(repo)
        server.publishers.trust(repo, **CLAIMS)
    return repos(release)


def job(server):
    return HubTokens.from_environment(endpoint=server.endpoint)


def test_a_token_of_the_environment_is_for_every_repository(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789abcdef\n")
    found = HubTokens.from_environment()

    assert found.for_repo("a/b") == found.for_repo("c/d") == "hf_0123456789abcdef"
    assert "hf_0123456789abcdef" not in repr(found) + str(vars(found))
    assert "HF_TOKEN" in repr(found)


def test_the_login_cache_serves_when_the_environment_names_none(monkeypatch, tmp_path):
    (tmp_path / "token").write_text("plain-token-of-a-person")
    found = HubTokens.from_environment(endpoint=CANONICAL_ENDPOINT)

    assert found.for_repo("a/b") == "plain-token-of-a-person"
    assert masked("is plain-token-of-a-person!", known_secrets()) == "is ***!"


def test_the_login_of_huggingface_is_for_no_other_hub(odd, monkeypatch, tmp_path):
    """HF_ENDPOINT may name any server, and a login was meant for one."""
    (tmp_path / "token").write_text("plain-token-of-a-person")
    assert HubTokens.from_environment(endpoint=odd.endpoint, writing=False).for_repo("a/b") is None
    with pytest.raises(EnvironmentProblem, match=f"no Hub token for {odd.endpoint}") as refusal:
        HubTokens.from_environment(endpoint=odd.endpoint)
    assert "set HF_TOKEN" in refusal.value.hint

    monkeypatch.setenv("HF_TOKEN", "hf_0123456789abcdef")
    given = HubTokens.from_environment(endpoint=odd.endpoint, writing=False)
    assert given.for_repo("a/b") == "hf_0123456789abcdef"


@pytest.mark.parametrize("set_by", ["HF_TOKEN", "a login"])
def test_a_token_that_is_for_writing_only_reads_nothing(monkeypatch, tmp_path, set_by):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    if set_by == "HF_TOKEN":
        monkeypatch.setenv("HF_TOKEN", "hf_0123456789abcdef")
    else:
        (tmp_path / "token").write_text("hf_0123456789abcdef")
    reader = HubTokens.from_environment(endpoint=CANONICAL_ENDPOINT, writing=False)
    writer = HubTokens.from_environment(endpoint=CANONICAL_ENDPOINT)

    assert reader.for_repo("a/b") is None
    assert writer.for_repo("a/b") == "hf_0123456789abcdef"


@pytest.mark.parametrize("token", ["first\nsecond", "first second", "tökensecret", "a\x7fsecret"])
def test_what_is_no_token_is_refused_and_no_part_of_it_repeated(monkeypatch, tmp_path, token):
    """The client would tell a part of it, with the header that cannot be sent."""
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(
        EnvironmentProblem, match="HF_TOKEN contains a space, a line break"
    ) as refusal:
        HubTokens.from_environment()
    monkeypatch.delenv("HF_TOKEN")
    (tmp_path / "token").write_text("first second")  # of lines the client makes one
    with pytest.raises(
        EnvironmentProblem,
        match="the login cache contains a space, a line break",
    ):
        HubTokens.from_environment(endpoint=CANONICAL_ENDPOINT)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", token)
    with pytest.raises(
        EnvironmentProblem,
        match="REQUEST_TOKEN contains a space, a line break",
    ):
        tokens.repo_token("http://127.0.0.1:9", "a/b")

    said = refusal.value.message + refusal.value.hint
    assert not any(part in said for part in ("first", "second", "ken" + "secret"))


def test_without_a_token_what_is_public_can_be_read_and_nothing_written():
    assert HubTokens.from_environment(writing=False).for_repo("a/b") is None
    with pytest.raises(EnvironmentProblem, match="there is no Hub token"):
        HubTokens.from_environment()


def test_a_job_gets_one_token_for_each_repository(provider, server, trusted):
    found = job(server)
    given = [found.for_repo(repo) for repo in trusted]

    assert given == [found.for_repo(repo) for repo in trusted], "asked once each"
    assert len(set(given)) == 2
    assert all(server.publishers.repo_of(token) in trusted for token in given)
    assert [query["audience"] for query in provider.asked] == [[server.endpoint]] * 2
    assert not any(token in repr(found) for token in given)
    assert set(given) <= known_secrets()


def test_a_token_that_is_soon_late_is_exchanged_for_a_new_one(
    provider, server, trusted, monkeypatch
):
    monkeypatch.setattr(tokens, "_MARGIN_SECONDS", 3601)  # the Hub's are good for 3600
    found = job(server)

    assert found.for_repo(trusted[0]) != found.for_repo(trusted[0])


def test_a_job_publishes_a_pair_with_two_tokens_of_one_repository_each(
    provider, server, trusted, release
):
    publish(release, Hub(server.endpoint, job(server)))

    assert all("v0.0.1" in tags(server, repo) for repo in trusted)
    authors = [api_of(server).list_repo_commits(repo)[0].authors for repo in trusted]
    assert authors == [["[OIDC]"]] * 2


def test_another_provider_hands_over_its_id_token_itself(server, trusted, monkeypatch):
    proof = server.publishers.id_token(server.endpoint, **CLAIMS)
    monkeypatch.setenv("HF_OIDC_ID_TOKEN", proof)

    assert server.publishers.repo_of(job(server).for_repo(trusted[1])) == trusted[1]


def test_a_repository_that_does_not_trust_the_job_says_so(provider, server, trusted):
    api_of(server).create_repo("team/other")
    with pytest.raises(EnvironmentProblem, match="does not trust this job") as refusal:
        job(server).for_repo("team/other")

    assert "no trusted publisher of team/other" in refusal.value.message
    assert "Trusted Publishers" in refusal.value.hint
    reader = HubTokens.from_environment(endpoint=server.endpoint, writing=False)
    assert reader.for_repo("team/other") is None


def test_a_job_that_may_not_ask_for_its_proof_is_told_what_it_needs(
    provider, server, trusted, monkeypatch
):
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "wrong-token-0123")
    with pytest.raises(EnvironmentProblem) as refusal:
        job(server).for_repo(trusted[0])
    assert "wrong-token-0123" not in refusal.value.message
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    with pytest.raises(EnvironmentProblem, match="is set without") as refusal:
        job(server).for_repo(trusted[0])
    assert "id-token: write" in refusal.value.hint


def test_a_hub_that_cannot_be_reached_is_the_environments_fault(monkeypatch):
    quiet_client()
    monkeypatch.setenv("HF_OIDC_ID_TOKEN", "a.b.c")
    with pytest.raises(EnvironmentProblem, match="cannot be reached"):
        tokens.repo_token("http://127.0.0.1:9", "a/b")


GRANTED = b'{"access_token": "hf_jwt_0123456789abcdef", "expires_in": 3600}'


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b"<html>",
        b'{"access_token": "hf_jwt_0123456789abcdef"}',
        *(
            b'{"access_token": "hf_jwt_0123456789abcdef", "expires_in": %s}' % seconds
            for seconds in (b"null", b'"3600"', b"0", b"-1", b"Infinity", b"NaN", b"1e999")
        ),
        *(
            b'{"access_token": %s, "expires_in": 3600}' % token
            for token in (b"null", b"{}", b'""', b'"a b0123456789"', b'"a\\nb0123456789"')
        ),
    ],
)
def test_an_exchange_that_gives_no_token_is_no_answer_of_a_hub(odd, monkeypatch, body):
    monkeypatch.setenv("HF_OIDC_ID_TOKEN", "eyJhbGciOiJub25l.e30.c2ln")
    odd.body = body
    with pytest.raises(OutcomeUnknownError, match="not one of a Hub") as problem:
        tokens.repo_token(odd.endpoint, "a/b")

    assert "0123456789" not in problem.value.message
    assert masked("said", known_secrets()) == "said"


@pytest.mark.parametrize("body", [b"[]", b"null", b'{"value": null}', b'{"value": "a b"}'])
def test_a_provider_that_gives_no_proof_is_said_to_be_none(odd, monkeypatch, body):
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", odd.endpoint)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", RUNNER_TOKEN)
    odd.body = body
    with pytest.raises(OutcomeUnknownError, match="GitHub's ID tokens"):
        tokens.repo_token("http://127.0.0.1:9", "a/b")
    assert len(odd.asked) == 1


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:99999999", "not an address"])
def test_a_provider_whose_address_is_none_is_said_to_have_none(monkeypatch, url):
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", url)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", RUNNER_TOKEN)
    with pytest.raises(EnvironmentProblem) as problem:
        tokens.repo_token("http://127.0.0.1:9", "a/b")
    assert RUNNER_TOKEN not in problem.value.message


@pytest.mark.parametrize("status", [301, 307, 308])
def test_a_proof_and_the_right_to_one_are_sent_nowhere_else(odd, monkeypatch, status):
    """Whoever has the proof may publish."""
    odd.status, odd.body = status, GRANTED
    with OddServer() as elsewhere:
        elsewhere.body = GRANTED
        odd.headers = {"Location": f"{elsewhere.endpoint}/oauth/token"}
        monkeypatch.setenv("HF_OIDC_ID_TOKEN", "eyJhbGciOiJub25l.e30.c2ln")
        with pytest.raises(DeniedError, match="points elsewhere"):
            tokens.repo_token(odd.endpoint, "a/b")
        monkeypatch.delenv("HF_OIDC_ID_TOKEN")
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", odd.endpoint)
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", RUNNER_TOKEN)
        with pytest.raises(DeniedError, match="points elsewhere"):
            tokens.repo_token(odd.endpoint, "a/b")

        assert elsewhere.asked == []
    assert len(odd.asked) == 2


def test_a_token_of_the_environment_goes_before_a_proof(provider, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789abcdef")

    assert HubTokens.from_environment().for_repo("a/b") == "hf_0123456789abcdef"
    assert provider.asked == []


@pytest.mark.parametrize("mark", ['"', "'", "\u201c", "`"])
def test_a_token_that_was_pasted_with_its_quotes_is_named_as_such(monkeypatch, mark):
    """`docker --env-file` and CI settings pass quotes on; the Hub would only answer 401."""
    monkeypatch.setenv("HF_TOKEN", f"{mark}hf_0123456789abcdef{mark}")
    with pytest.raises(
        EnvironmentProblem, match="HF_TOKEN begins or ends with a quotation"
    ) as caught:
        HubTokens.from_environment(writing=False)
    assert "without the quotes" in caught.value.hint
    assert "0123456789" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("before", ["HF_TOKEN=", "export HF_TOKEN=", "Bearer "])
def test_so_is_one_that_was_pasted_with_its_whole_line(monkeypatch, before):
    monkeypatch.setenv("HF_TOKEN", f"{before}hf_0123456789abcdef")
    with pytest.raises(EnvironmentProblem, match=f"HF_TOKEN begins with '{before.strip()}'"):
        HubTokens.from_environment(writing=False)
