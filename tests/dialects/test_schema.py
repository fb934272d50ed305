"""The JSON Schema that is checked in is the model's own."""

import json

from nla_release import resources
from nla_release.sidecar_schema import FILE_NAME, schema_text


def test_the_schema_is_the_one_generated_from_the_model():
    """`python -m nla_release.sidecar_schema` renews it."""
    assert (resources.folder("sidecars") / FILE_NAME).read_text(encoding="utf-8") == schema_text()


def test_the_schema_requires_the_contract_and_leaves_room_for_other_blocks():
    schema = json.loads(schema_text())

    assert {"kind", "role", "d_model", "extraction", "tokens", "nla_release"} <= set(
        schema["required"]
    )
    assert schema["additionalProperties"] is True
    assert schema["$defs"]["Ours"]["additionalProperties"] is False
    assert "injection_scale" in schema["$defs"]["Extraction"]["required"]
