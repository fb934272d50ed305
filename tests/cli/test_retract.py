"""`nla-release retract`: both cards of a published version say that it is not to be used."""

import os
import shutil
import signal
from datetime import date

import pytest
from huggingface_hub import ModelCard

from nla_release.cards.render import render
from nla_release.errors import NlaReleaseError, PartlyPublishedError, RefusedError
from nla_release.gate import apply_rules
from nla_release.gate.subject import find_subject
from nla_release.history.log import read_log
from nla_release.hub.plan import PushOptions, make_plan
from nla_release.hub.retract import Retraction, plan_retraction, retract
from nla_release.hub_client.client import quiet_client
from nla_release.hub_client.remote import Hub
from nla_release.io.files import read_text, write_atomic
from nla_release.local_hub.server import LocalHub
from nla_release.release.folder import ROLES, read_release
from nla_release.release.manifest import read_manifest, record_files
from tests.hub.faults import Fault
from tests.hub.faulty import FaultyHub
from tests.hub.publishing import api_of, commits, publish, repos, tags, text_of
from tests.messages import heard

OLD, NEW = "0.0.1", "0.0.2"
REASON = "Evaluated at another scale than it was trained at"


@pytest.fixture(scope="module")
def made(rendered, tmp_path_factory):
    """v0.0.1 and v0.0.2 on a Hub, and the release that both were made from."""
    quiet_client()
    folder = tmp_path_factory.mktemp("two")
    release = read_release(shutil.copytree(rendered.folder, folder / "release"))
    with LocalHub(folder / "hub") as server:
        client = Hub(server.endpoint, server.token)
        publish(release, client)
        shutil.copyfile(release.dist / "av" / "HISTORY.md", release.history)
        render(release, NEW)
        publish(release, client, NEW)
        shutil.copyfile(release.dist / "av" / "HISTORY.md", release.history)
    return folder


@pytest.fixture
def release(made, tmp_path):
    return read_release(shutil.copytree(made / "release", tmp_path / "release"))


@pytest.fixture
def hub(made, tmp_path):
    quiet_client()
    with FaultyHub(shutil.copytree(made / "hub", tmp_path / "hub")) as running:
        running.faults.inject()
        yield running


@pytest.fixture
def run(tool, release, hub):
    """`nla-release retract RELEASE --version 0.0.1 ...` at the Hub of the test."""

    def at_hub(*options, version=OLD, reason=REASON):
        environment = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": hub.token}
        words = ["--version", version, "--reason", reason, *options]
        return tool("retract", release.folder, *words, environment=environment)

    return at_hub


def succeeds(done):
    assert done.returncode == 0, done.stderr
    return done


def writes(hub):
    return [request for request in hub.log.requests if request.writes]


def card(hub, repo, revision="main"):
    return ModelCard(read(hub, repo, "README.md", revision))


def read(hub, repo, name, revision="main"):
    return text_of(Hub(hub.endpoint), repo, name, revision)


def downloaded(hub, release, folder, revision="main"):
    for role, repo in zip(ROLES, repos(release), strict=True):
        api_of(hub).snapshot_download(repo, revision=revision, local_dir=folder / role)
        shutil.rmtree(folder / role / ".cache")
        (folder / role / ".gitattributes").unlink()
    return folder


def retractions(hub, repo):
    return [each for each in commits(hub, repo) if each.title.startswith("Retract")]


def do_retract(release, client, *, version=OLD, successor=NEW):
    """In this process, as the command does it."""
    history = read_text(release.history, newline="") if release.history.exists() else None
    ids = {role: release.repo_id(role, version) for role in ROLES}
    instead = {role: release.repo_id(role, successor) for role in ROLES} if successor else {}
    wanted = Retraction(version, REASON, date(2026, 12, 1), successor, instead)
    retract(plan_retraction(client, ids, wanted, history), client)


def test_both_cards_say_so_at_the_top_and_point_to_the_successor(run, hub, release):
    before = {repo: tags(hub, repo) for repo in repos(release)}
    done = succeeds(run("--successor", NEW))

    for role, repo in zip(ROLES, repos(release), strict=True):
        found = card(hub, repo)
        assert found.data.new_version == release.repo_id(role, NEW)
        top = found.content.split("---\n", 2)[2].lstrip().splitlines()[1]
        assert top.startswith("> **Retracted on ")
        assert f"do not use v{OLD}.** {REASON}" in top
        assert "## How to use" in found.content  # nothing is deleted
        assert REASON in read(hub, repo, "HISTORY.md")
        assert f": {REASON}. Use v{NEW} instead." in read(hub, repo, "RELEASE_CALIBRATION.md")
        assert tags(hub, repo) == before[repo]
        assert "Retracted" not in read(hub, repo, "README.md", f"v{OLD}")
        assert [each.title for each in commits(hub, repo)][:2] == [
            f"Retract v{OLD}",
            f"Release v{OLD}",
        ]
        assert f"retracted v{OLD} in {repo}" in done.stderr
    for role in ROLES:  # the successor is as it was
        repo = release.repo_id(role, NEW)
        assert "Retracted" not in read(hub, repo, "README.md")
        assert len(retractions(hub, repo)) == 0


def test_what_is_on_main_then_is_what_release_json_lists_and_passes(run, hub, release, tmp_path):
    succeeds(run("--successor", NEW))
    found = downloaded(hub, release, tmp_path / "main")
    for role in ROLES:
        assert record_files(found / role) == read_manifest(found / role).files
    before = apply_rules(find_subject(downloaded(hub, release, tmp_path / "tag", f"v{OLD}")))
    after = apply_rules(find_subject(found))
    assert [each.code for each in after.findings] == [each.code for each in before.findings]


def test_a_card_rendered_again_from_the_log_is_the_one_on_the_hub(run, hub, release, made):
    succeeds(run("--successor", NEW))
    render(release, OLD)
    for role, repo in zip(ROLES, repos(release), strict=True):
        for name in ("README.md", "RELEASE_CALIBRATION.md", "HISTORY.md"):
            assert read_text(release.dist / role / name) == read(hub, repo, name)


def test_the_log_here_has_the_entry_so_that_the_next_version_has_it(run, hub, release):
    succeeds(run())
    told = read_text(release.history)
    assert told == read(hub, repos(release)[0], "HISTORY.md")
    assert told.count(REASON) == 2  # in the record and in words

    render(release, "0.0.3")
    for role in ROLES:
        document = read_text(release.dist / role / "README.md")
        before, history = document.split("\n## History and files\n")
        assert "**Retracted versions of this pair.**" in history
        assert "retracted" not in before.casefold()
        assert "> **Retracted on" not in document


def test_without_the_log_here_the_longest_of_all_versions_is_taken_from_the_hub(run, hub, release):
    """The successor's log goes on from that of the version, and none of it may get lost."""
    release.history.unlink()
    succeeds(run("--successor", NEW))
    told = read_text(release.history)
    assert told == read(hub, repos(release)[0], "HISTORY.md")
    assert told.startswith(read(hub, release.repo_id("av", NEW), "HISTORY.md"))
    assert [entry.tag for entry in read_log(told)] == [f"v{OLD}", f"v{NEW}", None]


def test_a_log_without_the_retraction_cannot_begin_the_next_version(run, hub, release):
    """It stands in the repository of the version that is retracted, not in the newest one."""
    without = read_text(release.history)
    succeeds(run())
    write_atomic(release.history, without)
    render(release, "0.0.3")
    (blocker,) = make_plan(release.dist, "0.0.3", Hub(hub.endpoint)).blockers
    assert f"{repos(release)[0]}: the published HISTORY.md is not the beginning" in blocker.message


def test_a_push_that_has_nothing_to_do_leaves_the_retraction_in_the_log(run, hub, release, tool):
    succeeds(run())
    told = read_text(release.history)
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": hub.token}
    done = succeeds(tool("push", release.folder, "--version", NEW, environment=environment))
    assert "nothing to do" in done.stderr
    assert read_text(release.history) == told


def test_it_is_verified_to_be_retracted_and_the_successor_stands(run, hub, release, tool):
    succeeds(run("--successor", NEW))
    environment = {"HF_ENDPOINT": hub.endpoint}
    for repo in repos(release):
        done = tool("verify", f"{repo}@v{OLD}", "--pair", environment=environment)
        assert done.returncode == 1
        assert f"HISTORY.md v{OLD} was retracted on " in " ".join(done.stdout.split())
        assert f"{REASON}; use v{NEW}" in " ".join(done.stdout.split())
        assert "1 failed" in done.stdout
    done = tool("verify", f"{release.repo_id('av', NEW)}@v{NEW}", environment=environment)
    assert done.returncode == 0, done.stdout


def test_said_again_it_changes_nothing_and_a_successor_can_follow(run, hub, release):
    succeeds(run())
    before = writes(hub)
    done = succeeds(run())
    assert "retracted already, nothing to do" in done.stderr
    assert writes(hub) == before

    succeeds(run("--successor", NEW))
    for role, repo in zip(ROLES, repos(release), strict=True):
        assert len(retractions(hub, repo)) == 2
        assert card(hub, repo).data.new_version == release.repo_id(role, NEW)
        assert card(hub, repo).content.count("> **Retracted on") == 1


def test_said_again_without_the_successor_it_stays_named(run, hub, release):
    succeeds(run("--successor", NEW))
    assert "nothing to do" in succeeds(run()).stderr
    assert card(hub, repos(release)[0]).data.new_version == release.repo_id("av", NEW)


def test_a_retracted_version_is_no_successor(run, hub, release):
    succeeds(run(version=NEW))
    done = run("--successor", NEW)
    assert done.returncode == 1
    assert f"v{NEW} is retracted itself" in done.stderr
    assert not retractions(hub, repos(release)[0])


def test_what_was_said_is_not_said_again_because_of_later_entries(run, hub, release):
    succeeds(run())
    succeeds(run(version=NEW))
    assert "nothing to do" in succeeds(run()).stderr
    assert [len(retractions(hub, repo)) for repo in repos(release)] == [1, 1]


def test_two_retractions_of_a_day_have_two_headings(run, hub, release):
    succeeds(run())
    succeeds(run(reason="And it was trained on the evaluation rows"))
    first, second = (
        each.anchor for each in read_log(read_text(release.history)) if each.record is not None
    )
    assert first != second
    assert f"HISTORY.md#{second}" in card(hub, repos(release)[0]).content.partition("\n# ")[0]


def test_a_dry_run_shows_the_files_and_writes_nothing(run, hub, release):
    done = succeeds(run("--dry-run", "--successor", NEW))
    for repo in repos(release):
        assert repo in done.stdout
    for name in ("HISTORY.md", "README.md", "RELEASE_CALIBRATION.md", "release.json"):
        assert done.stdout.count(f"  ~ {name}\n") == 2
    assert f"v{OLD} stays at" in done.stdout
    assert writes(hub) == []
    assert len(retractions(hub, repos(release)[0])) == 0


def test_a_dry_run_refuses_what_the_act_would(run, hub):
    done = run("--dry-run", reason="see /home/caleb/nla")
    assert done.returncode == 1
    assert "nothing was uploaded" in done.stderr


@pytest.mark.parametrize(
    ("options", "version", "reason", "code", "message"),
    [
        ([], "9.9.9", REASON, 1, "v9.9.9 is not published"),
        (["--successor", "9.9.9"], OLD, REASON, 1, "v9.9.9 is not published"),
        (["--successor", OLD], OLD, REASON, 2, "the successor is the version that is to be"),
        ([], "v0.0.1", REASON, 2, "version 'v0.0.1' must be written '0.0.1'"),
        ([], OLD, "", 2, "must be plain text"),
        ([], OLD, "x" * 400, 2, "300"),
        ([], OLD, "see C:\\Users\\caleb\\nla", 1, "nothing was uploaded"),
        (["--hub-root", "there"], OLD, REASON, 2, "--hub-root belongs to --rehearse"),
    ],
)
def test_what_a_tired_person_types_is_refused_and_nothing_is_written(
    run, hub, options, version, reason, code, message
):
    done = run(*options, version=version, reason=reason)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert writes(hub) == []


def test_what_people_wrote_into_the_card_stays(run, hub, release):
    repo = repos(release)[0]
    edited = read(hub, repo, "README.md").replace("## How to use", "We thank Ada.\n\n## How to use")
    api_of(hub).upload_file(path_or_fileobj=edited.encode(), path_in_repo="README.md", repo_id=repo)
    done = succeeds(run())
    assert "README.md was edited on the Hub since the push: that text stays" in done.stderr
    assert "We thank Ada." in card(hub, repo).content
    assert "> **Retracted on" in card(hub, repo).content


def test_what_people_wrote_is_drift_to_the_next_push_also_after_a_retraction(rendered, tmp_path):
    quiet_client()
    release = in_one_repository(rendered, tmp_path)
    with LocalHub(tmp_path / "hub") as server:
        client = Hub(server.endpoint, server.token)
        publish_next(release, client, OLD)
        repo = release.repo_id("av", OLD)
        edited = read(server, repo, "README.md").replace("# Tiny", "We thank Ada.\n\n# Tiny")
        api_of(server).upload_file(
            path_or_fileobj=edited.encode(), path_in_repo="README.md", repo_id=repo
        )
        do_retract(release, client, successor=None)
        shutil.copyfile(release.dist / "av" / "HISTORY.md", release.history)
        write_atomic(release.history, read(server, repo, "HISTORY.md"))
        render(release, NEW)
        plan = make_plan(release.dist, NEW, client, PushOptions())
        assert any("was edited in" in each.message for each in plan.blockers)


@pytest.mark.parametrize("name", ["HISTORY.md", "release.json"])
def test_a_file_that_is_gone_from_main_is_named(run, hub, release, name):
    api_of(hub).delete_file(name, repos(release)[1])
    done = run()
    assert done.returncode == 1
    assert name in done.stderr
    assert "hint: it was changed since it was published" in done.stderr


def test_a_card_that_nothing_can_be_put_into_is_named(run, hub, release):
    repo = repos(release)[1]
    broken = read(hub, repo, "README.md").replace("<!-- nla-release:end label -->", "")
    api_of(hub).upload_file(path_or_fileobj=broken.encode(), path_in_repo="README.md", repo_id=repo)
    before = writes(hub)
    done = run()
    assert done.returncode == 1
    assert "was edited and cannot be updated" in done.stderr
    assert writes(hub) == before


def test_logs_that_do_not_agree_are_named(run, hub, release):
    write_atomic(release.history, read_text(release.history).replace("v0.0.1", "v0.0.7"))
    done = run()
    assert done.returncode == 1
    assert "HISTORY.md mismatch: " in done.stderr
    assert writes(hub) == []


def in_one_repository(rendered, tmp_path):
    """A release whose versions share their repositories."""
    folder = shutil.copytree(rendered.folder, tmp_path / "release")
    text = read_text(folder / "release.yaml")
    write_atomic(folder / "release.yaml", text + 'repo: "{namespace}/{name}-{role}"\n')
    return read_release(folder)


def publish_next(release, client, version):
    render(release, version)
    assert not make_plan(release.dist, version, client, PushOptions()).blockers
    publish(release, client, version)
    shutil.copyfile(release.dist / "av" / "HISTORY.md", release.history)


def test_in_one_repository_for_all_versions_the_newer_card_lists_the_older_one(rendered, tmp_path):
    quiet_client()
    release = in_one_repository(rendered, tmp_path)
    with LocalHub(tmp_path / "hub") as server:
        client = Hub(server.endpoint, server.token)
        publish_next(release, client, OLD)
        publish_next(release, client, NEW)
        do_retract(release, client)
        for role in ROLES:
            found = card(server, release.repo_id(role, OLD))
            assert "new_version" not in found.data.to_dict()
            assert "> **Retracted on" not in found.content
            assert f": {REASON}. Use v{NEW} instead." in found.content


def test_a_repository_is_not_its_own_newer_version(rendered, tmp_path):
    quiet_client()
    release = in_one_repository(rendered, tmp_path)
    with LocalHub(tmp_path / "hub") as server:
        client = Hub(server.endpoint, server.token)
        publish_next(release, client, OLD)
        publish_next(release, client, NEW)
        do_retract(release, client, version=NEW, successor=OLD)
        found = card(server, release.repo_id("av", NEW))
        assert "new_version" not in found.data.to_dict()
        assert "> **Retracted on" in found.content
        assert f"Use v{OLD} instead" in found.content


def requests_of(release, made, folder):
    """What a retraction asks of the Hub, in order."""
    with FaultyHub(shutil.copytree(made / "hub", folder)) as hub:
        hub.faults.inject()
        do_retract(release, Hub(hub.endpoint, hub.token))
        return [(each.method, each.path) for each in hub.log.requests]


@pytest.mark.parametrize(
    ("kind", "moments"),
    [
        ("reset_after", slice(1, 5, 3)),  # both commits
        ("403", slice(-2, -1)),  # the last that writes
        *(
            pytest.param(kind, slice(None), marks=pytest.mark.long)
            for kind in ("reset_after", "403", "reset_before", "500_after")
        ),
    ],
)
def test_whatever_goes_wrong_the_same_command_ends_with_both_retracted_once(
    kind, moments, release, made, tmp_path
):
    quiet_client()
    asked = requests_of(release, made, tmp_path / "whole")
    writes = [at for at, (method, _) in enumerate(asked, 1) if method != "GET"]
    assert len(writes) >= 6  # of each repository: is the card sound, what is to be sent, the commit
    for at in [1, *writes[2:], len(asked)][moments]:
        root = tmp_path / f"hub{at}"
        with FaultyHub(shutil.copytree(made / "hub", root)) as hub:
            hub.faults.inject(Fault(kind, at))
            client, code = Hub(hub.endpoint, hub.token), 0
            try:
                do_retract(release, client)
            except NlaReleaseError as error:
                code = error.exit_code
            hub.clear()
            told = [bool(retractions(hub, repo)) for repo in repos(release)]
            assert told[0] == (code in (0, 5)), asked[at - 1]
            assert told[1] or code, asked[at - 1]
            do_retract(release, client)
            for repo in repos(release):
                assert len(retractions(hub, repo)) == 1
                assert "> **Retracted on" in card(hub, repo).content
        shutil.rmtree(root)


def test_interrupted_between_the_two_it_says_what_is_public(release, hub):
    def interrupt(line):
        if line.startswith("retracted"):
            signal.raise_signal(signal.SIGINT)

    client = Hub(hub.endpoint, hub.token)
    with heard(interrupt) as said, pytest.raises(KeyboardInterrupt):
        do_retract(release, client)
    av, ar = repos(release)
    assert said[-1].startswith(f"interrupted. Public so far: {av} (")
    assert not retractions(hub, ar)
    do_retract(release, client)
    assert [len(retractions(hub, repo)) for repo in (av, ar)] == [1, 1]


def test_what_others_commit_meanwhile_is_not_overwritten(release, hub):
    client = Hub(hub.endpoint, hub.token)
    av = repos(release)[0]
    original = client.check_write

    def meanwhile(repo):
        original(repo)
        if repo == av:
            api_of(hub).upload_file(
                path_or_fileobj=b"theirs", path_in_repo="THEIRS.txt", repo_id=av
            )

    client.check_write = meanwhile
    with pytest.raises(RefusedError, match=r"somebody committed to main meanwhile.*THEIRS"):
        do_retract(release, client)
    assert read(hub, av, "THEIRS.txt") == "theirs"
    assert not any(retractions(hub, repo) for repo in repos(release))


def test_a_hub_that_ignores_the_parent_is_found_out(release, hub):
    """What somebody wrote between the plan and the commit was overwritten: that is no success."""
    client = Hub(hub.endpoint, hub.token)
    av = repos(release)[0]
    hub.faults.inject(Fault("ignores_parent"))
    original = client.check_write

    def meanwhile(repo):
        original(repo)
        if repo == av:
            text = read(hub, av, "README.md") + "\ntheirs\n"
            api_of(hub).upload_file(
                path_or_fileobj=text.encode(), path_in_repo="README.md", repo_id=av
            )

    client.check_write = meanwhile
    with pytest.raises(PartlyPublishedError, match="should have refused it for"):
        do_retract(release, client)


def test_a_rehearsal_leaves_the_log_alone(tool, release, made, tmp_path):
    before = read_text(release.history)
    root = shutil.copytree(made / "hub", tmp_path / "rehearsed")
    words = ["--version", OLD, "--reason", REASON, "--rehearse", "--hub-root", root]
    succeeds(tool("retract", release.folder, *words, environment=dict(os.environ)))
    assert read_text(release.history) == before


def test_the_folder_of_another_version_passes_and_is_named_with_a_command(run, hub, release, tool):
    """Each version has a folder of its own here; the log of only one of them is written to."""
    newer = read_release(shutil.copytree(release.folder, release.folder.parent / "newer folder"))
    before = [each.code for each in apply_rules(find_subject(newer.folder)).findings]
    render(release, OLD)
    config = newer.folder / "release.yaml"
    config.write_text(config.read_text() + f"previous: {release.folder}\n")
    done = succeeds(run("--successor", NEW))

    command = f"cp {release.history} '{newer.history}'"
    assert f"note: {newer.history} lacks the entry: run `{command}`" in done.stderr
    after = apply_rules(find_subject(newer.folder)).findings
    assert "NLA505" not in before + [each.code for each in after]
    shutil.copyfile(release.history, newer.history)
    assert "NLA505" not in [each.code for each in apply_rules(find_subject(newer.folder)).findings]
    assert "lacks the entry" not in succeeds(run("--successor", NEW)).stderr


def test_a_version_that_is_not_published_yet_is_told_how_to_get_the_entry(run, release):
    newer = read_release(shutil.copytree(release.folder, release.folder.parent / "newer"))
    render(newer, "0.0.3")
    render(release, OLD)
    config = newer.folder / "release.yaml"
    config.write_text(config.read_text() + f"previous: {release.folder}\n")
    succeeds(run("--successor", NEW))
    render(release, OLD)
    findings = [
        each for each in apply_rules(find_subject(newer.folder)).findings if each.code == "NLA505"
    ]
    previous = release.dist / "av" / "HISTORY.md"
    assert findings
    assert f"`cp {previous} {newer.history}`, then render v0.0.3 again" in findings[0].message

    shutil.copyfile(previous, newer.history)
    render(newer, "0.0.3")
    assert "NLA505" not in [each.code for each in apply_rules(find_subject(newer.folder)).findings]
