"""Pairs to measure with: the shapes of real adapters, random bfloat16 values, sidecars that fit."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nla_release.contract.sidecar import Role
from nla_release.io.files import dump_json, dump_yaml, package_folder, read_yaml, write_atomic
from nla_release.io.layout import ADAPTER_CONFIG_FILE, ADAPTER_FILE, HEAD_FILE, SIDECAR_FILE
from nla_release.release.folder import ROLES


@dataclass(frozen=True)
class Size:
    """Widths of a decoder's projections, the LoRA's rank, and how many blocks each role adapts."""

    hidden: int
    query: int
    key_value: int
    mlp: int
    rank: int
    blocks: dict[Role, int]

    def projections(self) -> Iterator[tuple[str, int, int]]:
        """Name, in-features and out-features of the seven projections of a block."""
        yield "self_attn.q_proj", self.hidden, self.query
        yield "self_attn.k_proj", self.hidden, self.key_value
        yield "self_attn.v_proj", self.hidden, self.key_value
        yield "self_attn.o_proj", self.query, self.hidden
        yield "mlp.gate_proj", self.hidden, self.mlp
        yield "mlp.up_proj", self.hidden, self.mlp
        yield "mlp.down_proj", self.mlp, self.hidden


# An AV on all 35 blocks of a base of about two billion parameters, an AR up to block 23.
REALISTIC = Size(1536, 2048, 512, 6144, rank=64, blocks={"av": 35, "ar": 24})
TINY = Size(64, 64, 32, 128, rank=16, blocks={"av": 6, "ar": 4})


def make_pair(folder: Path, size: Size) -> list[Path]:
    """Write `av/` and `ar/` in the folder; gives the files of weights."""
    random = np.random.default_rng(0)
    for role in ROLES:
        target = folder / role
        target.mkdir(parents=True)
        tensors = {
            f"base_model.model.model.layers.{block}.{name}.lora_{factor}.weight": shape
            for block in range(size.blocks[role])
            for name, wide_in, wide_out in size.projections()
            for factor, shape in (("A", (size.rank, wide_in)), ("B", (wide_out, size.rank)))
        }
        _write_tensors(target / ADAPTER_FILE, tensors, random)
        write_atomic(target / ADAPTER_CONFIG_FILE, dump_json(_adapter_config(size)))
        write_atomic(target / SIDECAR_FILE, dump_yaml(_sidecar(role, size)))
    _write_tensors(folder / "ar" / HEAD_FILE, {"weight": (size.hidden, size.hidden)}, random)
    return sorted(folder.glob("*/*.safetensors"))


def _write_tensors(
    path: Path, shapes: dict[str, tuple[int, int]], random: np.random.Generator
) -> None:
    """Normal values of spread 0.02 as bfloat16, in the safetensors format."""
    header, stop = {}, 0
    for name, shape in shapes.items():
        start, stop = stop, stop + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, stop]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes.values():
            values = random.standard_normal(shape, dtype=np.float32) * np.float32(0.02)
            file.write((values.view(np.uint32) >> 16).astype("<u2").tobytes())  # its upper half


def _adapter_config(size: Size) -> dict[str, Any]:
    return {
        "base_model_name_or_path": _example("av")["nla_release"]["base"]["id"],
        "bias": "none",
        "inference_mode": True,
        "lora_alpha": 2 * size.rank,
        "peft_type": "LORA",
        "peft_version": "0.21.2",
        "r": size.rank,
        "target_modules": sorted({name.split(".")[1] for name, _, _ in size.projections()}),
        "task_type": "CAUSAL_LM",
    }


def _sidecar(role: Role, size: Size) -> dict[str, Any]:
    """The example of the role, whose prompts are the tiny base's, at this size."""
    document, blocks = _example(role), size.blocks["ar"]
    document |= {"d_model": size.hidden, "extraction_layer_index": blocks - 1}
    ours = document["nla_release"]
    ours["adapters"] = [{"path": ".", "rank": size.rank, "alpha": 2.0 * size.rank}]
    if role == "ar":
        document["critic"]["extraction_layer_index"] = blocks - 1
        ours["ar_head"] |= {
            "shape": [size.hidden, size.hidden],
            "dtype": "bfloat16",
            "blocks": blocks,
        }
    return document


def _example(role: Role) -> dict[str, Any]:
    return read_yaml(package_folder("sidecars") / f"{role}.example.yaml")
