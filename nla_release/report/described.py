"""Blocks of a calibration as lines that explain themselves: name, value, meaning.

Whatever fields a diagnostic's report has, its own descriptions say what they are.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from nla_release.text.numbers import number

Entry = dict[str, str]


def described(block: BaseModel) -> list[Entry]:
    """Every value in a block, in order, under names such as `controls, shuffled, mean`."""
    return list(_of_fields(block, ()))


def shown(value: Any) -> str:
    """A value in words."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return number(value)
        case (int() | float() as low, int() | float() as high):
            return f"{shown(low)} to {shown(high)}"
        case list() | tuple():
            return ", ".join(map(shown, value)) or "none"
        case _:
            return str(value)


def _of_fields(block: BaseModel, names: tuple[str, ...]) -> Iterator[Entry]:
    for name, field in type(block).model_fields.items():
        value = getattr(block, name)
        yield from _of_value(value, (*names, name), field.description or "")


def _of_value(value: Any, names: tuple[str, ...], meaning: str) -> Iterator[Entry]:
    if isinstance(value, BaseModel):
        yield from _of_fields(value, names)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _of_value(inner, (*names, str(key)), meaning)
    else:
        name = ", ".join(each.replace("_", " ") for each in names)
        yield {"name": name, "value": shown(value), "meaning": meaning}
