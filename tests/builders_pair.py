"""A synthetic pair and a whole release folder: valid, untrained, for a test to break one thing of.

Every value is made from its index, so that files have the same bytes on every machine.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from nla_release.base_model.facts import dump_base_facts
from nla_release.base_model.measure import measure_base
from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import write_evidence
from nla_release.contract.sidecar import Role, Sidecar, contract_digest, dump_sidecar, read_sidecar
from nla_release.evidence.records import TrainingOverlap
from nla_release.io.files import dump_json, dump_yaml, sha256_file, write_atomic
from nla_release.io.layout import HEAD_FILE, SIDECAR_FILE
from nla_release.release.folder import ROLES, Release, read_release
from tests.builders import evidence_parts, recorded, training_shingles

BASE = "someone/tiny"
REVISION = "0" * 40
WIDTH = 16
RANK = 2
BLOCKS = 4
BASE_BLOCKS = 6
EMBEDDING_NORM = 38.5
SCALE = 39.25
AV_TEMPLATE = (
    "You study activation vectors of a language model and say what they mean.\n\n"
    "The vector stands between <concept> tags, and your answer between <explanation> tags.\n\n"
    "<concept>{injection_char}</concept>"
)
AR_TEMPLATE = "Summary of the following text: <text>{explanation}</text> <summary>"

RUN_ID = "0123456789abcdef"

# Nothing that was measured was trained on.
HELD_OUT = TrainingOverlap(sha256="6" * 64, documents=250, ids_overlapping=[], texts_overlapping=[])


def make_pair(folder: Path) -> Path:
    """Write `av/` and `ar/` as training leaves them; gives the folder back."""
    for role in ROLES:
        _write_adapter(folder / role, role)
    return folder


def make_release(
    folder: Path, *, notes: Mapping[str, str] | None = None, **evidence: Any
) -> Release:
    """Write a folder that is ready to be rendered.

    Args:
        folder: where; it gets release.yaml, pair/, base/, base.json, evidence/ and
            calibration.json.
        notes: Markdown by file stem, such as `summary`; none by default.
        evidence: options of `evidence_parts`.
    """
    make_pair(folder / "pair")
    make_base(folder / "base")
    write_atomic(
        folder / "base.json", dump_base_facts(measure_base(BASE, REVISION, folder / "base"))
    )
    write_atomic(folder / "release.yaml", dump_yaml(release_document(notes=notes is not None)))
    for name, text in (notes or {}).items():
        write_atomic(folder / "notes" / f"{name}.md", text)
    release = read_release(folder)
    measure(release, **evidence)
    return release


def make_base(folder: Path, *, rows: int = 512) -> Path:
    """Write a base as far as its facts go, with a text and an audio tower; gives the folder back.

    Args:
        folder: where; it gets config.json, README.md and model.safetensors.
        rows: the vocabulary's size.
    """
    tensors = {
        f"{name}.weight": np.zeros(shape, np.float32) for name, shape in base_modules().items()
    }
    # A row of ones is sqrt(WIDTH) long, and the model multiplies it with as much.
    embedding = np.full((rows, WIDTH), EMBEDDING_NORM / WIDTH)
    embedding[::2] *= 1.1
    embedding[1::2] *= 0.9
    tensors["model.language_model.embed_tokens.weight"] = embedding.astype(np.float32)
    for block in range(BASE_BLOCKS):
        norm = f"model.language_model.layers.{block}.input_layernorm.weight"
        tensors[norm] = np.ones(WIDTH, np.float32)
    folder.mkdir(parents=True)
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    write_atomic(folder / "config.json", dump_json(base_config(rows)))
    write_atomic(folder / "README.md", "---\nlicense: apache-2.0\n---\n# Tiny\n")
    return folder


def base_config(rows: int) -> dict[str, Any]:
    """The base's `config.json`, as far as anything here looks at it."""
    return {
        "architectures": ["Gemma4ForConditionalGeneration"],
        "model_type": "gemma4",
        "text_config": {
            "hidden_size": WIDTH,
            "model_type": "gemma4_text",
            "num_hidden_layers": BASE_BLOCKS,
            "vocab_size": rows,
        },
    }


def base_modules() -> dict[str, tuple[int, int]]:
    """The base's linear modules, `[out, in]`."""
    attention = {f"self_attn.{name}_proj": (WIDTH, WIDTH) for name in "qkvo"}
    mlp = {"mlp.gate_proj": (32, WIDTH), "mlp.up_proj": (32, WIDTH), "mlp.down_proj": (WIDTH, 32)}
    return {
        f"model.language_model.layers.{block}.{name}": shape
        for block in range(BASE_BLOCKS)
        for name, shape in (attention | mlp).items()
    } | {"model.audio_tower.layers.0.self_attn.q_proj.linear": (WIDTH, WIDTH)}


def measure(release: Release, **options: Any) -> None:
    """Write evidence that belongs to the release's pair as it is now, and its calibration."""
    parts = evidence_parts(**{"width": WIDTH} | options)
    facts = {"files": pair_digests(release), "training": HELD_OUT, "run_id": RUN_ID}
    run = parts.run.model_copy(update=facts)
    evidence = write_evidence(
        release.evidence, parts.rows, parts.vectors, run,
        shingles=training_shingles(), **recorded(run),
    )  # fmt: skip
    write_atomic(release.calibration, calibrate(evidence).dump())


def pair_digests(release: Release) -> dict[str, str]:
    """What `run.json` records of the pair's files."""
    return {
        f"{role}/{path.name}": contract_digest(read_sidecar(path.parent))
        if path.name == SIDECAR_FILE
        else sha256_file(path)
        for role in ROLES
        for path in sorted(release.adapter(role).iterdir())
        if path.is_file() and path.name != "training_log.jsonl"
    }


def release_document(*, notes: bool = False) -> dict[str, Any]:
    """The keys of a release.yaml for `make_pair` in `pair/`."""
    return {
        "name": "tiny-nla-L3",
        "namespace": "someone",
        "title": "Tiny NLA, block 3",
        "author": "Some One",
        "base_model": BASE,
        "base_revision": REVISION,
        "license": "apache-2.0",
        "av": "pair/av",
        "ar": "pair/ar",
        "evaluation": {"data": "data/eval.parquet", "reference": "data/reference.safetensors"},
        "citations": ["frasertaliente2026nla"],
    } | ({"notes": "notes"} if notes else {})


def sidecar_document(role: Role) -> dict[str, Any]:
    """A canonical sidecar of one role."""
    document: dict[str, Any] = {
        "kind": "nla_model",
        "schema_version": 2,
        "role": role,
        "stage": "sl",
        "d_model": WIDTH,
        "extraction_layer_index": BLOCKS - 1,
        "extraction": {"injection_scale": None, "mse_scale": 4.0},
        "tokens": {
            "injection_char": "㊗",
            "injection_token_id": 160,
            "injection_left_neighbor_id": 31,
            "injection_right_neighbor_id": 32,
            "critic_suffix_ids": None,
        },
        "prompt_templates": {"av": AV_TEMPLATE, "ar": AR_TEMPLATE},
        "critic": None,
        "created_at": "2026-11-22T09:00:00+00:00",
        "created_by": f"nla_release 0.1.0 train.{role}",
        "nla_release": {
            "schema": 1,
            "base": {"id": BASE, "revision": REVISION, "quantization": None, "dtype": "float32"},
            "layer_convention": "block_output",
            "injection": None,
            "adapters": [{"path": ".", "rank": RANK, "alpha": 2.0 * RANK}],
            "ar_head": None,
            "norms": {"activation_mean": 41.5, "embedding_mean": EMBEDDING_NORM},
            "training": {
                "trained_from": "tiny",
                "steps": 120,
                "learning_rate": 0.001,
                "schedule": "linear",
                "optimizer": "adamw",
                "micro_batch": 4,
                "gradient_accumulation": 2,
                "max_tokens": 128,
                "rows": 1000,
                "documents": 250,
                "data_sha256": "5" * 64,
                "seconds": 61.5,
                "hardware": "2 CPU threads",
                "seed": 0,
            },
        },
    }
    ours = document["nla_release"]
    if role == "av":
        document["extraction"]["injection_scale"] = SCALE
        ours["injection"] = {
            "site": "embedding",
            "op": "replace",
            "scale": SCALE,
            "prompt_encoding": "raw",
            "prompt_token_ids": [2, 40, 41, 31, 160, 32, 42],
            "marker_position": 4,
        }
    else:
        document["tokens"]["critic_suffix_ids"] = [51, 52, 53]
        document["critic"] = {"extraction_layer_index": BLOCKS - 1}
        ours["ar_head"] = {
            "file": HEAD_FILE,
            "key": "weight",
            "shape": [WIDTH, WIDTH],
            "bias": False,
            "dtype": "float32",
            "blocks": BLOCKS,
            "final_norm": "identity",
        }
    return document


def adapter_config() -> dict[str, Any]:
    """PEFT's `adapter_config.json`, as far as anything here looks at it."""
    return {
        "base_model_name_or_path": BASE,
        "bias": "none",
        "inference_mode": True,
        "lora_alpha": 2 * RANK,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "peft_version": "0.21.2",
        "r": RANK,
        "revision": None,
        "target_modules": [
            f"model.language_model.layers.{block}.self_attn.{name}_proj"
            for block in range(4)
            for name in "qv"
        ],
        "task_type": "CAUSAL_LM",
    }


def lora_tensors() -> dict[str, np.ndarray]:
    """LoRA factors of q_proj and v_proj in every block: A `[r, in]`, B `[out, r]`."""
    tensors = {}
    for block in range(BLOCKS):
        for projection in ("q_proj", "v_proj"):
            module = f"model.language_model.layers.{block}.self_attn.{projection}"
            for factor, shape in (("A", (RANK, WIDTH)), ("B", (WIDTH, RANK))):
                key = f"base_model.model.{module}.lora_{factor}.weight"
                tensors[key] = _values(shape, offset=len(tensors))
    return tensors


def _write_adapter(folder: Path, role: Role) -> None:
    folder.mkdir(parents=True)
    safetensors.numpy.save_file(lora_tensors(), folder / "adapter_model.safetensors")
    write_atomic(folder / "adapter_config.json", dump_json(adapter_config()))
    sidecar = Sidecar.model_validate(sidecar_document(role))
    write_atomic(folder / SIDECAR_FILE, dump_sidecar(sidecar))
    write_atomic(folder / "training_log.jsonl", "".join(map(_log_line, range(1, 121))))
    if role == "ar":
        head = {"weight": _values((WIDTH, WIDTH), offset=7)}
        safetensors.numpy.save_file(head, folder / HEAD_FILE)


def _log_line(step: int) -> str:
    loss = 3.2 - step / 60 + 0.4 * ((step * 0.618) % 1)
    return json.dumps({"step": step, "loss": round(loss, 4), "lr": 0.001}) + "\n"


def _values(shape: tuple[int, int], *, offset: int) -> np.ndarray:
    size = shape[0] * shape[1]
    return (((np.arange(size) * 7 + offset) % 13 - 6) / 64).astype(np.float32).reshape(shape)
