"""Paths of the data files, and the rows that a pair is trained on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nla_release.contract.sidecar import Role
from nla_release.engine.activations import Activations, read_activations
from nla_release.engine.base import LoadedBase
from nla_release.errors import DataError
from nla_release.io.layout import REFERENCE_FILE, TRAINING_DOCUMENTS_FILE, TRAINING_SHINGLES_FILE
from nla_release.training.corpus import Side
from nla_release.training.data_sidecars import read_sidecar
from nla_release.training.prompts import check_pins
from nla_release.training.recipe import Recipe
from nla_release.training.record import base_inputs, base_sha256, check_inputs

DataName = Literal["base", "av_sft", "ar_sft", "eval", "rl"]


@dataclass(frozen=True)
class TrainingRows:
    """The rows that an adapter learns from, and their mean norm.

    `inputs` is the sha256 of the files that the training follows from, for its record.
    """

    activations: Activations
    activation_norm: float
    documents: int
    inputs: dict[str, str]


def data_path(folder: Path, name: DataName) -> Path:
    """The path of a file of rows."""
    return folder / "data" / f"{name}.parquet"


def split_path(folder: Path, side: Side) -> Path:
    """The path of a side's rows before they are labelled."""
    return folder / "data" / "split" / f"{side}.parquet"


def labels_path(folder: Path, side: Side) -> Path:
    """The path of the explanations of a side's rows."""
    return folder / "data" / "labels" / f"{side}.parquet"


def reference_path(folder: Path) -> Path:
    """The path of the training rows' mean direction."""
    return folder / "data" / REFERENCE_FILE


def training_list_path(folder: Path) -> Path:
    """The path of the list of training documents."""
    return folder / "data" / TRAINING_DOCUMENTS_FILE


def training_shingles_path(folder: Path) -> Path:
    """The path of the sample of the training texts' word sequences."""
    return folder / "data" / TRAINING_SHINGLES_FILE


def training_files(folder: Path) -> list[Path]:
    """What `evaluation.training` of a release names: list, word sequences, and labelled rows."""
    sample, rows = training_shingles_path(folder), data_path(folder, "av_sft")
    return [training_list_path(folder), *(it for it in (sample, rows) if it.exists())]


def read_training_rows(folder: Path, recipe: Recipe, base: LoadedBase, role: Role) -> TrainingRows:
    """The rows of `data/av_sft.parquet` or `data/ar_sft.parquet`.

    Raises:
        DataError: they were not built under this recipe, from activations of this base and layer;
            or the tokenizer is another; or a row has no explanation.
    """
    path = data_path(folder, "av_sft" if role == "av" else "ar_sft")
    inputs = check_inputs(role, recipe, folder, [path.relative_to(folder).as_posix()])
    document = checked_sidecar(path, recipe, base.revision)
    extraction = document["extraction"]
    check_pins(document.get("nla_release", {}).get("pins", {}), base, recipe, str(path))
    activations = read_activations(path, extraction["d_model"])
    bare = sum(text is None for text in activations.explanations)
    if bare:
        raise DataError(
            f"{path}: {bare} of {len(activations)} rows have no explanation to learn from"
        )
    documents = len(set(activations.documents))
    return TrainingRows(
        activations, extraction["mean_norm"], documents, inputs | base_inputs(recipe)
    )


def checked_sidecar(path: Path, recipe: Recipe, revision: str | None) -> dict[str, Any]:
    """The sidecar of activations, which are of the recipe's layer and of the base at hand.

    Args:
        path: of the activations.
        recipe: that names the base or its folder.
        revision: of the base at hand.

    Raises:
        InputError: it is missing or damaged.
        DataError: they are of another base or layer.
    """
    document = read_sidecar(path)
    extraction = document["extraction"]
    for key, wanted in (
        ("base_model", recipe.base.id),
        ("base_revision", revision),
        ("base_sha256", base_sha256(recipe.base)),
        ("layer_index", recipe.extract.layer),
    ):
        if extraction.get(key) != wanted:
            raise DataError(
                f"{path} has {key} {extraction.get(key)!r}, expected {wanted!r}",
                hint="run `nla-release train extract --again` with this recipe, or take the base"
                " that it was made with: the same files under base.path, or none and the Hub's",
            )
    return document
