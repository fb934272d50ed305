"""The card on a Hub against the one that a push left there: what people wrote into it since."""

from pathlib import Path

from nla_release.errors import InputError
from nla_release.hub.hand_written import HandWritten, hand_written
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.remote_state import RemoteState
from nla_release.io.files import sha256_bytes
from nla_release.release.manifest import FileRecord, Manifest
from nla_release.release.release_id import read_id

CARD_NAME = "README.md"


def drift(
    hub: Hub, repo: str, folder: Path, state: RemoteState, earlier: Manifest | None
) -> HandWritten:
    """What people wrote into the card on main since our last push made it.

    Args:
        hub: where the repository is.
        repo: its id.
        folder: the release, as rendered or staged.
        state: main, with a card.
        earlier: the release.json there, when it is one of ours.

    Raises:
        EnvironmentProblem: the Hub cannot be reached.
    """
    try:
        remote = hub.read(repo, CARD_NAME, state)
    except InputError as error:
        return HandWritten({}, unreadable=error.message)
    record = earlier.files.get(CARD_NAME) if earlier else None
    if record is None:
        return hand_written(_rendered(folder), remote, released=None)
    if sha256_bytes(remote.encode()) == record.sha256:
        return hand_written(_rendered(folder), remote, released=remote)
    return hand_written(_rendered(folder), remote, _released(hub, repo, state, record))


def parts_at(hub: Hub, repo: str, folder: Path, state: RemoteState) -> dict[str, str]:
    """The parts to be kept of a card that a push made, which the rendered one lacks.

    Raises:
        EnvironmentProblem: the Hub cannot be reached.
    """
    try:
        card = hub.read(repo, CARD_NAME, state)
    except InputError:  # a push leaves none that cannot be read: it is other bytes than ours
        return {}
    return hand_written(_rendered(folder), card, released=card).parts


def _released(hub: Hub, repo: str, state: RemoteState, record: FileRecord) -> str | None:
    """The card as our last push made it: of the newest commit that has it so."""
    for commit in hub.commits(repo):
        if read_id(commit.description) is not None or commit.id in state.tags.values():
            then = hub.state(repo, commit.id)
            if then is None or CARD_NAME not in then.files:
                continue
            try:
                card = hub.read(repo, CARD_NAME, then)
            except InputError:  # somebody's, under a tag of theirs
                continue
            if sha256_bytes(card.encode()) == record.sha256:
                return card
    return None


def _rendered(folder: Path) -> str:
    return (folder / CARD_NAME).read_bytes().decode()
