"""A release as it was found on a Hub: two repositories at commits, and what they say there."""

from dataclasses import dataclass

from nla_release.adapter.weights import ADAPTER_FILE_NAME
from nla_release.gate.adapter import Adapter
from nla_release.history.log import Entry
from nla_release.hub_client.remote_state import RemoteCommit, RemoteState
from nla_release.release.manifest import Manifest
from nla_release.release.release_id import read_id
from nla_release.release.signature import Publisher


@dataclass(frozen=True)
class Log:
    """HISTORY.md on main, which may tell more by now than that of a tag.

    `trouble` is what is wrong with it, as the end of a sentence.
    """

    entries: tuple[Entry, ...] = ()
    trouble: str | None = None


@dataclass(frozen=True)
class Tagged:
    """A repository at a commit, and what it says of itself there.

    `earlier` are the commits before it, newest first. `manifest` is None without a sound
    release.json. `alterations` say how git would give people other bytes than the Hub does.
    `released` are the bytes of release.json and `signature` those over it, where they can be read.
    """

    repo: str
    commit: RemoteCommit
    earlier: tuple[RemoteCommit, ...]
    state: RemoteState
    manifest: Manifest | None
    alterations: tuple[str, ...]
    log: Log
    released: bytes | None = None
    signature: bytes | None = None

    @property
    def release_id(self) -> str | None:
        """What the commit's description carries."""
        return read_id(self.commit.description)

    @property
    def adapter_sha256(self) -> str | None:
        """What the Hub says of the weights' bytes."""
        weights = self.state.files.get(ADAPTER_FILE_NAME)
        return weights.sha256 if weights else None


@dataclass(frozen=True)
class Published:
    """A downloaded repository, and its partner as far as the Hub shows it.

    `partner` is None when its release.json names none that is there. `expected` is the release id
    that somebody who verifies knows from elsewhere, and `publisher` whose signature they demand.
    """

    adapter: Adapter
    here: Tagged
    partner: Tagged | None
    expected: str | None
    publisher: Publisher | None = None
