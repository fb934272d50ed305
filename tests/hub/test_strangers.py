"""What others put into a repository: shown safely, never taken for a release, never in the way."""

import pytest

from nla_release.errors import RefusedError
from nla_release.hub.plan import make_plan
from nla_release.output.plan_text import plan_text
from tests.hub.publishing import VERSION, api_of, carry_out, repos

pytestmark = pytest.mark.wire


@pytest.fixture
def empty(release, client):
    """Both repositories exist, and hold nothing; their names."""
    for repo in repos(release):
        client.create(repo, private=False)
    return repos(release)


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
    assert shown.count(r"no\u202etes.md") == 2, "as a file to remove and as an obstacle"
    assert all(line.isprintable() for line in shown.splitlines())


def test_a_release_json_that_is_nested_without_end_is_no_releases(release, server, client, empty):
    nested = b"[" * 100_000
    api_of(server).upload_file(
        path_or_fileobj=nested, path_in_repo="release.json", repo_id=empty[0]
    )
    assert make_plan(release.dist, VERSION, client).obstacles == []
