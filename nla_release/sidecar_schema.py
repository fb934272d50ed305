"""JSON Schemas of the sidecar and of the evidence, for editors and readers in other languages.

`python -m nla_release.sidecar_schema` writes all of them to `sidecars/` again.
"""

from nla_release import resources
from nla_release.calibration.records import Row, Run
from nla_release.files import dump_json, write_atomic
from nla_release.schema import Open, Strict
from nla_release.sidecar import Sidecar

MODELS: dict[str, type[Open | Strict]] = {
    "nla_meta.schema.json": Sidecar,
    "evidence.row.schema.json": Row,
    "evidence.run.schema.json": Run,
}

# The draft that pydantic generates.
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_text(name: str) -> str:
    """The schema of a file of `MODELS` as JSON text, the same for the same model."""
    return dump_json({"$schema": _DIALECT} | MODELS[name].model_json_schema(by_alias=True))


def main() -> None:
    """Write the schemas beside the examples."""
    for name in MODELS:
        write_atomic(resources.folder("sidecars") / name, schema_text(name))


if __name__ == "__main__":
    main()
