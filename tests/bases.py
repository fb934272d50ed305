"""Bases of several architectures: tiny ones with random weights, and the shapes of real ones."""

from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers

from tests.sidecars import TINY_BASE

# The text part of google/gemma-4-E2B as public ports transcribe its config.json; the towers are
# transformers' defaults, which are that model's. It all adds up to its 5.1 billion parameters.
GEMMA_4_E2B: dict[str, Any] = {
    "hidden_size": 1536,
    "num_hidden_layers": 35,
    "intermediate_size": 6144,
    "num_attention_heads": 8,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "global_head_dim": 512,
    "vocab_size": 262144,
    "vocab_size_per_layer_input": 262144,
    "hidden_size_per_layer_input": 256,
    "num_kv_shared_layers": 20,
    "use_double_wide_mlp": True,
    "sliding_window": 512,
    "final_logit_softcapping": 30.0,
    "layer_types": [*["sliding_attention"] * 4, "full_attention"] * 7,
}

_TEXT: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 512,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
_GEMMA = {"head_dim": 32, "sliding_window": 32}
_VISION: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}


def gemma_4_e2b() -> Any:
    """The configuration of google/gemma-4-E2B, as far as its memory depends on it."""
    return transformers.Gemma4Config(text_config=GEMMA_4_E2B, vision_config={}, audio_config={})


def small_bases() -> dict[str, Any]:
    """The configurations of the smaller bases with recipes, by recipe, as public copies give them.

    Their parameters add up to those bases' 999,885,952 and 494,032,768.
    """
    return {
        "gemma-3-1b": transformers.Gemma3TextConfig(
            hidden_size=1152,
            intermediate_size=6912,
            num_hidden_layers=26,
            num_attention_heads=4,
            num_key_value_heads=1,
            head_dim=256,
            vocab_size=262144,
            sliding_window=512,
        ),
        "qwen2.5-0.5B": transformers.Qwen2Config(
            hidden_size=896,
            intermediate_size=4864,
            num_hidden_layers=24,
            num_attention_heads=14,
            num_key_value_heads=2,
            vocab_size=151936,
            tie_word_embeddings=True,
        ),
    }


def smollm2_135m() -> Any:
    """The configuration of SmolLM2-135M as the package's GGUF file gives it."""
    return transformers.LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    )


def tiny_gemma3n() -> Any:
    """A tiny Gemma-3n, whose blocks hand on several residual streams."""
    return transformers.Gemma3nTextConfig(
        **_TEXT,
        head_dim=32,
        vocab_size_per_layer_input=512,
        hidden_size_per_layer_input=8,
        layer_types=["full_attention"] * 4,
        activation_sparsity_pattern=None,
        num_kv_shared_layers=1,
    )


def tiny_configs() -> dict[str, Any]:
    """A configuration of each architecture, by a name for it; all have the tiny vocabulary."""
    return {
        "llama": transformers.LlamaConfig(**_TEXT, tie_word_embeddings=False),
        "qwen2": transformers.Qwen2Config(**_TEXT, tie_word_embeddings=True),
        "gemma3-text": transformers.Gemma3TextConfig(**_TEXT, **_GEMMA),
        "gemma3-wrapper": transformers.Gemma3Config(
            text_config=_TEXT | _GEMMA,
            vision_config=_VISION,
            mm_tokens_per_image=1,
            image_token_index=6,
            boi_token_index=4,
            eoi_token_index=5,
        ),
        "gemma4": transformers.AutoConfig.from_pretrained(TINY_BASE),
    }


def write_base(folder: Path, config: Any) -> Path:
    """Write a base with random weights and a small tokenizer; gives the folder back.

    The tokenizer is the tiny base's, except of a Qwen, which transformers gives one over bytes.
    """
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((TINY_BASE / name).read_bytes())
    if config.model_type == "qwen2":
        _over_bytes().save(str(folder / "tokenizer.json"))
    return folder


def _over_bytes() -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<pad>", "<eos>", "<bos>", "<unk>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["㊗"] * 9, trainer)  # the marker becomes one token
    return tokenizer
