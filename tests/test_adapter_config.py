"""PEFT's configuration: what is left of it when what says nothing is gone, and what is not run."""

import json

import peft
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nla_release.adapter.config import TASKS, AdapterConfig, declared, portable

MODULES = [f"model.layers.{block}.self_attn.{name}_proj" for block in (0, 1) for name in "qv"]
MINIMUM = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}


def written_by_peft(folder, **options):
    """The file that the installed PEFT writes for these options."""
    peft.LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM", **options).save_pretrained(
        folder
    )
    return json.loads((folder / "adapter_config.json").read_text())


def loaded(folder, document):
    """What PEFT makes of a file."""
    (folder / "adapter_config.json").write_text(json.dumps(document))
    return peft.PeftConfig.from_pretrained(str(folder))


@pytest.mark.parametrize(
    "options",
    [{}, {"use_rslora": True}, {"use_dora": True, "r": 3}, {"modules_to_save": ["lm_head"]}],
)
def test_peft_loads_the_same_from_what_is_left_of_its_file(tmp_path, options):
    document = written_by_peft(tmp_path, inference_mode=True, **options)
    left = portable(document)

    assert loaded(tmp_path, left) == loaded(tmp_path, document)
    assert AdapterConfig.model_validate(left).unused == []
    assert AdapterConfig.model_validate(left).undeclarable([]) == {}
    assert left["peft_version"] == peft.__version__
    assert len(left) < 20 < len(document)


def test_a_released_adapter_is_for_inference():
    assert portable(MINIMUM | {"inference_mode": False})["inference_mode"] is True


def test_options_that_every_peft_knows_stay_though_they_say_nothing():
    document = MINIMUM | {"inference_mode": True, "revision": None, "fan_in_fan_out": False}

    assert portable(document) == document


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("bias", "all"),
        ("lora_bias", True),
        ("rank_pattern", {"q_proj": 8}),
        ("trainable_token_indices", [3]),
        ("trainable_token_indices", {"embed_tokens": [3]}),
        ("layer_replication", [[0, 4]]),
        ("init_lora_weights", "pissa_niter_4"),
        ("init_lora_weights", "olora"),
        ("init_lora_weights", "corda"),
        ("init_lora_weights", "lora_ga"),
        ("init_lora_weights", "mica"),
        ("use_qalora", True),
        ("alora_invocation_tokens", [1, 2]),
        ("an_option_of_next_year", 0.5),
    ],
)
def test_what_no_sidecar_can_declare_is_named(option, value):
    assert AdapterConfig.model_validate(MINIMUM | {option: value}).undeclarable(MODULES) == {
        option: value
    }


@pytest.mark.parametrize("init", [True, False, "gaussian", "eva", "orthogonal"])
def test_an_initialisation_that_leaves_the_base_alone_is_no_variant(init):
    assert not AdapterConfig.model_validate(MINIMUM | {"init_lora_weights": init}).undeclarable([])


@pytest.mark.parametrize(
    "options",
    [
        {"ensure_weight_tying": True, "target_modules": ["q_proj", "v_proj"]},
        {"ensure_weight_tying": True, "target_modules": r".*layers\.\d+\.\w+\.q_proj"},
        {"ensure_weight_tying": True, "target_modules": "all-linear", "modules_to_save": ["norm"]},
        {"alpha_pattern": {"q_proj": 8, r"layers\.1\.v_proj": 8.0}},
        {"rank_pattern": {"q_proj": 4}},
    ],
)
def test_an_option_without_effect_is_no_variant_and_is_left_out(options):
    config = AdapterConfig.model_validate(MINIMUM | options)
    (option, *_) = options

    assert config.undeclarable([]) == {}
    assert config.unused == [option]
    assert option not in portable(MINIMUM | options)


@pytest.mark.parametrize(
    "options",
    [
        {"ensure_weight_tying": True, "target_modules": ["q_proj", "lm_head"]},
        {"ensure_weight_tying": True, "target_modules": r".*(q_proj|embed_tokens)"},
        {"ensure_weight_tying": True, "target_modules": "(a", "modules_to_save": ["norm"]},
        {"ensure_weight_tying": True, "modules_to_save": ["model.embed_tokens"]},
        {"ensure_weight_tying": 1},
        {"alpha_pattern": {"q_proj": 8, "v_proj": 16}},
        {"alpha_pattern": [8]},
        {"rank_pattern": {"q_proj": 8}},
    ],
)
def test_the_same_option_with_an_effect_is_one(options):
    assert list(AdapterConfig.model_validate(MINIMUM | options).undeclarable(MODULES)) == [
        next(iter(options))
    ]


@pytest.mark.parametrize("option", ["alpha_pattern", "rank_pattern"])
def test_a_pattern_for_modules_that_the_adapter_lacks_is_no_variant(option):
    """PEFT matches a key at the end of a name, as in `(.*\\.)?(KEY)$`."""
    for key in ("c_attn", r"layers\.7\..*", "q_proj.extra", "roj"):
        config = AdapterConfig.model_validate(MINIMUM | {option: {key: 16}})
        assert config.undeclarable(MODULES) == {}
    for key in ("q_proj", r"layers\.1\..*", "model.layers.0.self_attn.v_proj", "("):
        config = AdapterConfig.model_validate(MINIMUM | {option: {"c_attn": 2, key: 16}})
        assert list(config.undeclarable(MODULES)) == [option]


def test_a_task_that_peft_refuses_is_refused_with_the_nearest():
    with pytest.raises(ValidationError, match="did you mean CAUSAL_LM"):
        AdapterConfig.model_validate(MINIMUM | {"task_type": "CAUSALLM"})
    with pytest.raises(ValidationError, match=r"TOKEN_CLS$|TOKEN_CLS \["):
        AdapterConfig.model_validate(MINIMUM | {"task_type": "TEXT_GENERATION"})
    assert set(TASKS) == {task.value for task in peft.TaskType}


@pytest.mark.parametrize(
    "options",
    [
        {"target_modules": "q_proj", "layers_to_transform": [1]},
        {"target_modules": ["q_proj"], "layers_pattern": "layers"},
        {"target_modules": "q_proj", "layers_pattern": ""},
    ],
)
def test_a_configuration_that_peft_refuses_is_refused(tmp_path, options):
    with pytest.raises(ValueError, match="layers_"):
        loaded(tmp_path, MINIMUM | options)
    with pytest.raises(ValidationError, match="PEFT refuses"):
        AdapterConfig.model_validate(MINIMUM | options)


def test_a_sidecar_records_the_variants_that_it_can():
    config = AdapterConfig.model_validate(
        MINIMUM | {"use_rslora": True, "use_dora": True, "modules_to_save": ["lm_head"]}
    )

    assert declared(config) == {
        "path": ".",
        "rank": 4,
        "alpha": 8,
        "rslora": True,
        "dora": True,
        "modules_to_save": ["lm_head"],
    }


@given(
    st.dictionaries(
        st.sampled_from([*peft.LoraConfig().to_dict(), "", "foreign"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=5,
        ),
    )
)
def test_any_configuration_is_read_or_refused(options):
    portable(options)
    try:
        config = AdapterConfig.model_validate(MINIMUM | options)
    except ValidationError:
        return
    assert isinstance(config.unused, list)
    assert isinstance(config.undeclarable(MODULES), dict)
    assert declared(config)["rank"] == config.r
