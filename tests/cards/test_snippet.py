"""The usage snippets: constants from the sidecar, and nothing to import but what is promised."""

import ast
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import read_evidence, write_evidence
from nla_release.cards.render import render
from nla_release.cards.snippet import snippet
from nla_release.contract.sidecar import Sidecar, read_sidecar
from nla_release.io.files import write_atomic
from nla_release.release.folder import Release, read_release
from tests.builders import evidence_parts, make_evidence
from tests.builders_pair import (
    AR_TEMPLATE,
    AV_TEMPLATE,
    WIDTH,
    make_release,
    measure,
    pair_digests,
    sidecar_document,
)
from tests.cards.conftest import card
from tests.pairs.zoo import edited_yaml

ALLOWED = {
    "av": {"torch", "transformers", "peft"},
    "ar": {"torch", "transformers", "peft", "huggingface_hub", "safetensors"},
}


def code(readme: str) -> str:
    found = re.search(r"^```python\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def constants(readme: str) -> dict[str, Any]:
    """The assignments in capital letters at the top of the first Python block."""
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(code(readme)).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id.isupper()
    }


def test_the_av_constants_are_those_of_the_published_sidecar(
    release: Release, cards: dict[str, str]
) -> None:
    sidecar = read_sidecar(release.dist / "av")
    row = read_evidence(release.evidence).rows[1]  # the first one with an explanation

    assert constants(cards["av"]) == {
        "BASE": "someone/tiny",
        "BASE_REVISION": "0" * 40,
        "AV_REPO": "someone/tiny-nla-L3-av-v0_0_1",
        "REVISION": "v0.0.1",
        "LAYER": sidecar.extraction_layer_index,
        "INJECTION_TOKEN_ID": sidecar.tokens.injection_token_id,
        "INJECTION_LEFT_NEIGHBOR_ID": sidecar.tokens.injection_left_neighbor_id,
        "INJECTION_RIGHT_NEIGHBOR_ID": sidecar.tokens.injection_right_neighbor_id,
        "INJECTION_SCALE": sidecar.injection.scale,
        "PROMPT": AV_TEMPLATE.replace("{injection_char}", "㊗"),
        "TEXT": row.text,
    }


def test_the_ar_constants_are_those_of_the_published_sidecar(
    release: Release, cards: dict[str, str]
) -> None:
    row = read_evidence(release.evidence).rows[1]

    assert constants(cards["ar"]) == {
        "BASE": "someone/tiny",
        "BASE_REVISION": "0" * 40,
        "AR_REPO": "someone/tiny-nla-L3-ar-v0_0_1",
        "REVISION": "v0.0.1",
        "BLOCKS": read_sidecar(release.dist / "ar").head.blocks,
        "PROMPT": AR_TEMPLATE,
        "EXPLANATION": row.explanation,
    }


@pytest.mark.parametrize("role", ["av", "ar"])
def test_a_snippet_imports_only_what_the_card_says_to_install(
    cards: dict[str, str], role: str
) -> None:
    tree = ast.parse(code(cards[role]))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }

    assert imported - set(sys.stdlib_module_names) == ALLOWED[role]


def test_the_neighbours_are_described_by_what_the_template_shows(cards: dict[str, str]) -> None:
    """The hand-made card called them `<` and `>`; the tokens are `>` and `</`."""
    assert 'INJECTION_LEFT_NEIGHBOR_ID = 31  # a token that ends in ">"' in cards["av"]
    assert 'INJECTION_RIGHT_NEIGHBOR_ID = 32  # a token that begins with "<"' in cards["av"]


def test_a_template_that_ends_with_the_marker_gives_no_right_neighbour_to_describe(
    tmp_path: Path,
) -> None:
    document = sidecar_document("av")
    document["prompt_templates"]["av"] = "{injection_char}"
    found = snippet(Sidecar.model_validate(document), make_evidence(tmp_path / "evidence"))

    assert (found.ends_left, found.begins_right) == (None, None)


def test_a_pair_measured_in_4_bits_is_shown_in_4_bits(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    with edited_yaml(release.folder / "release.yaml") as document:
        document["evaluation"] |= {"quantization": "nf4", "dtype": "bfloat16"}
    release = read_release(release.folder)
    parts = evidence_parts(width=WIDTH)
    precision = parts.run.precision.model_copy(update={"quantization": "nf4", "dtype": "bfloat16"})
    run = parts.run.model_copy(update={"files": pair_digests(release), "precision": precision})
    evidence = write_evidence(release.evidence, parts.rows, parts.vectors, run)
    write_atomic(release.calibration, calibrate(evidence).dump())
    render(release, "0.0.1")

    for role in ("av", "ar"):
        text = card(release, role)
        ast.parse(code(text))
        assert "`pip install torch transformers peft accelerate bitsandbytes`" in text
        assert 'bnb_4bit_quant_type="nf4"' in code(text)
        assert "bnb_4bit_compute_dtype=torch.bfloat16" in code(text)
        assert ").to(device)\n" not in code(text)


def test_a_pair_measured_in_full_precision_quantizes_nothing(cards: dict[str, str]) -> None:
    assert "BitsAndBytesConfig" not in cards["av"]
    assert "dtype=torch.float32" in code(cards["av"])


def test_a_pair_that_never_explained_anything_still_gets_a_snippet(tmp_path: Path) -> None:
    release = make_release(tmp_path, rows=4, documents=2, failed=dict.fromkeys(range(4), "empty"))
    render(release, "0.0.1")

    assert "rows.jsonl" not in code(card(release, "av"))
    assert constants(card(release, "av"))["TEXT"]
    assert constants(card(release, "ar"))["EXPLANATION"]


def test_a_chat_is_rendered_by_the_bases_template_with_the_options_of_training(
    tmp_path: Path,
) -> None:
    release = make_release(tmp_path)
    with edited_yaml(release.adapter("av") / "nla_meta.yaml") as sidecar:
        sidecar["nla_release"]["injection"] |= {
            "prompt_encoding": "chat",
            "chat_template": {
                "sha256": "0" * 64,
                "options": {"enable_thinking": False, "date_string": 'a "day"', "depth": 3},
            },
        }
    measure(release)
    render(release, "0.0.1")
    (call,) = [
        node
        for node in ast.walk(ast.parse(code(card(release, "av"))))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "apply_chat_template"
    ]

    assert ast.unparse(call.args[0]) == "[{'role': 'user', 'content': PROMPT}]"
    assert {each.arg: ast.literal_eval(each.value) for each in call.keywords} == {
        "add_generation_prompt": True,
        "return_dict": True,
        "return_tensors": "pt",
        "enable_thinking": False,
        "date_string": 'a "day"',
        "depth": 3,
    }
    assert "tokenizer(PROMPT" not in code(card(release, "av"))
