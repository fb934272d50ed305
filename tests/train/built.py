"""Training rows of a small part of the tiny corpus, for tests that train on them."""

import json
import shutil

from nla_release.io.files import dump_json, dump_yaml, read_yaml
from nla_release.training.recipe import read_recipe
from tests.sidecars import TINY_BASE
from train.demo import RECIPE
from train.tiny.corpus import generate, write_jsonl
from train.tiny.rows import prepare_data

TRAINING, HELD_OUT = 24, 8


def write_recipe(folder, **blocks):
    """The tiny recipe with a few short steps and what `blocks` change; gives its path."""
    document = read_yaml(RECIPE)
    document["base"]["path"] = str(TINY_BASE)
    for name in ("av", "ar"):
        document[name] |= {"steps": 4, "micro_batch": 4, "gradient_accumulation": 2}
        document[name]["tripwire"] = None
    for name, values in blocks.items():
        old = document.get(name)
        document[name] = old | values if isinstance(old, dict) else values
    path = folder / "recipe.yaml"
    path.write_text(dump_yaml(json.loads(dump_json(document))))  # YAML of ours has no aliases
    return path


def recipe_with(folder, **blocks):
    """The same, read."""
    return read_recipe(write_recipe(folder, **blocks))


def build_rows(folder, *, more=None):
    """`data/` of a part of the tiny corpus; `more` adds to each label."""
    documents = generate(0)
    parts = {"train": TRAINING, "eval": HELD_OUT}
    chosen = [
        document
        for split, count in parts.items()
        for document in [it for it in documents if it["split"] == split][:count]
    ]
    for document in chosen:
        for label in document["labels"]:
            label |= more(label) if more else {}
    folder.mkdir(exist_ok=True)
    write_jsonl(folder / "corpus.jsonl", chosen)
    prepare_data(recipe_with(folder), folder, device="cpu")
    return folder


def copied(built, folder):
    """A folder of its own with rows that were built."""
    shutil.copytree(built, folder, dirs_exist_ok=True)
    return folder
