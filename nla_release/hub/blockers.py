"""Blockers: reasons on the Hub that prevent a push. Only reads from the Hub."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from nla_release.errors import InputError, printable
from nla_release.history.log import read_log
from nla_release.history.updates import UNCHANGED
from nla_release.hub.hand_written import HandWritten
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.remote_state import (
    LONG_DIGITS,
    SYMBOLS,
    FileChange,
    RemoteState,
    compare,
)
from nla_release.io.files import read_text
from nla_release.io.layout import HISTORY_FILE, MANIFEST_FILE, SIGNATURE_FILE
from nla_release.release.manifest import Manifest, title

IGNORE_FILE = ".gitignore"
ATTRIBUTES_FILE = ".gitattributes"

# The attributes that a Hub writes, and those for diffs and language statistics. With any other
# attribute a git checkout may differ from the committed bytes.
_SHOWS = r"(?:diff|merge|linguist-[a-z]+)"
_HARMLESS = re.compile(rf"filter=lfs|-text|-?{_SHOWS}|{_SHOWS}=[\w-]+", re.ASCII)
_GIT_BLANKS = re.compile(r"[ \t\r]+")
_SHOWN = 6


@dataclass(frozen=True)
class Blocker:
    """A reason that prevents a push, and what to do about it."""

    message: str
    hint: str


def other_bytes(repo: str, tag: str, files: list[FileChange]) -> Iterator[Blocker]:
    """A published version does not change."""
    changed = [file for file in files if file.change != "keep"]
    if changed:
        listing = ", ".join(f"{SYMBOLS[file.change]} {file.name}" for file in changed[:_SHOWN])
        yield Blocker(
            f"{repo}: tag {tag} is published with other bytes ({listing})",
            "tags are never moved; render and push under a new version",
        )


def nothing_to_add_to(
    hub: Hub, folder: Path, manifest: Manifest, state: RemoteState | None
) -> Iterator[Blocker]:
    """An evidence update needs the published version, with the same weights and sidecar."""
    original = state.tags.get(manifest.tag) if state else None
    if state is None or original is None:
        yield Blocker(
            f"{manifest.repo}: {manifest.tag} is not published, and {manifest.published_tag} is an"
            " evidence update of it",
            f"publish {manifest.tag} first, as rendered without the evidence update",
        )
        return
    published = state if original == state.head else hub.state(manifest.repo, original)
    changed = [
        f"{SYMBOLS[file.change]} {file.name}"
        for file in compare(folder, manifest, published)
        if file.name in UNCHANGED and file.change != "keep"
    ]
    if changed:
        yield Blocker(
            f"{manifest.repo}: {', '.join(changed)} would differ from published {manifest.tag}",
            "an evidence update cannot change these files; publish other weights as a new version",
        )


def lower_version(folder: Path, manifest: Manifest, tags: dict[str, str]) -> Iterator[Blocker]:
    """The version must not be lower than those in the repository's tags and in HISTORY.md."""
    log = read_log(read_text(folder / HISTORY_FILE))
    known = {*tags, *(entry.tag for entry in log if entry.tag)}
    newest = max((version for version in map(_version, known) if version), default=None)
    if newest is not None and Version(manifest.version) < newest:
        yield Blocker(
            f"{manifest.repo}: version {manifest.version} is lower than {newest}, the last one",
            "choose a higher version, or add --allow-lower if this is intended",
        )


def nothing_to_commit(
    hub: Hub, manifest: Manifest, state: RemoteState, files: list[FileChange]
) -> Iterator[Blocker]:
    """If main has the files of the release already, a push would make no commit of its own."""
    if any(file.change != "keep" for file in files):
        return
    repo, newest = manifest.repo, hub.commits(manifest.repo)[0]
    if newest.title == title(manifest.published_tag) and not newest.description.strip():
        yield Blocker(
            f"{repo}: the files of this release are on main already ({state.head[:12]}), by a"
            " commit without the release id: this Hub drops the descriptions of commits, and"
            " verify needs them",
            "publish to a Hub that keeps the descriptions of commits",
        )
        return
    yield Blocker(
        f"{repo}: the files of this release are on main already ({state.head[:12]}), by a commit"
        " that is not this release's, and verify needs one that is",
        f"delete {MANIFEST_FILE} there; the push then restores it in a commit of the release",
    )


def long_ids(repo: str, state: RemoteState) -> Iterator[Blocker]:
    """The client accepts only 40 digits for the parent of a commit."""
    if len(state.head) == LONG_DIGITS:
        yield Blocker(
            f"{repo}: commit ids of this Hub have {LONG_DIGITS} digits, and huggingface_hub accepts"
            " only 40 digits for the parent of a commit",
            "publish to a Hub with commit ids of 40 digits; reading and verifying work with both",
        )


def unfinished(
    repo: str, files: list[FileChange], earlier: Manifest | None, state: RemoteState
) -> Iterator[Blocker]:
    """A release that is committed and not tagged may belong to a push in progress."""
    if earlier is None or earlier.published_tag in state.tags:
        return
    if any(file.change != "keep" for file in files):
        yield Blocker(
            f"{repo}: main ({state.head[:12]}) holds another release, {earlier.published_tag},"
            " which has no tag yet: its push is in progress, or was not finished",
            "finish it from the folder in which it was rendered; if nobody will,"
            " --replace-unfinished replaces it by this release",
        )


def foreign_files(
    repo: str, files: list[FileChange], earlier: Manifest | None
) -> Iterator[Blocker]:
    """Only files of an earlier release may be removed."""
    removed = {file.name for file in files if file.change == "remove"}
    if earlier is not None:
        removed -= earlier.files.keys() | {SIGNATURE_FILE}
    if IGNORE_FILE in removed:
        yield Blocker(
            f"{repo} holds {IGNORE_FILE}, with which the Hub may leave files out of the release",
            f"remove {IGNORE_FILE} from the repository",
        )
        removed -= {IGNORE_FILE}
    if removed:
        names = printable(", ".join(sorted(removed)[:_SHOWN]))
        yield Blocker(
            f"{repo} holds files that belong to no release: {names}",
            "move them elsewhere first; after a push the repository is exactly the release",
        )


def altering_attributes(hub: Hub, repo: str, state: RemoteState) -> Iterator[Blocker]:
    """A repository's .gitattributes may change the files of a git clone."""
    if ATTRIBUTES_FILE not in state.server_files:
        return
    for line in hub.read(repo, ATTRIBUTES_FILE, state).removeprefix("\ufeff").split("\n"):
        pattern, *attributes = _GIT_BLANKS.sub(" ", line).strip(" ").split(" ")
        if not pattern.startswith("#") and not all(map(_HARMLESS.fullmatch, attributes)):
            yield Blocker(
                f"{repo}: the line {line.strip()!r} of {ATTRIBUTES_FILE} may alter the files of a"
                " git clone",
                f"remove the line from {ATTRIBUTES_FILE} in the repository",
            )


def shadowed_tags(manifest: Manifest, state: RemoteState) -> Iterator[Blocker]:
    """If a branch has the name of a tag, a Hub may serve either."""
    for name in sorted({manifest.tag, manifest.published_tag} & state.branches):
        yield Blocker(
            f"{manifest.repo} has a branch {name}, which users may get instead of the tag",
            f"delete the branch: `hf repos branch delete {manifest.repo} {name}`",
        )


def lost_history(
    hub: Hub, folder: Path, manifest: Manifest, state: RemoteState
) -> Iterator[Blocker]:
    """The published history must be continued, once there is a tag."""
    if state.tags and HISTORY_FILE in state.files:
        yield from other_history(hub, manifest.repo, state, folder)


def other_history(hub: Hub, repo: str, state: RemoteState, folder: Path) -> Iterator[Blocker]:
    """The published HISTORY.md must be a prefix of the new one."""
    try:
        published = hub.read(repo, HISTORY_FILE, state)
    except InputError as error:
        yield Blocker(
            f"{error.message} (at {state.head[:12]}), so its entries cannot be compared",
            "restore the file there as it was last published",
        )
        return
    if not (folder / HISTORY_FILE).read_bytes().startswith(published.encode()):
        yield Blocker(
            f"{repo}: the published {HISTORY_FILE} is not the beginning of {folder / HISTORY_FILE}",
            f"copy the {HISTORY_FILE} of {repo} next to release.yaml and render again",
        )


def edited_card(repo: str, head: str, card: HandWritten) -> Iterator[Blocker]:
    """User edits of the card on the Hub are not overwritten."""
    if card.unreadable:
        yield Blocker(
            f"{card.unreadable} (at {head[:12]}), so user edits cannot be detected",
            "replace it by a readable card; --overwrite-card discards it",
        )
    if card.edits:
        yield Blocker(
            f"{repo}: README.md on the Hub (at {head[:12]}) was edited in {card.edits} places that"
            " this push would overwrite",
            "move the text to your notes, or between `<!-- nla-release:keep NAME -->` comments"
            " there (docs/how-to/publish.md); --overwrite-card discards it",
        )


def other_visibility(
    repo: str, state: RemoteState | None, wanted: bool | None
) -> Iterator[Blocker]:
    """A push does not change the visibility of an existing repository."""
    if state is not None and wanted not in (None, state.private):
        is_, asked = ("private", "public") if state.private else ("public", "private")
        yield Blocker(
            f"{repo} exists and is {is_}, and --{asked} was asked for",
            "change it on the repository's settings page, or omit the option",
        )


def _version(tag: str) -> Version | None:
    """The version of a tag, without the `+cal.N` of an evidence update."""
    try:
        return Version(Version(tag.removeprefix("v")).public) if tag.startswith("v") else None
    except InvalidVersion:
        return None
