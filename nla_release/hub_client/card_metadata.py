"""Checks of a model card's metadata: the YAML front matter of README.md.

The rules are those of the Hub's card specification (huggingface/hub-docs `modelcard.md`) that the
real server enforces: known licences, ids instead of local paths, a well-typed `model-index`.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from nla_release.errors import InputError
from nla_release.io.documents import parse_any_yaml
from nla_release.io.schema import Open
from nla_release.release.licences import LICENSES

FRONT_MATTER = re.compile(r"\s*---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
# `name` for the oldest repositories, `namespace/name` for all others.
_HUB_ID = re.compile(r"[A-Za-z0-9_][\w.-]*(?:/[A-Za-z0-9_][\w.-]*)?", re.ASCII)


@dataclass(frozen=True)
class CardReport:
    """The result for a card, which is valid without errors. `metadata` is plain JSON."""

    metadata: dict[str, Any] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def answer(self) -> dict[str, list[dict[str, str]]]:
        """The answer of `validate-yaml`."""
        return {
            "errors": [{"message": message} for message in self.errors],
            "warnings": [{"message": message} for message in self.warnings],
        }


def check_card(text: str) -> CardReport:
    """Read and check the front matter of a README."""
    front_matter = FRONT_MATTER.match(text.removeprefix("\ufeff"))
    if front_matter is None:
        return CardReport(warnings=["empty or missing yaml metadata in repo card"])
    try:
        metadata = parse_any_yaml(front_matter[1], "the metadata")
    except InputError as error:
        return CardReport(errors=[error.message])
    if metadata is None:
        return CardReport(warnings=["empty or missing yaml metadata in repo card"])
    if not isinstance(metadata, dict):
        return CardReport(errors=["the metadata must be a YAML mapping"])
    try:
        portable = json.loads(json.dumps(metadata, default=str, allow_nan=False))
    except (TypeError, ValueError) as error:
        return CardReport(errors=[f"the metadata cannot be written as JSON: {error}"])
    return CardReport(portable, _errors(metadata), _warnings(metadata))


def _errors(metadata: dict[str, Any]) -> list[str]:
    try:
        _Metadata.model_validate(metadata, strict=True)
    except ValidationError as problem:
        return [_message(each) for each in problem.errors(include_url=False)]
    return []


def _warnings(metadata: dict[str, Any]) -> list[str]:
    if metadata.get("license") == "other" and not metadata.get("license_name"):
        return ['"license_name" and "license_link" should name the licence when it is "other"']
    return []


def _message(error: Any) -> str:
    """One error as `"model-index[0].name" is required`."""
    place = ""
    for part in error["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}"
    words = {
        "missing": "is required",
        "string_type": "must be a string",
        "list_type": "must be an array",
        "dict_type": "must be an object",
        "model_type": "must be an object",
    }.get(error["type"], error["msg"].removeprefix("Value error, "))
    return f'"{place.removeprefix(".")}" {words}'


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _known_license(name: str) -> str:
    if name not in LICENSES:
        raise ValueError(f"must be one of [{', '.join(sorted(LICENSES))}]")
    return name


def _hub_id(name: str) -> str:
    if not _HUB_ID.fullmatch(name):
        raise ValueError(f"with value {name!r} is not valid: use an id from https://hf.co")
    return name


_Strings = Annotated[list[str], BeforeValidator(_listed)]
_Ids = Annotated[list[Annotated[str, AfterValidator(_hub_id)]], BeforeValidator(_listed)]
_Licenses = Annotated[
    list[Annotated[str, AfterValidator(_known_license)]], BeforeValidator(_listed)
]


class _Task(Open):
    type: str
    name: str | None = None


class _Dataset(Open):
    type: str
    name: str
    config: str | None = None
    split: str | None = None
    revision: str | None = None


class _Metric(Open):
    type: str
    value: Any
    name: str | None = None


class _Source(Open):
    url: str
    name: str | None = None


class _Result(Open):
    task: _Task
    dataset: _Dataset
    metrics: list[_Metric]
    source: _Source | None = None


class _Model(Open):
    name: str
    results: list[_Result]


class _Metadata(Open):
    license: _Licenses | None = None
    license_name: str | None = None
    license_link: str | None = None
    base_model: _Ids | None = None
    datasets: _Ids | None = None
    tags: _Strings | None = None
    language: _Strings | None = None
    metrics: _Strings | None = None
    library_name: str | None = None
    pipeline_tag: str | None = None
    model_index: list[_Model] | None = Field(default=None, alias="model-index")
