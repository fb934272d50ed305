"""A fresh LoRA on the base, and saving it as one half of a pair."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import peft
import torch
from safetensors.torch import save_file

import nla_release
from nla_release.adapter_config import portable
from nla_release.chat import Chat
from nla_release.engine.adapters import calm
from nla_release.engine.base import Base, load_base
from nla_release.errors import ConfigError
from nla_release.files import dump_json, read_json, replacing_folder, sha256_file, write_atomic
from nla_release.prompt import MarkedPrompt, mark, suffix_ids
from nla_release.sidecar import FILE_NAME, HEAD_FILE_NAME, Role, Sidecar, dump_sidecar
from nla_release.training_log import FILE_NAME as LOG_NAME
from nla_release.training_log import RULE, Step, judge
from nla_release.weights import CONFIG_FILE_NAME
from train.dataset import TrainingRows, parquet_path
from train.loop import Fit
from train.recipe import Adapter, Recipe


def load(recipe: Recipe, device: str | None) -> Base:
    """The recipe's base, as `nla_release.engine.base.load_base` gives it.

    Raises:
        ConfigError: the recipe wants a chat, and the base has no chat template.
        PairError: a template of the recipe does not suit the base's tokenizer.
    """
    base = load_base(
        recipe.base.path or recipe.base.id,
        recipe.base.revision,
        quantization=recipe.base.quantization,
        dtype=recipe.base.dtype,
        device=device,
    )
    # Found out now, and not after hours of training.
    marked_prompt(base, recipe)
    suffix_ids(base.encode, recipe.templates.ar)
    return base


def chat_of(base: Base, recipe: Recipe) -> Chat | None:
    """The base's chat template with the recipe's options, when the AV's prompt is a chat.

    Raises:
        ConfigError: the base has none.
    """
    if recipe.prompt_encoding == "raw":
        return None
    if base.chat is None:
        raise ConfigError(
            f"prompt_encoding is chat, and {recipe.base.id} has no chat template",
            hint="set prompt_encoding to raw, or train on the base's instruction-tuned sibling",
        )
    return base.chat.given(recipe.chat_options)


def marked_prompt(base: Base, recipe: Recipe) -> MarkedPrompt:
    """The AV's prompt as the recipe has it encoded.

    Raises:
        ConfigError: the recipe wants a chat, and the base has no chat template.
        PairError: the marker does not stand once in it, or the chat template fails.
    """
    return mark(base.encode, recipe.templates.av, recipe.marker, chat_of(base, recipe))


def add_lora(base: Base, settings: Adapter) -> Any:
    """The base wrapped in PEFT with a fresh LoRA.

    Raises:
        ConfigError: `target_modules` matches nothing, or something that cannot be adapted.
    """
    torch.manual_seed(settings.seed)
    config = peft.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=settings.target_modules,
        task_type="CAUSAL_LM",
    )
    try:
        with calm():
            model = peft.get_peft_model(base.model, config)
    except (ValueError, re.error) as error:
        raise ConfigError(
            f"target_modules {settings.target_modules!r}: {error}",
            hint="match the language model's projections only, as the recipes in train/recipes do",
        ) from error
    if settings.gradient_checkpointing:
        with calm():
            model.gradient_checkpointing_enable({"use_reentrant": False})
    return model.train()


def trainable(model: Any) -> list[torch.nn.Parameter]:
    """The parameters that the optimizer may change."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def save(
    target: Path,
    model: Any,
    sidecar: Sidecar,
    fit: Fit,
    head: torch.nn.Linear | None = None,
) -> None:
    """Write adapter, head, sidecar and loss log as `target`, whole or not at all."""
    with replacing_folder(target) as staging:
        config = model.peft_config["default"]
        config.base_model_name_or_path = sidecar.nla_release.base.id
        model.save_pretrained(staging, save_embedding_layers=False)
        written = portable(read_json(staging / CONFIG_FILE_NAME))
        write_atomic(staging / CONFIG_FILE_NAME, dump_json(written))
        (staging / "README.md").unlink(missing_ok=True)  # PEFT's stub; `render` writes the card
        if head is not None:
            state = {name: value.contiguous().cpu() for name, value in head.state_dict().items()}
            save_file(state, staging / HEAD_FILE_NAME)
        write_atomic(staging / LOG_NAME, "".join(f"{_line(step)}\n" for step in fit.steps))
        write_atomic(staging / FILE_NAME, dump_sidecar(sidecar))


def summary(target: Path, fit: Fit) -> str:
    """One line on a finished training: losses, and the verdict with the rule it follows."""
    verdict = judge(fit.steps)
    return (
        f"wrote {target}: loss {fit.steps[0].loss:.3f} to {fit.steps[-1].loss:.3f}; trend over all"
        f" {verdict.steps} steps {verdict.name} ({verdict.slope:.5f} per step, R2 {verdict.r2:.2f};"
        f" descending means {RULE})"
    )


def training_facts(
    recipe: Recipe, settings: Adapter, rows: TrainingRows, fit: Fit, folder: Path, base: Base
) -> dict[str, Any]:
    """What the sidecar records of a training; every figure measured or taken from the recipe."""
    verdict = judge(fit.steps)
    return {
        "trained_from": recipe.name,
        "steps": settings.steps,
        "learning_rate": settings.learning_rate,
        "schedule": settings.schedule,
        "optimizer": fit.optimizer,
        "micro_batch": settings.micro_batch,
        "gradient_accumulation": settings.gradient_accumulation,
        "max_tokens": settings.max_tokens,
        "lora_dropout": settings.dropout,
        "target_modules": settings.target_modules,
        "seed": settings.seed,
        "rows": len(rows.activations),
        "documents": rows.documents,
        "data_sha256": sha256_file(parquet_path(folder, "train")),
        "first_loss": round(fit.steps[0].loss, 6),
        "final_loss": round(fit.steps[-1].loss, 6),
        "seconds": round(fit.seconds, 1),
        "device": base.device,
        "hardware": _hardware(base.device),
        "verdict": {
            "name": verdict.name,
            "slope": round(verdict.slope, 6),
            "r2": round(verdict.r2, 6),
            "steps": verdict.steps,
            "rule": RULE,
        },
    }


def sidecar_common(
    role: Role, recipe: Recipe, base: Base, rows: TrainingRows, embedding_norm: float
) -> dict[str, Any]:
    """The part of a sidecar that AV and AR share; each adds its own keys."""
    d_model = base.model.config.get_text_config().hidden_size
    prompt = marked_prompt(base, recipe)
    return {
        "kind": "nla_model",
        "schema_version": 2,
        "role": role,
        "stage": "sl",
        "d_model": d_model,
        "extraction_layer_index": recipe.extract.layer,
        "extraction": {"injection_scale": None, "mse_scale": float(d_model**0.5)},
        "tokens": {
            "injection_char": recipe.marker,
            "injection_token_id": prompt.token_id,
            "injection_left_neighbor_id": prompt.left_id,
            "injection_right_neighbor_id": prompt.right_id,
            "critic_suffix_ids": suffix_ids(base.encode, recipe.templates.ar)
            if role == "ar"
            else None,
        },
        "prompt_templates": recipe.templates.model_dump(),
        "critic": None,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "created_by": f"nla_release {nla_release.__version__} train.{role}",
        "nla_release": {
            "schema": 1,
            "base": {
                "id": recipe.base.id,
                "revision": base.revision,
                "quantization": recipe.base.quantization,
                "dtype": recipe.base.dtype,
            },
            "layer_convention": "block_output",
            "injection": None,
            "adapters": [],
            "ar_head": None,
            "norms": {
                "activation_mean": round(rows.activation_norm, 4),
                "embedding_mean": round(embedding_norm, 4),
            },
        },
    }


def _line(step: Step) -> str:
    return step.model_dump_json()


def _hardware(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} CPU threads"
