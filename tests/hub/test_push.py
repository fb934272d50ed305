"""A pair is published as one unit: both repositories whole, then both tags, or no tag at all."""

import pytest
from huggingface_hub import HfApi

from nla_release.cards.render import render
from nla_release.errors import (
    EnvironmentProblem,
    InputError,
    PartlyPublishedError,
    RefusedError,
)
from nla_release.hub.journal import Journal
from nla_release.hub.plan import PushOptions, make_plan
from nla_release.hub.push import push
from nla_release.hub.verify import VerifyOptions, verify_published
from nla_release.hub_client.client_errors import ConflictError
from nla_release.hub_client.remote import Hub
from nla_release.io.layout import MANIFEST_FILE
from nla_release.local_hub.refusals import HubError
from nla_release.local_hub.repository import Repository
from nla_release.output.plan import plan_text
from nla_release.release.folder import read_release
from nla_release.release.manifest import read_manifest
from tests.hub.publishing import VERSION, carry_out, commits, publish, repos, tags, text_of

pytestmark = pytest.mark.wire


class BrokenHubError(HubError):
    """The server's own failure."""

    status = 500


def test_each_repository_gets_one_commit_and_the_tag_points_at_it(release, server, client):
    publish(release, client)

    for repo in repos(release):
        history = commits(server, repo)
        assert [commit.title for commit in history] == ["Release v0.0.1", "initial commit"]
        assert tags(server, repo) == {"v0.0.1": history[0].commit_id}


def test_what_is_published_is_what_was_rendered_byte_for_byte(release, server, client, tmp_path):
    publish(release, client)
    for role, repo in zip(("av", "ar"), repos(release), strict=True):
        client.download(repo, "v0.0.1", tmp_path / role)
        for name in [*read_manifest(release.dist / role).files, MANIFEST_FILE]:
            assert (tmp_path / role / name).read_bytes() == (
                release.dist / role / name
            ).read_bytes()


def test_tags_come_after_everything_else(release, server, client):
    publish(release, client)
    writes = [request.path for request in server.log.writes]
    first_tag = next(at for at, path in enumerate(writes) if "/tag/" in path)

    assert all("/tag/" in path for path in writes[first_tag:])
    assert sum("/commit/" in path for path in writes) == 2


def test_what_does_not_pass_is_refused_before_the_hub_is_asked_for_anything(
    release, server, client
):
    plan = make_plan(release.dist, VERSION, client)
    before = server.log.requests

    def check():
        raise RefusedError("the release does not pass")

    journal = Journal(release.dist, plan.release_id, client.endpoint)
    with pytest.raises(RefusedError, match="does not pass"):
        push(plan, client, journal, check=check)
    assert server.log.requests == before
    assert journal.lines() == []


def test_pushing_the_same_bytes_again_does_nothing_and_says_so(release, server, client):
    publish(release, client)
    before = server.log.writes
    said = publish(release, client)

    assert said == [f"already published, nothing to do: {' and '.join(repos(release))} at v0.0.1"]
    assert server.log.writes == before


def test_a_tag_with_other_bytes_is_refused_and_nothing_is_written(release, server, client):
    publish(release, client)
    before = server.log.writes
    config = release.folder / "release.yaml"
    config.write_text(config.read_text().replace("title: ", "title: Other "))
    changed = read_release(release.folder)
    render(changed, VERSION)
    with pytest.raises(RefusedError, match="published with other bytes") as caught:
        publish(changed, client)

    assert "~ README.md" in caught.value.message
    assert "new version" in caught.value.hint
    assert server.log.writes == before


def test_a_plan_writes_nothing_and_says_what_would_happen(release, server, client):
    plan = make_plan(release.dist, VERSION, client)

    assert server.log.writes == ()
    assert all(repo.head is None for repo in plan.repos)
    text = plan_text(plan)
    assert "+ adapter_model.safetensors" in text
    assert text.endswith("2 repositories to create, 2 tags to set.")


def test_a_plan_against_an_existing_repository_names_each_difference(release, server, client):
    repo = repos(release)[0]
    api = HfApi(endpoint=server.endpoint, token=server.token)
    api.create_repo(repo)
    api.upload_file(
        path_or_fileobj=(release.dist / "av" / "LICENSE").read_bytes(),
        path_in_repo="LICENSE",
        repo_id=repo,
    )
    plan = make_plan(release.dist, VERSION, client)
    av = plan.repos[0]

    assert av.named("keep") == ["LICENSE"]
    assert av.named("remove") == []
    assert "README.md" in av.named("add")


def test_a_file_that_no_release_put_there_is_never_deleted(release, server, client):
    repo = repos(release)[0]
    api = HfApi(endpoint=server.endpoint, token=server.token)
    api.create_repo(repo)
    api.upload_file(path_or_fileobj=b"mine", path_in_repo="thesis.txt", repo_id=repo)
    with pytest.raises(RefusedError, match="belong to no release: thesis.txt"):
        publish(release, client)
    assert "thesis.txt" in client.state(repo).files


@pytest.fixture
def one_repo_for_all_versions(release):
    path = release.folder / "release.yaml"
    path.write_text(path.read_text() + 'repo: "{namespace}/{name}-{role}"\n')
    return read_release(release.folder)


def keep_history(release):
    release.history.write_text((release.dist / "av" / "HISTORY.md").read_text())


def test_a_second_version_replaces_the_first_and_keeps_its_history(
    one_repo_for_all_versions, server, client
):
    release = one_repo_for_all_versions
    render(release, "0.0.1")
    publish(release, client, "0.0.1")
    keep_history(release)
    render(release, "0.0.2")
    publish(release, client, "0.0.2")
    repo = release.repo_id("av", "0.0.2")

    assert set(tags(server, repo)) == {"v0.0.1", "v0.0.2"}
    history = text_of(client, repo, "HISTORY.md", "v0.0.2")
    assert history.startswith(text_of(client, repo, "HISTORY.md", "v0.0.1"))


def test_a_history_that_was_lost_here_is_not_lost_there(one_repo_for_all_versions, server, client):
    release = one_repo_for_all_versions
    render(release, "0.0.1")
    publish(release, client, "0.0.1")
    render(release, "0.0.2")
    with pytest.raises(RefusedError, match="the published HISTORY.md is not the beginning"):
        publish(release, client, "0.0.2")


@pytest.mark.parametrize("role", [0, 1])
def test_a_push_cut_off_at_a_commit_is_continued_by_the_same_command(
    release, server, client, monkeypatch, role
):
    commit = Repository.commit

    def failing(self, *arguments, **options):
        if self.id == repos(release)[role]:
            raise BrokenHubError("disk on fire")
        return commit(self, *arguments, **options)

    with monkeypatch.context() as broken:
        broken.setattr(Repository, "commit", failing)
        expected = PartlyPublishedError if role else EnvironmentProblem
        with pytest.raises(expected) as caught:
            publish(release, client)
    assert all(tags(server, repo) == {} for repo in repos(release)), "nothing is tagged"
    if role:
        assert f"{repos(release)[0]} is committed (" in caught.value.message
        assert caught.value.exit_code == 5
    said = publish(release, client)

    going_on = "av committed (" if role else "nothing is public yet; continuing with av and ar"
    assert said[0].startswith("resuming v0.0.1 (begun ")
    assert going_on in said[0]
    for repo in repos(release):
        assert len(commits(server, repo)) == 2
        assert "v0.0.1" in tags(server, repo)


def test_a_push_cut_off_between_the_tags_is_continued(release, server, client, monkeypatch):
    create_ref = Repository.create_ref

    def failing(self, *arguments, **options):
        if self.id == repos(release)[1]:
            raise BrokenHubError("network gone")
        return create_ref(self, *arguments, **options)

    with monkeypatch.context() as broken:
        broken.setattr(Repository, "create_ref", failing)
        with pytest.raises(PartlyPublishedError, match="is tagged v0.0.1"):
            publish(release, client)
    said = publish(release, client)

    assert "av tagged (" in said[0]
    assert said[0].endswith("continuing with the tags")
    assert all("v0.0.1" in tags(server, repo) for repo in repos(release))
    assert all(len(commits(server, repo)) == 2 for repo in repos(release))


def test_somebody_elses_commit_is_never_overwritten(release, server, client):
    api = HfApi(endpoint=server.endpoint, token=server.token)
    for repo in repos(release):
        api.create_repo(repo)
    plan = make_plan(release.dist, VERSION, client)
    api.upload_file(path_or_fileobj=b"x", path_in_repo="notes.md", repo_id=repos(release)[1])
    with pytest.raises(RefusedError, match="somebody committed to main meanwhile"):
        carry_out(plan, release, client)

    assert all(tags(server, repo) == {} for repo in repos(release))


def test_a_stale_parent_is_the_servers_412_in_plain_words(release, server, client):
    repo = repos(release)[0]
    client.create(repo, private=False)
    head = client.state(repo).head
    records = read_manifest(release.dist / "av").files
    words = {"message": "one", "description": "", "parent": head}
    with client.additions(release.dist / "av", {"LICENSE": records["LICENSE"]}) as files:
        client.commit(repo, files, [], **words)
    with (
        client.additions(release.dist / "av", {"README.md": records["README.md"]}) as files,
        pytest.raises(ConflictError, match="there is a newer commit"),
    ):
        client.commit(repo, files, [], **words)


def test_a_remote_gitignore_that_would_drop_files_is_found_before_a_byte_is_sent(
    release, server, client
):
    api = HfApi(endpoint=server.endpoint, token=server.token)
    for repo in repos(release):
        api.create_repo(repo)
        api.upload_file(path_or_fileobj=b"*.png\n", path_in_repo=".gitignore", repo_id=repo)
    with pytest.raises(RefusedError, match="holds .gitignore, with which"):
        publish(release, client)

    assert all(tags(server, repo) == {} for repo in repos(release))


def test_a_file_changed_after_rendering_is_refused(release, server, client):
    (release.dist / "av" / "README.md").write_text("# By hand\n")
    with pytest.raises(InputError, match="README.md was changed"):
        make_plan(release.dist, VERSION, client)


def test_a_file_added_after_rendering_is_refused(release, server, client):
    (release.dist / "ar" / "optimizer.bin").write_bytes(b"x")
    with pytest.raises(InputError, match="optimizer.bin is not listed"):
        make_plan(release.dist, VERSION, client)


def test_a_link_out_of_the_folder_is_refused(release, server, client):
    (release.dist / "ar" / "secret").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="is a link or a special file"):
        make_plan(release.dist, VERSION, client)


def test_another_version_than_was_rendered_is_refused(release, server, client):
    with pytest.raises(InputError, match="rendered as version 0.0.1, not 0.0.2"):
        make_plan(release.dist, "0.0.2", client)


def test_a_token_without_write_access_is_found_before_a_byte_is_sent(release, server):
    reader = Hub(server.endpoint, "hf_wrongwrongwrong")
    HfApi(endpoint=server.endpoint, token=server.token).create_repo(repos(release)[0])
    HfApi(endpoint=server.endpoint, token=server.token).create_repo(repos(release)[1])
    with pytest.raises(EnvironmentProblem) as caught:
        publish(release, reader)

    assert "hf_wrong" not in caught.value.message
    assert not any("/commit/" in request.path for request in server.log.writes)


def test_no_network_is_the_environments_fault(release):
    with pytest.raises(EnvironmentProblem, match="cannot be reached"):
        make_plan(release.dist, VERSION, Hub("http://127.0.0.1:9", "hf_token"))


def test_a_private_push_creates_private_repositories(release, server, client):
    carry_out(make_plan(release.dist, VERSION, client, PushOptions(private=True)), release, client)

    assert all(server.store.repo(repo).state().private for repo in repos(release))


def test_published_files_pass_every_rule_that_applies(release, server, client):
    publish(release, client)
    verdict = verify_published(make_plan(release.dist, VERSION, client), client, VerifyOptions())

    assert verdict.verdict == "pass"


def test_a_published_file_that_was_changed_is_found(release, server, client):
    publish(release, client)
    plan = make_plan(release.dist, VERSION, client)
    api = HfApi(endpoint=server.endpoint, token=server.token)
    repo = repos(release)[0]
    api.delete_tag(repo, tag="v0.0.1")
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="calibration.json", repo_id=repo)
    api.create_tag(repo, tag="v0.0.1")
    with pytest.raises(RefusedError, match="calibration.json was changed after"):
        verify_published(plan, client, VerifyOptions())
