"""A push on a bad day: what the Hub did is found out, and nothing is done twice."""

import shutil
from contextlib import suppress
from dataclasses import replace
from typing import get_args

import pytest

from nla_release.cards.render import render
from nla_release.errors import (
    EnvironmentProblem,
    NlaReleaseError,
    PartlyPublishedError,
    RefusedError,
)
from nla_release.hub.plan import PushOptions, make_plan
from nla_release.hub.verify import VerifyOptions, verify_published
from nla_release.hub_client.client import quiet_client
from nla_release.hub_client.client_errors import DeniedError
from nla_release.hub_client.remote import Hub
from nla_release.io.files import read_text
from nla_release.io.layout import MANIFEST_FILE
from nla_release.release.folder import ROLES, read_release
from nla_release.release.manifest import read_manifest
from tests.hub.faults import Deviation, Fault
from tests.hub.faulty import never_answered, never_wait
from tests.hub.publishing import api_of, carry_out, commits, publish, repos, tags, text_of
from tests.messages import heard

pytestmark = pytest.mark.wire


@pytest.fixture
def client(faulty):
    return Hub(faulty.endpoint, faulty.token)


def at(method, part, role=None):
    """Whether a request is of this kind, in one role's repository or in any."""

    def says(asked, path, _number):
        return asked == method and part in path and (role is None or f"-{role}-v" in path)

    return says


COMMIT = at("POST", "/commit/")
TAG = at("POST", "/tag/")


def assert_published_once(faulty, release):
    for repo in repos(release):
        history = commits(faulty, repo)
        assert [commit.title for commit in history] == ["Release v0.0.1", "initial commit"]
        assert tags(faulty, repo) == {"v0.0.1": history[0].commit_id}


@pytest.mark.parametrize("kind", ["500_after", "reset_after", "500_before", "reset_before"])
@pytest.mark.parametrize("role", ["av", "ar"])
def test_a_commit_whose_answer_is_lost_is_found_and_not_made_twice(
    release, faulty, client, kind, role
):
    faulty.faults.inject(Fault(kind, at=at("POST", "/commit/", role)))
    said = publish(release, client)

    arrived = any("although its response was lost" in line for line in said)
    assert arrived == kind.endswith("after")
    faulty.clear()
    assert_published_once(faulty, release)


def test_a_commit_that_takes_longer_than_we_wait_is_found(release, faulty, client, monkeypatch):
    late = []

    def first_commit(response, _number):
        asked = response.request
        return COMMIT(asked.method, asked.url.path, 0) and not late and not late.append(asked)

    never_answered(monkeypatch, first_commit)
    quiet_client()
    said = publish(release, client)

    assert any("although its response was lost" in line for line in said)
    faulty.clear()
    assert_published_once(faulty, release)


@pytest.mark.parametrize("kind", ["500_after", "reset_after"])
def test_a_repository_or_tag_whose_answer_is_lost_is_there(release, faulty, client, kind):
    faulty.faults.inject(
        Fault(kind, at=at("POST", "/repos/create"), times=2), Fault(kind, at=TAG, times=2)
    )
    publish(release, client)

    faulty.clear()
    assert_published_once(faulty, release)


@pytest.mark.parametrize("kind", ["500_before", "reset_before"])
@pytest.mark.parametrize(
    ("act", "missing"),
    [(at("POST", "/repos/create"), "was not created"), (TAG, "was not tagged")],
)
def test_a_repository_or_tag_that_was_not_made_is_made_by_another_try(
    release, faulty, client, kind, act, missing
):
    faulty.faults.inject(Fault(kind, at=act, times=2))
    said = publish(release, client)

    assert said.count(f"{repos(release)[0]} {missing}; trying again") == 2
    faulty.clear()
    assert_published_once(faulty, release)


def test_a_hub_that_never_does_it_is_not_asked_for_ever(release, faulty, client):
    faulty.faults.inject(Fault("500_before", at=TAG, times=9))
    with pytest.raises(PartlyPublishedError, match="the Hub answered 500"):
        publish(release, client)
    assert sum("/tag/" in each.path for each in faulty.faults.requests) == 3


def test_what_the_token_may_not_do_is_tried_once(release, faulty, client):
    faulty.faults.inject(Fault("403", at=at("POST", "/repos/create"), times=9))
    with pytest.raises(EnvironmentProblem, match="the token may not do this"):
        publish(release, client)
    assert sum("/repos/create" in each.path for each in faulty.faults.requests) == 1


def test_a_hub_that_goes_away_while_the_commit_is_sent_leaves_the_question_open(
    release, faulty, client, monkeypatch
):
    never_wait(monkeypatch)
    faulty.faults.inject(Fault("refuse", at=at("POST", "/commit/", "ar")))
    with pytest.raises(PartlyPublishedError) as caught:
        publish(release, client)
    faulty.clear()

    av, ar = repos(release)
    assert f"{av} is committed (" in caught.value.message
    assert f"whether {ar} is committed is not known" in caught.value.message
    assert "the same command" in caught.value.hint
    publish(release, client)
    assert_published_once(faulty, release)


def somebody_commits(faulty, repo, path="notes.md"):
    api_of(faulty).upload_file(
        path_or_fileobj=b"---\nlicense: mit\n---\nmine",
        path_in_repo=path,
        repo_id=repo,
        commit_message="My notes",
    )


@pytest.fixture
def raced(release, faulty, client, monkeypatch):
    """Somebody commits to the AV's repository after the last look at it, as often as is told."""
    for repo in repos(release):
        client.create(repo, private=False)
    send, left = Hub.commit, []

    def commit(self, repo, *arguments, **options):
        if left and repo == repos(release)[0]:
            left.pop()()
        return send(self, repo, *arguments, **options)

    monkeypatch.setattr(Hub, "commit", commit)
    return left


def test_a_conflict_shows_what_others_did_and_stops(release, faulty, client, raced):
    raced.append(lambda: somebody_commits(faulty, repos(release)[0]))
    with pytest.raises(RefusedError) as caught:
        publish(release, client)

    assert "1 commits since " in caught.value.message
    assert "'My notes' by loopback; files: notes.md" in caught.value.message
    assert "--rebase" in caught.value.hint
    assert all(tags(faulty, repo) == {} for repo in repos(release))


def test_a_conflict_that_the_hub_calls_a_500_is_one(release, faulty, client, raced):
    faulty.faults.inject(Fault("500_for_412"))
    raced.append(lambda: somebody_commits(faulty, repos(release)[0]))
    with pytest.raises(RefusedError, match="files: notes.md"):
        publish(release, client)


def test_rebase_does_not_remove_what_others_added(release, faulty, client, raced):
    raced.append(lambda: somebody_commits(faulty, repos(release)[0]))
    with pytest.raises(RefusedError, match="belong to no release: notes.md"):
        publish(release, client, options=PushOptions(rebase=True))


def test_rebase_does_not_drop_a_card_that_somebody_wrote_meanwhile(release, faulty, client, raced):
    raced.append(lambda: somebody_commits(faulty, repos(release)[0], "README.md"))
    with pytest.raises(RefusedError, match="was edited in 1 places"):
        publish(release, client, options=PushOptions(rebase=True))


def test_rebase_goes_on_top_of_what_takes_nothing_from_anybody(release, faulty, client, raced):
    def writes_and_takes_back():
        somebody_commits(faulty, repos(release)[0])
        api_of(faulty).delete_file("notes.md", repos(release)[0])

    raced.append(writes_and_takes_back)
    publish(release, client, options=PushOptions(rebase=True))
    history = [commit.title for commit in commits(faulty, repos(release)[0])]
    assert history[0] == "Release v0.0.1"
    assert len(history) == 4


def test_rebase_gives_up_after_three_tries(release, faulty, client, raced):
    def writes_and_takes_back():
        somebody_commits(faulty, repos(release)[0])
        api_of(faulty).delete_file("notes.md", repos(release)[0])

    raced.extend([writes_and_takes_back] * 4)
    with pytest.raises(RefusedError, match="somebody committed to main meanwhile"):
        publish(release, client, options=PushOptions(rebase=True))
    assert len(raced) == 1


def test_a_412_for_nothing_is_tried_again(release, faulty, client):
    faulty.faults.inject(Fault("412_once"))
    publish(release, client)
    faulty.clear()
    assert_published_once(faulty, release)


def test_a_hub_that_overwrites_what_others_committed_is_caught_before_the_tags(
    release, faulty, client, raced
):
    faulty.faults.inject(Fault("ignores_parent"))
    # the same path as ours: nothing is left of it in the tree
    raced.append(lambda: somebody_commits(faulty, repos(release)[0], "LICENSE"))
    with pytest.raises(PartlyPublishedError, match="on top of a commit .*'My notes'") as caught:
        publish(release, client)
    assert "publish the next version" in caught.value.hint
    for options in (PushOptions(), PushOptions(rebase=True)):
        with pytest.raises(PartlyPublishedError, match="'My notes'"):
            publish(release, client, options=options)
    assert all(tags(faulty, repo) == {} for repo in repos(release))


def test_files_that_the_hub_would_leave_out_are_found_before_the_commit(release, faulty, client):
    faulty.faults.inject(Fault("should_ignore"))
    with pytest.raises(RefusedError, match="would leave .* out of the commit"):
        publish(release, client)
    assert all(len(commits(faulty, repo)) == 1 for repo in repos(release))


def test_a_tag_that_somebody_else_sets_elsewhere_is_an_error(release, faulty, client):
    faulty.faults.inject(Fault("tag_409_other"))
    with pytest.raises(PartlyPublishedError, match="tag v0.0.1 points at"):
        publish(release, client)


def test_without_error_headers_it_works_the_same(release, faulty, client):
    faulty.faults.inject(Fault("no_error_headers"))
    publish(release, client)
    assert publish(release, client)[0].startswith("already published")


def test_a_hub_that_makes_commits_of_nothing_gets_one(release, faulty, client):
    """Who asks it again with the same bytes gets another commit; the push does not ask."""
    faulty.faults.inject(Fault("no_oid"), Fault("403", at=at("POST", "/tag/", "ar")))
    with pytest.raises(PartlyPublishedError):
        publish(release, client)
    publish(release, client)
    assert_published_once(faulty, release)


def test_a_repository_that_may_not_be_read_says_so(release, faulty, client, tmp_path):
    publish(release, client)
    faulty.faults.inject(Fault("gated"))
    with pytest.raises(EnvironmentProblem, match="is gated, and the token may not read it"):
        text_of(client, repos(release)[0], "README.md", "v0.0.1")
    with pytest.raises(EnvironmentProblem):
        client.download(repos(release)[0], "v0.0.1", tmp_path / "copy")


@pytest.mark.parametrize("deviation", get_args(Deviation))
def test_however_a_hub_deviates_success_is_success(release, faulty, client, deviation):
    faulty.faults.inject(Fault(deviation))
    with suppress(NlaReleaseError):
        publish(release, client)
        faulty.clear()
        assert_published_once(faulty, release)
        return
    faulty.clear()
    if deviation != "tag_409_other":  # somebody else's tags
        there = [repo for repo in repos(release) if client.state(repo) is not None]
        assert all(tags(faulty, repo) == {} for repo in there)


@pytest.mark.parametrize(
    "deviation", sorted({*get_args(Deviation)} - {"412_once", "odd_commit_url"})
)
def test_however_a_hub_deviates_others_are_not_overwritten(
    release, faulty, client, raced, deviation
):
    faulty.faults.inject(Fault(deviation))
    raced.append(lambda: somebody_commits(faulty, repos(release)[0], "LICENSE"))
    with pytest.raises(NlaReleaseError) as caught:
        publish(release, client)
    assert caught.value.hint
    assert all(tags(faulty, repo) == {} for repo in repos(release))


def test_a_rate_limit_is_waited_for_and_said(release, faulty, client):
    quiet_client()
    faulty.faults.inject(
        Fault("429", at=COMMIT, seconds=1), Fault("429", at=at("POST", "/preupload/"), seconds=1)
    )
    said = publish(release, client)

    assert said.count("waiting 1 s: rate limited") == 2
    faulty.clear()
    assert_published_once(faulty, release)


@pytest.mark.parametrize("part", ["/preupload/", "/commit/", "/objects/batch"])
def test_a_rate_limit_beyond_our_patience_ends_the_push_at_once(
    release, faulty, client, monkeypatch, part
):
    monkeypatch.setenv("NLA_RELEASE_RATE_LIMIT_WAIT", "5")
    quiet_client()
    faulty.faults.inject(Fault("429", at=at("POST", part), seconds=3600))
    with pytest.raises(EnvironmentProblem, match="asks to wait 3600 s") as caught:
        publish(release, client)
    assert "NLA_RELEASE_RATE_LIMIT_WAIT" in caught.value.hint
    faulty.clear()
    publish(release, client)
    assert_published_once(faulty, release)


def test_the_release_is_committed_where_others_committed_after_it(release, faulty, client):
    """Somebody edits the card between our commit and our tag: the tag is our commit's."""
    faulty.faults.inject(Fault("403", at=TAG))
    with pytest.raises(PartlyPublishedError):
        publish(release, client)
    faulty.clear()
    somebody_commits(faulty, repos(release)[0])
    publish(release, client)

    history = commits(faulty, repos(release)[0])
    assert [commit.title for commit in history[:2]] == ["My notes", "Release v0.0.1"]
    assert tags(faulty, repos(release)[0]) == {"v0.0.1": history[1].commit_id}


def test_a_plan_that_is_out_of_date_commits_nothing_anywhere(release, faulty, client):
    for repo in repos(release):
        client.create(repo, private=False)
    plan = make_plan(release.dist, "0.0.1", client)
    somebody_commits(faulty, repos(release)[1])
    with pytest.raises(RefusedError, match="files: notes.md"):
        carry_out(plan, release, client)
    assert len(commits(faulty, repos(release)[0])) == 1


def test_a_hub_that_drops_descriptions_gets_no_tag_that_verify_refuses(release, faulty, client):
    faulty.faults.inject(Fault("no_descriptions"))
    with pytest.raises(PartlyPublishedError, match="does not return title and descr") as caught:
        publish(release, client)
    assert all(f"{repo} is committed (" in caught.value.message for repo in repos(release))
    assert "keeps the descriptions" in caught.value.hint

    with pytest.raises(RefusedError, match="this Hub drops the descriptions") as caught:
        publish(release, client)
    assert "keeps the descriptions" in caught.value.hint
    assert all(tags(faulty, repo) == {} for repo in repos(release))


def test_there_a_commit_whose_answer_is_lost_is_public_all_the_same(release, faulty, client):
    faulty.faults.inject(Fault("no_descriptions"), Fault("500_after", at=COMMIT))
    with pytest.raises(PartlyPublishedError) as caught:
        publish(release, client)
    assert f"Public so far: {repos(release)[0]} is committed (" in caught.value.message
    assert len(commits(faulty, repos(release)[0])) == 2


def test_what_main_holds_is_public_whoever_put_it_there(release, faulty, client, raced):
    """A stopped push looks again, and does not go by what it was planned against."""

    def by_hand():
        for name in [*read_manifest(release.dist / "av").files, MANIFEST_FILE]:
            with (release.dist / "av" / name).open("rb") as opened:  # as LFS, and not by Xet
                api_of(faulty).upload_file(
                    path_or_fileobj=opened, path_in_repo=name, repo_id=repos(release)[0]
                )

    raced.append(by_hand)
    with pytest.raises(PartlyPublishedError) as caught:
        publish(release, client)
    av = repos(release)[0]
    assert f"Public so far: main of {av} holds the release (" in caught.value.message


def test_a_hub_that_ignores_the_parent_and_drops_descriptions_is_found_out(
    release, faulty, client, raced
):
    """By the commit that the plan was made against, and not by words of the new one."""
    faulty.faults.inject(Fault("ignores_parent"), Fault("no_descriptions"))
    raced.append(lambda: somebody_commits(faulty, repos(release)[0], "LICENSE"))
    with pytest.raises(PartlyPublishedError, match="on top of a commit .*'My notes'"):
        publish(release, client)
    with pytest.raises(NlaReleaseError):
        publish(release, client)
    assert all(tags(faulty, repo) == {} for repo in repos(release))


def cut_off_before_the_tags(release, faulty, client):
    """A push whose process ends once both commits are made."""
    faulty.faults.inject(Fault("403", at=TAG))
    with pytest.raises(PartlyPublishedError):
        publish(release, client)
    faulty.clear()


@pytest.mark.parametrize("role", [0, 1])
def test_the_commit_of_a_push_that_was_killed_may_land_after_the_next_plan(
    release, faulty, client, role
):
    for repo in repos(release):
        client.create(repo, private=False)
    plan = make_plan(release.dist, "0.0.1", client)
    cut_off_before_the_tags(release, faulty, client)
    if role:  # only the first of them lands in time
        api_of(faulty).super_squash_history(repos(release)[1])
        api_of(faulty).delete_repo(repos(release)[1])
        client.create(repos(release)[1], private=False)
        plan = replace(plan, repos=[plan.repos[0], head_of(client, plan.repos[1])])
    with heard() as said:
        carry_out(plan, release, client)

    assert any("an earlier push committed" in line for line in said)
    assert_published_once(faulty, release)


def head_of(client, repo):
    """The plan of a repository, against what is there now."""
    return replace(repo, head=client.head(repo.repo))


def test_two_pushes_of_the_same_bytes_at_once_are_one_release(release, faulty, client, raced):
    raced.append(lambda: publish(release, client))
    said = publish(release, client)
    assert any("although its response was lost" in line for line in said)
    assert_published_once(faulty, release)


def test_two_pushes_at_once_on_a_hub_that_ignores_the_parent_end_with_the_first(
    release, faulty, client, raced
):
    faulty.faults.inject(Fault("ignores_parent"), Fault("no_oid"))
    raced.append(lambda: cut_off_before_the_tags_of(release, client))
    with pytest.raises(PartlyPublishedError, match="another push of this release committed it"):
        publish(release, client)
    publish(release, client)
    for repo in repos(release):
        assert tags(faulty, repo) == {"v0.0.1": commits(faulty, repo)[-2].commit_id}


def cut_off_before_the_tags_of(release, client):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hub, "tag", not_allowed)
        with pytest.raises(PartlyPublishedError):
            publish(release, client)


def not_allowed(*_arguments, **_options):
    raise DeniedError("no tags today")


@pytest.fixture
def other(release, tmp_path):
    """Another folder of the same name and version, with other words on its cards."""
    folder = shutil.copytree(release.folder, tmp_path / "other")
    config = folder / "release.yaml"
    config.write_text(config.read_text().replace("title: ", "title: Other "))
    other = read_release(folder)
    render(other, "0.0.1")
    return other


def test_a_release_without_its_tag_is_not_put_under_another_one(release, other, faulty, client):
    cut_off_before_the_tags(release, faulty, client)
    for options in (PushOptions(), PushOptions(rebase=True)):
        with pytest.raises(RefusedError, match="holds another release, v0.0.1, which has no tag"):
            publish(other, client, options=options)
    publish(release, client)
    assert_published_once(faulty, release)
    assert text_of(client, repos(release)[0], "README.md") == read_text(
        release.dist / "av" / "README.md", newline=""
    )


def test_one_that_nobody_will_finish_can_be_replaced(release, other, faulty, client):
    cut_off_before_the_tags(release, faulty, client)
    (first, *_) = make_plan(other.dist, "0.0.1", client).blockers
    assert "--replace-unfinished" in first.hint
    publish(other, client, options=PushOptions(replace_unfinished=True))
    for repo in repos(release):
        newest, *_ = commits(faulty, repo)
        assert tags(faulty, repo) == {"v0.0.1": newest.commit_id}


def test_of_two_folders_pushed_at_once_the_later_commits_nothing(
    release, other, faulty, client, raced
):
    raced.append(lambda: publish(release, client))
    with pytest.raises(RefusedError):
        publish(other, client)
    assert_published_once(faulty, release)
    for repo, role in zip(repos(release), ROLES, strict=True):
        card = read_text(release.dist / role / "README.md", newline="")
        assert text_of(client, repo, "README.md") == card


def test_what_was_not_looked_at_is_not_called_empty(release, faulty, client, monkeypatch):
    never_wait(monkeypatch)
    faulty.faults.inject(Fault("refuse", at=at("POST", "/preupload/")))
    with heard() as said, pytest.raises(EnvironmentProblem):
        carry_out(make_plan(release.dist, "0.0.1", client), release, client)
    both = " and ".join(repos(release))
    assert said[-1] == f"Public so far: {both} could not be read"


def test_a_defect_of_ours_does_not_hide_what_is_public(release, faulty, client, monkeypatch):
    monkeypatch.setattr(Hub, "tag", lambda *_arguments, **_options: 1 // 0)
    with pytest.raises(PartlyPublishedError) as caught:
        publish(release, client)
    assert caught.value.message.startswith("ZeroDivisionError: ")
    assert f"Public so far: {repos(release)[0]} is committed (" in caught.value.message
    assert "the same command" in caught.value.hint
    assert "--debug" in caught.value.hint


def test_without_auth_check_the_push_goes_on_and_says_so(release, faulty, client):
    faulty.faults.inject(Fault("no_auth_check"))
    said = publish(release, client)
    notes = [line for line in said if line.startswith("note: ")]
    assert len(notes) == 2
    assert all("this Hub has no auth-check (404)" in note for note in notes)
    faulty.clear()
    assert_published_once(faulty, release)


def test_without_validate_yaml_nothing_is_created_and_the_route_is_named(release, faulty, client):
    faulty.faults.inject(Fault("no_validate_yaml"))
    with pytest.raises(
        EnvironmentProblem, match="this Hub has no /api/validate-yaml .404."
    ) as caught:
        publish(release, client)
    assert "nothing was created" in caught.value.hint
    assert not any(each.path == "/api/repos/create" for each in faulty.faults.requests)


@pytest.mark.parametrize("kind", ["odd_commit_oid", "odd_commit_url"])
def test_an_answer_of_the_wrong_type_does_not_hide_the_commit(release, faulty, client, kind):
    """`commitOid: true`: the commit is there all the same, and is looked for."""
    faulty.faults.inject(Fault(kind))
    said = publish(release, client)
    assert any("although its response was lost" in line for line in said)
    faulty.clear()
    assert_published_once(faulty, release)


def test_a_path_that_is_a_number_is_no_answer_of_a_hub_and_hides_nothing(
    release, faulty, client, monkeypatch
):
    never_wait(monkeypatch)
    faulty.faults.inject(Fault("odd_path", at=lambda *_asked: any_commit(faulty)))
    with pytest.raises(PartlyPublishedError) as caught:
        publish(release, client)
    assert "the answer is not one of a Hub (" in caught.value.message
    assert f"{repos(release)[0]} is committed (" in caught.value.message
    faulty.clear()
    publish(release, client)
    assert_published_once(faulty, release)


def any_commit(faulty):
    """Whether both repositories have been committed to."""
    return sum("/commit/" in each.path for each in faulty.faults.requests) >= 2


def test_commit_ids_of_64_digits_are_read_and_verified(release, faulty, client):
    publish(release, client)
    faulty.faults.inject(Fault("long_ids"))
    plan = make_plan(release.dist, "0.0.1", client)
    assert plan.done
    assert len(plan.repos[0].tagged) == 64
    assert verify_published(plan, client, VerifyOptions()).verdict == "pass"


@pytest.mark.parametrize("there", [False, True])
def test_nothing_is_uploaded_where_the_client_cannot_name_the_parent(
    release, faulty, client, there
):
    for repo in repos(release) if there else ():
        client.create(repo, private=False)
    faulty.faults.inject(Fault("long_ids"))
    with pytest.raises(RefusedError, match="commit ids of this Hub have 64 digits") as caught:
        publish(release, client)
    assert "40 digits" in caught.value.hint
    assert not any("preupload" in each.path for each in faulty.faults.requests)
