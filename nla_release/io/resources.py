"""Where the package's data folders are: inside an installed wheel, or in a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).parent.parent
_IN_A_CHECKOUT = {"recipes": "train/recipes"}


def folder(name: str) -> Path:
    """The folder `model_cards`, `sidecars` or `recipes`, wherever this installation keeps it."""
    installed = _PACKAGE / name
    return installed if installed.is_dir() else _PACKAGE.parent / _IN_A_CHECKOUT.get(name, name)
