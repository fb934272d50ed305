"""The commit of a branch, tag or short id of a base or dataset, determined before it is read.

Branches and tags can move, so the commit is recorded. `transformers` and `datasets` do not report
which commit they loaded: it is resolved first, and then loaded.
"""

import re
from pathlib import Path
from typing import Literal, Unpack

from nla_release.base_model.source import CONFIG, HubOptions, is_commit
from nla_release.errors import ConfigError, EnvironmentProblem, InputError, NlaReleaseError
from nla_release.io.files import read_text

_SHORT = re.compile(r"[0-9a-f]{7,39}")
# Written by `hf download --local-dir` about a file: the first line is the commit.
_DOWNLOADED = Path(".cache", "huggingface", "download", f"{CONFIG}.metadata")
# The file that is requested, and its kind of repository; the answer names the commit.
_ASKED = {"base": (CONFIG, "model"), "dataset": (".gitattributes", "dataset")}


def resolve_commit(
    repo: str,
    revision: str | None,
    kind: Literal["base", "dataset"] = "base",
    **options: Unpack[HubOptions],
) -> str:
    """The full commit id that the Hub has for a revision of a base or dataset.

    Without a network it is the one that the Hub client's cache recorded for it.

    Args:
        repo: Hub id.
        revision: branch, tag, short or full commit id; None for the default branch.
        kind: what the repository holds.
        options: of the download.

    Raises:
        ConfigError: there is no such revision, or `repo` is no repository id.
        EnvironmentProblem: neither the Hub nor the cache names a commit.
    """
    if revision is not None and is_commit(revision):
        return revision
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RemoteEntryNotFoundError, RevisionNotFoundError

    from nla_release.hub_client.client import reading_client
    from nla_release.hub_client.client_errors import translated

    reading_client()
    named = f"revision {revision!r}" if revision else "the default branch"
    name, repo_type = _ASKED[kind]
    try:
        with translated(repo):
            try:
                file = hf_hub_download(
                    repo, name, revision=revision, repo_type=repo_type, **options
                )
                found = Path(file).parent.name
            except RemoteEntryNotFoundError as error:
                found = error.response.headers.get("x-repo-commit", "")
    except NlaReleaseError as error:
        if isinstance(error.__cause__, RevisionNotFoundError):
            raise ConfigError(
                f"{kind} {repo} has no {named}",
                hint="name a branch, a tag or a commit of the repository",
            ) from error
        raise type(error)(
            f"the commit of {named} of {kind} {repo} is not known: {error.message}",
            hint="check the id, HF_ENDPOINT and HF_HUB_OFFLINE, log in if it is gated, or name the"
            " full commit (40 characters)",
        ) from error
    if not is_commit(found):
        raise EnvironmentProblem(
            f"the Hub names no commit for {named} of {kind} {repo}",
            hint="name the full commit (40 characters)",
        )
    return found


def folder_commit(folder: Path, revision: str) -> str:
    """The full commit id of a local copy of a base.

    A full commit is returned as it is. For any other revision, the folder must record its commit: a
    snapshot in the Hub client's cache does in its name, a download in the client's metadata.

    Raises:
        ConfigError: the commit is not recorded, or does not match the short id.
    """
    if is_commit(revision):
        return revision
    found = _recorded(folder)
    if found is None:
        raise ConfigError(
            f"revision {revision!r} of the base is not a commit, and {folder} does not record"
            " which commit it is a copy of",
            hint="name the full commit (40 characters) that the folder is a copy of",
        )
    if _SHORT.fullmatch(revision) and not found.startswith(revision):
        raise ConfigError(
            f"the base in {folder} is a copy of commit {found}, not of {revision}",
            hint="name the commit of the copy, or copy the base again",
        )
    return found


def check_source(source: str) -> None:
    """Refuse a path at which there is no folder; a Hub id passes.

    Raises:
        ConfigError: `source` can only be a path, and is not the path of a folder.
    """
    path = Path(source)
    is_path = path.is_absolute() or source.startswith((".", "~")) or len(path.parts) > 2
    if is_path and not path.is_dir():
        what = "is a file, not the folder of a base" if path.exists() else "does not exist"
        raise ConfigError(
            f"the local copy of the base, {source}, {what}",
            hint="correct the path, or leave it out to load the base from the Hub",
        )


def _recorded(folder: Path) -> str | None:
    if folder.parent.name == "snapshots" and is_commit(folder.name):
        return folder.name
    try:
        first, *_ = read_text(folder / _DOWNLOADED).split("\n", 1)
    except InputError:
        return None
    return first if is_commit(first) else None
