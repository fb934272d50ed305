"""NLA4xx: the pair, broken in one way each."""

from pathlib import Path

from tests.pairs.zoo import (
    CONFIG,
    MANIFEST_FILE,
    WEIGHTS,
    defect,
    edited_json,
    edited_tensors,
    in_sidecar,
    list_anew,
)


@defect("NLA401", "pair")
def ar_of_another_layer(pair: Path) -> None:
    in_sidecar(pair, "ar", ["extraction_layer_index"], 2)
    in_sidecar(pair, "ar", ["critic", "extraction_layer_index"], 2)
    in_sidecar(pair, "ar", ["nla_release", "ar_head", "blocks"], 3)


@defect("NLA401", "pair")
def ar_of_another_base(pair: Path) -> None:
    in_sidecar(pair, "ar", ["nla_release", "base", "id"], "someone/other")
    with edited_json(pair / "ar" / CONFIG) as config:
        config["base_model_name_or_path"] = "someone/other"


@defect("NLA401", "pair")
def ar_of_another_class_of_the_base(pair: Path) -> None:
    with edited_tensors(pair / "ar" / WEIGHTS) as tensors:
        for name in list(tensors):
            tensors[name.replace("model.language_model", "model")] = tensors.pop(name)


@defect("NLA402", "pair")
def ar_reads_a_lower_block(pair: Path) -> None:
    in_sidecar(pair, "ar", ["critic", "extraction_layer_index"], 1)
    in_sidecar(pair, "ar", ["nla_release", "ar_head", "blocks"], 2)


@defect("NLA403", "dist")
def partner_of_another_release(dist: Path) -> None:
    in_sidecar(dist, "av", ["nla_release", "partner", "sha256"], "a" * 64)
    with edited_json(dist / "av" / MANIFEST_FILE) as manifest:
        manifest["partner"]["adapter_sha256"] = "a" * 64
    list_anew(dist / "av")


@defect("NLA403", "dist")
def partner_of_two_minds(dist: Path) -> None:
    in_sidecar(dist, "av", ["nla_release", "partner", "version"], "0.0.2")
    list_anew(dist / "av")


@defect("NLA403", "dist")
def partner_not_recorded(dist: Path) -> None:
    in_sidecar(dist, "av", ["nla_release", "partner"], None)
    list_anew(dist / "av")
