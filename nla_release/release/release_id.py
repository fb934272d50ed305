"""What a release's commits carry, so that a push can tell its own work from anybody else's.

The id is of both release.json files, and each of them lists every byte of its repository. It
stands in the commit's description together with the commit that the release was put on:

    NLA-Release-Id: 3f0c...
    NLA-Release-Parent: 7c1d...
"""

import hashlib
import re
from collections.abc import Iterable

from nla_release.release.manifest import Manifest, dump_manifest

_ID = re.compile(r"^NLA-Release-Id: ([0-9a-f]{64})\s*$", re.MULTILINE)
_PARENT = re.compile(r"^NLA-Release-Parent: ([0-9a-f]{40}|[0-9a-f]{64})\s*$", re.MULTILINE)


def release_id(manifests: Iterable[Manifest]) -> str:
    """The sha256 over both release.json files, AV first, in hex."""
    ordered = sorted(manifests, key=lambda manifest: manifest.role, reverse=True)
    return hashlib.sha256("".join(map(dump_manifest, ordered)).encode()).hexdigest()


def title(tag: str) -> str:
    """The title of the commit that a push puts a tag on."""
    return f"Release {tag}"


def trailers(identity: str, parent: str) -> str:
    """The description of a release's commit."""
    return f"NLA-Release-Id: {identity}\nNLA-Release-Parent: {parent}"


def read_id(description: str) -> str | None:
    """The release that a commit says it is of."""
    found = _ID.search(description)
    return found[1] if found else None


def read_parent(description: str) -> str | None:
    """The commit that a release's commit was meant to be put on."""
    found = _PARENT.search(description)
    return found[1] if found else None
