"""What a killed step left half-written is cleared away by the same step, and by no other."""

import tempfile
from pathlib import Path

import pytest

from nla_release.training import STEPS
from nla_release.training.record import clear_leftovers, forget

# Of each step, some of what it writes.
WRITTEN = {
    "extract": ("data/base.parquet", "data/base.parquet.nla_meta.yaml", "data/corpus-ab12.jsonl",
                "data/base.parts/000003.parquet", "data/base.parts/origin.json"),
    "split": ("data/split/av.parquet", "data/split/contamination.json"),
    "label": ("data/labels/av.parquet", "data/labels/cache/ab/abcd.json"),
    "build": ("data/av_sft.parquet", "data/eval.parquet.nla_meta.yaml", "data/build.json",
              "data/reference.safetensors", "data/training_documents.jsonl"),
    "av": ("pair/av", "checkpoints/av/step_000003", "checkpoints/av/state_000003"),
    "ar": ("pair/ar", "checkpoints/ar/state_000003"),
    "eval": ("trajectory.md", "trajectory/av-1-ar-2/evidence", "trajectory/av-1-ar-2/release.yaml"),
}  # fmt: skip


def left_by_a_kill(folder, name):
    """As `tempfile` names them for what writes whole files and whole folders."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix:
        return [Path(tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")[1])]
    prefixes = (f".{path.name}.", f".{path.name}.old.")
    folders = [Path(tempfile.mkdtemp(dir=path.parent, prefix=prefix)) for prefix in prefixes]
    (folders[1] / "weights").write_text("many")
    return folders


@pytest.fixture
def left(tmp_path):
    written = {step: (*WRITTEN[step], f"steps/{step}.json") for step in STEPS}
    return {
        step: [path for name in written[step] for path in left_by_a_kill(tmp_path, name)]
        for step in STEPS
    }


@pytest.mark.parametrize("step", STEPS)
def test_a_step_clears_its_own_away_before_it_begins(tmp_path, left, step):
    of_others = [path for other in STEPS if other != step for path in left[other]]
    forget(tmp_path, step)

    assert not [path for path in left[step] if path.exists()]
    assert all(path.exists() for path in of_others)


def test_what_is_whole_or_somebody_elses_stays(tmp_path):
    names = ("base.parquet", "base.parquet.nla_meta.yaml", ".base.parquet.swp", ".notes.md")
    (tmp_path / "data").mkdir()
    for name in names:
        (tmp_path / "data" / name).write_text("")
    clear_leftovers(tmp_path, "extract")

    assert {path.name for path in (tmp_path / "data").iterdir()} == set(names)
