"""Hand-written sections and other user edits of a card on the Hub.

The text between two invisible comments of a card belongs to those who edit it on the Hub:

    <!-- nla-release:keep thanks -->
    We thank everybody who lent us a GPU.
    <!-- nla-release:end-keep thanks -->

Such a section is merged into the rendered card before the push, so that release.json and the rules
cover the card as it is published. Any other edit is a blocker: nobody can know whether it may be
lost.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from nla_release.errors import InputError
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.remote_state import RemoteState
from nla_release.io.files import sha256_bytes, write_atomic
from nla_release.io.layout import CARD_FILE, MANIFEST_FILE, SIGNATURE_FILE
from nla_release.release.manifest import FileRecord, Manifest, dump_manifest, read_id

_COMMENT = re.compile(
    r"^<!-- nla-release:(?P<ends>end-)?keep (?P<name>[a-z][a-z0-9-]{0,39}) -->\r?$", re.MULTILINE
)


@dataclass(frozen=True)
class HandWritten:
    """What a card on the Hub contains and the rendered one does not.

    `sections` are those to merge, by name, with their comments. `edits` counts edited places
    outside of sections. `unreadable` is the reason why the card cannot be compared.
    """

    sections: dict[str, str]
    edits: int = 0
    unreadable: str | None = None


NO_EDITS = HandWritten({})


def hand_written_sections(card: str) -> dict[str, str]:
    """The hand-written sections of a card, by name; the last one if a name occurs twice."""
    return {name: card[place] for name, place in _places(card)}


def merged(card: str, sections: dict[str, str]) -> str:
    """The card with these sections, which replace those of the same name or are appended."""
    present = hand_written_sections(card)
    card = _rewritten(card, sections.get)
    missing = [text for name, text in sections.items() if name not in present]
    return "\n\n".join([card.rstrip("\n"), *missing]) + "\n" if missing else card


def hand_written(rendered: str, remote: str, released: str | None) -> HandWritten:
    """Compare the card on the Hub with the rendered and the last published one.

    Args:
        rendered: the card of this release.
        remote: the card on main.
        released: the card of the last push; None if there was none.
    """
    mine = hand_written_sections(rendered)
    theirs = hand_written_sections(remote)
    sections = {name: text for name, text in theirs.items() if mine.get(name) != text}
    if remote in (rendered, released):
        return HandWritten(sections)
    return HandWritten(sections, _edits(_generated(released or ""), _generated(remote)))


def _places(card: str) -> Iterator[tuple[str, slice]]:
    """The name and place of each section: from its comment to the next one that ends it.

    Linear in the number of comments, because a hostile card may have millions without an end.
    """
    ends: dict[str, re.Match[str]] = {}
    ended = []
    for comment in reversed(list(_COMMENT.finditer(card))):
        if comment["ends"]:
            ends[comment["name"]] = comment
        elif comment["name"] in ends:
            ended.append((comment, ends[comment["name"]]))
    last = -1
    for begin, end in reversed(ended):
        if begin.start() > last:  # a section inside another is part of its text
            last = end.end()
            yield begin["name"], slice(begin.start(), last)


def _rewritten(card: str, give: Callable[[str, str], str]) -> str:
    """The card with each section replaced by `give(name, text)`."""
    pieces, last = [], 0
    for name, place in _places(card):
        pieces += [card[last : place.start], give(name, card[place])]
        last = place.stop
    return "".join([*pieces, card[last:]])


def _generated(card: str) -> list[str]:
    """The lines of a card outside of sections, without empty lines."""
    rest = _rewritten(card, lambda _name, _text: "")
    return [line.rstrip() for line in rest.splitlines() if line.strip()]


def _edits(old: list[str], new: list[str]) -> int:
    opcodes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return sum(kind != "equal" for kind, *_ in opcodes)


def user_edits(
    hub: Hub, repo: str, folder: Path, state: RemoteState, earlier: Manifest | None
) -> HandWritten:
    """User edits of the card on main since the last push.

    Args:
        hub: where the repository is.
        repo: its id.
        folder: the rendered or staged release.
        state: main, with a card.
        earlier: the release.json there, if it is a release.
    """
    try:
        remote = hub.read(repo, CARD_FILE, state)
    except InputError as error:
        return HandWritten({}, unreadable=error.message)
    record = earlier.files.get(CARD_FILE) if earlier else None
    if record is None:
        return hand_written(_rendered(folder), remote, released=None)
    if sha256_bytes(remote.encode()) == record.sha256:
        return hand_written(_rendered(folder), remote, released=remote)
    return hand_written(_rendered(folder), remote, _card_of_last_push(hub, repo, state, record))


def sections_at(hub: Hub, repo: str, folder: Path, state: RemoteState) -> dict[str, str]:
    """The sections of a published card that the rendered one lacks."""
    try:
        card = hub.read(repo, CARD_FILE, state)
    except InputError:  # not the card of a push
        return {}
    return hand_written(_rendered(folder), card, released=card).sections


def _card_of_last_push(hub: Hub, repo: str, state: RemoteState, record: FileRecord) -> str | None:
    """The card of the last push, from the newest commit that contains it."""
    for commit in hub.commits(repo):
        if read_id(commit.description) is not None or commit.id in state.tags.values():
            then = hub.state(repo, commit.id)
            if then is None or CARD_FILE not in then.files:
                continue
            try:
                card = hub.read(repo, CARD_FILE, then)
            except InputError:  # another card, under somebody else's tag
                continue
            if sha256_bytes(card.encode()) == record.sha256:
                return card
    return None


def _rendered(folder: Path) -> str:
    return (folder / CARD_FILE).read_bytes().decode()


def merge_sections(folder: Path, manifest: Manifest, sections: dict[str, str]) -> None:
    """Write hand-written sections into a rendered card and its entry in release.json.

    Raises:
        EnvironmentProblem: the files cannot be written.
    """
    card = merged(_rendered(folder), sections).encode()
    record = FileRecord(sha256=sha256_bytes(card), size=len(card))
    files = {**manifest.files, CARD_FILE: record}
    write_atomic(folder / CARD_FILE, card)
    (folder / SIGNATURE_FILE).unlink(missing_ok=True)  # it signs the earlier release.json
    write_atomic(
        folder / MANIFEST_FILE, dump_manifest(manifest.model_copy(update={"files": files}))
    )
