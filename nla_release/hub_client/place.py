"""Places on the Hub as people write them, `namespace/name@REVISION:FOLDER`, and what lies there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nla_release.errors import ConfigError, EnvironmentProblem, NlaReleaseError, RefusedError

# As git writes a path in a revision, `REVISION:PATH`. Neither part can be a pattern or lead up.
_PLACE = re.compile(
    r"(?P<repo>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})"
    r"(?:@(?P<revision>\w[\w./+-]*))?(?::(?P<folder>\w[\w.-]*(?:/\w[\w.-]*)*))?",
    re.ASCII,
)
_SECONDS = 20


@dataclass(frozen=True)
class Place:
    """A repository, at a revision if one is named, and a folder in it."""

    repo: str
    revision: str | None = None
    folder: str | None = None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{self.repo}{revision}" + (f":{self.folder}" if self.folder else "")

    @property
    def inside(self) -> str:
        """What every path in the folder begins with."""
        return f"{self.folder}/" if self.folder else ""


def read_place(text: str) -> Place:
    """A place as somebody wrote it, who may have meant a folder on this machine.

    Raises:
        ConfigError: it is not one.
    """
    parts = _PLACE.fullmatch(text)
    if parts is None:
        raise ConfigError(
            f"{text} is neither a folder nor a Hub id",
            hint="a Hub id is namespace/name, and may go on with @REVISION and :FOLDER",
        )
    return Place(parts["repo"], parts["revision"], parts["folder"])


def download(place: Place, names: Sequence[str], target: Path) -> Place:
    """Bring files of a place into an empty folder, under their paths in the repository.

    Args:
        place: where they are.
        names: patterns of paths in the place's folder; no others are downloaded.
        target: the folder.

    Returns:
        The place, at the commit that its revision was found to be.

    Raises:
        ConfigError: the client refuses the id.
        EnvironmentProblem: the Hub cannot be reached, or has no such repository or revision.
    """
    from huggingface_hub import HfApi, snapshot_download

    from nla_release.hub_client.answers import commit_id
    from nla_release.hub_client.client import reading_client
    from nla_release.hub_client.client_errors import translated

    reading_client()
    repo, patterns = place.repo, [f"{place.inside}{name}" for name in names]
    try:
        with translated(repo):
            info = HfApi().model_info(repo, revision=place.revision, timeout=_SECONDS)
            commit = commit_id(info.sha)
            snapshot_download(repo, revision=commit, allow_patterns=patterns, local_dir=target)
    except ConfigError as error:
        raise ConfigError(f"{repo} is neither a folder nor a Hub id{_why(repo, error)}") from error
    except (EnvironmentProblem, RefusedError) as error:
        raise EnvironmentProblem(
            f"{repo} is no folder here and cannot be fetched from the Hub{_why(repo, error)}",
            hint="check the path or the id, the revision, the network and HF_TOKEN",
        ) from error
    return replace(place, revision=commit)


def _why(repo: str, error: NlaReleaseError) -> str:
    """What is wrong, for a sentence that has named the repository already."""
    return f": {error.message.removeprefix(repo).lstrip(': ')}"
