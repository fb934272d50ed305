"""Why a push would be refused, from what is on the Hub: reads only, and each reason in full."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from nla_release.errors import InputError, printable
from nla_release.history.addenda import UNCHANGED
from nla_release.history.log import read_log
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
from nla_release.release.folder import HISTORY_FILE_NAME
from nla_release.release.manifest import FILE_NAME, SIGNATURE_FILE_NAME, Manifest
from nla_release.release.release_id import title

IGNORE_FILE = ".gitignore"
ATTRIBUTES_FILE = ".gitattributes"

# What a Hub writes, and what is about showing changes and counting languages. By any other
# attribute git may give people other bytes than were committed; patterns and macros hide whose.
_SHOWS = r"(?:diff|merge|linguist-[a-z]+)"
_HARMLESS = re.compile(rf"filter=lfs|-text|-?{_SHOWS}|{_SHOWS}=[\w-]+", re.ASCII)
_GIT_BLANKS = re.compile(r"[ \t\r]+")
_SHOWN = 6


@dataclass(frozen=True)
class Blocker:
    """One reason, and what to do about it."""

    message: str
    hint: str


def other_bytes(repo: str, tag: str, files: list[FileChange]) -> Iterator[Blocker]:
    """A published version stays as it is."""
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
    """An addendum is to a version that is published, and to its very weights and sidecar."""
    original = state.tags.get(manifest.tag) if state else None
    if state is None or original is None:
        yield Blocker(
            f"{manifest.repo}: {manifest.tag} is not published, and {manifest.published_tag} is an"
            " addendum to it",
            f"publish {manifest.tag} first, as it was rendered without the addendum",
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
            f"{manifest.repo}: {', '.join(changed)} would not be as {manifest.tag} is published",
            "an addendum leaves these files as they are; other weights are another version",
        )


def lower_version(folder: Path, manifest: Manifest, tags: dict[str, str]) -> Iterator[Blocker]:
    """Versions go up, as far as the repository's tags and the release's own history know them."""
    log = read_log(read_text(folder / HISTORY_FILE_NAME))
    known = {*tags, *(entry.tag for entry in log if entry.tag)}
    newest = max((version for version in map(_version, known) if version), default=None)
    if newest is not None and Version(manifest.version) < newest:
        yield Blocker(
            f"{manifest.repo}: version {manifest.version} is lower than {newest}, the last one",
            "give a higher version, or --allow-lower if this is what you want",
        )


def nothing_to_commit(
    hub: Hub, manifest: Manifest, state: RemoteState, files: list[FileChange]
) -> Iterator[Blocker]:
    """A release whose files are there already has no commit of its own, and would get none."""
    if any(file.change != "keep" for file in files):
        return
    repo, newest = manifest.repo, hub.commits(manifest.repo)[0]
    if newest.title == title(manifest.published_tag) and not newest.description.strip():
        yield Blocker(
            f"{repo}: the files of this release are on main already ({state.head[:12]}), by a"
            " commit without the release id: this Hub drops the descriptions of commits, and"
            " verify knows a release by them",
            "publish to a Hub that keeps the descriptions of commits",
        )
        return
    yield Blocker(
        f"{repo}: the files of this release are on main already ({state.head[:12]}), by a commit"
        " that is not this release's, and verify asks for one that is",
        f"delete {FILE_NAME} there; the push then puts it back by a commit of the release",
    )


def long_ids(repo: str, state: RemoteState) -> Iterator[Blocker]:
    """The client names no commit of another length as the parent of a new one."""
    if len(state.head) == LONG_DIGITS:
        yield Blocker(
            f"{repo}: commit ids of this Hub have {LONG_DIGITS} digits, and huggingface_hub commits"
            " on top of ids of 40 digits only",
            "publish to a Hub with commit ids of 40 digits; reading and verifying work with both",
        )


def unfinished(
    repo: str, files: list[FileChange], earlier: Manifest | None, state: RemoteState
) -> Iterator[Blocker]:
    """A release that is committed and not tagged may be of a push that is under way."""
    if earlier is None or earlier.published_tag in state.tags:
        return
    if any(file.change != "keep" for file in files):
        yield Blocker(
            f"{repo}: main ({state.head[:12]}) holds another release, {earlier.published_tag},"
            " which has no tag yet: a push of it is under way, or was not finished",
            "finish it from the folder that it was rendered in; if nobody will,"
            " --replace-unfinished puts this release over it",
        )


def foreign_files(
    repo: str, files: list[FileChange], earlier: Manifest | None
) -> Iterator[Blocker]:
    """Only what an earlier release put there may be removed."""
    removed = {file.name for file in files if file.change == "remove"}
    if earlier is not None:
        removed -= earlier.files.keys() | {SIGNATURE_FILE_NAME}
    if IGNORE_FILE in removed:
        yield Blocker(
            f"{repo} holds {IGNORE_FILE}, by which the Hub may leave files out of the release",
            f"remove {IGNORE_FILE} from the repository",
        )
        removed -= {IGNORE_FILE}
    if removed:
        names = printable(", ".join(sorted(removed)[:_SHOWN]))
        yield Blocker(
            f"{repo} holds files that are no release's: {names}",
            "move them elsewhere first; a push makes the repository exactly the release",
        )


def altering_attributes(hub: Hub, repo: str, state: RemoteState) -> Iterator[Blocker]:
    """A repository's .gitattributes may change what people get who clone it."""
    if ATTRIBUTES_FILE not in state.server_files:
        return
    for line in hub.read(repo, ATTRIBUTES_FILE, state).removeprefix("\ufeff").split("\n"):
        pattern, *attributes = _GIT_BLANKS.sub(" ", line).strip(" ").split(" ")
        if not pattern.startswith("#") and not all(map(_HARMLESS.fullmatch, attributes)):
            yield Blocker(
                f"{repo}: the line {line.strip()!r} of {ATTRIBUTES_FILE} may alter files for"
                " whoever clones the repository",
                f"remove the line from {ATTRIBUTES_FILE} in the repository",
            )


def shadowed_tags(manifest: Manifest, state: RemoteState) -> Iterator[Blocker]:
    """A branch may have a tag's name, and nobody knows which of them a Hub gives to readers."""
    for name in sorted({manifest.tag, manifest.published_tag} & state.branches):
        yield Blocker(
            f"{manifest.repo} has a branch {name}, which readers may get instead of the tag",
            f"delete the branch: `hf repos branch delete {manifest.repo} {name}`",
        )


def lost_history(
    hub: Hub, folder: Path, manifest: Manifest, state: RemoteState
) -> Iterator[Blocker]:
    """What a tagged release said in its history stays."""
    if state.tags and HISTORY_FILE_NAME in state.files:
        yield from other_history(hub, manifest.repo, state, folder)


def other_history(hub: Hub, repo: str, state: RemoteState, folder: Path) -> Iterator[Blocker]:
    """HISTORY.md is only ever appended to."""
    try:
        published = hub.read(repo, HISTORY_FILE_NAME, state)
    except InputError as error:
        yield Blocker(
            f"{error.message} (at {state.head[:12]}), so what was published in it cannot be seen",
            "put it back there as it was last published",
        )
        return
    if not (folder / HISTORY_FILE_NAME).read_bytes().startswith(published.encode()):
        yield Blocker(
            f"{repo}: the published {HISTORY_FILE_NAME} is not the beginning of"
            f" {folder / HISTORY_FILE_NAME}",
            f"put the {HISTORY_FILE_NAME} that {repo} has beside release.yaml and render again",
        )


def edited_card(repo: str, head: str, card: HandWritten) -> Iterator[Blocker]:
    """What somebody wrote into the card on the Hub is not ours to overwrite."""
    if card.unreadable:
        yield Blocker(
            f"{card.unreadable} (at {head[:12]}), so what somebody wrote there cannot be seen",
            "put a card there that can be read; --overwrite-card drops the one that is there",
        )
    if card.edits:
        yield Blocker(
            f"{repo}: README.md on the Hub (at {head[:12]}) was edited in {card.edits} places that"
            " this push would overwrite",
            "put the text into your notes, or between `<!-- nla-release:keep NAME -->` comments"
            " there (docs/how-to/publish.md); --overwrite-card drops it",
        )


def other_visibility(
    repo: str, state: RemoteState | None, wanted: bool | None
) -> Iterator[Blocker]:
    """A repository that exists keeps its visibility, and nobody publishes by mistake."""
    if state is not None and wanted not in (None, state.private):
        is_, asked = ("private", "public") if state.private else ("public", "private")
        yield Blocker(
            f"{repo} exists and is {is_}, and --{asked} was asked for",
            "change it on the repository's settings page, or leave the option out",
        )


def _version(tag: str) -> Version | None:
    """A tag's version, without what a version of addenda has after its `+`."""
    try:
        return Version(Version(tag.removeprefix("v")).public) if tag.startswith("v") else None
    except InvalidVersion:
        return None
