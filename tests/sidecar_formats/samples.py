"""Sidecars in the shape of every format, with numbers of a tiny base, and pairs around them."""

from pathlib import Path

import numpy as np
import safetensors.numpy

from nla_release.io.files import write_atomic
from tests.builders_pair import WIDTH, make_pair
from tests.sidecars import TINY_BASE

TOKENIZER = TINY_BASE / "tokenizer.json"
COMMIT = "ab" * 20
MARKER, LEFT, RIGHT = 498, 273, 272

# format -> files of a folder; an empty text is a file whose name alone tells.
SAMPLES: dict[str, dict[str, str]] = {
    "kitft, published": {
        "nla_meta.yaml": f"""\
kind: nla_model
schema_version: 2
role: av
stage: rl
d_model: {WIDTH}
extraction: {{injection_scale: 150.0, mse_scale: 4.0}}
tokens:
  injection_char: ㊗
  injection_token_id: {MARKER}
  injection_left_neighbor_id: {LEFT}
  injection_right_neighbor_id: {RIGHT}
  critic_suffix_ids: null
prompt_templates:
  av: "Say it.\\n<concept>{{injection_char}}</concept>\\n"
  ar: 'Summary: <text>{{explanation}}</text> <summary>'
created_at: '2026-03-16T17:37:38+00:00'
created_by: some.trainer
training: {{rollout_id: 4199, lr: 1.41e-05, loss_type: policy_loss}}
extraction_layer_index: 3
"""
    },
    "kitft, as trained": {
        "nla_meta.yaml": f"""\
kind: nla_model
schema_version: 2
role: critic
stage: ar_sft
d_model: {WIDTH}
base_checkpoint: someone/tiny
extraction: {{injection_scale: null, mse_scale: 4.0}}
tokens:
  injection_char: "\\u3297"
  injection_token_id: {MARKER}
  injection_left_neighbor_id: {LEFT}
  injection_right_neighbor_id: {RIGHT}
prompt_templates:
  actor: "Say it.\\n<concept>{{injection_char}}</concept>\\n"
  critic: 'Summary: <text>{{explanation}}</text> <summary>'
critic: {{extraction_layer_index: 3}}
"""
    },
    "kitft, version 1": {
        "nla_meta.yaml": f"""\
kind: nla_model
schema_version: 1
role: actor
d_model: {WIDTH}
extraction: {{injection_scale: sqrt_d_model, mse_scale: sqrt_d_model}}
tokens: {{injection_char: ㊗, injection_token_id: {MARKER}}}
critic: {{num_hidden_layers: 3}}
"""
    },
    "kitft dataset": {
        "train.parquet.nla_meta.yaml": f"""\
kind: nla_dataset
schema_version: 1
stage: av_sft
extraction: {{d_model: {WIDTH}, base_model: someone/tiny, layer_index: 3, norm: none}}
prompt_templates: {{actor: <concept><INJECT></concept>}}
"""
    },
    "Solshine": {
        "nla_meta.yaml": f"""\
kind: nla_model
role: actor
version: v0.1_step_000100
base_model: someone/tiny
extraction:
  d_model: {WIDTH}
  layer: 3
  injection_scale: sqrt_d_model
  mse_scale: sqrt_d_model
tokens:
  injection_token_id: {MARKER}
  injection_left_neighbor_id: {LEFT}
  injection_right_neighbor_id: {RIGHT}
av_lora: {{r: 80, alpha: 160, trainable_params_approx: 120_000_000}}
training: {{lr: 1e-05, delta: +0.001, optimizer: adamw_8bit}}
honest_reading: |
  The gap has closed.
  Nothing else did.
"""
    },
    "Solshine, inject_config.json": {
        "nla_meta.json": '{"base_model": "someone/tiny", "d_model": 16, "injection_scale": 4.5}',
        "inject_config.json": '{"inject_layer": "embed", "inject_mode": "raw"}',
    },
    "Solshine, centered": {
        "nla_meta.json": '{"base_model": "someone/tiny", "d_model": 16, "injection_scale": 4.5}',
        "inject_config.json": '{"inject_layer": "embed", "inject_mode": "center"}',
        "inject_mean.npy": "",
    },
    "Solshine, injected at a block": {
        "nla_meta.json": '{"base_model": "someone/tiny", "d_model": 16, "injection_scale": 4.5}',
        "inject_config.json": '{"inject_layer": 3, "inject_mode": "raw"}',
    },
    "EasyNLA": {
        "nla_meta.yaml": """\
kind: nla_dataset
schema_version: 1
extraction: {d_model: 16, base_model: someone/tiny, layer_index: 3, norm: none}
tokens: {injection_char: ㊗, injection_token_id: 498}
""",
        "av_warmstart_lora": "",
    },
    "EasyNLA, whitened": {
        "nla_meta.yaml": """\
kind: nla_dataset
extraction: {d_model: 16, norm: whitened_zca_v1, whitening: {stats_sha256: abc}}
"""
    },
    "gereon": {
        "nla_config.json": '{"d_model": 16, "injection_token_id": 498, "ar_lora_r": 64,'
        ' "actor_prompt_rendered": "x", "actor_prompt_ids": [2, 498, 3],'
        ' "critic_prompt_template": "y"}'
    },
    "nla-at-home": {
        "nla_meta.yaml": f"""\
kind: nla_model
schema_version: 2
role: av
d_model: {WIDTH}
extraction_layer_index: 3
extraction: {{injection_scale: 150, mse_scale: 59.87}}
tokens: {{injection_char: ㊗, injection_token_id: {MARKER}}}
prompt_templates: {{av: "Say it.\\n<concept>{{injection_char}}</concept>\\n"}}
training: {{method: value_head+frozen}}
"""
    },
    "nla-at-home, universal": {
        "nla_meta.yaml": "{kind: nla_model, schema_version: 2, role: ar, d_model: 16, n_layers: 4,"
        " depth_percentages: [25, 50]}",
        "pca_transforms.pt": "",
    },
    "reasoning_attention": {
        "nla_meta.yaml": "{kind: nla_model, d_model: 16, extraction: {layer_index: 3,"
        " injection_scale: 1000}, tokens: {injection_char: <|image_pad|>}}"
    },
    "Nano-NLA": {
        "nla_meta.yaml": f"""\
kind: nla_model
schema_version: 2
role: ar
d_model: {WIDTH}
base_model: someone/tiny
extraction: {{injection_scale: null, mse_scale: 59.87}}
tokens: {{injection_char: ㊗, critic_suffix_ids: [2, 1, 1, 1, 1, 1, 1, 1]}}
prompt_templates:
  actor: "Say it.\\n<concept>{{injection_char}}</concept>\\n"
  av: "Say it.\\n<concept>{{injection_char}}</concept>\\n"
  ar: 'Summary: <text>{{explanation}}</text> <summary>'
ar: {{num_hidden_layers: 4}}
"""
    },
    "AlexWortega": {
        "nla_meta.yaml": "{kind: nla_model, base_model: someone/tiny, extraction: {d_model: 16},"
        " critic: {num_hidden_layers: 3}}",
        "value_head.pt": "",
    },
    "AlexWortega, universal": {
        "nla_meta.yaml": "{kind: nla_model, base_model: someone/tiny, extraction: {d_model: 16},"
        " critic: {num_hidden_layers: 3}, layer_index: 3, anchor_tag: L3, d_shared: 8, ar_base: x}"
    },
    "multi-checkpoint": {
        "nla_meta.yaml": """\
kind: nla_dataset
schema_version: 2
extraction:
  d_model: 16
  checkpoints: [{name: block_04, depth: 4, kind: block, layer_index: 3}]
prompt_templates: {actor: "<a>{injection_char}</a><b>{injection_char}</b>"}
"""
    },
    "lgalke HRM": {
        "nla_meta.yaml": "{kind: nla_dataset, extraction: {d_model: 16},"
        " prompt_templates: {actor: <a><INJECT_L></a><b><INJECT_H></b>}}"
    },
    "flat NLAMeta": {
        "nla_meta.yaml": f"""\
model_name: someone/tiny
d_model: {WIDTH}
layer_idx: 3
injection_scale: 4.0
embed_scale: 1.0
injection_token_id: {MARKER}
left_neighbor_id: {LEFT}
right_neighbor_id: {RIGHT}
template_prompt: "Say it.\\n<concept>㊗</concept>\\n"
"""
    },
    "NVIDIA nano30b dataset": {
        "x.parquet.nla_meta.yaml": "{kind: nla_dataset, schema_version: 1,"
        " extraction: {d_model: 16, source_mode: hf, layer_index: 3, mse_scale: sqrt_d_model}}"
    },
    "Modal Qwen3.6 dataset": {
        "x.parquet.nla_meta.yaml": "{kind: nla_dataset, extraction: {d_model: 16, alpha: 95.708}}"
    },
    "Neuronpedia": {
        "nla_meta.yaml": "{kind: nla_model, role: av, d_model: 16,"
        ' prompt_templates: {verbalizer: "Say it.\\n<concept>{injection_char}</concept>\\n"}}'
    },
    "nla_release": {"nla_meta.yaml": "{kind: nla_model, nla_release: {schema: 1}}"},
}

# What no foreign file records, and every pair needs.
COMMON = {
    "base_revision": COMMIT,
    "base_quantization": "nf4",
    "base_dtype": "bfloat16",
    "activation_mean": "41.5",
    "embedding_mean": "38.5",
    "av.prompt_encoding": "raw",
    "ar.final_norm": "identity",
}
TEMPLATES = {
    "injection_char": "㊗",
    "template_av": "Describe the vector.\n<concept>{injection_char}</concept>\n",
    "template_ar": "Summary: <text>{explanation}</text> <summary>",
}
STAGES = {"av.stage": "sl", "ar.stage": "sl"}


def write_files(folder: Path, files: dict[str, str]) -> Path:
    """A folder with these files."""
    for name, text in files.items():
        write_atomic(folder / name, text)
    return folder


def make_foreign_pair(folder: Path, av: str, ar: str | None) -> Path:
    """Real adapters in `av/` and `ar/`, with sidecars of a format; none at the AR for None."""
    make_pair(folder)
    for role, name in (("av", av), ("ar", ar)):
        (folder / role / "nla_meta.yaml").unlink()
        write_files(folder / role, SAMPLES[name] if name else {})
    return folder


def make_kitft_pair(folder: Path) -> Path:
    """A pair whose sidecars are the reference contract's, as published."""
    make_foreign_pair(folder, "kitft, published", "kitft, published")
    text = SAMPLES["kitft, published"]["nla_meta.yaml"]
    text = text.replace("role: av", "role: ar").replace("150.0", "null")
    text += "critic: {extraction_layer_index: 3}\n"
    write_files(folder / "ar", {"nla_meta.yaml": text})
    return folder


def make_solshine_pair(folder: Path) -> Path:
    """An AV with a sidecar of its own kind; an AR with none, and a pickled head with a bias."""
    import torch

    make_foreign_pair(folder, "Solshine", None)
    head = folder / "ar" / "value_head.safetensors"
    weight = safetensors.numpy.load_file(head)["weight"]
    head.unlink()
    torch.save(
        {"weight": torch.from_numpy(weight), "bias": torch.zeros(WIDTH)},
        folder / "ar" / "linear_head.pt",
    )
    return folder


def head_values(folder: Path) -> dict[str, np.ndarray]:
    """The tensors of a folder's `value_head.safetensors`."""
    return dict(safetensors.numpy.load_file(folder / "value_head.safetensors"))
