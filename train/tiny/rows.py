"""The rows that a pair on the tiny base learns from and is judged by, made in one go."""

from pathlib import Path

from nla_release.training.build import build
from nla_release.training.extract import extract
from nla_release.training.label import label
from nla_release.training.recipe import Recipe
from nla_release.training.split import split


def prepare_data(recipe: Recipe, folder: Path, *, device: str | None = None) -> None:
    """Extract, split, label and build as a recipe says, whatever is done already.

    Raises:
        NlaReleaseError: a step cannot be done; see each.
    """
    extract(recipe, folder, device=device)
    split(recipe, folder)
    label(recipe, folder)
    build(recipe, folder)
