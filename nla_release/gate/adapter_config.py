"""NLA306 to NLA310 and NLA313: an adapter's modules and its adapter_config.json.

NLA306 and NLA307 compare the adapted modules with those of the base; NLA308, NLA309 and NLA313
check adapter_config.json; NLA310 checks the adapters that this one was trained on top of.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from nla_release.adapter.config import AdapterConfig, declared
from nla_release.adapter.lora import LoraModule, adapted_names, unlike_configuration
from nla_release.adapter.module_names import (
    TEXT,
    WRAPPER,
    ModuleTree,
    Targets,
    block_of,
    decoders,
    is_of_a_tower,
)
from nla_release.adapter.pattern import UntriedError
from nla_release.adapter.stack import below, disorder
from nla_release.contract.sidecar import AdapterRecord
from nla_release.errors import InputError
from nla_release.gate.adapter_folder import AdapterFolder
from nla_release.gate.base_facts import AdapterOnBase
from nla_release.gate.findings import Problem, Skip, UnreadableError
from nla_release.gate.model import ADAPTERS, ON_BASE, rule
from nla_release.gate.weights import leaves
from nla_release.io.layout import ADAPTER_CONFIG_FILE, ADAPTER_FILE, SIDECAR_FILE, STACK_FOLDER
from nla_release.text.numbers import listed

# The families for which an old base.json, without kv_shared_layers, does not tell.
_MAY_SHARE_KEYS = ("gemma3n", "gemma4")

_ONLY_IN = {TEXT: "a model of text alone", WRAPPER: "a wrapper with other towers"}


@rule("NLA306", "error", "only the language model is adapted", each=ON_BASE)
def language_model_only(on_base: AdapterOnBase) -> Iterator[Problem | Skip]:
    r"""Names of the adapted modules, then what the configuration would match.

    Checks: No adapted module is in a vision, audio or other tower. target_modules and
        modules_to_save of adapter_config.json, read as PEFT reads them, match nothing outside of
        the base's language model. The second part needs the base's facts.
    Why: A list of module names also matches the projections of Gemma-4's towers, which are
        Gemma4ClippableLinear. PEFT cannot adapt these and refuses to load (huggingface/peft#3129).
        On a base whose towers it can adapt, it does so without a warning.
    Fix: List the language model's modules in target_modules with their full names, which are the
        names in the adapter file (NLA313). If that file holds no other modules, changing
        adapter_config.json is enough; otherwise train again.
    Example: target_modules matches 12 modules outside of the language model, such as
        model.audio_tower.layers.0.self_attn.q_proj
    Waive: Never: readers run the language model alone.
    """
    adapter = on_base.adapter
    adapted = [module.name for module in adapter.modules]
    saved = [name for name in adapter.tensors if ".lora_" not in name]
    if foreign := [name for name in adapted + saved if is_of_a_tower(name)]:
        yield Problem(
            adapter.folder / ADAPTER_FILE,
            f"{len(foreign)} of {len(adapted + saved)} modules are outside of the language model:"
            f" {listed(foreign)}",
        )
    tree = on_base.tree
    if isinstance(tree, Skip):
        yield tree
        return
    path = adapter.folder / ADAPTER_CONFIG_FILE
    try:
        targeted = Targets.of(adapter.config).among(tree)
    except UntriedError as error:
        yield _untried(error)
        return
    except InputError as error:
        yield Problem(path, error.message)
        return
    if outside := tree.outside(targeted):
        yield Problem(
            path,
            f"target_modules matches {len(outside)} modules outside of the language model, such as"
            f" {outside[0]}; write it as a regular expression over {tree.decoder}layers only",
        )
    whole = {name.rpartition(".")[0] for name in tree.saved_whole(adapter.config.saved)}
    if outside := tree.outside(whole):
        yield Problem(
            path,
            f"modules_to_save matches {len(outside)} modules outside of the language model, such as"
            f" {outside[0]}; use a longer ending of the name",
        )


@rule("NLA307", "error", "the adapted modules exist in the base, and none is missing", each=ON_BASE)
def modules_land(on_base: AdapterOnBase) -> Iterator[Problem | Skip]:
    """The file's modules against the base's, then against the configuration.

    Checks: Every module in the adapter file exists in the base's language model, with the name and
        shape that it has once AutoModelForCausalLM has loaded the base. All names have one prefix.
        The file holds every module that target_modules matches in the base and every tensor of the
        modules that modules_to_save matches, and no other. Blocks that reuse keys and values of
        earlier blocks (num_kv_shared_layers of the base's config.json) have no k_proj and v_proj.
        `nla-release roundtrip` makes the same comparison with the loaded base. NLA306 checks
        modules of towers.
    Why: The same block is `model.layers.N` in a model of text alone,
        `model.language_model.layers.N` in a wrapper, and was `language_model.model.layers.N` in one
        before transformers 4.52 (huggingface/transformers#38927). PEFT finds modules by name. Newer
        versions rename some as they load; otherwise it only warns, and the base answers as if there
        were no adapter (huggingface/peft#2566, huggingface/peft#2699); vLLM served the base in
        silence (vllm-project/vllm#34186).
    Fix: Save the adapter from a model that AutoModelForCausalLM loaded, or rename the tensors in
        the file and target_modules to match. A file without some modules was saved
        before FSDP or DeepSpeed gathered them on one process, or from a part of them: save it
        again.
    Example: 8 of 8 modules are named language_model.model.layers..., the loaded base has
        model.language_model.layers...: PEFT may only warn and run the base without them
    Waive: If the base's class uses module names that this version does not know, and the evidence
        shows that the adapter is applied.
    """
    path = on_base.adapter.folder / ADAPTER_FILE
    modules = [each for each in on_base.adapter.modules if not is_of_a_tower(each.name)]
    prefixes = sorted(decoders(module.name for module in modules))
    if len(prefixes) > 1:
        shown = " and ".join(f"{prefix}layers" for prefix in prefixes[:3])
        message = f"modules are named in {len(prefixes)} ways, {shown}, and no model has both"
        yield Problem(path, message)
        return
    tree = on_base.tree
    if isinstance(tree, Skip):
        yield tree
        return
    lost = list(_lost(modules, tree))
    for sentence in lost:
        yield Problem(path, sentence)
    if not lost:
        yield from _held_as_configured(on_base, modules, tree)


def _lost(modules: Sequence[LoraModule], tree: ModuleTree) -> Iterator[str]:
    """Modules that the base does not have, or has in another shape."""
    renamed: Counter[str] = Counter()
    unknown = []
    for name in (each.name for each in modules if each.name not in tree.linear):
        block = block_of(name)
        known = block and f"{tree.decoder}layers.{block.number}.{block.place}" in tree.linear
        if block and known and block.decoder != tree.decoder:
            renamed[block.decoder] += 1
        else:
            unknown.append(name)
    for prefix, count in renamed.items():
        only = f", as in {_ONLY_IN[prefix]}" if prefix in _ONLY_IN else ""
        yield (
            f"{count} of {len(modules)} modules are named {prefix}layers...{only}, the loaded base"
            f" has {tree.decoder}layers...: PEFT may only warn and run the base without them"
        )
    if unknown:
        yield f"the base lacks {len(unknown)} of {len(modules)} modules: {listed(unknown)}"
    for each in modules:
        shape = tree.linear.get(each.name)
        if shape is not None and shape != (each.out_features, each.in_features):
            yield (
                f"the factors of {each.name} map {each.in_features} to {each.out_features}"
                f" features, the base's module {shape[1]} to {shape[0]}"
            )
            return  # the rest are of another base too


def _held_as_configured(
    on_base: AdapterOnBase, modules: Sequence[LoraModule], tree: ModuleTree
) -> Iterator[Problem | Skip]:
    """The file against the modules that PEFT would adapt on this base."""
    adapter = on_base.adapter
    path = adapter.folder / ADAPTER_FILE
    if isinstance(facts := on_base.facts, Skip):
        yield facts
        return
    if facts.kv_shared_layers is None and facts.model_type.startswith(_MAY_SHARE_KEYS):
        yield Skip(
            "base.json does not record which blocks reuse keys and values: run nla-release base"
        )
        return
    if adapter.config.saved and tree.tensors is None:
        yield Skip(
            "base.json does not record all tensors, for modules_to_save: run nla-release base"
        )
    try:
        for sentence in unlike_configuration(modules, adapter.tensors, adapter.config, tree):
            yield Problem(path, sentence)
    except UntriedError as error:
        yield _untried(error)
    except InputError:
        yield Skip(f"{adapter.folder / ADAPTER_CONFIG_FILE} cannot be used, see NLA306")


def _untried(error: UntriedError) -> Skip:
    return Skip(f"target_modules cannot be compared with the base: {error.message}")


# PEFT's task types: an AV writes text, an AR is read at a block.
_TASKS = {"av": ("CAUSAL_LM",), "ar": ("CAUSAL_LM", "FEATURE_EXTRACTION")}

# PEFT's names of what a sidecar declares.
_OPTIONS = {"rslora": "use_rslora", "dora": "use_dora", "modules_to_save": "modules_to_save"}


@rule("NLA308", "error", "variants of LoRA are declared and supported", each=ADAPTERS)
def variants_declared(adapter: AdapterFolder) -> Iterator[Problem]:
    """Each option in use, against the sidecar and against what can be declared at all.

    Checks: use_rslora, use_dora and modules_to_save of adapter_config.json are recorded in the
        sidecar as rslora, dora and modules_to_save. Any other option that changes what this adapter
        computes is an error: bias, lora_bias, rank_pattern, alpha_pattern, trainable_token_indices,
        layer_replication, target_parameters and the like, and initialisations that change the
        base's weights (pissa, olora, corda, loftq, lora_ga). Options without an effect are
        accepted, such as ensure_weight_tying where no embedding is trained, or an alpha_pattern
        that repeats lora_alpha or names modules that the adapter does not have.
    Why: With rank 64 and alpha 128, LoRA scales the product of the factors by 2 and the
        rank-stabilised variant by 16. Only one flag tells which, and readers that merge adapters
        themselves do not all read it. An adapter initialised with PiSSA changes the weights of the
        base, so the other adapter of the pair gives garbage on the same base
        (huggingface/peft#2184).
    Fix: Record the options of adapter_config.json in the sidecar; `nla-release init` does this. An
        adapter initialised with pissa, olora or corda becomes a plain one if it is saved with
        path_initial_model_for_weight_conversion. For the others, train a plain LoRA.
    Example: use_rslora is true, the sidecar records false
    Waive: Never: readers would run another adapter than the one described.
    """
    config, path = adapter.config, adapter.folder / ADAPTER_CONFIG_FILE
    if undeclarable := config.undeclarable(adapted_names(adapter.tensors)):
        options = [f"{key} = {_shown(value)}" for key, value in undeclarable.items()]
        yield Problem(path, f"{listed(options)} is not supported, and no sidecar can declare it")
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
    "adapter_config.json loads in every PEFT version that supports LoRA",
    each=ADAPTERS,
)
def config_portable(adapter: AdapterFolder) -> Iterator[Problem]:
    """Options that should not be there, then options that are missing or wrong.

    Checks: adapter_config.json has no option without an effect that some PEFT versions do not know
        (null, false, empty, or the default). It has task_type and peft_version. The task is
        CAUSAL_LM, or FEATURE_EXTRACTION for an AR. inference_mode is true, and auto_mapping names
        no class that exists only on the author's machine.
    Why: PEFT writes all options that it knows. A version that did not know one of them stopped with
        `got an unexpected keyword argument 'eva_config'` (huggingface/peft#2275, #1979, #2340)
        until PEFT learned to drop them. Other readers of the file still stop, and the file did not
        record which version wrote it.
    Fix: Remove these options and add what is missing before the pair is measured, because the
        evidence records the file's hash. `nla-release init` writes such a file.
    Example: options without an effect, which some PEFT versions do not know:
        alora_invocation_tokens, alpha_pattern, arrow_config, ...
    Waive: If the pair is already measured and is read with one version of PEFT.
    """
    config, path = adapter.config, adapter.folder / ADAPTER_CONFIG_FILE
    if unused := config.unused:
        yield Problem(
            path,
            f"options without an effect, which some PEFT versions do not know: {listed(unused)}",
        )
    for name in ("task_type", "peft_version"):
        if not getattr(config, name):
            yield Problem(path, f"{name} is missing")
    fitting = _TASKS[adapter.role]
    if config.task_type and config.task_type not in fitting:
        yield Problem(
            path,
            f"task_type is {config.task_type}, expected {' or '.join(fitting)} for an"
            f" {adapter.role.upper()}: PEFT would wrap the base for another task",
        )
    if config.inference_mode is not True:
        yield Problem(path, f"inference_mode is {_shown(config.inference_mode)}, expected true")
    if foreign := _foreign_class(config):
        yield Problem(path, f"auto_mapping names {foreign}, which is not in transformers")


@rule("NLA313", "warning", "target_modules lists the adapted modules", each=ADAPTERS)
def modules_listed(adapter: AdapterFolder) -> Iterator[Problem]:
    """Whether target_modules is a text.

    Checks: target_modules of adapter_config.json is a list of module names, and not a regular
        expression or a keyword such as all-linear.
    Why: PEFT reads both. SGLang's LoRA loader refuses a text, so such an adapter cannot be served
        with it. What a regular expression matches also depends on the base that it is read with.
    Fix: Replace it by the list of full module names before the pair is measured, because the
        evidence records the file's hash. `nla-release train` and `nla-release init` write such a
        list.
    Example: target_modules is a regular expression, which SGLang refuses
    Waive: If the pair is already measured and no reader needs a list.
    """
    if isinstance(adapter.config.target_modules, str):
        path = adapter.folder / ADAPTER_CONFIG_FILE
        yield Problem(
            path,
            "target_modules is a regular expression, which SGLang refuses: list the"
            f" {len(adapter.modules)} modules with their full names",
        )


def _foreign_class(config: AdapterConfig) -> str | None:
    mapping = config.auto_mapping or {}
    library = str(mapping.get("parent_library") or "")
    if not mapping or library.split(".")[0] == "transformers":
        return None
    return f"{mapping.get('base_model_class')} of {library or 'an unnamed library'}"


def _shown(value: Any) -> str:
    """A value as JSON."""
    return json.dumps(value)


@rule("NLA310", "error", "every adapter of a stack is present and in order", each=ADAPTERS)
def stack_whole(adapter: AdapterFolder) -> Iterator[Problem]:
    """The recorded order, each adapter below, then files that belong to none.

    Checks: The sidecar lists the adapters in the order of application. The adapters that this one
        was trained on top of are adapters/1, adapters/2 and so on, each with the sha256 of its
        weights; the folder's own adapter, `.`, is last. Each one is present, complete and finite,
        has the recorded hash and the recorded configuration. adapters/ holds no other.
    Why: ceselder's EasyNLA release is two LoRAs: a warm start, and one from reinforcement learning
        on top of it. Both must be active, but its card describes the second as a replacement of the
        first. PEFT activates one adapter at a time by default, and loads the second without a
        warning if the first is missing.
    Fix: Restore the lower adapters as they were when this one was trained, and list them in that
        order; `nla-release train av` with stack_on does this. List an adapter that needs no others
        alone.
    Example: adapters/1/adapter_model.safetensors does not exist
    Waive: Never: a part of a stack behaves differently from the whole that was measured.
    """
    recorded = adapter.sidecar.nla_release.adapters
    if any(leaves(entry.path) for entry in recorded):
        return  # NLA301 reports it
    if wrong := disorder(adapter.sidecar):
        yield Problem(adapter.folder / SIDECAR_FILE, wrong)
        return
    for entry in below(adapter.sidecar):
        try:
            yield from _not_as_recorded(adapter, entry)
        except UnreadableError as error:
            yield Problem(error.path, error.message)
    known = {entry.path for entry in below(adapter.sidecar)}
    for path in adapter.files:
        parts = path.relative_to(adapter.folder).parts
        if parts[0] == STACK_FOLDER and "/".join(parts[:-1]) not in known:
            yield Problem(path, "is in no stacked adapter that the sidecar lists")


def _not_as_recorded(adapter: AdapterFolder, entry: AdapterRecord) -> Iterator[Problem]:
    one = AdapterFolder(adapter.role, adapter.folder / entry.path, rendered=False)
    if (found := one.sha256(ADAPTER_FILE)) != entry.sha256:
        yield Problem(
            one.folder / ADAPTER_FILE,
            f"has sha256 {found[:12]}, the sidecar records {str(entry.sha256)[:12]}",
        )
        return
    if options := one.config.undeclarable(adapted_names(one.tensors)):
        yield Problem(
            one.folder / ADAPTER_CONFIG_FILE, f"{', '.join(sorted(options))} is not supported"
        )
    expected = entry.model_dump()
    for name, value in declared(one.config).items():
        if name != "path" and value != expected[name]:
            yield Problem(
                one.folder / ADAPTER_CONFIG_FILE,
                f"{name} is {value}, the sidecar records {expected[name]}",
            )
    if others := {module.rank for module in one.modules} - {entry.rank}:
        yield Problem(one.folder / ADAPTER_FILE, f"has modules of rank {min(others)}")
    if not all(map(math.isfinite, one.largest.values())):
        yield Problem(one.folder / ADAPTER_FILE, "has NaN or infinity")
