"""What `roundtrip` would refuse of an adapter's tensors, `check` refuses from the files alone.

Adapters are made by PEFT on tiny bases of several families, then damaged. The gate, which has the
base's headers, the engine, which has the base, and PEFT's own loading must all say the same.
"""

import copy
import functools
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import peft
import pytest
import torch
import transformers
from hypothesis import assume, given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from nla_release.adapter.config import AdapterConfig, declared, portable
from nla_release.adapter.module_names import loaded
from nla_release.base_model.facts import BaseFacts, dump_base_facts
from nla_release.base_model.measure import KV_SHARED_BY_DEFAULT, measure_base
from nla_release.engine.adapters import calm, check_lands, put_on
from nla_release.engine.architecture import module_tree
from nla_release.errors import NlaReleaseError
from nla_release.io.files import dump_yaml, read_yaml
from tests.builders_pair import BASE, REVISION, make_pair
from tests.pairs.zoo import CONFIG, FACTS, SIDECAR, WEIGHTS, edited_json, judged

TEXT: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 4, "vocab_size": 40,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 64,
}  # fmt: skip
GEMMA = {
    "sliding_window": 8,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
}
SHARING = GEMMA | {
    "num_kv_shared_layers": 2, "hidden_size_per_layer_input": 4, "vocab_size_per_layer_input": 40,
}  # fmt: skip
FAMILIES = {
    "llama": lambda: transformers.LlamaConfig(**TEXT),
    "mistral": lambda: transformers.MistralConfig(**TEXT),
    "qwen2": lambda: transformers.Qwen2Config(**TEXT),
    "qwen3": lambda: transformers.Qwen3Config(**TEXT, tie_word_embeddings=True),
    "gemma3": lambda: transformers.Gemma3TextConfig(**TEXT, **GEMMA),
    "gemma3n": lambda: transformers.Gemma3nTextConfig(
        **TEXT, **SHARING, laurel_rank=4, altup_num_inputs=2, activation_sparsity_pattern=[0.0] * 4
    ),
    "gemma4": lambda: transformers.Gemma4TextConfig(**TEXT, **SHARING, global_head_dim=8),
}
CHECKED = {"NLA302", "NLA306", "NLA307", "NLA308"}


@functools.cache
def base(family: str) -> tuple[Any, BaseFacts]:
    """A tiny base of a family in memory, and its facts, measured from its files."""
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(FAMILIES[family](), dtype=torch.float32)
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return model, measure_base(BASE, REVISION, Path(folder))


@pytest.mark.parametrize("family", FAMILIES)
def test_headers_give_the_parameters_that_the_engine_loads(family):
    model, facts = base(family)
    tree = loaded(facts.modules, facts.model_type, facts.tensors, facts.first_reusing)
    memory = module_tree(model)

    assert tree is not None
    assert tree.decoder == memory.decoder
    assert tree.linear | {"lm_head": None} == memory.linear | {"lm_head": None}
    assert tree.tensors == {
        name: shape for name, shape in memory.tensors.items() if name != "lm_head.weight"
    }


@pytest.mark.parametrize("family", ["gemma3n", "gemma4"])
def test_projections_that_only_the_checkpoint_holds_are_not_asked_for(family, tmp_path):
    """Google's checkpoints hold keys and values of blocks that reuse those of others."""
    model, facts = base(family)
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    extra = {name.replace(".1.", ".3."): value.clone() for name, value in tensors.items()
             if ".layers.1.self_attn." in name}  # fmt: skip
    save_file(extra | tensors, tmp_path / "model.safetensors", {"format": "pt"})

    found = measure_base(BASE, REVISION, tmp_path)

    assert len(found.modules) > len(facts.modules)
    tree = loaded(found.modules, found.model_type, found.tensors, found.first_reusing)
    assert tree is not None
    assert tree.linear.keys() == module_tree(model).linear.keys()


def test_the_default_number_of_sharing_blocks_is_the_librarys():
    usual = {
        family: getattr(transformers.CONFIG_MAPPING[family], "num_kv_shared_layers", 0)
        for family in transformers.CONFIG_MAPPING
    }
    usual = {family: count for family, count in usual.items() if isinstance(count, int) and count}

    assert usual
    assert usual | {"gemma3n": usual["gemma3n_text"]} == KV_SHARED_BY_DEFAULT


PLACES = ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj", "self_attn.k_proj"]
SAVED = ["norm", "k_norm", "input_layernorm", "lm_head", "down_proj", "1.mlp", "self_attn.q_norm"]


@st.composite
def configured(draw) -> dict[str, Any]:
    places = draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=4, unique=True))
    if draw(st.booleans()):
        inner = "|".join(each.rpartition(".")[2] for each in places)
        blocks = draw(st.sampled_from([r"\\d+", "[0-2]", "[23]", "3"]))
        limits: dict[str, Any] = {"target_modules": rf".*layers\.{blocks}\.\w+\.({inner})"}
    else:
        limits = {"target_modules": places}
        if draw(st.booleans()):
            limits["layers_to_transform"] = draw(
                st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True)
            )
            limits["layers_pattern"] = draw(st.sampled_from([None, "layers", ["blocks", "layers"]]))
    return limits | {
        "r": 2,
        "use_dora": draw(st.booleans()),
        "exclude_modules": draw(st.sampled_from([None, ["v_proj"], r".*\.0\..*"])),
        "modules_to_save": draw(
            st.none() | st.lists(st.sampled_from(SAVED), min_size=1, max_size=1)
        ),
    }


@st.composite
def damaged(draw, names: list[str]):
    """A damage to a file: a function of its tensors."""
    kind = draw(st.sampled_from(["none", "none", "module", "tensor", "block", "shape", "foreign"]))
    name = draw(st.sampled_from(sorted(names)))
    stem = name.split(".lora_")[0]

    def damage(tensors: dict[str, torch.Tensor]) -> None:
        gone = []
        match kind:
            case "module":
                gone = [each for each in tensors if each.startswith(f"{stem}.")]
            case "tensor":
                gone = [name]
            case "block" if ".layers." in name:
                block = name.split(".layers.")[1].split(".")[0]
                gone = [each for each in tensors if f".layers.{block}." in each]
            case "shape":
                tensors[name] = torch.cat([tensors[name], tensors[name]])
            case "foreign":
                tensors[name.replace(".layers.", ".layers.1")] = tensors[name].clone()
        for each in gone:
            del tensors[each]

    return damage


def write_adapter(folder: Path, model: Any, options: dict[str, Any]) -> None:
    """What PEFT saves, with a sidecar that records it, and the base's facts."""
    with calm():
        adapted = peft.get_peft_model(
            copy.deepcopy(model), peft.LoraConfig(task_type="CAUSAL_LM", **options)
        )
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(0.1)
    adapted.peft_config["default"].base_model_name_or_path = BASE
    adapted.save_pretrained(folder, save_embedding_layers=False)
    with edited_json(folder / CONFIG) as document:
        kept = portable(dict(document))
        document.clear()
        document |= kept
    config = AdapterConfig.model_validate(json.loads((folder / CONFIG).read_text()))
    sidecar = read_yaml(make_pair(folder / "made") / "av" / SIDECAR)
    sidecar["nla_release"]["adapters"] = [declared(config)]
    (folder / SIDECAR).write_text(dump_yaml(sidecar))


def findings(folder: Path) -> list[str]:
    return [
        f"{finding.code} {finding.message}"
        for finding in judged(folder, "release").findings
        if finding.code in CHECKED and finding.severity == "error"
    ]


def refused(act, *arguments) -> str | None:
    try:
        act(*arguments)
    except NlaReleaseError as error:
        return error.message
    return None


@given(st.data(), st.sampled_from(sorted(FAMILIES)), configured())
def test_check_the_engine_and_peft_refuse_the_same_adapters(data, family, options):
    model, facts = base(family)
    with TemporaryDirectory() as name:
        folder = Path(name)
        try:
            write_adapter(folder, model, options)
        except ValueError:
            assume(False)  # PEFT finds nothing to adapt
        (folder / FACTS).write_text(dump_base_facts(facts))
        tensors = load_file(folder / WEIGHTS)
        data.draw(damaged(list(tensors)))(tensors)
        save_file(tensors, folder / WEIGHTS)

        by_files = findings(folder)
        by_engine = refused(check_lands, copy.deepcopy(model), folder)
        by_peft = refused(put_on, copy.deepcopy(model), folder, "av")

    assert bool(by_files) == bool(by_engine) == bool(by_peft), (by_files, by_engine, by_peft)


@pytest.mark.parametrize("family", FAMILIES)
def test_keys_of_an_upper_block_that_were_not_saved_are_missed(family, tmp_path):
    """Whatever the base: only a base that reuses keys there has none."""
    model, facts = base(family)
    write_adapter(tmp_path, model, {"r": 2, "target_modules": ["q_proj", "k_proj", "v_proj"]})
    (tmp_path / FACTS).write_text(dump_base_facts(facts))
    assert findings(tmp_path) == []

    last = 1 if facts.kv_shared_layers else 3
    tensors = load_file(tmp_path / WEIGHTS)
    save_file(
        {name: value for name, value in tensors.items()
         if not (f".layers.{last}." in name and (".k_proj." in name or ".v_proj." in name))},
        tmp_path / WEIGHTS,
    )  # fmt: skip

    (finding,) = findings(tmp_path)
    assert finding.startswith("NLA307 2 modules that target_modules matches in the base")


def test_facts_from_before_sharing_was_recorded_leave_it_open(tmp_path):
    model, facts = base("gemma4")
    write_adapter(tmp_path, model, {"r": 2, "target_modules": ["q_proj", "k_proj"]})
    old = facts.model_dump(by_alias=True, exclude={"tensors", "kv_shared_layers"})
    (tmp_path / FACTS).write_text(dump_base_facts(BaseFacts.model_validate(old)))

    outcomes = {outcome.rule.code: outcome for outcome in judged(tmp_path, "release").outcomes}

    assert outcomes["NLA307"].findings == ()
    assert "run nla-release base" in outcomes["NLA307"].skipped[0]
