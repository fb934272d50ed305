"""What the tests of publishing do: push as the command line does, and look at the Hub."""

from huggingface_hub import HfApi

from nla_release.hub.journal import Journal
from nla_release.hub.plan import PushOptions, PushPlan, make_plan
from nla_release.hub.push import push
from nla_release.hub_client.remote import Hub
from nla_release.release.folder import ROLES, Release
from tests.messages import heard

VERSION = "0.0.1"


def publish(
    release: Release, client: Hub, version: str = VERSION, options: PushOptions | None = None
) -> list[str]:
    """Plan and push; what was said."""
    with heard() as said:
        carry_out(make_plan(release.dist, version, client, options), release, client)
    return said


def carry_out(plan: PushPlan, release: Release, client: Hub) -> None:
    """Push as planned."""
    journal = Journal(release.dist, plan.release_id, client.endpoint)
    push(plan, client, journal, check=unchecked)


def unchecked() -> None:
    """Let any release pass: the gate is of other tests."""


def repos(release: Release, version: str = VERSION) -> list[str]:
    """The repositories, AV first."""
    return [release.repo_id(role, version) for role in ROLES]


def api_of(server) -> HfApi:
    """The owner of the Hub, beside the product."""
    return HfApi(endpoint=server.endpoint, token=server.token)


def commits(server, repo: str):
    """The commits of main, newest first."""
    return api_of(server).list_repo_commits(repo)


def text_of(client: Hub, repo: str, name: str, revision: str = "main") -> str:
    """A text file of a repository that is there."""
    state = client.state(repo, revision)
    assert state is not None
    return client.read(repo, name, state)


def tags(server, repo: str) -> dict[str, str]:
    """Every tag and its commit."""
    return {tag.name: tag.target_commit for tag in api_of(server).list_repo_refs(repo).tags}
