"""Addresses: of a Hub, and of files on it as users write them, `namespace/name@REVISION:FOLDER`."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from nla_release.errors import ConfigError

CANONICAL_ENDPOINT = "https://huggingface.co"
_HOST = re.compile(r"[\w.:-]+")
# `REVISION:PATH` as in git. Neither part can be a glob pattern or contain `..`.
_PLACE = re.compile(
    r"(?P<repo>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})"
    r"(?:@(?P<revision>\w[\w./+-]*))?(?::(?P<folder>\w[\w.-]*(?:/\w[\w.-]*)*))?",
    re.ASCII,
)


@dataclass(frozen=True)
class HubPlace:
    """A repository, with an optional revision and an optional folder in it."""

    repo: str
    revision: str | None = None
    folder: str | None = None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{self.repo}{revision}" + (f":{self.folder}" if self.folder else "")

    @property
    def inside(self) -> str:
        """The prefix of every path in the folder."""
        return f"{self.folder}/" if self.folder else ""


def read_place(text: str) -> HubPlace:
    """Parse a place that a user wrote.

    Raises:
        ConfigError: it is malformed; the user may have meant a local folder.
    """
    parts = _PLACE.fullmatch(text)
    if parts is None:
        raise ConfigError(
            f"{text} is neither a folder nor a Hub id",
            hint="a Hub id is namespace/name, optionally followed by @REVISION and :FOLDER",
        )
    return HubPlace(parts["repo"], parts["revision"], parts["folder"])


def checked_endpoint(address: str) -> str:
    """The address of a Hub. It must not contain a secret, because journal and plan show it.

    Raises:
        ConfigError: it is malformed, or contains credentials, a query or a fragment.
    """
    if not _is_address(address):
        raise ConfigError(
            "HF_ENDPOINT is not the address of a Hub",
            hint="use http:// or https://, a host and optionally a port, such as"
            f" {CANONICAL_ENDPOINT}; a token belongs in HF_TOKEN",
        )
    return address


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in {"http", "https"}
            and _HOST.fullmatch(parts.hostname or "") is not None
            and parts.port != 0
            and not any(mark in text for mark in "@?#")
        )
    except ValueError:  # a malformed port or IPv6 address
        return False
