"""The same rows with other labels, in a folder of their own."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nla_release.io.files import read_text, write_atomic
from nla_release.training.build import build
from nla_release.training.dataset import labels_path
from nla_release.training.recipe import Recipe
from nla_release.training.record import read_record, record_path, write_record
from nla_release.training.tables import write_table


def teach(
    folder: Path, school: Path, recipe: Recipe, lesson: Callable[[list[str]], list[str]]
) -> None:
    """Build training rows in `school` from those of `folder`, labelled as the lesson has it.

    Args:
        folder: where extract, split and label are done.
        school: where the rows are built.
        recipe: of both.
        lesson: gives for the labels of the AV's rows others, in the same order.
    """
    for part in ("data/split", "data/labels"):
        shutil.copytree(folder / part, school / part, dirs_exist_ok=True)
    for step in ("extract", "split", "label"):
        write_atomic(record_path(school, step), read_text(record_path(folder, step)))
    path, labelled = labels_path(school, "av"), read_record(school, "label")
    assert labelled is not None
    table = pq.read_table(path)
    at = table.schema.get_field_index("explanation")
    labels = pa.array(lesson(table.column(at).to_pylist()), pa.string())
    write_table(path, table.set_column(at, "explanation", labels))
    outputs = [school / name for name in labelled.outputs]
    write_record("label", recipe, school, inputs=labelled.inputs, outputs=outputs)
    build(recipe, school)
