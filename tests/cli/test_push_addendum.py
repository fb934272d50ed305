"""`nla-release push --addendum`: a published version gets new evidence, and its weights stay."""

import io
import json
import os
import shutil

import pytest

from nla_release.cards.render import render
from nla_release.io.files import read_json, write_atomic
from nla_release.local_hub.server import LocalHub
from nla_release.release.folder import ROLES, read_release
from tests.builders_pair import make_release, measure
from tests.hub.faults import Fault
from tests.hub.faulty import FaultyHub
from tests.hub.publishing import VERSION, api_of, commits, repos, tags

TAG, ADDED = "v0.0.1", "v0.0.1+cal.1"
WEIGHTS = ["adapter_model.safetensors", "adapter_config.json", "nla_meta.yaml"]


@pytest.fixture(scope="module")
def made(tool, tmp_path_factory):
    """v0.0.1 on a Hub, and the release with an addendum to it, rendered."""
    folder = tmp_path_factory.mktemp("made")
    release = make_release(folder / "release", rows=60, documents=12, noise=0.6)
    render(release, VERSION)
    with LocalHub(folder / "hub") as server:
        succeeds(at(tool, server)("push", release.folder, "--version", VERSION))
    shutil.copytree(release.folder, folder / "before")
    add(tool, release, rows=80, documents=16)
    return folder


@pytest.fixture
def release(made, tmp_path):
    return read_release(shutil.copytree(made / "release", tmp_path / "release"))


@pytest.fixture
def hub(made, tmp_path):
    with FaultyHub(shutil.copytree(made / "hub", tmp_path / "hub")) as running:
        running.faults.inject()
        yield running


@pytest.fixture
def run(tool, release, hub):
    """`nla-release VERB RELEASE --version 0.0.1 ...` at the Hub that has v0.0.1."""

    def at_hub(verb, *options):
        return at(tool, hub)(verb, release.folder, "--version", VERSION, *options)

    return at_hub


def at(tool, server):
    environment = {"HF_ENDPOINT": server.endpoint, "HF_TOKEN": server.token}
    return lambda *arguments: tool(*arguments, environment=environment)


def succeeds(done):
    assert done.returncode == 0, done.stderr
    return done


def add(tool, release, **evidence):
    measure(release, **evidence)
    succeeds(tool("calibrate", "--addendum", "More rows", release.folder))
    succeeds(tool("render", "--version", VERSION, release.folder))


def assert_added_once(hub, release):
    """One commit more in each repository, the old tag where it was, the new one on top."""
    for repo in repos(release):
        history = commits(hub, repo)
        assert [each.title for each in history] == [
            f"Release {ADDED}",
            f"Release {TAG}",
            "initial commit",
        ]
        assert tags(hub, repo) == {TAG: history[1].commit_id, ADDED: history[0].commit_id}


def files_at(hub, repo, revision):
    tree = api_of(hub).list_repo_tree(repo, recursive=True, revision=revision)
    return {each.path: each.blob_id for each in tree if hasattr(each, "blob_id")}


def writes(hub):
    return [request for request in hub.log.requests if request.writes]


def test_each_repository_gets_one_commit_and_a_tag_of_its_own(run, hub, release):
    done = succeeds(run("push", "--addendum"))

    assert_added_once(hub, release)
    for role, repo in zip(ROLES, repos(release), strict=True):
        old = tags(hub, repo)[TAG][:12]
        said = f"{repo}: weights, configuration and sidecar are those of {TAG} ({old})"
        assert said in done.stderr.splitlines()
        before, after = files_at(hub, repo, TAG), files_at(hub, repo, ADDED)
        names = [*WEIGHTS, *(["value_head.safetensors"] if role == "ar" else [])]
        assert [before[name] for name in names] == [after[name] for name in names]
        changed = {name for name in before if before[name] != after[name]}
        assert {"README.md", "RELEASE_CALIBRATION.md", "HISTORY.md", "calibration.json"} < changed
        assert "addenda/cal.1.json" in after.keys() - before.keys()
        assert before.keys() <= after.keys()
    assert release.history.read_bytes() == (release.dist / "av" / "HISTORY.md").read_bytes()


def test_pushed_again_it_changes_nothing(run, hub):
    succeeds(run("push", "--addendum"))
    before = writes(hub)
    done = succeeds(run("push", "--addendum"))

    assert done.stderr.startswith("already published, nothing to do: ")
    assert done.stderr.endswith(f" at {ADDED}\n")
    assert writes(hub) == before
    assert run("plan", "--addendum", "--detailed-exitcode").returncode == 0


def test_readers_verify_the_version_with_and_without_its_addendum(tool, run, hub, release):
    succeeds(run("push", "--addendum"))
    for repo in repos(release):
        for tag in (TAG, ADDED):
            done = succeeds(at(tool, hub)("verify", f"{repo}@{tag}", "--pair"))
            assert done.stdout.endswith("verdict: pass\n")
            assert f"@{tag} (" in done.stderr


def test_the_plan_shows_what_changes_and_writes_nothing(run, hub, release):
    plan, dry = run("plan", "--addendum"), run("push", "--addendum", "--dry-run")

    assert (plan.returncode, dry.returncode) == (0, 0)
    assert plan.stdout == dry.stdout
    assert plan.stdout.startswith(f"Release {ADDED}\n\n")
    assert f"  weights, configuration and sidecar are those of {TAG} (" in plan.stdout
    lines = plan.stdout.splitlines()
    assert [line[2] for line in lines if "adapter_model" in line] == ["=", "="]
    assert [line[2] for line in lines if "addenda/cal.1.json" in line] == ["+", "+"]
    document = json.loads(run("plan", "--addendum", "--format", "json").stdout)
    assert document["tag"] == ADDED
    originals = [tags(hub, repo)[TAG] for repo in repos(release)]
    assert [repo["original"] for repo in document["repos"]] == originals
    assert run("plan", "--addendum", "--detailed-exitcode").returncode == 10
    assert writes(hub) == []


@pytest.mark.parametrize("verb", ["plan", "push"])
def test_an_addendum_is_published_as_one_or_not_at_all(run, hub, verb):
    done = run(verb)

    assert done.returncode == 2
    assert f"contains {ADDED}, an evidence update of a published version" in done.stderr
    assert "--addendum" in done.stderr
    assert writes(hub) == []


def test_without_an_addendum_there_is_none_to_push(tool, hub, made):
    done = at(tool, hub)("push", made / "before", "--version", VERSION, "--addendum")

    assert done.returncode == 2
    assert f"contains {TAG} without an evidence update" in done.stderr
    assert "calibrate --addendum" in done.stderr
    assert writes(hub) == []


def test_nothing_is_added_to_a_version_that_is_not_published(tool, release, tmp_path):
    with LocalHub(tmp_path / "empty") as empty:
        done = at(tool, empty)("push", release.folder, "--version", VERSION, "--addendum")

        assert done.returncode == 1
        assert f"{TAG} is not published, and {ADDED} is an evidence update of it" in done.stderr
        assert [request for request in empty.log.requests if request.writes] == []


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("av", "adapter_model.safetensors"),
        ("ar", "value_head.safetensors"),
        ("av", "nla_meta.yaml"),
    ],
)
def test_weights_or_a_sidecar_that_are_not_the_published_ones_are_named(
    run, hub, release, role, name
):
    """The Hub decides: what lies here passes, and is not what has the tag there."""
    repo, api = repos(release)[ROLES.index(role)], api_of(hub)
    other = (release.dist / role / name).read_bytes() + b"\n"
    api.upload_file(path_or_fileobj=io.BytesIO(other), path_in_repo=name, repo_id=repo)
    api.delete_tag(repo, tag=TAG)
    api.create_tag(repo, tag=TAG)
    before = writes(hub)
    done = run("push", "--addendum")

    assert done.returncode == 1
    assert f"{repo}: ~ {name} would differ from published {TAG}" in done.stderr
    assert writes(hub) == before


def test_a_history_that_does_not_go_on_from_the_published_one_is_refused(run, hub, release):
    repo = repos(release)[1]
    log = (release.dist / "ar" / "HISTORY.md").read_bytes()
    api_of(hub).upload_file(
        path_or_fileobj=log + b"\nAnother word.\n", path_in_repo="HISTORY.md", repo_id=repo
    )
    before = writes(hub)
    done = run("push", "--addendum")

    assert done.returncode == 1
    assert f"{repo}: the published HISTORY.md is not the beginning of" in done.stderr
    assert writes(hub) == before


@pytest.mark.parametrize(
    ("kind", "what", "code"),
    [
        ("refuse", "/commit/", 5),  # the Hub is gone between the two commits
        ("500_after", "/commit/", 0),
        ("refuse", "/tag/", 5),  # and between the two tags
    ],
)
def test_a_push_that_stops_half_way_is_continued(run, hub, release, kind, what, code):
    ar = repos(release)[1]
    hub.faults.inject(Fault(kind, at=lambda _method, path, _: f"{ar}{what}" in path))
    done = run("push", "--addendum")
    hub.clear()

    assert done.returncode == code, done.stderr
    if code:
        assert "Public so far: " in done.stderr.splitlines()[-2]
        if what == "/commit/":
            assert [ADDED in tags(hub, repo) for repo in repos(release)] == [False, False]
        again = succeeds(run("push", "--addendum"))
        assert again.stderr.startswith(f"resuming {ADDED} (begun ")
    assert_added_once(hub, release)


def test_a_client_that_is_killed_between_the_commits_is_continued(run, hub, release, tmp_path):
    """By SIGKILL, as the answer to the first commit arrives; the journal says what was done."""
    startup = tmp_path / "startup"
    startup.mkdir()
    (startup / "sitecustomize.py").write_text(
        "import os\n"
        "from nla_release.hub.push_run import PushRun\n"
        "commit = PushRun.commit\n"
        "def die(run, repo, additions):\n"
        "    if repo.role == 'ar':\n"
        "        os.kill(os.getpid(), 9)\n"
        "    return commit(run, repo, additions)\n"
        "PushRun.commit = die\n"
    )
    paths = os.pathsep.join(filter(None, [str(startup), os.environ.get("PYTHONPATH")]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", paths)
        assert run("push", "--addendum").returncode == -9
    assert [len(commits(hub, repo)) for repo in repos(release)] == [3, 2]

    again = succeeds(run("push", "--addendum"))
    assert again.stderr.startswith(f"resuming {ADDED} (begun ")
    assert_added_once(hub, release)


def test_an_addendum_follows_an_addendum(tool, run, hub, release):
    succeeds(run("push", "--addendum"))
    add(tool, release, rows=100, documents=20)
    succeeds(run("push", "--addendum"))

    for repo in repos(release):
        history = commits(hub, repo)
        newest = [each.commit_id for each in reversed(history)][1:]
        assert tags(hub, repo) == dict(zip((TAG, ADDED, "v0.0.1+cal.2"), newest, strict=True))
    done = succeeds(at(tool, hub)("verify", f"{repos(release)[0]}@v0.0.1+cal.2", "--pair"))
    assert done.stdout.endswith("verdict: pass\n")


def test_an_earlier_addendum_is_not_put_over_a_later_one(tool, run, hub, release, made):
    succeeds(run("push", "--addendum"))
    first = shutil.copytree(release.folder, release.folder.parent / "first")
    add(tool, release, rows=100, documents=20)
    succeeds(run("push", "--addendum"))
    before = writes(hub)

    done = succeeds(at(tool, hub)("push", first, "--version", VERSION, "--addendum"))
    assert done.stderr.startswith("already published, nothing to do: ")
    reworded = read_json(first / "addenda" / TAG / "cal.1.json") | {"text": "Other words"}
    write_atomic(first / "addenda" / TAG / "cal.1.json", json.dumps(reworded))
    shutil.copyfile(made / "before" / "HISTORY.md", first / "HISTORY.md")
    succeeds(tool("render", "--version", VERSION, first))
    done = at(tool, hub)("push", first, "--version", VERSION, "--addendum")
    assert done.returncode == 1
    assert f"tag {ADDED} is published with other bytes" in done.stderr
    assert writes(hub) == before


def test_the_versions_own_tag_is_looked_at_when_all_is_done(run, hub, release):
    """Somebody moves it while the addendum is pushed."""
    av, ar = repos(release)
    first = commits(hub, av)[1].commit_id
    moved = []

    def move():
        if not moved and ADDED in hub.store.repo(ar).state().tags:
            moved.append(True)
            hub.store.repo(av).delete_ref("tags", TAG)
            hub.store.repo(av).create_ref("tags", TAG, first)

    hub.faults.watch = move
    done = run("push", "--addendum")
    assert done.returncode == 5
    assert f"{av}: {TAG} no longer points at " in done.stderr


def test_an_addendum_is_rehearsed_on_the_hub_that_the_version_was_rehearsed_on(
    tool, release, made, tmp_path
):
    rehearse = ("--version", VERSION, "--rehearse", "--hub-root", tmp_path / "rehearsal")
    before = shutil.copytree(made / "before", tmp_path / "before")
    succeeds(tool("push", before, *rehearse))
    done = succeeds(tool("push", release.folder, *rehearse, "--addendum"))

    assert "rehearsing on http://127.0.0.1:" in done.stderr
    assert f"published {ADDED}, both verified by tag:" in done.stderr
    assert "re-downloaded both repositories: files identical" in done.stderr
    again = succeeds(tool("push", release.folder, *rehearse, "--addendum"))
    assert "already published, nothing to do: " in again.stderr
    with LocalHub(tmp_path / "rehearsal") as rehearsal:
        assert_added_once(rehearsal, release)


def test_an_addendum_cannot_be_rehearsed_on_a_hub_without_the_version(tool, release):
    kept = release.history.read_bytes()
    done = tool("push", release.folder, "--version", VERSION, "--rehearse", "--addendum")

    assert done.returncode == 1
    assert f"{TAG} is not published, and {ADDED} is an evidence update of it" in done.stderr
    assert release.history.read_bytes() == kept


def test_a_rehearsal_leaves_the_kept_history_as_it_was(tool, made, tmp_path):
    """Only what is really published is what the next version appends to."""
    release = read_release(shutil.copytree(made / "before", tmp_path / "before"))
    release.history.unlink()
    rehearse = ("--version", VERSION, "--rehearse", "--hub-root", tmp_path / "rehearsal")
    succeeds(tool("push", release.folder, *rehearse))
    assert not release.history.exists()
