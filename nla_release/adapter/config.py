"""PEFT's `adapter_config.json`: its options, and the form that any PEFT version loads.

PEFT writes every option it knows, used or not, and a version that does not know one refuses the
file (huggingface/peft#2275). So options without an effect are left out when it is written here.
"""

import difflib
from collections.abc import Collection, Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from nla_release.adapter.pattern import fully_matching
from nla_release.errors import InputError
from nla_release.io.schema import Open, Positive, Size

# The options of PEFT 0.4, which every later version knows.
_KNOWN_EVERYWHERE = {
    "auto_mapping",
    "base_model_name_or_path",
    "bias",
    "fan_in_fan_out",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
    "modules_to_save",
    "peft_type",
    "r",
    "revision",
    "target_modules",
    "task_type",
}

# Later options that matter in training only: their result is in the tensors.
_OF_THE_TRAINING = {
    "corda_config",
    "eva_config",
    "exclude_modules",
    "loftq_config",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
}

# The variants that a sidecar declares, in addition to modules_to_save.
_DECLARED = {"use_dora", "use_rslora"}

# What PEFT writes for options that are not used, other than null, false, {} and [].
_UNUSED = {"megatron_core": "megatron.core", "qalora_group_size": 16}

# Initialisations that leave the base's weights alone. The others (pissa, olora, corda, loftq,
# lora_ga) change them, and with them every other adapter on that base (huggingface/peft#2184).
_HARMLESS_INITS = (True, False, None, "gaussian", "eva", "orthogonal")


# The tasks that PEFT knows; it refuses every other word.
TASKS = (
    "CAUSAL_LM",
    "FEATURE_EXTRACTION",
    "QUESTION_ANS",
    "SEQ_2_SEQ_LM",
    "SEQ_CLS",
    "TOKEN_CLS",
)

# PEFT's names of the modules that a base may tie to one another, and their names in full.
_TIED = ("embed_tokens", "lm_head")
_TIED_NAMES = (*_TIED, "model.embed_tokens", "model.language_model.embed_tokens")

# Values for some modules, and the option that has the value of all others.
_PATTERN_OF = {"alpha_pattern": "lora_alpha", "rank_pattern": "r"}


class AdapterConfig(Open):
    """The options that are read. PEFT's other options are kept as extras."""

    peft_type: Literal["LORA"]
    base_model_name_or_path: str | None = None
    revision: str | None = None
    r: Size
    lora_alpha: Positive
    target_modules: str | list[str] | None = None
    exclude_modules: str | list[str] | None = None
    layers_to_transform: int | list[int] | None = None
    layers_pattern: str | list[str] | None = None
    use_rslora: bool = False
    use_dora: bool = False
    modules_to_save: list[str] | None = Field(None, max_length=100)
    bias: str = "none"
    init_lora_weights: bool | str | None = True
    task_type: str | None = None
    inference_mode: bool | None = None
    auto_mapping: dict[str, Any] | None = None
    peft_version: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_of_peft(cls, document: Any) -> Any:
        of_mlx = {"lora_parameters", "fine_tune_type"}
        if isinstance(document, dict) and of_mlx & document.keys() and "peft_type" not in document:
            raise ValueError(
                "is the configuration of an adapter of MLX: convert it to PEFT's format first"
            )
        return document

    @field_validator("task_type")
    @classmethod
    def _is_known_to_peft(cls, task: str | None) -> str | None:
        if task is not None and task not in TASKS:
            near = difflib.get_close_matches(task.upper(), TASKS, 1, 0.75)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"PEFT accepts only {', '.join(TASKS)}{meant}")
        return task

    @model_validator(mode="after")
    def _names_blocks_as_peft_does(self) -> "AdapterConfig":
        limits = {
            "layers_to_transform": self.layers_to_transform,
            "layers_pattern": self.layers_pattern,
        }
        given = [name for name, value in limits.items() if value is not None]
        if given and isinstance(self.target_modules, str):
            raise ValueError(
                f"PEFT refuses {' and '.join(given)} with target_modules as a string: name the"
                " blocks in its regular expression"
            )
        if self.layers_pattern and self.layers_to_transform is None:
            raise ValueError("PEFT refuses layers_pattern without layers_to_transform")
        return self

    @property
    def saved(self) -> tuple[str, ...]:
        """Names of the modules that are saved whole."""
        return tuple(self.modules_to_save or ())

    @property
    def unused(self) -> list[str]:
        """Options in the file without an effect, which some PEFT versions do not know."""
        given = self._given()
        return [key for key, value in given.items() if _has_no_effect(key, value, given)]

    def undeclarable(self, modules: Collection[str]) -> dict[str, Any]:
        """Options that change what the adapter computes and that no sidecar can declare.

        Args:
            modules: the adapted modules; a pattern that matches none of them has no effect.
        """
        harmless = _KNOWN_EVERYWHERE | _OF_THE_TRAINING | _DECLARED
        given = self._given()
        found = {
            key: value
            for key, value in given.items()
            if key not in harmless and not _has_no_effect(key, value, given, modules)
        }
        if self.bias != "none":
            found["bias"] = self.bias
        if self.init_lora_weights not in _HARMLESS_INITS:
            found["init_lora_weights"] = self.init_lora_weights
        return found

    def _given(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)


def declared(config: AdapterConfig) -> dict[str, Any]:
    """What a sidecar records of the adapter in its folder."""
    return {
        "path": ".",
        "rank": config.r,
        "alpha": config.lora_alpha,
        "rslora": config.use_rslora,
        "dora": config.use_dora,
        "modules_to_save": list(config.saved),
    }


def portable(document: dict[str, Any], modules: Collection[str] = ()) -> dict[str, Any]:
    """An `adapter_config.json` for inference, without the options that have no effect.

    With the full names of the adapted modules, they replace a pattern in target_modules, which
    PEFT reads and SGLang refuses.
    """
    used = {
        key: value for key, value in document.items() if not _has_no_effect(key, value, document)
    }
    if modules and isinstance(used.get("target_modules"), str):
        used |= {"target_modules": sorted(modules)}
        used.pop("exclude_modules", None)  # what it excludes is not in the list
    return used | {"inference_mode": True}


def _has_no_effect(
    key: str, value: Any, document: Mapping[str, Any], modules: Collection[str] | None = None
) -> bool:
    """Whether the adapter is the same without an option, given the other options.

    Without `modules`, the names of the adapted ones, every pattern counts as one that matches some.
    """
    if _is_unused(key, value):
        return True
    if key == "ensure_weight_tying" and value is True:
        # It ties the embedding to the output layer, which has no effect if neither is trained.
        trained = (document.get("target_modules"), document.get("modules_to_save"))
        return not any(map(_may_name_tied, trained))
    if key in _PATTERN_OF and isinstance(value, dict):
        usual = document.get(_PATTERN_OF[key])
        others = [name for name, each in value.items() if each != usual]
        return not any(modules is None or _names_any(name, modules) for name in others)
    return False


def _names_any(pattern: str, modules: Collection[str]) -> bool:
    """Whether PEFT may find a module by a name or pattern; True if that cannot be tried."""
    try:
        return bool(fully_matching(f"(.*\\.)?(?:{pattern})", tuple(sorted(modules))))
    except InputError:
        return True


def _may_name_tied(names: Any) -> bool:
    """Whether a list of modules or a regular expression may name a tied one."""
    if isinstance(names, str):
        # all-linear leaves the output layer out
        return names.lower() != "all-linear" and _names_any(names, _TIED_NAMES)
    return isinstance(names, list) and any(str(name).endswith(_TIED) for name in names)


def _is_unused(key: str, value: Any) -> bool:
    if key in _KNOWN_EVERYWHERE:
        return False
    return value is None or value is False or value in ({}, [], _UNUSED.get(key))
