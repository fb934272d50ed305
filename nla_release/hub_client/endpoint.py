"""Which Hub: the one of huggingface.co, or the server that HF_ENDPOINT names."""

import re
from urllib.parse import urlsplit

from nla_release.errors import ConfigError

CANONICAL_ENDPOINT = "https://huggingface.co"

_HOST = re.compile(r"[\w.:-]+")


def checked_endpoint(address: str) -> str:
    """The address of a Hub, which holds no secret: journal and plan tell it.

    Raises:
        ConfigError: it is none, or holds more than that.
    """
    if not _is_address(address):
        raise ConfigError(
            "HF_ENDPOINT is not the address of a Hub",
            hint="it is http:// or https://, a host and perhaps a port, such as"
            f" {CANONICAL_ENDPOINT}; a password or token does not belong there but in HF_TOKEN",
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
    except ValueError:  # no number for a port, half a bracket
        return False
