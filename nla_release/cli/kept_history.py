"""HISTORY.md beside release.yaml after something was published: the next version appends to it."""

from nla_release.cards.history import read_history
from nla_release.cli.edge import say
from nla_release.errors import EnvironmentProblem, InputError
from nla_release.files import write_atomic
from nla_release.release import Release


def keep_history(release: Release, published: str, repo: str) -> None:
    """Keep the log as it was published, unless the one that lies there goes on from it.

    Args:
        release: beside whose release.yaml it lies.
        published: HISTORY.md of what was published now.
        repo: where.

    Raises:
        EnvironmentProblem: it cannot be written; what was published is public all the same.
    """
    try:
        kept = read_history(release.history)
    except InputError:
        kept = None
    if kept is not None and kept.startswith(published):
        return
    if kept is not None and not published.startswith(kept):
        say(
            f"warning: {release.history} is not the beginning of the log that {repo} has, and was"
            " left as it is; put the published one in its place before the next version"
        )
        return
    try:
        write_atomic(release.history, published)
    except EnvironmentProblem as error:
        raise EnvironmentProblem(
            f"both repositories are published, but {error.message}",
            hint=f"copy HISTORY.md of {repo} beside release.yaml; the next version appends to it",
        ) from error
