"""Several processes: the same training as one, divided."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from nla_release.adapter.training_log import read_log
from nla_release.contract.sidecar import read_sidecar
from nla_release.engine.processes import any_process, device_here, share, state, together
from nla_release.errors import EnvironmentProblem
from nla_release.io.files import sha256_file
from nla_release.training.av import train_av
from nla_release.training.checkpoints import kept_steps
from nla_release.training.dataset import data_path
from nla_release.training.extract import extract
from tests.train import toys
from tests.train.built import copied, recipe_with, write_recipe
from tests.train.chain import shortened, unlabelled, write_corpus

LAUNCH = [
    *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
    *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
    *("--main_process_port", "0", "--module"),
]


CUTS = (
    {"dropout_of_line": 0.3},  # two micro-batches: one each
    {"micro_batch": 1, "gradient_accumulation": 4, "dropout_of_line": 0.3},  # every other one each
    {"micro_batch": 2, "gradient_accumulation": 3},  # three: two for one, one for the other
    {"micro_batch": 5, "gradient_accumulation": 1},  # one micro-batch, cut in unequal halves
    {"micro_batch": 1, "gradient_accumulation": 1},  # one row: the other process has none
)
WATCHED = {"every": 2, "rows": 4, "max_new_tokens": 4}
AV = {"dropout": 0.2, "checkpoint_every": 3, "tripwire": WATCHED}


def to_extract(folder):
    """The recipe of an extraction from 80 documents, which is two chunks."""
    write_corpus(folder / "corpus.jsonl", *unlabelled(80))
    return shortened(folder, extract={"min_position": 20, "positions_per_document": 3})


@pytest.fixture(scope="module")
def two(built, tmp_path_factory):
    """What two processes made, started once for all tests: lines, an AV, rows, what they said."""
    folder = copied(built, tmp_path_factory.mktemp("two"))
    to_extract(folder / "rows")
    recipes = (write_recipe(folder, av=AV), folder, folder / "rows" / "recipe.yaml")
    work = (folder / "lines", json.dumps(CUTS), *recipes)
    done = subprocess.run(
        [*LAUNCH, "tests.train.toys", *map(str, work)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stderr


@pytest.mark.parametrize("number", range(len(CUTS)))
def test_two_processes_give_the_loss_curve_of_one_within_rounding(two, tmp_path, number):
    """However the rows of a step divide, and with dropout where both draw the same."""
    toys.run(tmp_path / "one", **CUTS[number])
    folders = [tmp_path / "one", two[0] / "lines" / str(number)]
    one, other = ([step.loss for step in read_log(folder)] for folder in folders)
    weights = [load_file(folder / "weights.safetensors")["weights"] for folder in folders]

    assert other == pytest.approx(one, rel=1e-5)
    assert torch.allclose(*weights, atol=1e-5)


def test_two_micro_batches_give_the_same_bytes_on_one_process_and_on_two(built, two, tmp_path):
    """Of an AV, with dropout: the micro-batches are the same and are only dealt out."""
    one = copied(built, tmp_path)
    train_av(recipe_with(one, av=AV), one, device="cpu")
    left, right = (folder / "pair" / "av" for folder in (one, two[0]))

    for name in ("adapter_model.safetensors", "training_log.jsonl"):
        assert sha256_file(left / name) == sha256_file(right / name), name
    assert read_sidecar(right, "av").nla_release.training["processes"] == 2
    assert "processes" not in read_sidecar(left, "av").nla_release.training
    assert kept_steps(two[0], "av").keys() == {3}


def test_two_processes_extract_the_bytes_of_one(two, tmp_path):
    extract(to_extract(tmp_path), tmp_path, device="cpu")
    one, other = (data_path(folder, "base") for folder in (tmp_path, two[0] / "rows"))

    assert one.read_bytes() == other.read_bytes()


def test_only_one_process_talks(two):
    folder, said = two

    assert said.count("8 steps in") == len(CUTS)
    assert said.count(f"wrote {folder / 'pair' / 'av'}") == 1
    assert "extract: 64 documents in" in said, "the first takes one of two chunks"


def test_one_process_needs_no_launcher():
    assert list(share([[1], [2]])) == [(0, [1]), (1, [2])]
    assert device_here("cpu") == "cpu"
    assert device_here(None) is None
    assert any_process(True)


def test_a_lost_process_is_told_and_the_memory_of_this_one_is_its_own_affair():
    lost = pytest.raises(EnvironmentProblem, match="lost their connection: Connection closed")
    with lost, together():
        raise RuntimeError("Connection closed by peer")
    with pytest.raises(torch.OutOfMemoryError), together():
        raise torch.OutOfMemoryError("the gradients' sum")


def test_processes_that_would_not_meet_are_refused(monkeypatch):
    """Each would take its share, and nobody would add them up."""
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    state.cache_clear()
    with pytest.raises(EnvironmentProblem, match="says 2 processes, and accelerate finds 1"):
        state()
