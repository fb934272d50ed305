"""NLA3xx: the weights, broken in one way each."""

import os
from pathlib import Path

import numpy as np

from tests.builders_pair import WIDTH
from tests.pairs.zoo import (
    CONFIG,
    HEAD,
    WEIGHTS,
    damaged_weights,
    defect,
    edited_json,
    edited_tensors,
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
def embeddings_saved_too(pair: Path) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        tensors["base_model.model.model.embed_tokens.weight"] = np.ones((4, 4), np.float32)


@defect("NLA302", "pair")
def rank_of_the_config_differs(pair: Path) -> None:
    with edited_json(pair / "av" / CONFIG) as config:
        config["r"] = 80


@defect("NLA302", "pair")
def alpha_of_the_card_of_another_run(pair: Path) -> None:
    in_sidecar(pair, "av", ["nla_release", "adapters"], [{"path": ".", "rank": 2, "alpha": 160.0}])


@defect("NLA302", "pair")
def adapters_stacked(pair: Path) -> None:
    stack = [{"path": path, "rank": 2, "alpha": 4.0} for path in ("warm", "rl")]
    in_sidecar(pair, "av", ["nla_release", "adapters"], stack)


@defect("NLA302", "pair")
def rank_pattern(pair: Path) -> None:
    with edited_json(pair / "av" / CONFIG) as config:
        config["rank_pattern"] = {"q_proj": 8}


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
def audio_tower_adapted(pair: Path) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        for factor, shape in (("A", (2, WIDTH)), ("B", (WIDTH, 2))):
            key = f"base_model.model.model.audio_tower.layers.0.q_proj.lora_{factor}.weight"
            tensors[key] = np.ones(shape, np.float32)
