"""Validate parsed YAML or JSON as typed models, with errors that name every wrong key."""

import difflib
import re
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from nla_release.errors import InputError, NlaReleaseError

Model = TypeVar("Model", bound=BaseModel)

_EXPONENT = re.compile(r"[+-]?\d{1,20}[eE][+-]?\d{1,3}")


def _read_exponent(value: Any) -> Any:
    """YAML 1.1 reads a number with an exponent and without a point, such as 1e-05, as text."""
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


# Numbers of a contract: "64" and yes are not numbers, and no width has 300 digits.
_MOST = 2**31 - 1
Count = Annotated[int, Field(strict=True, ge=0, le=_MOST)]
Size = Annotated[int, Field(strict=True, gt=0, le=_MOST)]
Number = Annotated[float, Field(strict=True), BeforeValidator(_read_exponent)]
Positive = Annotated[float, Field(strict=True, gt=0), BeforeValidator(_read_exponent)]
Flag = Annotated[bool, Field(strict=True)]


def holds(*names: str) -> AfterValidator:
    """A condition on a mapping: it has at least these keys."""

    def check(found: dict[str, Any]) -> dict[str, Any]:
        if missing := [name for name in names if name not in found]:
            raise ValueError(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
        return found

    return AfterValidator(check)


class Strict(BaseModel):
    """A block of this project: unknown keys are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False, defer_build=True
    )


class Open(BaseModel):
    """A block that other programs also write to: unknown keys are kept."""

    model_config = ConfigDict(
        extra="allow", frozen=True, populate_by_name=True, allow_inf_nan=False, defer_build=True
    )


def parse(
    model: type[Model],
    document: Any,
    where: str | Path,
    *,
    error: type[NlaReleaseError] = InputError,
    hint: str | None = None,
) -> Model:
    """Validate `document` as `model`.

    Raises:
        NlaReleaseError: of the class `error`, naming every key that is wrong at once.
    """
    try:
        return model.model_validate(document)
    except ValidationError as problem:
        raise error(f"{where}: {sentences(problem, model)}", hint=hint) from problem


def sentences(
    problem: ValidationError, model: type[BaseModel] | None = None, *, most: int | None = None
) -> str:
    """What is wrong with a document, key by key; at most `most` problems.

    With the `model`, messages suggest keys that were likely meant.
    """
    items = problem.errors(include_url=False)
    more = f"; and {len(items) - most} more" if most is not None and len(items) > most else ""
    return "; ".join(_sentence(item, model) for item in items[:most]) + more


def _sentence(item: Any, model: type[BaseModel] | None) -> str:
    place = ".".join(str(part) for part in _written(item["loc"], model))
    if item["type"] == "missing":
        return f"{place} is missing"
    if item["type"] == "extra_forbidden":
        near = _near(str(item["loc"][-1]), _keys(model, item["loc"][:-1]))
        return f"{place} is not a known key{near}"
    message = _message(item)
    if item["type"] == "literal_error" and isinstance(item["input"], str):
        message += _near(item["input"], re.findall(r"'([^']*)'", item["ctx"]["expected"]))
    return f"{place}: {message}" if place else message


# What the library's error types ask for: int_parsing, float_type and so on.
_KINDS = {
    "bool": "true or false",
    "date": "a date, such as 2027-03-31",
    "dict": "a mapping",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "model": "a mapping",
    "string": "text",
    "tuple": "a list",
}
_NOT_OF_KIND = (
    "type", "parsing", "from_float", "from_datetime_parsing", "from_datetime_inexact",
)  # fmt: skip


def _message(item: Any) -> str:
    """What a value must be, and is not; the library's own words where it says more than that."""
    kind, _, problem = item["type"].partition("_")
    if kind in _KINDS and problem in _NOT_OF_KIND:
        return f"must be {_KINDS[kind]}, not {_shown(item['input'])}"
    message: str = item["msg"].removeprefix("Value error, ")
    return message.replace("Input should be", "must be", 1)


def _shown(value: Any) -> str:
    """A value as a document has it, in short."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else f"{text[:36]}...{text[-1]}"


def _written(place: Sequence[Any], model: type[BaseModel] | None) -> list[Any]:
    """A place in the document: without the names that pydantic gives to a union's cases."""
    written: list[Any] = []
    here: list[Any] = [model] if model else []
    of_a_case = False
    for part in place:
        cases = [_cases(each) for each in here]
        if not of_a_case and any(len(each) > 1 for each in cases):
            of_a_case = True
        else:
            written.append(part)
            of_a_case = False
            cases = [_inside(case, part) for each in cases for case in each]
        here = list(chain.from_iterable(cases))
    return written


def _cases(annotation: Any) -> list[Any]:
    """The cases of a union, of which null has no name; of anything else, itself."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) not in (Union, UnionType):
        return [annotation]
    parts = [part for part in get_args(annotation) if part is not type(None)]
    return [case for part in parts for case in _cases(part)]


def _inside(annotation: Any, part: Any) -> list[Any]:
    """What is at a key of a model or mapping, or at a place of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields
        return [each.annotation for name, each in fields.items() if part in (name, each.alias)]
    return [each for each in get_args(annotation)[-1:] if each is not Ellipsis]


def _near(written: str, known: Iterable[str]) -> str:
    """A question for what was likely meant, or nothing."""
    near = difflib.get_close_matches(written, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _keys(model: type[BaseModel] | None, place: Sequence[Any]) -> list[str]:
    """The keys of the block at a place in a document; of all that may be there, where several may.

    A place also has the numbers of list items, and the names of a union's cases, which are no keys.
    """
    blocks = [model] if model else []
    for part in place:
        inside = [annotation for block in blocks for annotation in _inside(block, part)]
        blocks = [found for annotation in inside for found in _blocks(annotation)] or blocks
    return [field.alias or name for block in blocks for name, field in block.model_fields.items()]


def _blocks(annotation: Any) -> list[type[BaseModel]]:
    """The models inside an annotation such as `list[Waiver]` or `Gates | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _blocks(part)]
