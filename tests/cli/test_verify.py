"""`nla-release verify` as a person runs it, and a token that nothing shows."""

import json
import os
import shutil

import pytest

from nla_release.local_hub.server import LocalHub
from nla_release.release.folder import ROLES, read_release
from nla_release.release.manifest import read_manifest, release_id
from tests.hub.publishing import VERSION, api_of, repos

# Unlike any token of the Hub, so that no pattern can help to keep it secret.
TOKEN = "open-sesame-0123456789"


@pytest.fixture
def release(rendered, tmp_path):
    return read_release(shutil.copytree(rendered.folder, tmp_path / "release"))


@pytest.fixture
def hub(tmp_path):
    with LocalHub(tmp_path / "hub", token=TOKEN) as running:
        yield running


@pytest.fixture
def run(tool, hub, tmp_path):
    def at_hub(*arguments, token=TOKEN, **more):
        environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home"), **more}
        return tool(*arguments, environment=environment | ({"HF_TOKEN": token} if token else {}))

    return at_hub


@pytest.fixture
def published(run, release):
    done = run("push", release.folder, "--version", VERSION)
    assert done.returncode == 0, done.stderr
    return [f"{repo}@v0.0.1" for repo in repos(release)]


def test_a_published_pair_is_verified_without_a_token(run, published, release):
    done = run("verify", published[0], "--pair", token=None)

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("verdict: pass\n")
    assert [f"downloaded {place}" in done.stderr for place in published] == [True, True]
    identity = release_id(read_manifest(release.dist / role) for role in ROLES)
    assert done.stderr.endswith(f"release id: {identity}\n")
    assert run("verify", published[1], "--expect", identity, token=None).returncode == 0
    assert run("verify", published[1], "--expect", "0" * 64, token=None).returncode == 1


def test_the_json_is_the_verdict_and_names_the_repository(run, hub, published):
    repo = published[0].partition("@")[0]
    api = api_of(hub)
    api.delete_tag(repo, tag="v0.0.1")
    api.upload_file(path_or_fileobj=b"none", path_in_repo="LICENSE", repo_id=repo)
    api.create_tag(repo, tag="v0.0.1")
    done = run("verify", published[0], "--format", "json", token=None)

    document = json.loads(done.stdout)
    assert (done.returncode, document["verdict"]) == (1, "fail")
    assert {each["code"] for each in document["findings"]} >= {"NLA701", "NLA704"}
    assert all(each["path"].startswith(published[0]) for each in document["findings"])
    assert "/tmp" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{repo}"], 2, "give a repository and the release's tag"),
        (["{repo}@main"], 2, "has no tag main"),
        (["nobody/none@v1"], 4, "does not exist"),
        (["{repo}@v0.0.1", "--expect", "abc"], 2, "is not a release id"),
    ],
)
def test_what_cannot_be_verified_is_an_error_of_its_kind(run, published, arguments, code, words):
    repo = published[0].partition("@")[0]
    done = run("verify", *(each.format(repo=repo) for each in arguments), token=None)

    assert done.returncode == code
    assert words in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--identity", ""), "--identity is empty"),
        (("--identity", "someone", "--issuer", " "), "--issuer is empty"),
        (("--issuer", "https://issuer.example"), "--issuer is for --identity"),
        (("--identity", "someone", "--key", "publisher.pem"), "were both given"),
    ],
)
def test_a_publisher_that_is_half_named_is_refused(run, options, words):
    """A variable of a script that is not set must not turn the question off."""
    done = run("verify", "someone/pair@v0.0.1", *options, token=None)
    assert done.returncode == 2
    assert words in done.stderr


def test_gates_of_the_author_are_for_whoever_has_the_release(run, published, release):
    path = release.folder / "release.yaml"
    path.write_text(path.read_text() + "gates: {min_rows: 1000}\n")

    assert run("verify", published[0], "--release", release.folder).returncode == 3
    assert run("verify", published[0]).returncode == 0


def test_without_the_engine_loading_says_how_to_install_it(run, hub, published, tmp_path):
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow" / "torch.py").write_text("raise ModuleNotFoundError(name='torch')\n")
    path = os.pathsep.join([str(tmp_path / "shadow"), os.environ.get("PYTHONPATH", "")])
    before = len(hub.log.requests)
    done = run("verify", published[0], "--load", PYTHONPATH=path)

    assert done.returncode == 4
    assert "hint: pip install 'nla-release[engine]" in done.stderr
    assert len(hub.log.requests) == before


def test_the_token_is_in_nothing_that_is_printed_or_written(run, hub, release, tmp_path):
    push = ["push", release.folder, "--version", VERSION]
    shown = [
        run(*push, "--dry-run"),
        run(*push, "--dry-run", "--format", "json"),
        run("plan", release.folder, "--version", VERSION, "--debug"),
        run(*push, "--debug", "--collection", "Readers", HF_DEBUG="1"),
        run(*push, "--debug"),
        run("verify", f"{repos(release)[0]}@v0.0.1", "--pair", "--debug"),
        run(*push, "--debug", token=f"{TOKEN}-but-wrong"),
        run(*push, "--debug", HF_ENDPOINT="http://127.0.0.1:9"),
        run(*push, "--debug", HF_ENDPOINT=f"http://me:{TOKEN}@127.0.0.1:9"),
        run("report", release.folder, "-o", release.folder / "report.html"),
    ]

    assert [done.returncode for done in shown] == [0, 0, 0, 0, 0, 0, 4, 4, 2, 0]
    for done in shown:
        assert TOKEN not in done.stdout + done.stderr
    assert (release.dist / ".nla-release" / "journal.jsonl").is_file()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 60
    assert [path for path in written if TOKEN.encode() in path.read_bytes()] == []
