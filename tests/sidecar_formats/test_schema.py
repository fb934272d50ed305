"""The JSON Schemas that are checked in are the models' own."""

import json

import pytest

from nla_release.calibration.json_schemas import MODELS, schema_text
from nla_release.io.files import package_folder


@pytest.mark.parametrize("name", MODELS)
def test_the_schema_is_the_one_generated_from_the_model(name):
    """`python -m nla_release.calibration.json_schemas` renews them."""
    assert (package_folder("sidecars") / name).read_text(encoding="utf-8") == schema_text(name)


def test_the_schema_requires_the_contract_and_leaves_room_for_other_blocks():
    schema = json.loads(schema_text("nla_meta.schema.json"))

    assert {"kind", "role", "d_model", "extraction", "tokens", "nla_release"} <= set(
        schema["required"]
    )
    assert schema["additionalProperties"] is True
    assert schema["$defs"]["NlaReleaseBlock"]["additionalProperties"] is False
    assert "injection_scale" in schema["$defs"]["Extraction"]["required"]


def test_bounds_of_numbers_have_the_names_that_json_schema_gives_them():
    cosine = json.loads(schema_text("calibration.schema.json"))["$defs"]["CosineSummary"]

    assert cosine["properties"]["mean"]["minimum"] == -1
    assert cosine["properties"]["mean"]["maximum"] == 1
