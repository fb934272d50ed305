"""`nla-release plan` and `push` as a person runs them, against a Hub that is really there."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nla_release.io.files import read_text
from nla_release.local_hub.records import Put
from nla_release.release.folder import read_release
from tests.hub.faults import Fault
from tests.hub.faulty import FaultyHub
from tests.hub.publishing import VERSION, api_of, commits, repos, tags
from tests.waiting import LONGEST, wait_until

COMMAND = Path(sys.executable).with_name("nla-release")


@pytest.fixture
def release(rendered, tmp_path):
    return read_release(shutil.copytree(rendered.folder, tmp_path / "release"))


@pytest.fixture
def hub(tmp_path):
    with FaultyHub(tmp_path / "hub") as running:
        running.faults.inject()
        yield running


@pytest.fixture
def run(tool, release, hub):
    """`nla-release VERB RELEASE --version 0.0.1 ...` at the Hub of the test."""

    def at_hub(verb, *options):
        environment = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": hub.token}
        done = tool(verb, release.folder, "--version", VERSION, *options, environment=environment)
        assert hub.token not in done.stdout + done.stderr
        return done

    return at_hub


def writes(hub):
    return [request for request in hub.log.requests if request.writes]


def test_a_plan_and_a_dry_run_write_nothing_and_say_the_same(run, hub, release):
    plan, dry = run("plan"), run("push", "--dry-run")

    assert (plan.returncode, dry.returncode) == (0, 0)
    assert plan.stdout == dry.stdout
    assert plan.stdout.startswith("Release v0.0.1\n\nsomeone/tiny-nla-L3-av-v0_0_1  (model, public")
    assert dry.stderr == "hint: nothing was written; run it again without --dry-run\n"
    documents = [json.loads(run(*verb, "--format", "json").stdout) for verb in DRY]
    assert documents[0] == documents[1]
    assert documents[0]["totals"]["create"] == 2
    assert writes(hub) == []
    assert not (release.dist / ".nla-release").exists()


DRY = [("plan",), ("push", "--dry-run")]


def test_a_push_publishes_and_the_second_does_nothing(run, hub, release):
    assert run("plan", "--detailed-exitcode").returncode == 10
    done = run("push")

    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[-2:] == [
        f"  {role}  {hub.endpoint}/{repo}/tree/v0.0.1"
        for role, repo in zip(("av", "ar"), repos(release), strict=True)
    ]
    assert release.history.read_text() == read_text(release.dist / "av" / "HISTORY.md")
    before = writes(hub)
    again = run("push")
    assert again.returncode == 0
    assert again.stderr.startswith("already published, nothing to do: ")
    assert writes(hub) == before
    assert run("plan", "--detailed-exitcode").returncode == 0


def test_a_push_that_would_be_refused_shows_so_in_the_plan(run, hub, release):
    api = api_of(hub)
    for repo in repos(release):
        api.create_repo(repo)
        api.upload_file(path_or_fileobj=b"mine", path_in_repo="thesis.txt", repo_id=repo)
    plan, push = run("plan", "--detailed-exitcode"), run("push")

    assert plan.returncode == push.returncode == 1
    assert "This push would be refused:" in plan.stdout
    error, hint = push.stderr.splitlines()[-2:]
    assert error.startswith("error: ")
    assert "thesis.txt" in error
    assert hint.startswith("hint: ")


def test_text_that_was_kept_on_the_hub_is_taken_over_and_judged_with_the_rest(run, hub, release):
    part = "<!-- nla-release:keep thanks -->\nThank you.\n<!-- nla-release:end-keep thanks -->\n"
    api = api_of(hub)
    for repo in repos(release):
        api.create_repo(repo)
    api.upload_file(
        path_or_fileobj=f"---\nlicense: mit\n---\n{part}".encode(),
        path_in_repo="README.md",
        repo_id=repos(release)[0],
    )
    assert run("push").returncode == 1  # the front matter is an edit like any other
    done = run("push", "--overwrite-card")

    assert done.returncode == 0, done.stderr
    assert "kept hand-written sections of" in done.stderr
    assert part in (release.dist / "av" / "README.md").read_text()


def test_a_release_that_does_not_pass_is_not_published(run, hub, release):
    config = release.folder / "release.yaml"
    config.write_text(config.read_text() + "gates: {min_rows: 5000}\n")
    done = run("push")
    assert done.returncode == 1
    assert "does not pass `nla-release check`" in done.stderr
    assert writes(hub) == []


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_says_what_is_public_and_the_same_command_goes_on(run, hub, release, sent, code):
    ar = repos(release)[1]
    at = lambda _method, path, _: f"{ar}/commit/" in path  # noqa: E731
    hub.faults.inject(Fault("slow", at=at, seconds=100_000))
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": hub.token}
    with subprocess.Popen(
        [COMMAND, "push", release.folder, "--version", VERSION],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        wait_until(
            lambda: any(f"{ar}/commit/" in each.path for each in hub.faults.requests),
            alive=lambda: process.poll() is None,
        )
        process.send_signal(sent)
        _, stderr = process.communicate(timeout=LONGEST)

    assert process.returncode == code
    assert f"Public so far: {repos(release)[0]} is committed (" in stderr
    assert f"whether {ar} is committed is not known" in stderr
    assert "was not read again after the interruption; a request that was sent" in stderr
    assert stderr.endswith("error: interrupted\nhint: run the same command again\n")
    steps = [json.loads(line)["step"] for line in journal(release)]
    assert steps[-1] == "commit"
    assert hub.token not in "".join(journal(release))

    hub.clear()
    done = run("push")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("resuming v0.0.1 (begun ")
    for repo in repos(release):
        history = commits(hub, repo)
        assert len(history) == 2
        assert tags(hub, repo) == {"v0.0.1": history[0].commit_id}


def journal(release):
    return (release.dist / ".nla-release" / "journal.jsonl").read_text().splitlines()


def test_a_push_that_stops_half_way_exits_with_5(run, hub, release):
    hub.faults.inject(Fault("403", at=lambda method, path, _: "/tag/" in path))
    done = run("push")
    assert done.returncode == 5
    assert "Public so far: " in done.stderr.splitlines()[-2]
    hub.clear()
    assert run("push").returncode == 0


def test_the_log_is_kept_before_a_collection_is_asked_for(run, hub, release):
    """Whatever becomes of the collection: what was published is what the next version adds to."""
    kept = []

    def look(_method, path, _number):
        if "/collections" in path:
            kept.append(release.history.exists())
        return False

    hub.faults.inject(Fault("403", at=look))
    assert run("push", "--collection", "Readers").returncode == 0
    assert kept
    assert all(kept)


def test_a_card_on_the_hub_that_is_no_text_is_refused_and_not_the_users_mistake(run, hub, release):
    repo = repos(release)[0]
    api_of(hub).create_repo(repo)
    card = Put("README.md", hub.store.regular(b"\xff\xfe"))
    hub.store.repo(repo).commit("main", [card], title="By hand")
    for verb in ("plan", "push"):
        done = run(verb)
        assert done.returncode == 1
        assert "--overwrite-card discards" in done.stdout + done.stderr
    assert run("push", "--overwrite-card").returncode == 0


def test_a_format_without_a_plan_to_show_is_wrong_usage(run, hub):
    done = run("push", "--format", "json")
    assert done.returncode == 2
    assert "--dry-run" in done.stderr
    assert hub.log.requests == ()


def test_no_token_is_said_before_anything_is_asked(tool, release, hub, tmp_path):
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "none")}
    done = tool("push", release.folder, "--version", VERSION, environment=environment)
    assert done.returncode == 4
    assert "there is no Hub token" in done.stderr
    assert hub.log.requests == ()


@pytest.mark.parametrize("version", ["v0.0.1", "0.0.01", "one"])
def test_a_version_that_is_none_is_wrong_usage(tool, release, hub, version):
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": hub.token}
    done = tool("push", release.folder, "--version", version, environment=environment)
    assert done.returncode == 2
    assert "version" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["push", "--version", "v0.0.1"],
        ["plan", "--version", "v0.0.1"],
        ["retract", "--version", "v0.0.1", "--reason", "x"],
        ["retract", "--version", "0.0.2", "--reason", "x", "--successor", "v0.0.1"],
    ],
    ids=" ".join,
)
def test_the_form_of_the_version_is_looked_at_before_the_token(tool, release, words):
    verb, *options = words
    environment = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": ""}
    done = tool(verb, release.folder, *options, environment=environment)
    assert done.returncode == 2
    assert "version 'v0.0.1' must be written '0.0.1'" in done.stderr
    assert "token" not in done.stderr


@pytest.mark.parametrize("verb", [("plan",), ("push", "--dry-run")], ids=" ".join)
@pytest.mark.parametrize("there", [False, True])
def test_without_a_token_a_plan_says_that_the_push_would_be_refused(
    tool, release, hub, verb, there
):
    for repo in repos(release) if there else ():
        api_of(hub).create_repo(repo)
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": ""}
    command, *options = verb
    options += ["--version", VERSION]
    done = tool(command, release.folder, *options, environment=environment)
    assert done.returncode == 1
    assert done.stdout.count("there is no Hub token to publish with") == 2
    assert "hint: set HF_TOKEN" in done.stdout
    push = tool("push", release.folder, "--version", VERSION, environment=environment)
    assert push.returncode == 4


@pytest.mark.parametrize("verb", [("plan",), ("push", "--dry-run")], ids=" ".join)
def test_nor_with_a_token_that_may_not_write(tool, release, hub, verb):
    for repo in repos(release):
        api_of(hub).create_repo(repo)
    hub.faults.inject(Fault("403", at=lambda _method, path, _: "/auth-check" in path, times=9))
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": hub.token}
    command, *options = verb
    options += ["--version", VERSION]
    done = tool(command, release.folder, *options, environment=environment)
    assert done.returncode == 1
    assert done.stdout.count("the token may not do this (403 Forbidden") == 2


def test_what_is_published_needs_no_token_to_be_seen_as_done(tool, run, release, hub):
    assert run("push").returncode == 0
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": ""}
    options = ["--version", VERSION, "--detailed-exitcode"]
    assert tool("plan", release.folder, *options, environment=environment).returncode == 0


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("no_auth_check", 0, "note: {}: this Hub has no auth-check (404)"),
        ("no_validate_yaml", 1, "  {}: this Hub has no /api/validate-yaml (404)"),
    ],
)
def test_a_plan_says_what_a_hub_does_not_have(run, hub, release, there, kind, code, words):
    for repo in repos(release) if there else ():
        api_of(hub).create_repo(repo)
    hub.faults.inject(Fault(kind))
    done = run("plan")
    assert done.returncode == code
    assert all(words.format(repo) in done.stdout for repo in repos(release))
    assert [each for each in writes(hub) if not each.path.endswith("/repos/create")] == []


def test_a_plan_says_that_commit_ids_are_long(run, hub, release):
    for repo in repos(release):
        api_of(hub).create_repo(repo)
    hub.faults.inject(Fault("long_ids"))
    done = run("plan")
    assert done.returncode == 1
    assert done.stdout.count(": commit ids of this Hub have 64 digits") == 2
