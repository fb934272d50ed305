"""Rows with other labels, taught to adapters that are known to be worth less."""

import pyarrow.parquet as pq
import pytest

from nla_release.training.dataset import data_path, read_training_rows
from nla_release.training.prompts import base_without_weights
from tests.train.chain import labelled, shortened, write_corpus
from train.tiny.known import LESSONS
from train.tiny.rows import prepare_data
from train.tiny.school import teach


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    write_corpus(folder / "corpus.jsonl", *labelled(20))
    prepare_data(recipe_in(folder), folder, device="cpu")
    return folder


def recipe_in(folder):
    return shortened(folder, split={"av": 0.7, "ar": "av", "eval": 0.3})


def rows_of(folder, name="av_sft"):
    return pq.read_table(data_path(folder, name)).to_pylist()


@pytest.mark.parametrize("lesson", ["others", "one", "foreign"])
def test_a_lesson_changes_what_is_learned_and_nothing_else(folder, tmp_path, lesson):
    labels = [row["explanation"] for row in rows_of(folder)]
    teach(folder, tmp_path, recipe_in(tmp_path), lambda them: LESSONS[lesson](them, 3))
    rows = rows_of(tmp_path)

    assert [row["explanation"] for row in rows] == LESSONS[lesson](labels, 3)
    assert [row["id"] for row in rows] == [row["id"] for row in rows_of(folder)]
    assert rows_of(tmp_path, "eval") == rows_of(folder, "eval")


def test_what_was_taught_elsewhere_is_learned_there(folder, tmp_path):
    recipe = recipe_in(tmp_path)
    teach(folder, tmp_path, recipe, lambda labels: labels[::-1])
    base = base_without_weights(recipe, recipe.base.revision)

    assert len(read_training_rows(tmp_path, recipe, base, "ar").activations) > 0
