"""NLA3xx: the modules that an adapter adapts, and those that its base has."""

from collections import Counter
from collections.abc import Iterator, Sequence

from nla_release.adapter.lora import LoraModule, unlike_configuration
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
from nla_release.adapter.weights import ADAPTER_FILE_NAME, CONFIG_FILE_NAME
from nla_release.errors import InputError
from nla_release.gate.facts import OnBase
from nla_release.gate.findings import Page, Problem, Skip, listed
from nla_release.gate.model import ON_BASE, rule

# The families of which a base.json from before kv_shared_layers leaves it open.
_MAY_SHARE_KEYS = ("gemma3n", "gemma4")

_ONLY_IN = {TEXT: "a model of text alone", WRAPPER: "a wrapper with other towers"}


@rule(
    "NLA306",
    "error",
    "only the language model is adapted",
    each=ON_BASE,
    page=Page(
        checks="No adapted module is in a vision, audio or other tower next to the language"
        " model; and target_modules and modules_to_save of adapter_config.json, taken as PEFT takes"
        " them, match nothing outside of the language model in the base. The second needs the"
        " base's facts.",
        why="A list of module names also matches the projections of Gemma-4's towers, which are"
        " Gemma4ClippableLinear: PEFT cannot adapt them and refuses on loading"
        " (huggingface/peft#3129). On a base whose towers it can adapt, it does so in silence.",
        fix="Give target_modules as a regular expression over the language model alone, such as"
        " `.*language_model\\.layers\\.\\d+\\.(self_attn|mlp)\\.\\w+_proj`. When the adapter file"
        " itself holds no other modules, putting it into adapter_config.json is enough; otherwise"
        " train again.",
        example="target_modules matches 12 modules outside of the language model, such as"
        " model.audio_tower.layers.0.self_attn.q_proj",
        waive="Never: an activation of the language model is read by the language model.",
    ),
)
def language_model_only(on_base: OnBase) -> Iterator[Problem | Skip]:
    """Names of the adapted modules, then what the configuration would match."""
    adapter = on_base.adapter
    adapted = [module.name for module in adapter.modules]
    saved = [name for name in adapter.tensors if ".lora_" not in name]
    if foreign := [name for name in adapted + saved if is_of_a_tower(name)]:
        yield Problem(
            adapter.folder / ADAPTER_FILE_NAME,
            f"{len(foreign)} of {len(adapted + saved)} modules lie outside of the language model:"
            f" {listed(foreign)}",
        )
    tree = on_base.tree
    if isinstance(tree, Skip):
        yield tree
        return
    path = adapter.folder / CONFIG_FILE_NAME
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
            f" {outside[0]}; give it as a regular expression over {tree.decoder}layers alone",
        )
    whole = {name.rpartition(".")[0] for name in tree.saved_whole(adapter.config.saved)}
    if outside := tree.outside(whole):
        yield Problem(
            path,
            f"modules_to_save matches {len(outside)} modules outside of the language model, such as"
            f" {outside[0]}; give a longer ending of the name",
        )


@rule(
    "NLA307",
    "error",
    "every adapted module is one of the base's, and none is left out",
    each=ON_BASE,
    page=Page(
        checks="Every module of the adapter's file is one of the base's language model, by the name"
        " it has once AutoModelForCausalLM has loaded the base, and of its shape; all names have"
        " one prefix; the file holds every module that target_modules matches in the base, every"
        " tensor of the modules that modules_to_save matches, and no other. Blocks that reuse keys"
        " and values of earlier ones (num_kv_shared_layers of the base's config.json) have no"
        " k_proj and v_proj of their own. `roundtrip` makes the same comparison with the base in"
        " memory. Modules of towers are part of NLA306.",
        why="The same block is `model.layers.N` in a model of text alone,"
        " `model.language_model.layers.N` in a wrapper, and was `language_model.model.layers.N`"
        " in one before transformers 4.52 (huggingface/transformers#38927). PEFT finds modules by"
        " name. Newer versions rename some as they load; otherwise it only warns, and the base"
        " answers as if there were no adapter (huggingface/peft#2566, huggingface/peft#2699);"
        " vLLM served the base in silence (vllm-project/vllm#34186).",
        fix="Save the adapter from a model that AutoModelForCausalLM loaded, or rename the tensors"
        " of the file, and target_modules with them. A file that lacks modules was saved before"
        " its weights were gathered, or from a part of them: save it again.",
        example="8 of 8 modules are named language_model.model.layers..., the loaded base has"
        " model.language_model.layers...: where PEFT does not rename them, it only warns, and runs"
        " the base without them",
        waive="When the base's class names its modules in a way that is not known here, and the"
        " evidence shows that the adapter is applied.",
    ),
)
def modules_land(on_base: OnBase) -> Iterator[Problem | Skip]:
    """The file's modules against the base's, then against the configuration."""
    path = on_base.adapter.folder / ADAPTER_FILE_NAME
    modules = [each for each in on_base.adapter.modules if not is_of_a_tower(each.name)]
    prefixes = sorted(decoders(module.name for module in modules))
    if len(prefixes) > 1:
        shown = " and ".join(f"{prefix}layers" for prefix in prefixes[:3])
        yield Problem(
            path, f"modules are named in {len(prefixes)} ways, {shown}: no model has both"
        )
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
    """What finds no module of the base, or one of another shape."""
    strangers = [each.name for each in modules if each.name not in tree.linear]
    drifted: Counter[str] = Counter()
    unknown = []
    for name in strangers:
        block = block_of(name)
        known = block and f"{tree.decoder}layers.{block.number}.{block.place}" in tree.linear
        if block and known and block.decoder != tree.decoder:
            drifted[block.decoder] += 1
        else:
            unknown.append(name)
    for prefix, count in drifted.items():
        only = f", as in {_ONLY_IN[prefix]}" if prefix in _ONLY_IN else ""
        yield (
            f"{count} of {len(modules)} modules are named {prefix}layers...{only}, the loaded base"
            f" has {tree.decoder}layers...: where PEFT does not rename them, it only warns, and"
            " runs the base without them"
        )
    if unknown:
        yield f"{len(unknown)} of {len(modules)} modules are none of the base's: {listed(unknown)}"
    for each in modules:
        shape = tree.linear.get(each.name)
        if shape is not None and shape != (each.out_features, each.in_features):
            yield (
                f"the factors of {each.name} map {each.in_features} to {each.out_features}"
                f" features, the base's module {shape[1]} to {shape[0]}"
            )
            return  # of another base, and so are the rest


def _held_as_configured(
    on_base: OnBase, modules: Sequence[LoraModule], tree: ModuleTree
) -> Iterator[Problem | Skip]:
    """The file against what PEFT makes of adapter_config.json on this base."""
    adapter = on_base.adapter
    path = adapter.folder / ADAPTER_FILE_NAME
    if isinstance(facts := on_base.facts, Skip):
        yield facts
        return
    if facts.kv_shared_layers is None and facts.model_type.startswith(_MAY_SHARE_KEYS):
        yield Skip(
            "base.json does not record which blocks reuse keys and values: run nla-release base"
        )
        return
    if adapter.config.saved and tree.tensors is None:
        yield Skip("base.json does not record what modules_to_save can match: run nla-release base")
    try:
        for sentence in unlike_configuration(modules, adapter.tensors, adapter.config, tree):
            yield Problem(path, sentence)
    except UntriedError as error:
        yield _untried(error)
    except InputError:
        yield Skip(f"{adapter.folder / CONFIG_FILE_NAME} cannot be used, see NLA306")


def _untried(error: UntriedError) -> Skip:
    return Skip(f"target_modules is not matched with the base's modules: {error.message}")
