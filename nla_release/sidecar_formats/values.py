"""Values in other projects' documents: how they are found and parsed.

PyYAML follows YAML 1.1 and JSON tools YAML 1.2, so one number occurs in several spellings:
`120_000_000` is a number in the one and text in the other, `1e-05` without a dot is text in PyYAML.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import date
from enum import Enum
from typing import Any

from nla_release.errors import InputError, SidecarError
from nla_release.io.documents import parse_json

MAX_INT = 2**63
MAX_COUNT = 2**31

_INTEGER = re.compile(r"^\+?\d[\d_]{0,18}$")
_RAW = ("raw", "none", "null")


class Missing(Enum):
    """The key is absent, which differs from null."""

    MISSING = "missing"


MISSING = Missing.MISSING


def dig(document: Mapping[str, Any], place: str) -> Any:
    """The value at a dotted place such as `extraction.d_model`, or MISSING."""
    value: Any = document
    for key in place.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return MISSING
        value = value[key]
    return value


def has(document: Mapping[str, Any], *places: str) -> bool:
    """Whether any of the places exists, even if it is null."""
    return any(dig(document, place) is not MISSING for place in places)


def resolved(scale: float | str | None, d_model: int) -> float | None:
    """A scale as a number; `sqrt_d_model` means the square root of the width."""
    return math.sqrt(d_model) if isinstance(scale, str) else scale


def written(value: Any) -> str:
    """A value for messages: text in quotes, anything else as JSON."""
    if isinstance(value, str):
        return repr(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def shown(value: Any) -> str:
    """A value for messages, shortened."""
    text = written(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def plain(value: Any, where: str) -> Any:
    """A parsed value as both JSON and YAML can carry it: dates and keys become text.

    Raises:
        SidecarError: bytes, a set, a pair, an integer above 2^63 - 1, or a key that appears twice.
    """
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for key, item in value.items():
            name = key if isinstance(key, str) else str(plain(key, f"{where}: a key"))
            if name in found:
                raise SidecarError(f"{where} holds the key {name!r} twice, once as text")
            found[name] = plain(item, f"{where}.{name}")
        return found
    if isinstance(value, list):
        return [plain(item, f"{where}[{at}]") for at, item in enumerate(value)]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int) and value >= MAX_INT:
        raise SidecarError(f"{where} holds an integer above 2^63 - 1")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    kind = "binary data" if isinstance(value, bytes) else "a set or pair"
    raise SidecarError(f"{where} holds {kind}, which a sidecar cannot carry")


def count(value: Any) -> int:
    """An integer of at least 0, within what tokenizers and safetensors count with.

    Raises:
        ValueError: it is not one.
    """
    if isinstance(value, str) and _INTEGER.match(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_COUNT:
        return value
    raise ValueError(f"{shown(value)} is not a count")


def size(value: Any) -> int:
    """An integer of at least 1.

    Raises:
        ValueError: it is not one.
    """
    if (found := count(value)) == 0:
        raise ValueError("0 is not a size")
    return found


def norm(value: Any) -> float:
    """A finite L2 norm above 0, as a number or as numeric text.

    Raises:
        ValueError: it is not one.
    """
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            found = float(value)
        except (ValueError, OverflowError):
            found = math.nan
        if math.isfinite(found) and found > 0:
            return found
    raise ValueError(f"{shown(value)} is not a norm above 0")


def scale(value: Any) -> float | str | None:
    """A norm, `"sqrt_d_model"` unchanged, or None for the reference contract's raw spellings.

    Raises:
        ValueError: it is none of these.
    """
    if value is None or value in _RAW:
        return None
    return "sqrt_d_model" if value == "sqrt_d_model" else norm(value)


def text(value: Any) -> str:
    """Text that is not empty.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(value, str) and value:
        return value
    quoting = "; write it in quotes" if isinstance(value, bool | int | float) else ""
    raise ValueError(f"{shown(value)} is not text{quoting}")


def _matching(pattern: str, what: str) -> Callable[[Any], str]:
    """A parser of text in the form of a pattern; of anything else, a ValueError says what it is."""

    def parse(value: Any) -> str:
        if isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII):
            return value
        raise ValueError(f"{shown(value)} is not {what}")

    return parse


# A path on the trainer's machine is no id, and a branch, which moves, is no commit.
hub_id = _matching(
    r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", "a Hub id such as google/gemma-4-E2B"
)
commit = _matching(r"[0-9a-f]{7,40}", "a commit hash")
sha256 = _matching(r"[0-9a-f]{64}", "a sha256")


def ids(value: Any) -> list[int]:
    """Token ids: a list, or text such as `[2, 40, 41]`.

    Raises:
        ValueError: it is not a list of ids.
    """
    if isinstance(value, str):
        value = value.strip().strip("[]").replace(",", " ").split()
    if isinstance(value, list) and value:
        return [count(item) for item in value]
    raise ValueError(f"{shown(value)} is not a list of token ids")


def options(value: Any) -> dict[str, bool | int | str]:
    """Names with values, as a mapping or as JSON such as `{"enable_thinking": false}`.

    Raises:
        ValueError: it is not that.
    """
    if isinstance(value, str):
        try:
            value = parse_json(value, "a text of options")
        except InputError as error:
            raise ValueError(error.message) from error
    if isinstance(value, dict) and all(
        isinstance(item, bool | int | str) for item in value.values()
    ):
        return value
    raise ValueError(f"{shown(value)} is not a mapping of names to plain values")
