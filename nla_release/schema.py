"""From parsed YAML or JSON to typed models, with errors a person can act on."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from nla_release.errors import InputError, NlaReleaseError

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """A block whose every key is ours: unknown keys are mistakes."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False, defer_build=True
    )


class Open(BaseModel):
    """A block that others also write to: unknown keys are kept as they are."""

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
        findings = "; ".join(_sentence(item) for item in problem.errors(include_url=False))
        raise error(f"{where}: {findings}", hint=hint) from problem


def _sentence(item: Any) -> str:
    place = ".".join(str(part) for part in item["loc"])
    if item["type"] == "missing":
        return f"{place} is missing"
    if item["type"] == "extra_forbidden":
        return f"{place} is not a known key"
    message = item["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
