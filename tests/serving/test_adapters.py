"""The adapters that we write are taken by what serves LoRA: by vLLM's and SGLang's own checks.

They run in an environment of their own, .venv-vllm; see the Makefile.
"""

import shutil

import pytest
from safetensors.numpy import load_file

from nla_release.io.files import dump_json, read_json, write_atomic
from nla_release.io.layout import ADAPTER_CONFIG_FILE, ADAPTER_FILE
from nla_release.release.folder import ROLES
from nla_release.sidecar_formats.adopt import Naming, adopt
from nla_release.sidecar_formats.folder import Source
from nla_release.training.ar import train_ar
from nla_release.training.av import train_av
from tests.serving import sglang
from tests.sidecar_formats.samples import COMMON, TOKENIZER, make_kitft_pair
from tests.train.built import build_rows, recipe_with

PATTERN = r".*\.(q_proj|v_proj)"

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # what vLLM imports
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two steps of the tiny recipe, whose target_modules are patterns."""
    folder = build_rows(tmp_path_factory.mktemp("trained"))
    recipe = recipe_with(folder, av={"steps": 2}, ar={"steps": 2})
    assert isinstance(recipe.av.target_modules, str)
    assert isinstance(recipe.ar.target_modules, str)
    train_av(recipe, folder, device="cpu")
    train_ar(recipe, folder, device="cpu")
    return folder / "pair"


@pytest.fixture(scope="module")
def adopted(tmp_path_factory):
    """Somebody else's pair, whose target_modules are a pattern, after `nla-release init`."""
    folder = tmp_path_factory.mktemp("adopted")
    theirs = make_kitft_pair(folder / "theirs")
    for role in ROLES:
        changed(theirs / role, target_modules=PATTERN)
    answers = {name: answer for name, answer in COMMON.items() if name != "ar.final_norm"}
    sources = {role: Source(theirs / role) for role in ROLES}
    naming = Naming(namespace="somebody", license="apache-2.0")
    adopt(sources, folder / "out", answers=answers, naming=naming, tokenizer=TOKENIZER)
    return folder / "out" / "pair"


@pytest.fixture(params=["trained", "adopted"])
def pair(request):
    return request.getfixturevalue(request.param)


def changed(folder, **options):
    """An adapter with other options in its adapter_config.json."""
    path = folder / ADAPTER_CONFIG_FILE
    write_atomic(path, dump_json(read_json(path) | options))
    return folder


def modules_of(folder):
    """The adapted modules of the weights, without PEFT's prefix."""
    names = {key.rsplit(".lora_", 1)[0] for key in load_file(folder / ADAPTER_FILE)}
    return {name.removeprefix("base_model.model.") for name in names}


def leaves_of(folder):
    return {name.rsplit(".", 1)[-1] for name in modules_of(folder)}


# -- vLLM --


def loaded_by_vllm(folder):
    """The names of the modules that vLLM has read weights for, or its ValueError."""
    from vllm.config.lora import LoRAConfig
    from vllm.lora.lora_model import LoRAModel
    from vllm.lora.peft_helper import PEFTHelper

    helper = PEFTHelper.from_local_dir(str(folder), None)
    helper.validate_legal(LoRAConfig(max_lora_rank=16))
    leaves = leaves_of(folder)
    model = LoRAModel.from_local_checkpoint(str(folder), leaves, helper, device="cpu")
    return set(model.loras)


@pytest.mark.parametrize("role", ROLES)
def test_vllm_takes_the_adapter_and_all_its_modules(pair, role):
    assert loaded_by_vllm(pair / role) == modules_of(pair / role)


@pytest.mark.parametrize(
    ("option", "value"),
    [("modules_to_save", ["embed_tokens"]), ("use_dora", True), ("init_lora_weights", "pissa")],
)
def test_vllm_refuses_what_it_cannot_serve(adopted, tmp_path, option, value):
    """So that the test above is one that can fail."""
    folder = shutil.copytree(adopted / "av", tmp_path / "av")

    with pytest.raises(ValueError, match=option if option != "use_dora" else "DoRA"):
        loaded_by_vllm(changed(folder, **{option: value}))


# -- SGLang --


@pytest.mark.parametrize("role", ROLES)
def test_sglang_takes_the_adapter_and_all_its_modules(pair, role):
    modules, rank = sglang.load(pair / role)

    assert modules == sglang.normalized(leaves_of(pair / role))
    assert rank == read_json(pair / role / ADAPTER_CONFIG_FILE)["r"]


def test_sglang_refuses_a_pattern(adopted, tmp_path):
    """Which is why no adapter of ours has one; NLA313 warns of it."""
    folder = shutil.copytree(adopted / "av", tmp_path / "av")

    with pytest.raises(ValueError, match="use a list of module name suffixes"):
        sglang.load(changed(folder, target_modules=PATTERN))
