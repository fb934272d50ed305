"""Parse untrusted JSON and YAML at a bounded cost.

Every such text is parsed here: files of a pair, logs, headers of weights, front matter, answers
of a Hub. Duplicate keys are refused, because readers disagree on which one counts. So are nesting
too deep for a recursive reader, too many values for memory, numbers that overflow, and text that
cannot be encoded.
"""

import json
import math
import re
from itertools import accumulate
from pathlib import Path
from typing import Any, NoReturn

import yaml

try:  # libyaml's parser, which PyYAML's wheels have: ten times as fast as the one in Python
    from yaml import CSafeLoader as _SafeLoader
except ImportError:
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

from nla_release.errors import InputError, NlaReleaseError, one_line

# The largest known sidecar is under 20 kB, and PyYAML needs half a minute for a megabyte.
MAX_YAML_BYTES = 64 * 1024
# Hand-written files have five levels. A recursive reader in Python fails at about 300.
MAX_DEPTH = 50
# The header of 40 000 tensors holds 320 000 values; a value takes up to 100 bytes of memory.
MAX_VALUES = 2_000_000
# The range of signed and unsigned 64-bit integers. Larger ones overflow in numpy and Rust.
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1

_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}
_BETWEEN_BRACKETS = re.compile(r"[^\[\]{}]+")


def parse_json(
    text: str | bytes,
    where: str | Path,
    *,
    error: type[NlaReleaseError] = InputError,
    hint: str | None = None,
    any_integer: bool = False,
) -> Any:
    """The value that a JSON text holds.

    Args:
        text: the JSON; bytes are UTF-8. The caller bounds its length.
        where: its source, for messages.
        error: the class of the exception.
        hint: for that error.
        any_integer: read integers beyond 64 bits too. tokenizer_config.json may hold 1e30, written
            out.

    Raises:
        NlaReleaseError: of the class `error`: not JSON, or beyond the bounds of this module.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode()
        _check_size(text)
        document = json.loads(
            text,
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=int if any_integer else _bounded,
        )
        if "\\u" in text:  # an escape may be half of a character, which cannot be written again
            json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as problem:
        raise error(
            f"{where} is not valid JSON: it holds half of a surrogate pair", hint=hint
        ) from problem
    except json.JSONDecodeError as problem:
        # A line of a JSONL file is named by its caller.
        line = f"line {problem.lineno}, " if "\n" in text else ""
        raise error(
            f"{where} is not valid JSON: {problem.msg} ({line}column {problem.colno})", hint=hint
        ) from problem
    except (ValueError, RecursionError) as problem:
        raise error(f"{where} is not valid JSON: {one_line(problem)}", hint=hint) from problem
    return document


def parse_yaml(
    text: str, where: str | Path, *, error: type[NlaReleaseError] = InputError
) -> dict[str, Any]:
    """The mapping that a YAML text holds, read with the safe loader.

    Args:
        text: the YAML, of at most `MAX_YAML_BYTES` characters.
        where: its source, for messages.
        error: the class of the exception.

    Raises:
        NlaReleaseError: of the class `error`: not YAML, not a mapping, with an alias (a few lines
            of them expand without bound), or beyond the bounds of this module.
    """
    document = parse_any_yaml(text, where, error=error)
    if not isinstance(document, dict):
        raise error(f"{where} must hold a YAML mapping, found {_kind(document)}")
    return document


def parse_any_yaml(
    text: str, where: str | Path, *, error: type[NlaReleaseError] = InputError
) -> Any:
    """As `parse_yaml`, for a text that may hold something other than a mapping."""
    try:
        _refuse_traps(text)
        document = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader subclass
        _check_numbers(document)
    # For wrong tags, dates and numbers, the library raises what int() and dict raise.
    except (
        yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError,
        RecursionError,
    ) as problem:  # fmt: skip
        said = one_line(problem).replace(' in "<unicode string>", line', " in line")
        raise error(f"{where} is not valid YAML: {said}") from problem
    return document


def yaml_nodes(text: str, where: str | Path) -> yaml.MappingNode:
    """The mapping of a YAML text as nodes, which know where in the text they are.

    Raises:
        InputError: as `parse_yaml`.
    """
    parse_yaml(text, where)
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode), "it was just parsed as a mapping"
    return root


def _check_size(text: str) -> None:
    """Raise ValueError for a text nested too deep, or with too many values to be parsed."""
    opened = text.count("[") + text.count("{")
    if opened <= MAX_DEPTH and opened + text.count(",") < MAX_VALUES:
        return
    # What is in strings does not count: the odd parts between quotes, once escapes are gone.
    outside = "".join(text.replace("\\\\", "").replace('\\"', "").split('"')[::2])
    if sum(map(outside.count, "[{,")) >= MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES} values")
    brackets = _BETWEEN_BRACKETS.sub("", outside)
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"key {twice[:80]!r} appears twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _bounded(text: str) -> int:
    if len(text) <= 20 and _SMALLEST <= (value := int(text)) <= _LARGEST:
        return value
    raise ValueError(f"the integer {text[:40]} has more than 64 bits")


def _refuse_traps(text: str) -> None:
    """Raise YAMLError for a long text, an alias, or deep nesting, before anything is built."""
    if len(text) > MAX_YAML_BYTES:
        raise yaml.YAMLError(f"longer than {MAX_YAML_BYTES} characters")
    depth = 0
    for event in yaml.parse(text, Loader=_SafeLoader):
        assert event.start_mark is not None, "a parser's event, not one of our own"
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError(f"aliases are not allowed (line {line})")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise yaml.YAMLError(f"nested more than {MAX_DEPTH} deep (line {line})")


class _StrictLoader(_SafeLoader):
    """The safe loader without duplicate keys."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.YAMLError(f"key {key!r} appears twice (line {line})")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _check_numbers(value: Any, place: str = "") -> None:
    """Raise ValueError for a number that is not finite or does not fit in 64 bits."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_numbers(key, f"a key of {place}" if place else "a key")
            _check_numbers(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for inner in value:
            _check_numbers(inner, place)
    elif isinstance(value, int) and not _SMALLEST <= value <= _LARGEST:
        raise ValueError(f"{place or 'it'} is an integer of more than 64 bits")
    elif isinstance(value, float) and not math.isfinite(value):
        kind = "NaN" if math.isnan(value) else "an infinite number"
        raise ValueError(f"{place or 'it'} is {kind}")


def _kind(document: Any) -> str:
    if document is None:
        return "nothing"
    return "a list" if isinstance(document, list) else "a single value"
