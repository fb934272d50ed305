"""A LoRA on the base: fresh, or with the weights of an earlier one; and saving it."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import torch
from safetensors.torch import load_file

from nla_release.adapter.config import AdapterConfig, portable
from nla_release.adapter.lora import adapted_names
from nla_release.adapter.training_log import dump_log
from nla_release.adapter.weights import read_header
from nla_release.contract.prompt import suffix_ids
from nla_release.contract.sidecar import Sidecar, dump_sidecar, read_sidecar
from nla_release.contract.training_chain import CONTINUED_FROM, RECORDED, STACKED_ON
from nla_release.engine.adapters import calm, check_lands, load_head
from nla_release.engine.base import LoadedBase, load_base
from nla_release.engine.processes import device_here
from nla_release.errors import ConfigError
from nla_release.io.files import dump_json, read_json, replacing_folder, sha256_file, write_atomic
from nla_release.io.layout import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    HEAD_FILE,
    SIDECAR_FILE,
    TRAINING_LOG_FILE,
)
from nla_release.io.schema import parse
from nla_release.training.checkpoints import Fit, writable, write_tensors
from nla_release.training.gates import check_targets
from nla_release.training.prompts import marked_prompt
from nla_release.training.recipe import Recipe
from nla_release.training.settings import AdapterSettings


@dataclass(frozen=True)
class Learner:
    """What is trained: the base with a LoRA on it, and an AR's head."""

    model: Any
    head: torch.nn.Linear | None = None

    @property
    def parameters(self) -> Mapping[str, torch.nn.Parameter]:
        """What the optimizer may change, by name."""
        found = {name: it for name, it in self.model.named_parameters() if it.requires_grad}
        if self.head is not None:
            found |= {f"head.{name}": it for name, it in self.head.named_parameters()}
        return found


@contextmanager
def without_dropout(model: Any) -> Iterator[None]:
    """In evaluation mode inside, and afterwards as it was before."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def load(recipe: Recipe, device: str | None) -> LoadedBase:
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
        device=device_here(device),
    )
    # Check the templates now, and not after hours of training.
    marked_prompt(base, recipe)
    suffix_ids(base.encode, recipe.templates.ar)
    return base


def add_lora(base: LoadedBase, settings: AdapterSettings) -> Any:
    """The base wrapped in PEFT with a fresh LoRA.

    Raises:
        ConfigError: `target_modules` matches nothing, or something that cannot be adapted.
    """
    check_targets(base.model, settings.target_modules)
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
            hint="match the language model's projections only; `nla-release train recipe NAME`"
            " shows how for some bases",
        ) from error
    if settings.gradient_checkpointing:
        with calm():
            model.gradient_checkpointing_enable({"use_reentrant": False})
    _keep_gradients(model)
    return model.train()


def _keep_gradients(model: Any) -> None:
    """Keep bitsandbytes from repacking 4-bit weights for inference.

    In evaluation mode, as in a tripwire, it does so on CPUs with AVX512-BF16. Such weights pass no
    gradient on, also once the model trains again (`Linear4bit.forward` in bitsandbytes 0.50).
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def start_from(earlier: Path, learner: Learner, sidecar: Sidecar) -> dict[str, Any]:
    """Load an earlier adapter's weights into a new one; returns what the sidecar records of it.

    Raises:
        ConfigError: the earlier one has another base, layer, prompt, scale or shape.
        PairError: it uses a variant of LoRA that is not supported.
        InputError: it is missing or damaged, or holds values that are not finite.
    """
    before = read_sidecar(earlier, sidecar.role)
    path = earlier / ADAPTER_CONFIG_FILE
    config = parse(AdapterConfig, read_json(path), path)
    weights = earlier / ADAPTER_FILE
    held = {name: tensor.shape for name, tensor in read_header(weights).items()}
    wanted = peft.get_peft_model_state_dict(learner.model, save_embedding_layers=False)
    (adapter,) = sidecar.nla_release.adapters
    facts = {
        "rank and alpha": ((config.r, config.lora_alpha), (adapter.rank, adapter.alpha)),
        "use_rslora": (config.use_rslora, False),
        "adapters": (len(before.nla_release.adapters), 1),
        "tensors": (held, {name: tuple(value.shape) for name, value in wanted.items()}),
    }
    differing = [name for name, (old, new) in facts.items() if old != new]
    if differing := differing + broken_promises(before, sidecar):
        raise ConfigError(
            f"continue_from {earlier}: it has other {', '.join(differing)} than this training",
            hint="continue from an adapter of the same base, layer, prompt, rank and targets",
        )
    check_lands(learner.model.get_base_model(), earlier)
    peft.set_peft_model_state_dict(learner.model, load_file(weights))
    return take_over(earlier, learner, before)


def take_over(earlier: Path, learner: Learner, before: Sidecar) -> dict[str, Any]:
    """Give an AR the head of an earlier one; returns what the sidecar records of that adapter.

    With its own earlier runs and what it is stacked on, so that all of them stay known.

    Raises:
        WeightsError: the head is damaged.
    """
    known = before.nla_release.training
    found = {"adapter_sha256": sha256_file(earlier / ADAPTER_FILE)}
    found |= {key: known[key] for key in (*RECORDED, CONTINUED_FROM, STACKED_ON) if key in known}
    if learner.head is not None:
        learner.head.load_state_dict(load_head(earlier, before).state_dict())
        found["head_sha256"] = sha256_file(earlier / HEAD_FILE)
    return found


def broken_promises(before: Sidecar, sidecar: Sidecar) -> list[str]:
    """The properties in which a new adapter differs from the earlier one that it continues from.

    The weights of the base are compared when both were trained on a base in a local folder.
    """
    broken = [name for name, read in _PROMISES.items() if read(before) != read(sidecar)]
    digests = {it.nla_release.training.get("base_sha256") for it in (before, sidecar)}
    if len(digests - {None}) > 1:
        broken.append("weights of the base")
    return broken


# What two adapters must share for one to continue from the other.
_PROMISES: dict[str, Callable[[Sidecar], Any]] = {
    "base": lambda it: it.nla_release.base,
    "layer": lambda it: it.extraction_layer_index,
    "templates": lambda it: it.prompt_templates,
    "marker": lambda it: it.tokens,
    "injection": lambda it: it.nla_release.injection,
    "head": lambda it: it.nla_release.ar_head,
}


def save(
    target: Path,
    learner: Learner,
    sidecar: Sidecar,
    fit: Fit,
    *,
    also: Callable[[Path], None] = lambda _: None,
) -> None:
    """Write adapter, head, sidecar and loss log as `target`, atomically.

    adapter_config.json names every adapted module in full. PEFT also takes a regular expression,
    which SGLang refuses. It also names the base's commit, so that AutoPeftModel loads that one.

    `also` writes further files into the folder.
    """
    with replacing_folder(target) as staging:
        config = learner.model.peft_config["default"]
        config.base_model_name_or_path = sidecar.nla_release.base.id
        config.revision = sidecar.nla_release.base.revision
        with writable(target):
            learner.model.save_pretrained(
                staging, save_embedding_layers=False, selected_adapters=["default"]
            )
        written = portable(read_json(staging / ADAPTER_CONFIG_FILE))
        written["target_modules"] = sorted(adapted_names(read_header(staging / ADAPTER_FILE)))
        write_atomic(staging / ADAPTER_CONFIG_FILE, dump_json(written))
        (staging / "README.md").unlink(missing_ok=True)  # PEFT's stub; `render` writes the card
        if learner.head is not None:
            write_tensors(staging / HEAD_FILE, learner.head.state_dict())
        also(staging)
        write_atomic(staging / TRAINING_LOG_FILE, dump_log(fit.steps))
        write_atomic(staging / SIDECAR_FILE, dump_sidecar(sidecar))
