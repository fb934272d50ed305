"""Keep the published HISTORY.md next to release.yaml; the next version appends to it."""

import shlex

from nla_release.errors import EnvironmentProblem, InputError, NlaReleaseError
from nla_release.history.log import read_history
from nla_release.io.files import write_atomic
from nla_release.io.log import log
from nla_release.release.folder import Release, read_release


def keep_history(release: Release, published: str, repo: str) -> None:
    """Keep the log as it was published, unless the local one already continues it.

    Args:
        release: the log is next to its release.yaml.
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
        log.warning(
            f"HISTORY.md mismatch: {release.history} is not a prefix of the log of {repo}, and"
            " was not changed; replace it with the published one before the next version"
        )
        return
    try:
        write_atomic(release.history, published)
    except EnvironmentProblem as error:
        raise EnvironmentProblem(
            f"both repositories are published, but {error.message}",
            hint=f"copy HISTORY.md of {repo} next to release.yaml; the next version appends to it",
        ) from error


def note_older_copies(release: Release, published: str) -> None:
    """Name the folders of other versions whose log lacks the published entries, with a command.

    They are next to the release's folder, or named by its `previous`, and have the same name.
    """
    own = release.folder.resolve()
    folders = {path.parent for path in own.parent.glob("*/release.yaml")}
    if release.previous:
        folders.add(release.previous.resolve())
    for folder in sorted(folders - {own}):
        try:
            other = read_release(folder)
            kept = read_history(other.history) or ""
        except NlaReleaseError:
            continue
        is_same = (other.config.namespace, other.config.name) == (
            release.config.namespace,
            release.config.name,
        )
        if is_same and published != kept and published.startswith(kept):
            command = f"cp {shlex.quote(str(release.history))} {shlex.quote(str(other.history))}"
            log.note(
                f"{other.history} lacks the entry: run `{command}`, then render its unpublished"
                " version again"
            )
