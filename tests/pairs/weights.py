"""NLA3xx: the weights, broken in one way each."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from nla_release.contract.sidecar import Role
from nla_release.io.files import sha256_file
from tests.builders_pair import RANK, WIDTH
from tests.pairs.zoo import (
    CONFIG,
    HEAD,
    SIDECAR,
    WEIGHTS,
    damaged_weights,
    defect,
    edited_json,
    edited_tensors,
    edited_yaml,
    in_sidecar,
)


@defect("NLA301", "pair")
def pickle_head(pair: Path) -> None:
    (pair / "ar" / "linear_head.pt").write_bytes(b"PK\x03\x04...")


@defect("NLA301", "pair")
def pickle_under_another_name(pair: Path) -> None:
    (pair / "ar" / "head.dat").write_bytes(b"\x80\x04\x95...")


@defect("NLA301", "pair")
def link_out_of_the_folder(pair: Path) -> None:
    (pair / "av" / "LICENSE").symlink_to("/etc/hostname")


@defect("NLA301", "pair")
def linked_folder(pair: Path) -> None:
    (pair / "av" / "checkpoints").symlink_to("/etc")


@defect("NLA301", "pair")
def named_pipe(pair: Path) -> None:
    os.mkfifo(pair / "av" / "notes.md")


@defect("NLA301", "pair")
def adapter_path_leaves(pair: Path) -> None:
    in_sidecar(
        pair, "av", ["nla_release", "adapters"], [{"path": "../ar", "rank": 2, "alpha": 4.0}]
    )


def keep(pair: Path, factor: str, rows: slice) -> None:
    """Leave these rows of one factor of every module, as a save of one shard does."""
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        for name, values in tensors.items():
            if name.endswith(f"lora_{factor}.weight"):
                kept = np.zeros_like(values)
                kept[rows] = values[rows]
                tensors[name] = kept


@defect("NLA312", "pair")
def first_half_of_every_output_saved(pair: Path) -> None:
    keep(pair, "B", slice(WIDTH // 2))


@defect("NLA312", "pair")
def last_rank_of_every_module_not_saved(pair: Path) -> None:
    keep(pair, "A", slice(RANK - 1))


@defect("NLA312", "pair")
def rows_cut_in_most_modules(pair: Path) -> None:
    """A warning: some modules are whole."""
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        for name in sorted(name for name in tensors if name.endswith("lora_B.weight"))[1:]:
            tensors[name][WIDTH // 2 :] = 0


@defect("NLA312", "pair")
def quarter_of_the_head_not_saved(pair: Path) -> None:
    with edited_tensors(pair / "ar" / HEAD) as tensors:
        tensors["weight"][: WIDTH // 4] = 0


@defect("NLA302", "pair")
def truncated_adapter(pair: Path) -> None:
    path = pair / "av" / WEIGHTS
    path.write_bytes(path.read_bytes()[:-100])


@defect("NLA302", "pair")
def huge_header(pair: Path) -> None:
    (pair / "av" / WEIGHTS).write_bytes((2**62).to_bytes(8, "little") + b"{}")


@defect("NLA302", "pair")
def factor_without_its_partner(pair: Path) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        del tensors[next(name for name in tensors if name.endswith("lora_A.weight"))]


@defect("NLA302", "pair")
def no_tensors(pair: Path) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        tensors.clear()


@defect("NLA302", "pair")
def embeddings_saved_unasked(pair: Path) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        key = "base_model.model.model.language_model.embed_tokens.weight"
        tensors[key] = np.ones((512, WIDTH), np.float32)


@defect("NLA302", "pair")
def output_layer_saved_unasked(pair: Path) -> None:
    with edited_tensors(pair / "ar" / WEIGHTS) as tensors:
        tensors["base_model.model.lm_head.weight"] = np.ones((512, WIDTH), np.float32)


@defect("NLA302", "pair")
def embeddings_adapted(pair: Path) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        for factor, shape in (("A", (2, 512)), ("B", (WIDTH, 2))):
            key = f"base_model.model.model.language_model.embed_tokens.lora_embedding_{factor}"
            tensors[key] = np.ones(shape, np.float32)


@defect("NLA302", "pair")
def adapter_name_in_the_keys(pair: Path) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        for name in list(tensors):
            tensors[name.replace(".weight", ".default.weight")] = tensors.pop(name)


@defect("NLA302", "pair")
def raw_module_saved_too(pair: Path) -> None:
    with edited_tensors(pair / "ar" / WEIGHTS) as tensors:
        tensors["v_head.summary.weight"] = np.ones((1, WIDTH), np.float32)


@defect("NLA302", "pair")
def magnitudes_of_a_dora_that_is_none(pair: Path) -> None:
    _add_magnitudes(pair)


@defect("NLA302", "pair")
def dora_without_its_magnitudes(pair: Path) -> None:
    _declare(pair, "use_dora", "dora", True)


@defect("NLA302", "pair")
def magnitudes_of_another_width(pair: Path) -> None:
    _declare(pair, "use_dora", "dora", True)
    _add_magnitudes(pair, width=WIDTH - 1)


@defect("NLA302", "pair")
def module_to_save_not_saved(pair: Path) -> None:
    _declare(pair, "modules_to_save", "modules_to_save", ["lm_head"])


@defect("NLA302", "pair")
def key_twice_in_the_header(pair: Path) -> None:
    path = pair / "av" / WEIGHTS
    content = path.read_bytes()
    stop = 8 + int.from_bytes(content[:8], "little")
    first = next(iter(json.loads(content[8:stop]).items()))
    text = json.dumps(dict([first])).encode()[:-1] + b"," + content[9:stop]
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[stop:])


@defect("NLA302", "pair")
def rank_of_the_config_differs(pair: Path) -> None:
    with edited_json(pair / "av" / CONFIG) as config:
        config["r"] = 80


@defect("NLA302", "pair")
def alpha_of_the_card_of_another_run(pair: Path) -> None:
    in_sidecar(pair, "av", ["nla_release", "adapters"], [{"path": ".", "rank": 2, "alpha": 160.0}])


@defect("NLA310", "pair")
def adapters_of_a_stack_are_missing(pair: Path) -> None:
    stack = [{"path": path, "rank": 2, "alpha": 4.0} for path in ("warm", "rl")]
    in_sidecar(pair, "av", ["nla_release", "adapters"], stack)


@defect("NLA302", "pair")
def config_of_another_method(pair: Path) -> None:
    with edited_json(pair / "av" / CONFIG) as config:
        config["peft_type"] = "IA3"


@defect("NLA303", "pair")
def nan_head(pair: Path) -> None:
    damaged_weights(pair / "ar" / HEAD, "weight", float("nan"))


@defect("NLA303", "pair")
def head_of_3e38(pair: Path) -> None:
    damaged_weights(pair / "ar" / HEAD, "weight", 3e38)


@defect("NLA303", "pair")
def infinite_adapter(pair: Path) -> None:
    module = "base_model.model.model.language_model.layers.0.self_attn.q_proj"
    damaged_weights(pair / "av" / WEIGHTS, f"{module}.lora_B.weight", float("inf"))


@defect("NLA303", "pair")
def weights_of_integers(pair: Path) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        for name, values in tensors.items():
            tensors[name] = (values * 64).astype(np.int32)


@defect("NLA304", "pair")
def untrained_adapter(pair: Path) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        for name, values in tensors.items():
            if name.endswith("lora_B.weight"):
                tensors[name] = np.zeros_like(values)


@defect("NLA303", "pair")
def nan_in_a_saved_module(pair: Path) -> None:
    _declare(pair, "modules_to_save", "modules_to_save", ["lm_head"])
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        weight = np.ones((512, WIDTH), np.float32)
        weight[511, WIDTH - 1] = np.nan
        tensors["base_model.model.lm_head.weight"] = weight


@defect("NLA305", "pair")
def head_absent(pair: Path) -> None:
    (pair / "ar" / HEAD).unlink()


@defect("NLA305", "pair")
def truncated_head(pair: Path) -> None:
    path = pair / "ar" / HEAD
    path.write_bytes(path.read_bytes()[:50])


@defect("NLA305", "pair")
def head_of_llama_factory(pair: Path) -> None:
    with edited_tensors(pair / "ar" / HEAD) as tensors:
        tensors["v_head.summary.weight"] = tensors.pop("weight")


@defect("NLA305", "pair")
def head_not_square(pair: Path) -> None:
    with edited_tensors(pair / "ar" / HEAD) as tensors:
        tensors["weight"] = tensors["weight"][:-1]


@defect("NLA305", "pair")
def head_in_half_precision(pair: Path) -> None:
    with edited_tensors(pair / "ar" / HEAD) as tensors:
        tensors["weight"] = tensors["weight"].astype(np.float16)


@defect("NLA305", "pair")
def head_bias_not_declared(pair: Path) -> None:
    with edited_tensors(pair / "ar" / HEAD) as tensors:
        tensors["bias"] = np.ones(WIDTH, np.float32)


@defect("NLA305", "pair")
def zero_head(pair: Path) -> None:
    with edited_tensors(pair / "ar" / HEAD) as tensors:
        tensors["weight"] = np.zeros_like(tensors["weight"])


@defect("NLA306", "pair")
def norm_of_a_tower_saved(pair: Path) -> None:
    _declare(pair, "modules_to_save", "modules_to_save", ["norm"])
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        for place in ("language_model", "audio_tower.layers.0"):
            tensors[f"base_model.model.model.{place}.norm.weight"] = np.ones(WIDTH, np.float32)


@defect("NLA308", "pair")
def rslora_not_declared(pair: Path) -> None:
    _configure(pair, "use_rslora", True)


@defect("NLA308", "pair")
def rslora_declared_of_a_plain_adapter(pair: Path) -> None:
    _in_the_sidecar(pair, "rslora", True)


@defect("NLA308", "pair")
def dora_not_declared(pair: Path) -> None:
    _configure(pair, "use_dora", True)
    _add_magnitudes(pair)


@defect("NLA308", "pair")
def modules_to_save_not_declared(pair: Path) -> None:
    _configure(pair, "modules_to_save", ["lm_head"])
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        tensors["base_model.model.lm_head.weight"] = np.ones((512, WIDTH), np.float32)


@defect("NLA308", "pair")
def rank_pattern(pair: Path) -> None:
    _configure(pair, "rank_pattern", {"q_proj": 8})


@defect("NLA308", "pair")
def alpha_pattern(pair: Path) -> None:
    _configure(pair, "alpha_pattern", {"q_proj": 8})


@defect("NLA308", "pair")
def biases_trained(pair: Path) -> None:
    _configure(pair, "bias", "lora_only")


@defect("NLA308", "pair")
def bias_of_the_factors(pair: Path) -> None:
    _configure(pair, "lora_bias", True)


@defect("NLA308", "pair")
def tokens_trained(pair: Path) -> None:
    _configure(pair, "trainable_token_indices", [160])


@defect("NLA308", "pair")
def layers_replicated(pair: Path) -> None:
    _configure(pair, "layer_replication", [[0, 4], [2, 6]])


@defect("NLA308", "pair")
def experts_adapted_as_parameters(pair: Path) -> None:
    _configure(pair, "target_parameters", ["experts.gate_up_proj"])


@defect("NLA308", "pair")
def pissa(pair: Path) -> None:
    _configure(pair, "init_lora_weights", "pissa_niter_16")


@defect("NLA308", "pair")
def loftq(pair: Path) -> None:
    _configure(pair, "init_lora_weights", "loftq")


@defect("NLA308", "pair")
def variant_of_a_later_peft(pair: Path) -> None:
    _configure(pair, "use_quantum_lora", True)


@defect("NLA309", "pair")
def unused_options(pair: Path) -> None:
    _configure(pair, "corda_config", None)
    _configure(pair, "loftq_config", {})
    _configure(pair, "use_qalora", False)
    _configure(pair, "qalora_group_size", 16)


@defect("NLA309", "pair")
def task_type_missing(pair: Path) -> None:
    _configure(pair, "task_type", None)


@defect("NLA309", "pair")
def peft_version_not_recorded(pair: Path) -> None:
    _configure(pair, "peft_version", ...)


@defect("NLA309", "pair")
def left_in_training_mode(pair: Path) -> None:
    _configure(pair, "inference_mode", False)


@defect("NLA309", "pair")
def class_of_a_notebook(pair: Path) -> None:
    mapping = {"base_model_class": "TruncatedGemma", "parent_library": "__main__"}
    _configure(pair, "auto_mapping", mapping)


def _configure(pair: Path, option: str, value: Any) -> None:
    """Set an option of the AV's adapter_config.json; `...` removes it."""
    with edited_json(pair / "av" / CONFIG) as config:
        config[option] = value
        if value is ...:
            del config[option]


def _in_the_sidecar(pair: Path, name: str, value: Any) -> None:
    entry = {"path": ".", "rank": RANK, "alpha": 2.0 * RANK, name: value}
    in_sidecar(pair, "av", ["nla_release", "adapters"], [entry])


def _declare(pair: Path, option: str, name: str, value: Any) -> None:
    """Set it in both."""
    _configure(pair, option, value)
    _in_the_sidecar(pair, name, value)


def _add_magnitudes(pair: Path, width: int = WIDTH) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        for name in [name for name in tensors if name.endswith(".lora_B.weight")]:
            key = name.replace("lora_B.weight", "lora_magnitude_vector")
            tensors[key] = np.ones(width, np.float32)


@defect("NLA304", "pair")
def first_factors_of_zeros(pair: Path) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        for name, values in tensors.items():
            if name.endswith("lora_A.weight"):
                tensors[name] = np.zeros_like(values)


@defect("NLA304", "pair")
def second_factors_next_to_nothing(pair: Path) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        for name, values in tensors.items():
            if name.endswith("lora_B.weight"):
                tensors[name] = np.full_like(values, 1e-38)


@defect("NLA301", "release")
def adapter_linked_from_elsewhere(folder: Path) -> None:
    (folder / "pair" / "av").rename(folder / "elsewhere")
    (folder / "pair" / "av").symlink_to("../elsewhere")


# -- stacks --


def stacked(pair: Path, role: Role = "av") -> Path:
    """Make an adapter one that was trained on top of another; gives the folder of the one below."""
    source, below = pair / role, pair / role / "adapters" / "1"
    below.mkdir(parents=True)
    for name in (WEIGHTS, CONFIG):
        shutil.copyfile(source / name, below / name)
    lower = {"path": "adapters/1", "sha256": sha256_file(below / WEIGHTS)}
    facts = {"rank": RANK, "alpha": 2.0 * RANK}
    stack = [lower | facts, {"path": "."} | facts]
    in_sidecar(pair, role, ["nla_release", "adapters"], stack)
    return below


@defect("NLA310", "pair")
def warm_start_left_behind(pair: Path) -> None:
    shutil.rmtree(stacked(pair))


@defect("NLA310", "pair")
def ar_without_the_weights_below(pair: Path) -> None:
    (stacked(pair, "ar") / WEIGHTS).unlink()


@defect("NLA310", "pair")
def configuration_below_is_missing(pair: Path) -> None:
    (stacked(pair) / CONFIG).unlink()


@defect("NLA310", "pair")
def warm_start_of_another_run(pair: Path) -> None:
    below = stacked(pair)
    with edited_tensors(below / WEIGHTS) as tensors:
        name = next(iter(tensors))
        tensors[name] = tensors[name] + 1


@defect("NLA310", "pair")
def stack_out_of_order(pair: Path) -> None:
    stacked(pair)
    with edited_yaml(pair / "av" / SIDECAR) as sidecar:
        sidecar["nla_release"]["adapters"].reverse()


@defect("NLA310", "pair")
def stack_without_hashes(pair: Path) -> None:
    stacked(pair)
    with edited_yaml(pair / "av" / SIDECAR) as sidecar:
        del sidecar["nla_release"]["adapters"][0]["sha256"]


@defect("NLA310", "pair")
def alpha_below_is_another(pair: Path) -> None:
    with edited_json(stacked(pair) / CONFIG) as config:
        config["lora_alpha"] = 16


@defect("NLA310", "pair")
def variant_below_cannot_be_run(pair: Path) -> None:
    with edited_json(stacked(pair) / CONFIG) as config:
        config["rank_pattern"] = {"q_proj": 4}


@defect("NLA310", "pair")
def adapter_below_that_nobody_lists(pair: Path) -> None:
    below = stacked(pair)
    shutil.copytree(below, below.with_name("2"))


@defect("NLA310", "pair")
def stack_of_twenty(pair: Path) -> None:
    entry = {"rank": RANK, "alpha": 2.0 * RANK, "sha256": "0" * 64}
    stack = [{"path": f"adapters/{number}"} | entry for number in range(1, 20)]
    in_sidecar(pair, "av", ["nla_release", "adapters"], [*stack, {"path": "."} | entry])


@defect("NLA310", "pair")
def nan_below(pair: Path) -> None:
    below = stacked(pair)
    with edited_tensors(below / WEIGHTS) as tensors:
        tensors[next(iter(tensors))][0, 0] = np.nan
    with edited_yaml(pair / "av" / SIDECAR) as sidecar:
        sidecar["nla_release"]["adapters"][0]["sha256"] = sha256_file(below / WEIGHTS)
