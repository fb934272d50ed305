"""JSON Schema of the canonical sidecar, for editors and for readers in other languages.

`python -m nla_release.sidecar_schema` writes `sidecars/nla_meta.schema.json` again.
"""

from nla_release import resources
from nla_release.files import dump_json, write_atomic
from nla_release.sidecar import Sidecar

FILE_NAME = "nla_meta.schema.json"

# The draft that pydantic generates.
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_text() -> str:
    """The schema as JSON text, the same for the same model."""
    return dump_json({"$schema": _DIALECT} | Sidecar.model_json_schema(by_alias=True))


def main() -> None:
    """Write the schema beside the examples."""
    write_atomic(resources.folder("sidecars") / FILE_NAME, schema_text())


if __name__ == "__main__":
    main()
