"""A CI job signs by its own identity: with Fulcio, Rekor and OpenID on this machine."""

import shutil

import pytest

from nla_release.errors import EnvironmentProblem
from nla_release.io.layout import SIGNATURE_FILE
from nla_release.io.masking import known_secrets
from nla_release.release.folder import ROLES
from nla_release.release.signature import Publisher, Signer
from tests.hub.publishing import repos
from tests.hub.test_signature import publish_signed
from tests.hub.verifying import TAG, codes, content_of, judged, told
from tests.messages import heard
from tests.sigstore import REQUEST_TOKEN, WORKFLOW, LocalSigstore

RELEASED = {"av": b"{}", "ar": b"[]"}


@pytest.fixture
def sigstore(tmp_path, monkeypatch):
    with LocalSigstore(tmp_path) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


def test_a_job_signs_as_itself_and_readers_verify_its_identity(
    sigstore, server, client, release, tmp_path
):
    with heard() as said:
        publish_signed(release, client, Signer(trust=sigstore.trust))
    assert "signed both release.json with the identity of this CI job" in said
    publisher = Publisher(identity=WORKFLOW, trust=sigstore.trust)
    for repo in repos(release):
        verdict = judged(server, f"{repo}@{TAG}", tmp_path, pair=True, publisher=publisher)
        assert verdict.verdict == "pass", told(verdict)
    for other in (
        Publisher(identity=WORKFLOW.replace("someone", "evil"), trust=sigstore.trust),
        Publisher(identity=WORKFLOW, issuer="https://evil.example", trust=sigstore.trust),
    ):
        verdict = judged(server, f"{repos(release)[0]}@{TAG}", tmp_path, publisher=other)
        assert codes(verdict) == {"NLA710"}
        assert other.identity in told(verdict)
    # no secret of the job is on the Hub, in what was said, or in what was sent to the log
    signature = content_of(server, repos(release)[0], SIGNATURE_FILE).decode()
    proofs = {each for each in known_secrets() if each.startswith("eyJ")}
    assert proofs
    for text in (signature, "\n".join(said)):
        assert REQUEST_TOKEN not in text
        assert not any(each in text for each in proofs)
    to_the_log = [headers for path, headers, _ in sigstore.asked if path == "/api/v1/log/entries"]
    assert len(to_the_log) == 1
    assert "Authorization" not in to_the_log[0]


def test_the_same_command_again_signs_nothing_again(sigstore, server, client, release):
    for _ in range(2):
        publish_signed(release, client, Signer(trust=sigstore.trust))
        for role in ROLES:
            (release.dist / role / SIGNATURE_FILE).unlink()
    assert [path for path, *_ in sigstore.asked].count("/api/v1/log/entries") == 1


def test_a_sigstore_that_the_reader_does_not_trust_vouches_for_nobody(sigstore, tmp_path):
    signature = Signer(trust=sigstore.trust).sign(RELEASED)
    (tmp_path / "other").mkdir()
    with LocalSigstore(tmp_path / "other") as other:
        wrong = Publisher(identity=WORKFLOW, trust=other.trust).problem(signature, RELEASED)
    assert wrong is not None
    assert "is not signed by" in wrong
    assert Publisher(identity=WORKFLOW, trust=sigstore.trust).problem(signature, RELEASED) is None


def test_a_signature_of_one_release_is_none_of_another(sigstore):
    signature = Signer(trust=sigstore.trust).sign(RELEASED)
    publisher = Publisher(identity=WORKFLOW, trust=sigstore.trust)
    assert "another release.json of the AV" in (
        publisher.problem(signature, {**RELEASED, "av": b"{ }"}) or ""
    )


@pytest.mark.parametrize(
    "broken",
    [
        "/id-token",
        "/.well-known/openid-configuration",
        "/api/v2/signingCert",
        "/api/v1/log/entries",
    ],
)
def test_a_service_that_fails_is_named_and_no_token_with_it(sigstore, broken):
    sigstore.broken = broken
    with pytest.raises(EnvironmentProblem) as problem:
        Signer(trust=sigstore.trust).sign(RELEASED)
    said = f"{problem.value} {problem.value.hint}"
    assert REQUEST_TOKEN not in said
    assert "eyJ" not in said


def test_a_machine_that_is_no_job_is_told_to_use_a_key(monkeypatch):
    for name in ("GITHUB_ACTIONS", "ACTIONS_ID_TOKEN_REQUEST_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(EnvironmentProblem, match="nothing to sign with") as problem:
        Signer().check()
    assert "openssl genpkey" in problem.value.hint


def test_a_job_without_the_permission_is_told_which(monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_URL", raising=False)
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", raising=False)
    with pytest.raises(EnvironmentProblem) as problem:
        Signer().check()
    assert "id-token: write" in problem.value.hint


def test_the_folder_of_a_signed_release_holds_the_signature(sigstore, client, release, tmp_path):
    publish_signed(release, client, Signer(trust=sigstore.trust))
    copies = [shutil.copytree(release.dist / role, tmp_path / "copy" / role) for role in ROLES]
    assert len({(copy / SIGNATURE_FILE).read_bytes() for copy in copies}) == 1
