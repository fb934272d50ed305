"""Values out of foreign documents: where they stand, and what they can be read as.

PyYAML follows YAML 1.1 and JSON tools YAML 1.2, so one number reaches us in several spellings:
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

MAX_DEPTH = 64
MAX_INT = 2**63
MAX_COUNT = 2**31

_INTEGER = re.compile(r"^\+?\d[\d_]{0,18}$")
_RAW = ("raw", "none", "null")


class Missing(Enum):
    """The key is not there, which is not the same as null."""

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
    """Whether any of the places is there, be it null."""
    return any(dig(document, place) is not MISSING for place in places)


def resolved(scale: float | str | None, d_model: int) -> float | None:
    """A scale as a number: the sentinel `sqrt_d_model` is the square root of the width."""
    return math.sqrt(d_model) if isinstance(scale, str) else scale


def written(value: Any) -> str:
    """A value for people: text in quotes, anything else as YAML and JSON write it."""
    if isinstance(value, str):
        return repr(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def shown(value: Any) -> str:
    """A value for people, shortened."""
    text = written(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def plain(value: Any, where: str, depth: int = 0) -> Any:
    """The value as JSON and YAML can both carry it: dates become text, keys become text.

    Raises:
        SidecarError: bytes, sets, NaN, infinities, integers beyond 64 bits, or deep nesting.
    """
    if depth > MAX_DEPTH:
        raise SidecarError(f"{where} is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        return _plain_mapping(value, where, depth)
    if isinstance(value, list):
        return [plain(item, f"{where}[{at}]", depth + 1) for at, item in enumerate(value)]
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int) and abs(value) < MAX_INT:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise SidecarError(f"{where} holds {_kind(value)}, which a sidecar cannot carry")


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
    """A norm, `"sqrt_d_model"` as it stands, or None for the reference contract's raw spellings.

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


def _plain_mapping(value: dict[Any, Any], where: str, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in value.items():
        name = key if isinstance(key, str) else str(plain(key, f"{where}: a key", depth + 1))
        if name in found:
            raise SidecarError(f"{where} holds the key {name!r} twice, once as text")
        found[name] = plain(item, f"{where}.{name}", depth + 1)
    return found


def _kind(value: Any) -> str:
    """What PyYAML makes of YAML and JSON has no word for."""
    if isinstance(value, int):
        return "an integer of more than 64 bits"
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else "an infinite number"
    if isinstance(value, bytes):
        return "binary data"
    return "a set" if isinstance(value, set) else "a pair"
