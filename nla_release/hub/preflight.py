"""What can be known of a push before anything is written: token, namespace, cards and routes.

A push asks this before its first step. `plan` and `push --dry-run` ask the same, and show as
obstacles what the push would end with.
"""

from collections.abc import Callable
from dataclasses import replace

from nla_release.errors import RefusedError
from nla_release.hub.drift import CARD_NAME
from nla_release.hub.obstacles import Obstacle
from nla_release.hub.plan import Plan, RepoPlan
from nla_release.hub_client.client_errors import DeniedError
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.tokens import HOW_TO_SET_A_TOKEN
from nla_release.io.files import read_text


def check_access(hub: Hub, repo: RepoPlan) -> list[str]:
    """Make sure that the token may write to a repository, or create it.

    Returns:
        What the Hub cannot be asked, as sentences.

    Raises:
        EnvironmentProblem: it may not, or the Hub cannot be reached.
    """
    if repo.head is None:
        hub.check_namespace(repo.repo)
        return []
    note = hub.check_write(repo.repo)
    return [note] if note else []


def check_card(hub: Hub, repo: RepoPlan) -> None:
    """Make sure that the Hub accepts the metadata of a card that is to be committed.

    Raises:
        RefusedError: it does not.
        EnvironmentProblem: it cannot be asked.
    """
    if repo.committed is None:
        hub.check_card(repo.repo, read_text(repo.folder / CARD_NAME))


def foreseen(plan: Plan, hub: Hub) -> Plan:
    """The plan with what a push would find out by its first questions; reads only.

    Raises:
        EnvironmentProblem: the Hub cannot be reached.
    """
    return replace(
        plan, repos=[repo if repo.tagged else _foreseen(hub, repo) for repo in plan.repos]
    )


def _foreseen(hub: Hub, repo: RepoPlan) -> RepoPlan:
    notes: list[str] = []
    if not hub.token(repo.repo):
        found = [
            Obstacle(f"{repo.repo}: there is no Hub token to publish with", HOW_TO_SET_A_TOKEN)
        ]
    else:
        found = [
            *_refusals(lambda: notes.extend(check_access(hub, repo))),
            *_refusals(lambda: check_card(hub, repo)),
        ]
        if repo.head is None and not found and (note := hub.without_auth_check(repo.repo)):
            notes.append(note)
    return replace(repo, obstacles=[*repo.obstacles, *found], notes=[*repo.notes, *notes])


def _refusals(ask: Callable[[], None]) -> list[Obstacle]:
    try:
        ask()
    except (DeniedError, RefusedError) as error:
        return [Obstacle(error.message, error.hint or "")]
    return []
