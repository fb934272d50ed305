"""Small corpora and recipes for the chain on the tiny base."""

import copy
import functools
import json
import shutil

from nla_release.io.files import dump_yaml, read_yaml
from nla_release.training.recipe import read_recipe
from tests.sidecars import TINY_BASE
from train.demo import RECIPE

LENS = {
    "id": "a",
    "split": "train",
    "text": "In Kyoto people love sailing. The wave drifted silently.",
    "labels": [{"start": 34, "end": 38, "explanation": "the word wave in a text"}],
}
ROSE = {
    "id": "b",
    "split": "eval",
    "text": "In Lima people love gardening. The rose bloomed steeply.",
    "labels": [{"start": 35, "end": 39, "explanation": "the word rose in a text"}],
}

PLACES = ("Lisbon", "Oslo", "Cairo", "Kyoto", "Venice", "Nairobi", "Lima", "Havana", "Dublin")
TOPICS = ("sailing", "chess", "music", "banking", "cooking", "gardening", "medicine", "weather")


@functools.cache
def _recipe():
    return read_yaml(RECIPE)


def tiny_recipe():
    """The tiny recipe, to be changed."""
    return copy.deepcopy(_recipe())


def shortened(folder, /, **blocks):
    """The tiny recipe with changed blocks and few steps, written to `folder/recipe.yaml`."""
    document = tiny_recipe()
    document["base"]["path"] = str(TINY_BASE)
    for name in ("av", "ar"):
        document[name] |= {"steps": 3, "micro_batch": 4, "tripwire": None}
    for name, values in blocks.items():
        old = document.get(name)
        document[name] = old | values if isinstance(old, dict) else values
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(dump_yaml(document))
    return read_recipe(folder / "recipe.yaml")


def write_corpus(path, *documents):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))


def other_weights(folder):
    """A base with weights of the same names and shapes as the tiny one's, but for one of them."""
    shutil.copytree(TINY_BASE, folder)
    path = folder / "model.safetensors"
    weights = bytearray(path.read_bytes())
    weights[-1] ^= 1
    path.write_bytes(weights)
    return {"path": str(folder)}


def text_about(number):
    """A text of its own for every number, some longer than others."""
    place, topic = PLACES[number % len(PLACES)], TOPICS[number % len(TOPICS)]
    return " ".join([f"In {place} people love {topic}."] * (3 + number % 5)) + f" {number}"


def unlabelled(count):
    """Documents without labels or sides."""
    return [{"id": f"d{number}", "text": text_about(number)} for number in range(count)]


def labelled(count):
    """Documents with two labels each, no sides, and no two that begin alike."""
    return [
        it
        | {
            "labels": [
                {
                    "start": start,
                    "end": start + len(word),
                    "explanation": f"the word {word}, {it['id']}",
                }
                for word in ("people", "love")
                for start in [it["text"].index(word)]
            ]
        }
        for it in ({"id": f"d{at}", "text": f"{at}: {text_about(at)}"} for at in range(count))
    ]
