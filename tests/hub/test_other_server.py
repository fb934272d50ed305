"""The demo's release on a Hub that is not ours: any server that speaks the protocol.

    NLA_TEST_HUB_ENDPOINT=http://127.0.0.1:8000 NLA_TEST_HUB_TOKEN=hf_... \
        .venv/bin/python -m pytest tests/hub/test_other_server.py

The token's account gets two repositories for as long as the tests run.
"""

import os
import re
import secrets
import shutil

import pytest
from huggingface_hub import HfApi

from nla_release.cards.render import render
from nla_release.errors import PartlyPublishedError, RefusedError
from nla_release.hub_client.client import quiet_client
from nla_release.hub_client.remote import Hub
from nla_release.release.folder import read_release
from tests.hub.publishing import commits, publish, repos, tags
from tests.sidecars import TINY_BASE

ENDPOINT, TOKEN = (os.environ.get(f"NLA_TEST_HUB_{name}") for name in ("ENDPOINT", "TOKEN"))

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(
        not (ENDPOINT and TOKEN),
        reason="NLA_TEST_HUB_ENDPOINT and NLA_TEST_HUB_TOKEN name no server to try",
    ),
]


class Server:
    """The server, as the helpers of the other tests know theirs."""

    endpoint, token = ENDPOINT, TOKEN


@pytest.fixture(scope="module")
def api():
    quiet_client()
    return HfApi(endpoint=ENDPOINT, token=TOKEN)


@pytest.fixture
def release(good_release, tmp_path, api):
    """The demo's release under a name that nobody has, in the account of the token."""
    folder = shutil.copytree(good_release, tmp_path / "release")
    text = (folder / "release.yaml").read_text()
    for key, value in (
        ("namespace", api.whoami()["name"]),
        ("name", f"nla-test-{secrets.token_hex(4)}"),
    ):
        text, found = re.subn(rf"^{key}: .*$", f"{key}: {value}", text, flags=re.MULTILINE)
        assert found == 1
    (folder / "release.yaml").write_text(text)
    release = read_release(folder)
    render(release, "0.0.1")
    yield release
    for repo in repos(release):
        api.delete_repo(repo, missing_ok=True)


@pytest.fixture
def run(tool):
    """`nla-release` at the server; what it said."""

    def at_server(*arguments):
        done = tool(*arguments, environment={"HF_ENDPOINT": ENDPOINT, "HF_TOKEN": TOKEN})
        assert TOKEN not in done.stdout + done.stderr
        assert done.returncode == 0, done.stderr
        return done.stderr

    return at_server


def test_a_release_is_published_once_verified_and_loaded(release, run):
    push = ["push", "--version", "0.0.1", release.folder]
    assert "published v0.0.1, both verified by tag" in run(*push)
    assert run(*push).startswith("already published, nothing to do")
    for repo in repos(release):
        newest, *_ = commits(Server, repo)
        assert newest.title == "Release v0.0.1"
        assert tags(Server, repo) == {"v0.0.1": newest.commit_id}
    place = f"{repos(release)[0]}@v0.0.1"
    run("verify", "--pair", "--load", "--base", TINY_BASE, "--release", release.folder, place)


def test_what_others_commit_meanwhile_is_not_overwritten_unnoticed(release, api, monkeypatch):
    av, ar = repos(release)
    for repo in (av, ar):
        api.create_repo(repo)
    send, raced = Hub.commit, []

    def commit(self, repo, *arguments, **options):
        if not raced:
            raced.append(
                api.upload_file(path_or_fileobj=b"mine", path_in_repo="notes.md", repo_id=av)
            )
        return send(self, repo, *arguments, **options)

    monkeypatch.setattr(Hub, "commit", commit)
    with pytest.raises((RefusedError, PartlyPublishedError)):
        publish(release, Hub(ENDPOINT, TOKEN))
    assert tags(Server, av) == tags(Server, ar) == {}
