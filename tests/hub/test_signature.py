"""A signature over both release.json: what is rewritten consistently, by anyone with the token."""

import base64
import json
import shutil

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from nla_release.errors import ConfigError, PartlyPublishedError, RefusedError
from nla_release.hub.journal import Journal
from nla_release.hub.plan import make_plan
from nla_release.hub.push import push
from nla_release.hub_client.remote import Hub
from nla_release.io.layout import SIGNATURE_FILE
from nla_release.local_hub.server import LocalHub
from nla_release.release.folder import ROLES, read_release
from nla_release.release.signature import Publisher, Signer, mismatch, read_released
from tests.hub.publishing import VERSION, api_of, commits, repos, tags, unchecked
from tests.hub.verifying import (
    TAG,
    codes,
    content_of,
    flipped,
    hostile,
    judged,
    rewrite_both,
    told,
)
from tests.messages import heard


def write_key(folder, name="key", curve=None, password=None):
    """A key pair as openssl writes it: (private, public)."""
    private = ec.generate_private_key(curve or ec.SECP256R1())
    locked = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    folder.mkdir(exist_ok=True)
    paths = folder / f"{name}.pem", folder / f"{name}.pub"
    pem = serialization.Encoding.PEM
    paths[0].write_bytes(private.private_bytes(pem, serialization.PrivateFormat.PKCS8, locked))
    paths[1].write_bytes(
        private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return paths


def publish_signed(release, client, signer):
    plan = make_plan(release.dist, VERSION, client)
    journal = Journal(release.dist, plan.release_id, client.endpoint)
    push(plan, client, journal, check=unchecked, signer=signer)


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    return write_key(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def signed_once(rendered, keys, tmp_path_factory):
    folder = tmp_path_factory.mktemp("signed")
    release = read_release(shutil.copytree(rendered.folder, folder / "release"))
    with LocalHub(folder / "hub") as server:
        publish_signed(release, Hub(server.endpoint, server.token), Signer(keys[0]))
    return folder


@pytest.fixture
def signed(signed_once, tmp_path):
    """A Hub with a signed release on it, of the test's own."""
    with LocalHub(shutil.copytree(signed_once / "hub", tmp_path / "hub")) as running:
        yield running


@pytest.fixture
def av(rendered):
    return rendered.repo_id("av", VERSION)


@pytest.fixture
def publisher(keys):
    return Publisher(keys[1])


def signature_of(hub, repo):
    return content_of(hub, repo, SIGNATURE_FILE)


def test_a_signed_release_verifies_by_the_public_key(signed, rendered, publisher, tmp_path):
    for repo in repos(rendered):
        for pair in (False, True):
            verdict = judged(signed, f"{repo}@{TAG}", tmp_path, pair=pair, publisher=publisher)
            assert verdict.verdict == "pass", told(verdict)
            assert {each.rule.code for each in verdict.outcomes if each.state == "passed"} >= {
                "NLA709",
                "NLA710",
            }
    assert len({signature_of(signed, repo) for repo in repos(rendered)}) == 1


def test_everything_rewritten_consistently_and_tagged_again_is_found(
    signed, rendered, av, publisher, tmp_path
):
    """The owner of the token rewrites both repositories, and the release id in both commits."""

    def change(folder):
        path = folder / "evidence" / "rows.jsonl"
        path.write_bytes(flipped(path.read_bytes()))

    rewrite_both(signed, rendered, tmp_path, change)
    verdict = judged(signed, f"{av}@{TAG}", tmp_path, pair=True, publisher=publisher)
    assert {"NLA709", "NLA710"} <= codes(verdict)
    assert "signs another release.json of the AV" in told(verdict)
    # a signature that is there and wrong fails, whoever looks
    assert "NLA709" in codes(judged(signed, f"{av}@{TAG}", tmp_path))


def test_a_rewritten_release_that_lost_its_signature_fails_where_one_is_demanded(
    signed, rendered, av, publisher, tmp_path
):
    rewrite_both(signed, rendered, tmp_path, lambda folder: None)
    for repo in repos(rendered):
        hostile(signed, repo, {}, remove=[SIGNATURE_FILE])
    verdict = judged(signed, f"{av}@{TAG}", tmp_path, publisher=publisher)
    assert "NLA710" in codes(verdict)
    assert f"has no {SIGNATURE_FILE}" in told(verdict)


def test_a_rewritten_release_signed_by_somebody_else_fails(
    signed, rendered, av, publisher, tmp_path
):
    other, _ = write_key(tmp_path / "other")
    folders = {role: rendered.dist / role for role in ROLES}
    theirs = Signer(other).sign(read_released(folders))
    for repo in repos(rendered):
        hostile(signed, repo, {SIGNATURE_FILE: theirs}, beside=True)
    verdict = judged(signed, f"{av}@{TAG}", tmp_path, pair=True, publisher=publisher)
    assert codes(verdict) == {"NLA710"}
    assert f"is not signed by the key {publisher.key}" in told(verdict)
    # without a name nobody can say whose signature it is, and the verdict says so
    unnamed = judged(signed, f"{av}@{TAG}", tmp_path, pair=True)
    assert unnamed.verdict == "pass"
    (asked,) = [each for each in unnamed.outcomes if each.rule.code == "NLA710"]
    assert "add --key FILE or --identity WHO" in "".join(asked.skipped)


def test_an_unsigned_release_fails_where_a_signature_is_demanded(hub, av, publisher, tmp_path):
    verdict = judged(hub, f"{av}@{TAG}", tmp_path, publisher=publisher)
    assert codes(verdict) == {"NLA710"}


def _with_payload(signature, change):
    document = json.loads(signature)
    statement = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    change(statement)
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    document["dsseEnvelope"]["payload"] = payload
    return json.dumps(document).encode()


def _resources(count):
    def change(statement):
        del statement["predicate"]["resources"][count:]

    return lambda signature: _with_payload(signature, change)


@pytest.mark.parametrize(
    "broken",
    [
        lambda signature: b"",
        lambda signature: b"{}",
        lambda signature: b"[" * 100_000,
        lambda signature: b"\xff\xfe",
        lambda signature: b" " * 300_000 + signature,
        lambda signature: signature[:-50],
        lambda signature: json.dumps({"dsseEnvelope": {"payload": "bm8="}}).encode(),
        _resources(0),
        _resources(1),
        lambda signature: _with_payload(signature, lambda each: each.update(predicateType="x")),
        lambda signature: _with_payload(signature, lambda each: each.update(predicate=[])),
    ],
)
def test_a_signature_that_is_present_and_wrong_always_fails(
    signed, rendered, av, publisher, tmp_path, broken
):
    wrong = broken(signature_of(signed, av))
    for repo in repos(rendered):
        hostile(signed, repo, {SIGNATURE_FILE: wrong}, beside=True)
    for terms in ({}, {"publisher": publisher}):
        verdict = judged(signed, f"{av}@{TAG}", tmp_path, **terms)
        assert {"NLA709", "NLA710"} & codes(verdict)
        assert "Traceback" not in told(verdict)


def test_a_statement_that_was_changed_has_no_valid_signature(
    signed, rendered, av, publisher, tmp_path
):
    """The names and hashes are right, and other words of the statement are not those signed."""
    wrong = _with_payload(
        signature_of(signed, av), lambda each: each["subject"][0].update(name="other")
    )
    for repo in repos(rendered):
        hostile(signed, repo, {SIGNATURE_FILE: wrong}, beside=True)
    verdict = judged(signed, f"{av}@{TAG}", tmp_path, publisher=publisher)
    assert codes(verdict) == {"NLA710"}


def test_a_signature_in_one_repository_alone_is_found(signed, rendered, av, tmp_path):
    hostile(signed, repos(rendered)[1], {}, remove=[SIGNATURE_FILE], beside=True)
    verdict = judged(signed, f"{av}@{TAG}", tmp_path)
    assert codes(verdict) == {"NLA710"}
    assert repos(rendered)[1] in told(verdict)


def test_the_second_push_does_nothing_and_needs_no_local_copy_of_the_signature(
    signed, signed_once, keys, tmp_path
):
    release = read_release(shutil.copytree(signed_once / "release", tmp_path / "release"))
    client = Hub(signed.endpoint, signed.token)
    before = [len(commits(signed, repo)) for repo in repos(release)]
    for signer in (Signer(keys[0]), None):
        for role in ROLES:  # rendered again, on another machine
            (release.dist / role / SIGNATURE_FILE).unlink(missing_ok=True)
        with heard() as said:
            publish_signed(release, client, signer)
        assert said[-1].startswith("already published, nothing to do")
    assert [len(commits(signed, repo)) for repo in repos(release)] == before


def test_a_release_that_is_published_unsigned_gets_no_signature_afterwards(hub, release, keys):
    client = Hub(hub.endpoint, hub.token)
    before = [tags(hub, repo) for repo in repos(release)]
    with pytest.raises(RefusedError, match="without a signature") as refusal:
        publish_signed(release, client, Signer(keys[0]))
    assert "next version" in refusal.value.hint
    assert [tags(hub, repo) for repo in repos(release)] == before
    publish_signed(release, client, None)  # without --sign nothing is to be done


def test_a_push_that_was_cut_off_goes_on_with_the_signature_that_it_made(
    server, client, release, keys, publisher, tmp_path
):
    """Killed between the two commits, and rendered again on another machine meanwhile."""
    signer = Signer(keys[0])
    whole = client.commit

    def cut_off(repo, *arguments, **options):
        if repo == repos(release)[1]:
            raise KeyboardInterrupt
        return whole(repo, *arguments, **options)

    client.commit = cut_off
    with pytest.raises(KeyboardInterrupt):
        publish_signed(release, client, signer)
    client.commit = whole
    made = (release.dist / "av" / SIGNATURE_FILE).read_bytes()
    for role in ROLES:
        (release.dist / role / SIGNATURE_FILE).unlink()
    publish_signed(release, client, signer)
    for repo in repos(release):
        assert signature_of(server, repo) == made
        assert len(commits(server, repo)) == 2
        verdict = judged(server, f"{repo}@{TAG}", tmp_path, publisher=publisher)
        assert verdict.verdict == "pass", told(verdict)


def test_a_push_that_was_cut_off_by_another_signer_is_not_signed_over(
    server, client, release, keys, tmp_path
):
    whole = client.tag
    client.tag = lambda *arguments, **options: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        publish_signed(release, client, Signer(keys[0]))
    client.tag = whole
    other, _ = write_key(tmp_path / "other")
    with pytest.raises(PartlyPublishedError, match="is not by the key"):
        publish_signed(release, client, Signer(other))
    assert all(tags(server, repo) == {} for repo in repos(release))


def test_a_signature_of_what_was_rendered_before_is_made_again(server, client, release, keys):
    signer = Signer(keys[0])
    stale = signer.sign(dict.fromkeys(ROLES, b"{}"))
    for role in ROLES:
        (release.dist / role / SIGNATURE_FILE).write_bytes(stale)
    publish_signed(release, client, signer)
    released = read_released({role: release.dist / role for role in ROLES})
    for repo in repos(release):
        assert mismatch(signature_of(server, repo), released) is None


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_other_curves_sign_too(tmp_path, curve):
    private, public = write_key(tmp_path, curve=curve)
    released = {"av": b"{}", "ar": b"[]"}
    signature = Signer(private).sign(released)
    assert Publisher(public).problem(signature, released) is None
    changed = Publisher(public).problem(signature, {"av": b"{}", "ar": b"[ ]"})
    assert changed is not None
    assert "signs another release.json of the AR" in changed


def test_an_encrypted_key_asks_for_its_password_and_shows_it_nowhere(tmp_path, monkeypatch):
    private, public = write_key(tmp_path, password=b"open-sesame-0123")
    with pytest.raises(ConfigError, match="password") as refusal:
        Signer(private).check()
    assert "NLA_RELEASE_KEY_PASSWORD" in refusal.value.hint
    monkeypatch.setenv("NLA_RELEASE_KEY_PASSWORD", "wrong-sesame-0123")
    with pytest.raises(ConfigError, match="with the password in NLA_RELEASE_KEY") as refusal:
        Signer(private).check()
    assert "sesame" not in str(refusal.value)
    monkeypatch.setenv("NLA_RELEASE_KEY_PASSWORD", "open-sesame-0123")
    released = {"av": b"{}", "ar": b"[]"}
    assert Publisher(public).problem(Signer(private).sign(released), released) is None


def test_what_is_no_key_is_said_before_anything_is_downloaded(tmp_path, keys):
    plain = rsa.generate_private_key(65537, 2048)
    path = tmp_path / "rsa.pem"
    path.write_bytes(
        plain.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (tmp_path / "text").write_text("no key")
    for wrong in (path, tmp_path / "text", tmp_path / "missing", keys[1]):
        with pytest.raises(ConfigError, match=str(wrong)):
            Signer(wrong).check()
    for wrong in (tmp_path / "text", tmp_path / "missing", keys[0]):
        with pytest.raises(ConfigError, match=str(wrong)):
            Publisher(wrong).check()


def test_the_history_of_a_signed_release_has_one_commit_each(signed, rendered):
    for repo in repos(rendered):
        assert len(api_of(signed).list_repo_commits(repo)) == 2


def test_a_retraction_leaves_no_wrong_signature_on_main_and_the_tag_as_it_was(
    signed, signed_once, tool, publisher, tmp_path
):
    release = read_release(shutil.copytree(signed_once / "release", tmp_path / "release"))
    environment = {"HF_ENDPOINT": signed.endpoint, "HF_TOKEN": signed.token}
    options = ("--version", VERSION, "--reason", "Evaluated at another scale")
    for _ in range(2):
        done = tool("retract", release.folder, *options, environment=environment)
        assert done.returncode == 0, done.stderr
    for repo in repos(release):
        assert not api_of(signed).file_exists(repo, SIGNATURE_FILE)
        verdict = judged(signed, f"{repo}@{TAG}", tmp_path, publisher=publisher)
        assert codes(verdict) == {"NLA706"}


def test_the_commands_sign_and_verify_and_show_no_secret(server, release, tool, tmp_path):
    """As a person runs them: dry run, rehearsal, push, verify."""
    private, public = write_key(tmp_path / "mine", password=b"open-sesame-0123")
    environment = {
        "HF_ENDPOINT": server.endpoint,
        "HF_TOKEN": server.token,
        "NLA_RELEASE_KEY_PASSWORD": "open-sesame-0123",
    }

    def run(*arguments):
        done = tool(*arguments, environment=environment)
        said = done.stdout + done.stderr
        for secret in (server.token, "open-sesame", private.read_text().splitlines()[1]):
            assert secret not in said
        return done

    push_it = ("push", release.folder, "--version", VERSION, "--sign")
    dry = run(*push_it, "--key", private, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert f"would sign both release.json with the key {private}" in dry.stderr
    assert not list(release.dist.rglob(SIGNATURE_FILE))
    rehearsal = run(*push_it, "--rehearse")
    assert rehearsal.returncode == 2
    assert "--key FILE" in rehearsal.stderr
    assert run(*push_it, "--key", private, "--rehearse").returncode == 0
    done = run(*push_it, "--key", private)
    assert done.returncode == 0, done.stderr
    assert run("check", release.folder).returncode == 0
    place = f"{repos(release)[0]}@{TAG}"
    assert run("verify", place, "--pair", "--key", public).returncode == 0
    _, other = write_key(tmp_path / "other")
    refused = run("verify", place, "--key", other)
    assert refused.returncode == 1
    assert "NLA710" in refused.stdout
    wrong = run("verify", place, "--key", private)
    assert wrong.returncode == 2
    assert "openssl pkey" in wrong.stderr
