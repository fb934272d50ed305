"""Sidecars of the tiny base for tests, faithful to its tokenizer unless changed."""

import copy
from pathlib import Path
from typing import Any

from nla_release.contract.prompt import encoder, load_tokenizer, mark, suffix_ids
from nla_release.contract.sidecar import Role, Sidecar

TINY_BASE = Path(__file__).parent.parent / "train" / "tiny" / "base"

AV_TEMPLATE = "Describe the vector.\n<concept>{injection_char}</concept>\n"
AR_TEMPLATE = "Summary of the following text: <text>{explanation}</text> <summary>"


def document(role: Role, changes: dict[tuple[str, ...], Any] | None = None) -> dict[str, Any]:
    """A whole sidecar as parsed YAML; `changes` sets values by their path of keys."""
    encode = encoder(load_tokenizer(TINY_BASE / "tokenizer.json"))
    prompt = mark(encode, AV_TEMPLATE, "㊗")
    is_av = role == "av"
    whole: dict[str, Any] = {
        "kind": "nla_model",
        "schema_version": 2,
        "role": role,
        "stage": "sl",
        "d_model": 64,
        "extraction_layer_index": 3,
        "extraction": {"injection_scale": 8.0 if is_av else None, "mse_scale": 8.0},
        "tokens": {
            "injection_char": "㊗",
            "injection_token_id": prompt.token_id,
            "injection_left_neighbor_id": prompt.left_id,
            "injection_right_neighbor_id": prompt.right_id,
            "critic_suffix_ids": None if is_av else suffix_ids(encode, AR_TEMPLATE),
        },
        "prompt_templates": {"av": AV_TEMPLATE, "ar": AR_TEMPLATE},
        "critic": None if is_av else {"extraction_layer_index": 3},
        "created_at": "2026-01-01T00:00:00+00:00",
        "created_by": "the tests",
        "nla_release": {
            "schema": 1,
            "base": {
                "id": "nla-demo/tiny-gemma4",
                "revision": "0" * 40,
                "quantization": None,
                "dtype": "float32",
            },
            "layer_convention": "block_output",
            "injection": {
                "site": "embedding",
                "op": "replace",
                "scale": 8.0,
                "prompt_encoding": "raw",
                "prompt_token_ids": list(prompt.ids),
                "marker_position": prompt.position,
            }
            if is_av
            else None,
            "adapters": [{"path": ".", "rank": 16, "alpha": 32.0}],
            "ar_head": None
            if is_av
            else {
                "file": "value_head.safetensors",
                "key": "weight",
                "shape": [64, 64],
                "bias": False,
                "dtype": "float32",
                "blocks": 4,
                "final_norm": "identity",
            },
            "norms": {"activation_mean": 10.0, "embedding_mean": 8.0},
        },
    }
    for keys, value in (changes or {}).items():
        place = whole
        for key in keys[:-1]:
            place = place[key]
        if value is ...:
            del place[keys[-1]]
        else:
            place[keys[-1]] = copy.deepcopy(value)
    return whole


def sidecar(role: Role, changes: dict[tuple[str, ...], Any] | None = None) -> Sidecar:
    """The same as a model; `...` as a value removes the key."""
    return Sidecar.model_validate(document(role, changes))
