"""PEFT's `adapter_config.json`: what it says of an adapter, and the form that any PEFT loads.

PEFT writes every option it knows, used or not, and a version that does not know one refuses the
file (huggingface/peft#2275): what says nothing is therefore left out of what we write.
"""

from typing import Any, Literal

from pydantic import Field

from nla_release.schema import Open, Positive, Size

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

# Later options that say how an adapter was made: what came of it is in its tensors.
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

# The variants that a sidecar declares, besides modules_to_save.
_DECLARED = {"use_dora", "use_rslora"}

# What PEFT writes for options that are not used, besides null, false, {} and [].
_UNUSED = {"megatron_core": "megatron.core", "qalora_group_size": 16}

# Initialisations that leave the base's weights alone. The others (pissa, olora, corda, loftq,
# lora_ga) change them, and with them every other adapter on that base (huggingface/peft#2184).
_HARMLESS_INITS = (True, False, None, "gaussian", "eva", "orthogonal")


class AdapterConfig(Open):
    """What is read of it. PEFT's other options are kept as extras."""

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

    @property
    def saved(self) -> tuple[str, ...]:
        """Names of the modules that are saved whole beside the LoRA factors."""
        return tuple(self.modules_to_save or ())

    @property
    def unused(self) -> list[str]:
        """Options in the file that say nothing, and that some PEFT does not know."""
        return [key for key, value in self._given().items() if _is_unused(key, value)]

    @property
    def undeclarable(self) -> dict[str, Any]:
        """Options that change what the adapter computes and that no sidecar can declare."""
        harmless = _KNOWN_EVERYWHERE | _OF_THE_TRAINING | _DECLARED
        found = {
            key: value
            for key, value in self._given().items()
            if key not in harmless and not _is_unused(key, value)
        }
        if self.bias != "none":
            found["bias"] = self.bias
        if self.init_lora_weights not in _HARMLESS_INITS:
            found["init_lora_weights"] = self.init_lora_weights
        return found

    def _given(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)


def declared(config: AdapterConfig) -> dict[str, Any]:
    """What a sidecar records of the one adapter beside it."""
    return {
        "path": ".",
        "rank": config.r,
        "alpha": config.lora_alpha,
        "rslora": config.use_rslora,
        "dora": config.use_dora,
        "modules_to_save": list(config.saved),
    }


def portable(document: dict[str, Any]) -> dict[str, Any]:
    """An `adapter_config.json` without the options that say nothing, and for inference."""
    used = {key: value for key, value in document.items() if not _is_unused(key, value)}
    return used | {"inference_mode": True}


def _is_unused(key: str, value: Any) -> bool:
    if key in _KNOWN_EVERYWHERE:
        return False
    return value is None or value is False or value in ({}, [], _UNUSED.get(key))
