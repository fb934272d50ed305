"""What older clients, the `hf` command and git ask of the local Hub."""

import json
import os
import subprocess
import sys
from datetime import datetime

import pytest
from huggingface_hub import hf_hub_url
from huggingface_hub.utils import get_session

# What huggingface_hub 0.23 and 0.24 read a date with, and with nothing else.
OLD_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


def dates(document):
    """Every date in an answer."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key in {"date", "createdAt", "lastModified", "updatedAt", "lastUpdated"}:
                yield value
            else:
                yield from dates(value)
    elif isinstance(document, list):
        for each in document:
            yield from dates(each)


def test_every_date_has_milliseconds(hub, api, repo, push, tmp_path):
    push({"config.json": b"{}", "sub/w.safetensors": b"\0"})
    api.create_discussion(repo, title="A question")
    api.create_collection("pairs", namespace="loopback")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text("{}")
    hub.store.import_folder("team/base", tmp_path / "base")
    found = []
    for path in (
        "/api/models",
        f"/api/models/{repo}",
        "/api/models/team/base",
        "/api/models/team/base/commits/main",
        f"/api/models/{repo}/commits/main",
        f"/api/models/{repo}/tree/main?recursive=1&expand=1",
        f"/api/models/{repo}/discussions",
        f"/api/models/{repo}/discussions/1",
        "/api/collections",
    ):
        answer = get_session().get(
            f"{hub.endpoint}{path}", headers={"Authorization": f"Bearer {hub.token}"}
        )
        assert answer.status_code == 200, path
        here = list(dates(answer.json()))
        assert here, path
        found += here
    assert all(datetime.strptime(each, OLD_FORMAT) for each in found)  # noqa: DTZ007 - as they do


def test_an_imported_folder_keeps_its_commit_though_dates_are_shown_otherwise(hub, tmp_path):
    """Recipes name the commit of the tiny base."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text("{}")
    commit = hub.store.import_folder("team/base", tmp_path / "base")
    assert hub.store.repo("team/base").resolve(commit).date == "2026-01-01T00:00:00Z"


def test_hf_models_ls_lists_what_is_there(hub, api, repo):
    api.create_repo("team/second")
    env = {
        **os.environ,
        "HF_ENDPOINT": hub.endpoint,
        "HF_TOKEN": hub.token,
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    code = "from huggingface_hub.cli.hf import main; main()"

    def ls(*arguments):
        done = subprocess.run(
            [sys.executable, "-c", code, "models", "ls", "--format", "json", *arguments],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert repo in ls("--author", "team")
    assert "team/second" in ls("--sort", "created_at", "--limit", "5")
    assert len(json.loads(ls("--limit", "1"))) == 1


def test_a_list_is_cut_and_ordered_as_asked(api, repo):
    api.create_repo("team/second")
    assert len(list(api.list_models(limit=1))) == 1
    names = [each.id for each in api.list_models(sort="created_at")]
    assert sorted(names) == [repo, "team/second"]


@pytest.mark.parametrize("name", ["config.json", "w.safetensors"])
def test_a_file_that_a_cache_has_is_not_sent_again(hub, repo, push, name):
    push({"config.json": b"{}", "w.safetensors": b"\0" * 100})
    url = hf_hub_url(repo, name, endpoint=hub.endpoint)
    first = get_session().get(url)
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = get_session().get(url, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    assert get_session().get(url, headers={"If-None-Match": '"other"'}).content == first.content


def test_git_clone_says_that_git_is_not_served(hub, repo, tmp_path):
    done = subprocess.run(
        ["git", "clone", f"{hub.endpoint}/{repo}", str(tmp_path / "clone")],
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "does not serve git" in done.stderr
    assert "hf download" in done.stderr
