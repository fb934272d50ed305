"""What a step leaves half-written when it is killed outright, for the same step to clear away.

Files and folders are written beside their place, as `.NAME.` and eight letters, and moved there
when they are whole (`nla_release.io.files`, `train.tables`): who is killed in between leaves them.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

# What each step writes, from the folder: how the names begin.
_WRITES: Mapping[str, tuple[str, ...]] = {
    "extract": ("data/base.parquet", "data/base.parts/", "data/corpus-"),
    "split": ("data/split/",),
    "label": ("data/labels/", "data/labels/cache/*/"),
    "build": tuple(
        f"data/{name}."
        for name in (
            *("av_sft", "ar_sft", "eval", "rl", "build", "reference"),
            *("training_documents", "training_shingles"),
        )
    ),
    "av": ("pair/av", "checkpoints/av/"),
    "ar": ("pair/ar", "checkpoints/ar/"),
    "eval": ("trajectory.", "trajectory/*/", "trajectory/*/*/"),
}
_LETTERS = "[a-z0-9_]" * 8  # of `tempfile`


def clear_leftovers(folder: Path, step: str) -> None:
    """Remove what an earlier run of a step left half-written, while no other run is under way."""
    for begin in (f"steps/{step}", *_WRITES[step]):
        place, slash, name = begin.rpartition("/")
        for path in list(folder.glob(f"{place}{slash}.{name}*.{_LETTERS}")):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
