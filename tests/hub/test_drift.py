"""What people did to a repository after its version was published: the plan tells of it."""

import json

import pytest

from nla_release.cards.render import render
from nla_release.errors import RefusedError
from nla_release.hub.plan import PushOptions, make_plan
from nla_release.output.plan import plan_json, plan_text
from nla_release.release.folder import read_release
from tests.hub.publishing import VERSION, api_of, publish, repos, text_of

pytestmark = pytest.mark.wire

KEPT = "<!-- nla-release:keep thanks -->\nThank you.\n<!-- nla-release:end-keep thanks -->\n"
DRIFT = "  user edits: README.md on the Hub was edited in 1 places since the last release\n"


def edit(server, client, repo, text):
    card = text_of(client, repo, "README.md") + text
    api_of(server).upload_file(
        path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=repo
    )


def test_an_edit_of_a_published_card_is_shown_and_refuses_nothing(release, server, client):
    publish(release, client)
    edit(server, client, repos(release)[1], "\nSee my blog.\n")
    plan = make_plan(release.dist, VERSION, client)

    assert plan.done
    assert plan.blockers == []
    assert [repo.card.edits for repo in plan.repos] == [0, 1]
    assert plan_text(plan).count(DRIFT) == 1
    assert plan_text(plan).count("published at v0.0.1 with these bytes") == 2
    assert json.loads(plan_json(plan))["repos"][1]["drift"]["edits"] == 1
    assert publish(release, client)[0].startswith("already published, nothing to do")


def test_what_is_kept_is_for_the_next_version_and_leaves_this_one_done(release, server, client):
    publish(release, client)
    edit(server, client, repos(release)[0], f"\n{KEPT}")
    plan = make_plan(release.dist, VERSION, client)

    assert plan.done
    assert plan.repos[0].card.sections == {}
    assert plan.repos[0].card.edits == 0


def test_an_edit_between_the_commit_and_the_tag_is_shown(release, server, client):
    publish(release, client)
    repo = repos(release)[0]
    api_of(server).delete_tag(repo, tag="v0.0.1")
    edit(server, client, repo, "\nSee my blog.\n")
    plan = make_plan(release.dist, VERSION, client)

    assert plan.repos[0].committed
    assert DRIFT in plan_text(plan)
    assert plan.blockers == []


def test_the_card_of_a_later_version_is_no_drift(release, server, client):
    path = release.folder / "release.yaml"
    path.write_text(path.read_text() + 'repo: "{namespace}/{name}-{role}"\n')
    release = read_release(release.folder)
    render(release, VERSION)
    publish(release, client)
    log = (release.dist / "av" / "HISTORY.md").read_bytes()
    first = release.folder / "first"
    release.dist.rename(first)
    release.history.write_bytes(log)
    render(release, "0.0.2")
    publish(release, client, "0.0.2")
    plan = make_plan(first, VERSION, client)

    assert plan.done
    assert [repo.card.edits for repo in plan.repos] == [0, 0]
    assert "drift" not in plan_text(plan)


def test_an_option_that_a_published_repository_does_not_fulfil_is_not_passed_over(release, client):
    publish(release, client)
    plan = make_plan(release.dist, VERSION, client, PushOptions(private=True))
    assert plan_text(plan).count("with these bytes") == 2
    assert plan_text(plan).count("exists and is public, and --private was asked for") == 2
    with pytest.raises(RefusedError, match="--private was asked for"):
        publish(release, client, options=PushOptions(private=True))
    assert publish(release, client, options=PushOptions(private=False))


def test_nor_by_one_that_a_push_left_half_done(release, server, client):
    publish(release, client)
    for repo in repos(release):
        api_of(server).delete_tag(repo, tag="v0.0.1")
    plan = make_plan(release.dist, VERSION, client, PushOptions(private=True))
    assert all(repo.committed for repo in plan.repos)
    assert len(plan.blockers) == 2
