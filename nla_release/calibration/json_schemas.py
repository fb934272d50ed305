"""JSON Schemas of sidecar, evidence and calibration, for editors and other languages.

`python -m nla_release.calibration.json_schemas` writes all of them to `sidecars/`.
"""

from typing import Any

from nla_release.calibration.report import Calibration
from nla_release.contract.sidecar import Sidecar
from nla_release.evidence.records import EvidenceRow, Run
from nla_release.io.files import dump_json, package_folder, write_atomic
from nla_release.io.schema import Open, Strict

MODELS: dict[str, type[Open | Strict]] = {
    "nla_meta.schema.json": Sidecar,
    "evidence.row.schema.json": EvidenceRow,
    "evidence.run.schema.json": Run,
    "calibration.schema.json": Calibration,
}

# The draft that pydantic generates.
_DIALECT = "https://json-schema.org/draft/2020-12/schema"

# How pydantic names the bounds of numbers that a validator changes, such as rounded ones.
_BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
}


def schema_text(name: str) -> str:
    """The schema of a file of `MODELS`, as JSON text."""
    schema = MODELS[name].model_json_schema(by_alias=True)
    return dump_json({"$schema": _DIALECT} | _with_bounds(schema))


def _with_bounds(schema: Any) -> Any:
    """The schema with the bounds of numbers under their JSON Schema names."""
    if isinstance(schema, list):
        return [_with_bounds(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    of_a_number = schema.get("type") == "number"
    return {
        _BOUNDS.get(key, key) if of_a_number else key: _with_bounds(value)
        for key, value in schema.items()
    }


def main() -> None:
    """Write the schemas next to the examples."""
    for name in MODELS:
        write_atomic(package_folder("sidecars") / name, schema_text(name))


if __name__ == "__main__":
    main()
