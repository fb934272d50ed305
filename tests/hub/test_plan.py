"""The plan is the truth about a push before it happens: what would change, and what forbids it."""

import json

import pytest

from nla_release.cards.render import render
from nla_release.errors import EnvironmentProblem, InputError, RefusedError
from nla_release.hub.plan import PushOptions, make_plan, merge_hand_written
from nla_release.hub_client.remote import Hub
from nla_release.output.plan import plan_json, plan_text
from nla_release.release.folder import read_release
from nla_release.release.manifest import differences, read_manifest, record_files
from tests.hub.publishing import VERSION, api_of, commits, publish, repos, tags, text_of
from tests.messages import heard

KEPT = "<!-- nla-release:keep thanks -->\nThank you, Ada.\n<!-- nla-release:end-keep thanks -->"


@pytest.fixture
def one_repo(release):
    """A release whose versions share their repositories."""
    path = release.folder / "release.yaml"
    path.write_text(path.read_text() + 'repo: "{namespace}/{name}-{role}"\n')
    release = read_release(release.folder)
    render(release, VERSION)
    return release


def next_version(release, version="0.0.2"):
    release.history.write_text((release.dist / "av" / "HISTORY.md").read_text())
    render(release, version)


def put(server, repo, path, text):
    api_of(server).upload_file(
        path_or_fileobj=text.encode(), path_in_repo=path, repo_id=repo, commit_message="By hand"
    )


def messages(plan):
    return " | ".join(blocker.message for blocker in plan.blockers)


def test_text_and_json_say_the_same(release, server, client):
    plan = make_plan(release.dist, VERSION, client, PushOptions(private=True))
    text, document = plan_text(plan), json.loads(plan_json(plan))

    assert server.log.writes == ()
    assert document["tag"] == "v0.0.1"
    assert document["totals"]["create"] == 2
    for repo in document["repos"]:
        assert f"{repo['repo']}  (model, private, will be created)" in text
        assert repo["visibility"] == "private"
        assert repo["head"] is None
        for file in repo["files"]:
            assert file["change"] == "add"
            assert f"+ {file['name']}" in text
            assert f"{file['size']:,} B" in text
            assert file["sha256"][:12] in text
    assert f"Plan: {document['totals']['add']} to add (+), 0 to change" in text


def test_what_is_committed_and_what_is_published_is_told_apart(release, server, client):
    publish(release, client)
    plan = make_plan(release.dist, VERSION, client)
    assert plan_text(plan).count("published at v0.0.1 with these bytes") == 2
    assert plan_text(plan).endswith("Plan: nothing to do.")
    assert json.loads(plan_json(plan))["done"] is True

    api_of(server).delete_tag(repos(release)[0], tag="v0.0.1")
    plan = make_plan(release.dist, VERSION, client)
    assert f"committed at {plan.repos[0].committed[:12]}, not tagged" in plan_text(plan)
    assert plan_text(plan).endswith("0 repositories to create, 1 tags to set.")


def test_a_change_of_version_is_told_file_by_file(one_repo, server, client):
    publish(one_repo, client)
    next_version(one_repo)
    plan = make_plan(one_repo.dist, "0.0.2", client)

    assert plan.blockers == []
    assert "README.md" in plan.repos[0].named("change")
    assert "adapter_model.safetensors" in plan.repos[0].named("keep")
    text = plan_text(plan)
    assert "~ README.md" in text
    assert "= adapter_model.safetensors" in text


def test_a_version_below_the_last_one_needs_to_be_meant(one_repo, server, client):
    publish(one_repo, client)
    next_version(one_repo, "0.0.2")
    publish(one_repo, client, "0.0.2")
    next_version(one_repo, "0.0.2rc1")
    plan = make_plan(one_repo.dist, "0.0.2rc1", client)

    assert "version 0.0.2rc1 is lower than 0.0.2, the last one" in messages(plan)
    assert not make_plan(one_repo.dist, "0.0.2rc1", client, PushOptions(allow_lower=True)).blockers


def test_a_repository_of_its_own_per_version_does_not_hide_a_lower_one(release, client):
    publish(release, client)
    next_version(release, "0.0.2")
    next_version(release, "0.0.1.post1")
    assert "is lower than 0.0.2" in messages(make_plan(release.dist, "0.0.1.post1", client))


def test_the_tag_of_an_addendum_does_not_make_its_version_old(one_repo, server, client):
    publish(one_repo, client)
    for repo in repos(one_repo):
        api_of(server).delete_tag(repo, tag="v0.0.1")
        api_of(server).create_tag(repo, tag="v0.0.1+cal.1")
    assert make_plan(one_repo.dist, VERSION, client).blockers == []


@pytest.mark.parametrize(
    ("line", "harmless"),
    [
        ("*.json text=auto", False),
        ("evidence/*.jsonl eol=crlf", False),
        ("README.md working-tree-encoding=UTF-16", False),
        ("* ident", False),
        ("*.png filter=shrink", False),
        ("*.safetensors filter=lfs diff=lfs merge=lfs -text", True),
        ("*.txt text", False),
        ("*.safetensors -filter", False),
        ("[attr]evil eol=crlf", False),
        ("README.m\\d text", False),
        ("*.json diff=json merge=union linguist-vendored", True),
        ("# *.json text", True),
        ("", True),
    ],
)
def test_a_gitattributes_that_alters_files_is_found_before_anything_is_sent(
    release, server, client, line, harmless
):
    for repo in repos(release):
        client.create(repo, private=False)
    put(server, repos(release)[1], ".gitattributes", line + "\n")
    found = messages(make_plan(release.dist, VERSION, client))

    assert ("may alter" in found) != harmless
    assert harmless or repr(line) in found


@pytest.mark.parametrize("published", [False, True])
def test_a_branch_of_the_name_of_the_tag_is_found_and_nothing_is_written(
    release, server, client, published
):
    """A Hub may give it to those who ask for the tag."""
    for repo in repos(release):
        client.create(repo, private=False)
    if published:
        publish(release, client)
    api_of(server).create_branch(repos(release)[1], branch="v0.0.1")
    before = server.log.writes

    plan = make_plan(release.dist, VERSION, client)
    assert f"{repos(release)[1]} has a branch v0.0.1" in messages(plan)
    with pytest.raises(RefusedError, match="has a branch v0.0.1") as caught:
        publish(release, client)
    assert f"hf repos branch delete {repos(release)[1]} v0.0.1" in caught.value.hint
    assert server.log.writes == before


def test_visibility_is_not_changed_by_the_way(release, client):
    for repo in repos(release):
        client.create(repo, private=False)
    assert not make_plan(release.dist, VERSION, client).blockers
    plan = make_plan(release.dist, VERSION, client, PushOptions(private=True))
    assert "exists and is public, and --private was asked for" in messages(plan)


def test_every_blocker_is_shown_with_what_to_do(release, server, client):
    for repo in repos(release):
        client.create(repo, private=False)
        put(server, repo, "thesis.txt", "mine")
    text = plan_text(make_plan(release.dist, VERSION, client))
    assert text.count("belong to no release: thesis.txt") == 2
    assert "hint: move them elsewhere first" in text
    assert "This push would be refused:" in text


def test_a_card_edited_on_the_hub_is_drift_and_is_not_overwritten(one_repo, server, client):
    publish(one_repo, client)
    next_version(one_repo)
    repo = repos(one_repo)[0]
    edited = text_of(client, repo, "README.md") + "\nSee also my blog.\n"
    put(server, repo, "README.md", edited)

    plan = make_plan(one_repo.dist, "0.0.2", client)
    assert plan.repos[0].card.edits == 1
    assert "user edits: README.md on the Hub was edited in 1 places" in plan_text(plan)
    with pytest.raises(RefusedError, match="was edited in 1 places"):
        publish(one_repo, client, "0.0.2")
    assert text_of(client, repo, "README.md") == edited
    assert "v0.0.2" not in tags(server, repo)

    publish(one_repo, client, "0.0.2", PushOptions(overwrite_card=True))
    assert "my blog" not in text_of(client, repo, "README.md")


def test_a_card_that_somebody_began_a_repository_with_is_not_overwritten(release, server, client):
    for repo in repos(release):
        client.create(repo, private=False)
        put(server, repo, "README.md", "---\nlicense: mit\n---\n# Mine\n")
    assert "README.md on the Hub" in messages(make_plan(release.dist, VERSION, client))
    assert not make_plan(release.dist, VERSION, client, PushOptions(overwrite_card=True)).blockers


def test_what_is_written_between_the_comments_outlives_the_next_version(one_repo, server, client):
    publish(one_repo, client)
    next_version(one_repo)
    repo = repos(one_repo)[0]
    put(server, repo, "README.md", text_of(client, repo, "README.md") + f"\n{KEPT}\n")

    plan = make_plan(one_repo.dist, "0.0.2", client)
    assert plan.blockers == []
    assert "hand-written sections are kept: thanks" in plan_text(plan)
    with heard() as said:
        assert merge_hand_written(plan)
    assert "thanks" in said[0]
    folder = one_repo.dist / "av"
    assert differences(read_manifest(folder).files, record_files(folder)) == []
    publish(one_repo, client, "0.0.2")

    assert KEPT in text_of(client, repo, "README.md", "v0.0.2")
    assert KEPT not in text_of(client, repos(one_repo)[1], "README.md", "v0.0.2")
    # rendered anew it lacks the text, and is published all the same
    render(one_repo, "0.0.2")
    again = make_plan(one_repo.dist, "0.0.2", client)
    assert not again.done
    merge_hand_written(again)
    assert make_plan(one_repo.dist, "0.0.2", client).done


def test_without_taking_it_over_the_push_does_not_drop_it(one_repo, server, client):
    publish(one_repo, client)
    next_version(one_repo)
    repo = repos(one_repo)[0]
    put(server, repo, "README.md", text_of(client, repo, "README.md") + f"\n{KEPT}\n")
    with pytest.raises(RefusedError, match="the card on the Hub was edited"):
        publish(one_repo, client, "0.0.2")


def test_a_large_file_with_other_bytes_of_the_same_size_is_found(release, client, monkeypatch):
    monkeypatch.setattr("nla_release.hub.staging._LARGE_BYTES", 1024)
    publish(release, client)
    weights = release.dist / "ar" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="adapter_model.safetensors was changed"):
        publish(release, client)


def test_a_large_file_that_is_not_as_rendered_is_found_when_it_is_copied(
    release, server, client, monkeypatch
):
    monkeypatch.setattr("nla_release.hub.staging._LARGE_BYTES", 1024)
    weights = release.dist / "ar" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="adapter_model.safetensors was changed"):
        publish(release, client)
    assert all(len(commits(server, repo)) == 1 for repo in repos(release))


def test_an_account_that_does_not_own_the_namespace_creates_nothing(
    release, server, client, monkeypatch
):
    """As huggingface.co is asked; the local Hub's owner is called loopback."""
    monkeypatch.setattr("nla_release.hub_client.reader.CANONICAL_ENDPOINT", server.endpoint)
    with pytest.raises(EnvironmentProblem, match="may only create repositories in loopback"):
        publish(release, client)
    assert server.log.writes == ()


def test_a_reader_without_a_token_can_plan(release, server):
    assert make_plan(release.dist, VERSION, Hub(server.endpoint)).totals["create"] == 2
