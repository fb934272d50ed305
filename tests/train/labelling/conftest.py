"""A folder whose split is done, and recipes that label it."""

import numpy as np
import pyarrow as pa
import pytest

from nla_release.io.files import dump_yaml
from nla_release.training.recipe import read_recipe
from nla_release.training.record import write_record
from nla_release.training.tables import row_schema, write_sidecar, write_table
from tests.sidecars import TINY_BASE
from tests.train.chain import tiny_recipe
from tests.train.labelling.server import LABEL, ChatServer

TEXTS = {
    "av": ["rain over Kyoto", "a rose in Lima", "rain over Kyoto"],
    "eval": ["snow on Oslo", "a wave at Split"],
}


@pytest.fixture(scope="session")
def running():
    with ChatServer() as server:
        yield server


@pytest.fixture
def server(running):
    running.begin()
    return running


@pytest.fixture
def recipe_file(tmp_path, server):
    """Write a recipe that labels at the server, with changes; gives its path."""

    def write(**label):
        document = tiny_recipe()
        document["base"]["path"] = str(TINY_BASE)
        asked = {
            "source": "endpoint",
            "model": "labeller",
            "base_url": server.base_url,
            "labeller": LABEL,
            "retries": 3,
            "backoff_seconds": 0.001,
            "timeout_seconds": 3600.0,
        }
        document["label"] = label if label.get("source") == "corpus" else asked | label
        path = tmp_path / "recipe.yaml"
        path.write_text(dump_yaml(document))
        return path

    return write


@pytest.fixture
def recipe(recipe_file):
    return lambda **label: read_recipe(recipe_file(**label))


@pytest.fixture
def folder(tmp_path, recipe_file):
    """A folder with data/split: five rows, four different texts."""
    split(tmp_path, read_recipe(recipe_file()), TEXTS)
    return tmp_path


def split(folder, recipe, texts, explanations=None):
    """Write `data/split` with a row a text, as the step of that name does."""
    outputs = []
    for side, of_side in texts.items():
        path = folder / "data" / "split" / f"{side}.parquet"
        rows = [
            {
                "id": f"{side}{at}:5",
                "document": f"{side}{at}",
                "text": text,
                "explanation": (explanations or {}).get(text),
                "activation": np.ones(4, np.float32),
            }
            for at, text in enumerate(of_side)
        ]
        write_table(path, pa.Table.from_pylist(rows, row_schema(4)))
        write_sidecar(
            path,
            recipe,
            "split",
            stage="base",
            extraction={"d_model": 4, "mean_norm": 2.0},
            inputs={},
            rows=len(rows),
            documents=len(rows),
        )
        outputs.append(path)
    write_record("split", recipe, folder, inputs={}, outputs=outputs)
