"""NLA306 and NLA307: adapted modules that are not, or not all, those of the base."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nla_release.release.folder import ROLES
from tests.builders_pair import WIDTH
from tests.pairs.zoo import CONFIG, WEIGHTS, defect, edited_json, edited_tensors, measured_as

WRAPPER = "base_model.model.model.language_model.layers"


@defect("NLA306", "pair")
def audio_tower_adapted(pair: Path) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        for factor, shape in (("A", (2, WIDTH)), ("B", (WIDTH, 2))):
            key = f"base_model.model.model.audio_tower.layers.0.q_proj.lora_{factor}.weight"
            tensors[key] = np.ones(shape, np.float32)


@defect("NLA306", "release", also=("NLA313",))
def targets_that_match_the_audio_tower(folder: Path) -> None:
    configured(folder, target_modules=r".*layers\.[0-3]\.self_attn\.(q|v)_proj")


@defect("NLA306", "release")
def targets_listed(folder: Path) -> None:
    """The names of Gemma-4's tower are the same, and PEFT cannot adapt what bears them."""
    configured(folder, target_modules=["q_proj", "v_proj"], layers_to_transform=[0, 1, 2, 3])


@defect("NLA306", "release", also=("NLA313",))
def targets_that_are_no_regular_expression(folder: Path) -> None:
    configured(folder, target_modules=r".*(q_proj|v_proj")


@defect("NLA307", "release")
def named_as_before_transformers_4_52(folder: Path) -> None:
    renamed(folder, lambda name: name.replace("model.language_model", "language_model.model"))


@defect("NLA307", "release")
def named_as_in_the_text_model(folder: Path) -> None:
    renamed(folder, lambda name: name.replace("model.language_model", "model"))


@defect("NLA307", "release")
def named_with_a_wrapper_too_many(folder: Path) -> None:
    renamed(folder, lambda name: name.replace("base_model.model", "base_model.model.base_model", 1))


@defect("NLA307", "pair")
def named_in_two_ways(pair: Path) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        for name in [name for name in tensors if ".layers.0." in name]:
            tensors[name.replace("model.language_model", "model")] = tensors.pop(name)


@defect("NLA307", "release")
def block_that_the_base_has_not(folder: Path) -> None:
    renamed(folder, lambda name: name.replace(".layers.3.", ".layers.33."))


@defect("NLA307", "release")
def block_of_a_number_too_long_to_read(folder: Path) -> None:
    renamed(folder, lambda name: name.replace(".layers.3.", f".layers.{'3' * 5000}."))


@defect("NLA307", "release")
def projection_misspelt(folder: Path) -> None:
    renamed(folder, lambda name: name.replace("self_attn.q_proj", "attn.q_proj"))


@defect("NLA307", "release")
def factors_of_another_base(folder: Path) -> None:
    with edited_tensors(folder / "pair" / "ar" / WEIGHTS) as tensors:
        for name in [name for name in tensors if name.endswith("lora_A.weight")]:
            tensors[name] = np.tile(tensors[name], (1, 2))
    measured_as(folder, lambda parts: None)


@defect("NLA307", "release")
def half_saved(folder: Path) -> None:
    with edited_tensors(folder / "pair" / "av" / WEIGHTS) as tensors:
        for name in [name for name in tensors if name.startswith((f"{WRAPPER}.2", f"{WRAPPER}.3"))]:
            del tensors[name]
    measured_as(folder, lambda parts: None)


@defect("NLA307", "release")
def values_never_saved(folder: Path) -> None:
    with edited_tensors(folder / "pair" / "av" / WEIGHTS) as tensors:
        for name in [name for name in tensors if ".v_proj." in name]:
            del tensors[name]
    measured_as(folder, lambda parts: None)


@defect("NLA307", "release", also=("NLA313",))
def targets_of_an_earlier_run(folder: Path) -> None:
    """What the file holds beyond them, PEFT drops."""
    configured(folder, target_modules=r"model\.language_model\.layers\.\d+\.self_attn\.q_proj")


@defect("NLA307", "release", also=("NLA313",))
def targets_that_match_nothing(folder: Path) -> None:
    configured(folder, target_modules=r"(?:\w+\.)+dense")


@defect("NLA313", "release")
def targets_as_a_pattern(folder: Path) -> None:
    """Of the very modules that the file holds: PEFT reads it, SGLang does not."""
    configured(
        folder, target_modules=r"model\.language_model\.layers\.[0-3]\.self_attn\.(q|v)_proj"
    )


def configured(folder: Path, **options: Any) -> None:
    """Change options of the AV's adapter_config.json, as if it had been trained so."""
    with edited_json(folder / "pair" / "av" / CONFIG) as config:
        config |= options
    measured_as(folder, lambda parts: None)


def renamed(folder: Path, rename: Callable[[str], str]) -> None:
    """Rename the tensors of both adapters, as if they had been saved so."""
    for role in ROLES:
        with edited_tensors(folder / "pair" / role / WEIGHTS) as tensors:
            new = {rename(name): values for name, values in tensors.items()}
            tensors.clear()
            tensors |= new
    measured_as(folder, lambda parts: None)
