"""What others put into a repository: shown safely, never taken for a release, never in the way."""

import pytest

from nla_release.cards.render import render
from nla_release.errors import RefusedError
from nla_release.hub.plan import PushOptions, make_plan
from nla_release.hub.verify import VerifyOptions, verify_published
from nla_release.io.layout import MANIFEST_FILE
from nla_release.local_hub.records import Put
from nla_release.output.plan import plan_text
from nla_release.release.folder import ROLES, read_release
from nla_release.release.manifest import read_manifest
from tests.hub.publishing import VERSION, api_of, carry_out, publish, repos, tags, text_of

pytestmark = pytest.mark.wire

NO_TEXT = b"\xff\xfeno text"


@pytest.fixture
def empty(release, client):
    """Both repositories exist, and hold nothing; their names."""
    for repo in repos(release):
        client.create(repo, private=False)
    return repos(release)


def put(server, repo, path, content):
    """As git does, which asks nobody what a file holds."""
    change = Put(path, server.store.regular(content))
    server.store.repo(repo).commit("main", [change], title="By hand")


def test_what_they_call_their_commits_and_files_does_not_reach_the_terminal_raw(
    release, server, client, empty
):
    plan = make_plan(release.dist, VERSION, client)
    api_of(server).upload_file(
        path_or_fileobj=b"mine",
        path_in_repo="no\u202etes.md",
        repo_id=empty[1],
        commit_message="My \x1b[2J\x9bnotes",
    )
    with pytest.raises(RefusedError, match=r"'My \\x1b\[2J\\x9bnotes'.*no\\u202etes.md") as caught:
        carry_out(plan, release, client)
    assert caught.value.message.isprintable()

    shown = plan_text(make_plan(release.dist, VERSION, client))
    assert shown.count(r"no\u202etes.md") == 2, "as a file to remove and as a blocker"
    assert all(line.isprintable() for line in shown.splitlines())


def test_a_release_json_that_is_nested_without_end_is_no_releases(release, server, client, empty):
    nested = b"[" * 100_000
    api_of(server).upload_file(
        path_or_fileobj=nested, path_in_repo="release.json", repo_id=empty[0]
    )
    assert make_plan(release.dist, VERSION, client).blockers == []


def test_files_that_were_committed_by_hand_are_not_tagged(release, server, client, empty):
    """They carry no release id, by which `verify` knows both commits for one release's."""
    for repo, role in zip(empty, ROLES, strict=True):
        for name in [*read_manifest(release.dist / role).files, MANIFEST_FILE]:
            with (release.dist / role / name).open("rb") as opened:
                api_of(server).upload_file(path_or_fileobj=opened, path_in_repo=name, repo_id=repo)
    plan = make_plan(release.dist, VERSION, client)
    assert [repo.committed for repo in plan.repos] == [None, None]
    with pytest.raises(RefusedError, match="by a commit that is not this release's") as caught:
        publish(release, client)
    assert f"delete {MANIFEST_FILE} there" in caught.value.hint
    assert all(tags(server, repo) == {} for repo in empty)

    for repo in empty:
        api_of(server).delete_file(MANIFEST_FILE, repo)
    publish(release, client)
    verdict = verify_published(make_plan(release.dist, VERSION, client), client, VerifyOptions())
    assert verdict.verdict == "pass"


def test_a_card_that_is_no_text_is_no_more_than_a_card_that_somebody_wrote(
    release, server, client, empty
):
    put(server, empty[0], "README.md", NO_TEXT)
    plan = make_plan(release.dist, VERSION, client)
    (blocker,) = plan.blockers
    assert "README.md is not UTF-8 text (at " in blocker.message
    assert "--overwrite-card" in blocker.hint
    assert f"  user edits: {plan.repos[0].card.unreadable}\n" in plan_text(plan)
    with pytest.raises(RefusedError, match="README.md is not UTF-8 text"):
        publish(release, client)

    publish(release, client, options=PushOptions(overwrite_card=True))
    assert text_of(client, empty[0], "README.md", "v0.0.1").startswith("---\n")


@pytest.fixture
def one_repo(release):
    """A release whose versions share their repositories, published."""
    path = release.folder / "release.yaml"
    path.write_text(path.read_text() + 'repo: "{namespace}/{name}-{role}"\n')
    release = read_release(release.folder)
    render(release, VERSION)
    return release


def test_a_history_that_is_no_text_refuses_the_next_version(one_repo, server, client):
    publish(one_repo, client)
    one_repo.history.write_bytes((one_repo.dist / "av" / "HISTORY.md").read_bytes())
    render(one_repo, "0.0.2")
    put(server, repos(one_repo)[0], "HISTORY.md", NO_TEXT)
    (blocker,) = make_plan(one_repo.dist, "0.0.2", client).blockers
    assert "HISTORY.md is not UTF-8 text (at " in blocker.message


def test_a_card_that_became_no_text_is_told_of_what_is_published(release, server, client):
    publish(release, client)
    put(server, repos(release)[0], "README.md", NO_TEXT)
    plan = make_plan(release.dist, VERSION, client)
    assert plan.done
    assert plan.blockers == []
    assert "  user edits: " in plan_text(plan)
    assert "README.md is not UTF-8 text" in plan_text(plan)
