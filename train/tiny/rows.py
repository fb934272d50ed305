"""The rows that a pair on the tiny base learns from and is judged by, made in one go."""

from pathlib import Path

from train.build import build
from train.extract import extract
from train.label import label
from train.recipe import Recipe
from train.split import split


def prepare_data(recipe: Recipe, folder: Path, *, device: str | None = None) -> None:
    """Extract, split, label and build as a recipe says, whatever is done already.

    Raises:
        NlaReleaseError: a step cannot be done; see each.
    """
    extract(recipe, folder, device=device)
    split(recipe, folder)
    label(recipe, folder)
    build(recipe, folder)
