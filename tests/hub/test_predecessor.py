"""Each version in repositories of its own: a HISTORY.md that was lost here is found there."""

from io import BytesIO

import pytest

from nla_release.cards.render import render
from nla_release.errors import EnvironmentProblem, RefusedError
from nla_release.hub.plan import PushPlan, make_plan
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.tokens import HubTokens
from nla_release.output.plan import plan_json, plan_text
from nla_release.release.folder import read_release
from tests.hub.faults import Fault
from tests.hub.faulty import never_wait
from tests.hub.publishing import VERSION, api_of, publish, repos, text_of

pytestmark = pytest.mark.wire


@pytest.fixture
def client(faulty):
    return Hub(faulty.endpoint, faulty.token)


def keep_history(release):
    release.history.write_bytes((release.dist / "av" / "HISTORY.md").read_bytes())


def plan_next(release, client, version="0.0.2") -> PushPlan:
    render(release, version)
    return make_plan(release.dist, version, client)


def put(faulty, repo, path, content):
    api_of(faulty).upload_file(path_or_fileobj=BytesIO(content), path_in_repo=path, repo_id=repo)


def asked(faulty):
    return [path for method, path, _ in faulty.faults.requests if path == "/api/models"]


def test_a_history_that_was_lost_between_two_versions_refuses_the_second(release, faulty, client):
    publish(release, client)
    plan = plan_next(release, client)

    (blocker,) = plan.blockers
    before = repos(release)[0]
    assert f"{before}: the published HISTORY.md is not the beginning of" in blocker.message
    assert f"copy the HISTORY.md of {before} next to release.yaml" in blocker.hint
    with pytest.raises(RefusedError, match="the published HISTORY.md is not the beginning"):
        publish(release, client, "0.0.2")
    assert client.state(repos(release, "0.0.2")[0]) is None

    release.history.write_text(text_of(client, before, "HISTORY.md"))
    assert plan_next(release, client).blockers == []


def test_the_newest_of_the_earlier_versions_decides(release, faulty, client):
    publish(release, client)
    first = (release.dist / "av" / "HISTORY.md").read_bytes()
    keep_history(release)
    render(release, "0.0.10rc1")
    publish(release, client, "0.0.10rc1")
    release.history.write_bytes(first)
    plan = plan_next(release, client, "0.0.10")

    assert repos(release, "0.0.10rc1")[0] in plan.blockers[0].message
    # and a later one does not
    release.history.write_bytes(first)
    assert plan_next(release, client, "0.0.2").blockers == []


def test_what_was_never_published_under_a_version_is_passed_over(release, faulty, client):
    publish(release, client)
    keep_history(release)
    api = api_of(faulty)
    api.create_repo("someone/tiny-nla-L3-av-v0_0_2")
    put(faulty, "someone/tiny-nla-L3-av-v0_0_2", "HISTORY.md", b"# Somebody's own\n")
    for name in ("av-v0_0_2-old", "ar-v0_0_2", "av-vnext", "av-v0_0_2_x", "av-v9_0_0"):
        api.create_repo(f"someone/tiny-nla-L3-{name}")

    assert plan_next(release, client, "0.0.3").blockers == []


def test_what_was_added_to_the_earlier_version_counts(release, faulty, client):
    """An addendum or a retraction stands on main, and the version's tag stays where it was."""
    publish(release, client)
    keep_history(release)
    before = repos(release)[0]
    put(faulty, before, "HISTORY.md", release.history.read_bytes() + b"\nRetracted.\n")
    assert "is not the beginning" in plan_next(release, client).blockers[0].message


def test_the_tag_counts_where_main_went_on_to_something_else(release, faulty, client):
    publish(release, client)
    keep_history(release)
    before = repos(release)[0]
    api_of(faulty).delete_file("release.json", before)
    put(faulty, before, "HISTORY.md", b"# Somebody's own\n")
    assert plan_next(release, client).blockers == []


@pytest.mark.parametrize("kind", ["401", "403", "405", "501"])
def test_a_hub_that_does_not_list_repositories_is_no_blocker_but_is_said(
    release, faulty, client, kind
):
    unanswered = Fault(kind, at=lambda _method, path, _number: path == "/api/models")
    faulty.faults.inject(unanswered)
    plan = make_plan(release.dist, VERSION, client)

    assert plan.blockers == []
    (note,) = plan.repos[0].notes
    assert "HISTORY.md could not be compared with those of earlier versions: " in note
    assert kind in note
    assert f"  note: {note}\n" in plan_text(plan)
    assert note in plan_json(plan)
    faulty.faults.inject(unanswered)
    assert f"note: {note}" in publish(release, client)


def test_a_hub_that_stumbles_over_the_question_is_asked_again(release, faulty, client, monkeypatch):
    never_wait(monkeypatch)
    faulty.faults.inject(Fault("500_before", at=lambda _method, path, _: path == "/api/models"))
    assert make_plan(release.dist, VERSION, client).repos[0].notes == []
    faulty.faults.inject(Fault("refuse", at=lambda _method, path, _: path == "/api/models"))
    with pytest.raises(EnvironmentProblem):
        make_plan(release.dist, VERSION, client)


def test_it_is_asked_once_and_only_of_what_is_not_published(release, faulty, client):
    publish(release, client)
    assert len(asked(faulty)) == 1
    make_plan(release.dist, VERSION, client)
    assert len(asked(faulty)) == 1


@pytest.mark.parametrize(
    ("template", "version", "asks"),
    [
        ("{namespace}/{name}-{role}", "0.0.1", False),
        ("{namespace}/{name}-{role}", "3", False),  # the tests' release is tiny-nla-L3
        ("{namespace}/{version}-{name}-{role}", "3", True),
        ("{namespace}/{name}_{version}_{role}", "0.0.1", True),
    ],
)
def test_only_a_name_that_holds_the_version_is_looked_for(
    release, faulty, client, template, version, asks
):
    path = release.folder / "release.yaml"
    path.write_text(path.read_text() + f'repo: "{template}"\n')
    release = read_release(release.folder)
    plan_next(release, client, version)
    assert bool(asked(faulty)) == asks
    if asks:
        publish(release, client, version)
        plan = plan_next(release, client, "4")
        assert repos(release, version)[0] in plan.blockers[0].message


def test_a_job_that_is_trusted_with_the_new_version_alone_reads_the_one_before_as_anybody_may(
    release, faulty, client, monkeypatch
):
    claims = {"repository": "team/pair", "workflow": "publish.yml"}
    publish(release, client)
    for repo in repos(release, "0.0.2"):
        api_of(faulty).create_repo(repo)
        faulty.publishers.trust(repo, **claims)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    proof = faulty.publishers.id_token(faulty.endpoint, **claims)
    monkeypatch.setenv("HF_OIDC_ID_TOKEN", proof)
    job = Hub(faulty.endpoint, HubTokens.from_environment(endpoint=faulty.endpoint))

    plan = plan_next(release, job)
    assert "the published HISTORY.md is not the beginning of" in plan.blockers[0].message
    release.history.write_text(text_of(client, repos(release)[0], "HISTORY.md"))
    assert plan_next(release, job).blockers == []
    publish(release, job, "0.0.2")


def test_a_history_there_that_cannot_be_read_refuses(release, faulty, client):
    publish(release, client)
    keep_history(release)
    put(faulty, repos(release)[0], "HISTORY.md", b"\xff\xfe")
    (blocker,) = plan_next(release, client).blockers
    assert "HISTORY.md is not UTF-8 text (at " in blocker.message
    assert "restore the file" in blocker.hint
