"""NLA3xx, second half: what adapter_config.json says of the adapter, and who can read it."""

import json
from collections.abc import Iterator
from typing import Any

from nla_release.adapter.config import AdapterConfig, declared
from nla_release.adapter.lora import adapted_names
from nla_release.adapter.weights import CONFIG_FILE_NAME
from nla_release.gate.adapter import Adapter
from nla_release.gate.findings import Page, Problem, listed
from nla_release.gate.model import ADAPTERS, rule

# What the halves of a pair do, by PEFT's words: an AV writes, an AR is read at a block.
_TASKS = {"av": ("CAUSAL_LM",), "ar": ("CAUSAL_LM", "FEATURE_EXTRACTION")}

# PEFT's names of what a sidecar declares.
_OPTIONS = {"rslora": "use_rslora", "dora": "use_dora", "modules_to_save": "modules_to_save"}


@rule(
    "NLA308",
    "error",
    "variants of LoRA are declared, and are ones that can be run",
    each=ADAPTERS,
    page=Page(
        checks="use_rslora, use_dora and modules_to_save of adapter_config.json are what the"
        " sidecar records of its adapter, as rslora, dora and modules_to_save. Every other option"
        " that changes what this adapter computes is refused by name: bias, lora_bias,"
        " rank_pattern, alpha_pattern, trainable_token_indices, layer_replication,"
        " target_parameters and the like, and initialisations that change the base's weights"
        " (pissa, olora, corda, loftq, lora_ga). An option that changes nothing here is none of"
        " them, such as ensure_weight_tying where no embedding is trained, or an alpha_pattern with"
        " the value of lora_alpha or for modules that the adapter does not have.",
        why="Rank 64 and alpha 128 scale the factors' product by 2 in LoRA and by 16 in the"
        " rank-stabilised variant, and nothing but one flag tells which; readers that merge"
        " adapters by their own code do not all look. An adapter that began with PiSSA changes the"
        " weights of the base it is loaded on, so that the other adapter of the pair, on the same"
        " base, gives garbage (huggingface/peft#2184).",
        fix="Record the options in the sidecar as adapter_config.json has them; `nla-release init`"
        " does. An adapter that began with pissa, olora or corda becomes a plain one when it is"
        " saved with path_initial_model_for_weight_conversion. For the others, train a plain LoRA.",
        example="use_rslora is true, the sidecar records false",
        waive="Never: the adapter that is run is not the one that is described.",
    ),
)
def variants_declared(adapter: Adapter) -> Iterator[Problem]:
    """Each option in use, against the sidecar and against what can be declared at all."""
    config, path = adapter.config, adapter.folder / CONFIG_FILE_NAME
    if undeclarable := config.undeclarable(adapted_names(adapter.tensors)):
        options = [f"{key} = {_shown(value)}" for key, value in undeclarable.items()]
        yield Problem(path, f"{listed(options)}: no sidecar can declare it, and it is not run here")
    found, expected = declared(config), adapter.sidecar.nla_release.adapters[-1].model_dump()
    for name, option in _OPTIONS.items():
        if found[name] != expected[name]:
            yield Problem(
                path,
                f"{option} is {_shown(found[name])}, the sidecar records {_shown(expected[name])}",
            )


@rule(
    "NLA309",
    "warning",
    "adapter_config.json loads wherever LoRA does",
    each=ADAPTERS,
    page=Page(
        checks="adapter_config.json has no option that says nothing and that some version of PEFT"
        " does not know (null, false or empty, or the same as without it); it gives task_type and"
        " peft_version; the task is CAUSAL_LM, of an AR also FEATURE_EXTRACTION; inference_mode is"
        " true; and auto_mapping names no class of its author's machine.",
        why="PEFT writes all the options it knows, used or not, and a version that does not know"
        " one of them stopped with `got an unexpected keyword argument 'eva_config'`"
        " (huggingface/peft#2275, #1979, #2340) until PEFT learned to drop them; other readers of"
        " the file still stop. Which version wrote it was recorded nowhere.",
        fix="Remove the options, and add what is missing, before the pair is measured: the evidence"
        " holds the file's hash. `nla-release init` writes such a file.",
        example="not every PEFT knows these options, which change nothing:"
        " alora_invocation_tokens, alpha_pattern, arrow_config, ...",
        waive="It may stand when the pair is measured already and is read by one version of PEFT.",
    ),
)
def config_portable(adapter: Adapter) -> Iterator[Problem]:
    """The options of the file, and what a reader looks for in vain."""
    config, path = adapter.config, adapter.folder / CONFIG_FILE_NAME
    if unused := config.unused:
        yield Problem(
            path,
            f"not every PEFT knows these options, which change nothing: {listed(unused)}",
        )
    for name in ("task_type", "peft_version"):
        if not getattr(config, name):
            yield Problem(path, f"{name} is missing")
    fitting = _TASKS[adapter.role]
    if config.task_type and config.task_type not in fitting:
        yield Problem(
            path,
            f"task_type is {config.task_type}, expected {' or '.join(fitting)} of an"
            f" {adapter.role.upper()}: PEFT wraps the base as a model for another task",
        )
    if config.inference_mode is not True:
        yield Problem(path, f"inference_mode is {_shown(config.inference_mode)}, expected true")
    if foreign := _foreign_class(config):
        yield Problem(path, f"auto_mapping names {foreign}, which is not in transformers")


def _foreign_class(config: AdapterConfig) -> str | None:
    mapping = config.auto_mapping or {}
    library = str(mapping.get("parent_library") or "")
    if not mapping or library.split(".")[0] == "transformers":
        return None
    return f"{mapping.get('base_model_class')} of {library or 'an unnamed library'}"


def _shown(value: Any) -> str:
    """As the file has it."""
    return json.dumps(value)
