"""What was published is loaded with PEFT: the pair, or one half of it."""

import os
import shutil

import pytest

from nla_release.engine.pair import load_published
from nla_release.errors import NlaReleaseError
from nla_release.hub_client.client import quiet_client
from nla_release.hub_client.remote import Hub
from nla_release.local_hub.server import LocalHub
from nla_release.release.folder import ROLES, read_release
from tests.hub.publishing import api_of, publish, repos
from tests.warm import Warm


@pytest.fixture(scope="module")
def base(good_release):
    return read_release(good_release).base_path


@pytest.mark.parametrize("roles", [("av",), ("ar",), ROLES])
def test_rendered_repositories_load_alone_and_together(good_release, base, roles):
    loaded = load_published({role: good_release / "dist" / role for role in roles}, base)

    assert loaded.startswith(f"{' and '.join(role.upper() for role in roles)} on ")


def test_a_half_that_is_damaged_does_not_load(good_release, base, tmp_path):
    folder = shutil.copytree(good_release / "dist" / "ar", tmp_path / "ar")
    (folder / "value_head.safetensors").unlink()
    with pytest.raises(NlaReleaseError):
        load_published({"ar": folder}, base)


@pytest.fixture(scope="module")
def hub(good_release, tmp_path_factory):
    """A Hub that the demo's pair is published on."""
    folder = tmp_path_factory.mktemp("published")
    quiet_client()
    with LocalHub(folder / "hub") as server:
        release = read_release(shutil.copytree(good_release, folder / "release"))
        publish(release, Hub(server.endpoint, server.token))
        yield server


@pytest.fixture(scope="module")
def verify(hub, base, tmp_path_factory):
    """`nla-release verify PLACE --load --base ...`, as somebody without a token."""
    home = str(tmp_path_factory.mktemp("home"))
    there = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": home}
    process = Warm("torch", "transformers", "peft", environment=there)
    line = ("-m", "nla_release", "verify", "--load", "--base", base)
    return lambda *arguments: process.run([*line, *arguments])


@pytest.mark.parametrize(
    ("role", "options"), [("av", ["--pair"]), pytest.param("ar", [], marks=pytest.mark.long)]
)
def test_what_is_verified_from_the_hub_is_loaded_too(good_release, verify, role, options):
    release = read_release(good_release)
    done = verify(f"{release.repo_id(role, '0.0.1')}@v0.0.1", *options)

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("verdict: pass\n")
    what = "AV and AR" if options else role.upper()
    assert f"loaded with PEFT: {what} on {release.config.base_model}\n" in done.stderr


def test_what_does_not_verify_is_not_loaded(good_release, hub, verify):
    repo, api = repos(read_release(good_release))[0], api_of(hub)
    api.upload_file(path_or_fileobj=b"none", path_in_repo="LICENSE", repo_id=repo)
    api.create_tag(repo, tag="v0.0.1-again")
    done = verify(f"{repo}@v0.0.1-again")

    assert done.returncode == 1
    assert "note: the release does not pass, and was not loaded\n" in done.stderr
    assert "loaded with PEFT" not in done.stderr
