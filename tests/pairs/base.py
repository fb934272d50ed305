"""NLA105 and NLA106: the sidecar and the base it names, each in one way at odds with the other."""

import math
import shutil
from pathlib import Path

from tests.builders_pair import BASE_BLOCKS, WIDTH
from tests.pairs.zoo import (
    FACTS,
    defect,
    edited_json,
    in_both_sidecars,
    in_sidecar,
    list_anew,
    measured_as,
)


@defect("NLA105", "release")
def embedding_norm_of_another_base(folder: Path) -> None:
    in_both_sidecars(folder / "pair", ["nla_release", "norms", "embedding_mean"], 80.25)
    measured_as(folder, lambda parts: None)


@defect("NLA105", "release")
def embedding_norm_that_is_a_formula(folder: Path) -> None:
    norms = ["nla_release", "norms", "embedding_mean"]
    in_both_sidecars(folder / "pair", norms, round(math.sqrt(WIDTH), 2))
    measured_as(folder, lambda parts: None)


@defect("NLA105", "release")
def activation_norm_of_unit_vectors(folder: Path) -> None:
    in_both_sidecars(folder / "pair", ["nla_release", "norms", "activation_mean"], 1.0)
    measured_as(folder, lambda parts: None)


@defect("NLA105", "release")
def activation_norm_of_another_model(folder: Path) -> None:
    in_both_sidecars(folder / "pair", ["nla_release", "norms", "activation_mean"], 74000.0)
    measured_as(folder, lambda parts: None)


@defect("NLA106", "release")
def facts_damaged(folder: Path) -> None:
    (folder / FACTS).write_text("{")


@defect("NLA106", "release")
def facts_that_are_a_link(folder: Path) -> None:
    (folder / FACTS).unlink()
    (folder / FACTS).symlink_to("dist/av/base.json")


@defect("NLA106", "release")
def facts_of_nothing_measured(folder: Path) -> None:
    with edited_json(folder / FACTS) as facts:
        del facts["embedding"]["norm_mean"]


@defect("NLA106", "release")
def facts_of_another_base(folder: Path) -> None:
    with edited_json(folder / FACTS) as facts:
        facts["id"] = "someone/other"


@defect("NLA106", "release")
def facts_of_another_commit(folder: Path) -> None:
    with edited_json(folder / FACTS) as facts:
        facts["revision"] = "1" * 40


@defect("NLA106", "release")
def facts_measured_again_and_not_rendered(folder: Path) -> None:
    with edited_json(folder / FACTS) as facts:
        facts["embedding"]["norm_mean"] += 0.25


@defect("NLA106", "dist")
def facts_of_two_minds(dist: Path) -> None:
    with edited_json(dist / "ar" / FACTS) as facts:
        facts["num_hidden_layers"] += 1
    list_anew(dist / "ar")


@defect("NLA106", "dist")
def facts_that_are_no_mapping(dist: Path) -> None:
    (dist / "av" / FACTS).write_text("[]")
    list_anew(dist / "av")


@defect("NLA106", "release")
def local_base_cut_off(folder: Path) -> None:
    (folder / FACTS).unlink()
    weights = folder / "base" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


@defect("NLA106", "release")
def last_block_read(folder: Path) -> None:
    """Its output is only to be had through the final norm."""
    of_layer(folder, BASE_BLOCKS - 1)


@defect("NLA106", "release")
def layer_that_the_base_has_not(folder: Path) -> None:
    of_layer(folder, BASE_BLOCKS + 3)


@defect("NLA106", "release")
def base_of_another_width(folder: Path) -> None:
    base_that_says(folder, hidden_size=2 * WIDTH)


@defect("NLA106", "release")
def marker_beyond_the_vocabulary(folder: Path) -> None:
    base_that_says(folder, vocab_size=20)


def of_layer(folder: Path, layer: int) -> None:
    """Make the pair one of another layer, in all places that say so."""
    in_both_sidecars(folder / "pair", ["extraction_layer_index"], layer)
    in_sidecar(folder / "pair", "ar", ["critic", "extraction_layer_index"], layer)
    in_sidecar(folder / "pair", "ar", ["nla_release", "ar_head", "blocks"], layer + 1)
    measured_as(folder, lambda parts: None)


def base_that_says(folder: Path, **facts: object) -> None:
    """Change the release's facts, before anything is rendered of them."""
    shutil.rmtree(folder / "dist")
    with edited_json(folder / FACTS) as document:
        document |= facts


@defect("NLA106", "release")
def facts_that_the_base_at_hand_denies(folder: Path) -> None:
    for path in (folder, folder / "dist" / "av", folder / "dist" / "ar"):
        with edited_json(path / "base.json") as facts:
            facts["embedding"]["norm_mean"] += 0.5
    list_anew(folder / "dist" / "av")
    list_anew(folder / "dist" / "ar")
