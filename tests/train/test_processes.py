"""Several processes: the same training as one, divided."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from nla_release.files import sha256_file
from nla_release.sidecar import read_sidecar
from nla_release.training_log import read_log
from tests.train import toys
from tests.train.built import build_rows, copied, write_recipe
from train.av import train_av
from train.checkpoints import kept_steps
from train.processes import any_of_us, device_here, share
from train.recipe import read_recipe

LAUNCH = [
    *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
    *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
    *("--main_process_port", "0", "--module"),
]


def launched(*command):
    """Run a module in two processes, as a person does."""
    done = subprocess.run(
        [*LAUNCH, *map(str, command)], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    return done


WATCHED = {"every": 2, "rows": 4}

CUTS = (
    {"dropout_of_line": 0.3},  # two micro-batches: one each
    {"micro_batch": 5, "gradient_accumulation": 1},  # one micro-batch, cut in unequal halves
    {"micro_batch": 2, "gradient_accumulation": 3},  # three: two for one, one for the other
    {"micro_batch": 1, "gradient_accumulation": 1},  # one row: the other process has none
)


def test_two_processes_give_the_loss_curve_of_one(tmp_path):
    """However the rows of a step divide, and with dropout where both draw the same."""
    done = launched("tests.train.toys", tmp_path / "two", json.dumps(CUTS))
    for number, changes in enumerate(CUTS):
        toys.run(tmp_path / "one" / str(number), **changes)
        folders = [tmp_path / name / str(number) for name in ("one", "two")]
        one, two = ([step.loss for step in read_log(folder)] for folder in folders)
        weights = [load_file(folder / "weights.safetensors")["weights"] for folder in folders]

        assert two == pytest.approx(one, rel=1e-5), changes
        assert torch.allclose(*weights, atol=1e-5), changes
    assert done.stderr.count("8 steps in") == len(CUTS), "only one process talks"


def test_two_processes_train_an_av_to_the_same_bytes(tmp_path):
    """With dropout, where the micro-batches of a step are the same and are only dealt out."""
    one = build_rows(tmp_path / "one")
    two = copied(one, tmp_path / "two")
    path = write_recipe(tmp_path, av={"dropout": 0.2, "checkpoint_every": 3, "tripwire": WATCHED})
    train_av(read_recipe(path), one, device="cpu")
    done = launched("train.av", path, "--folder", two)
    left, right = (folder / "pair" / "av" for folder in (one, two))

    for name in ("adapter_model.safetensors", "training_log.jsonl"):
        assert sha256_file(left / name) == sha256_file(right / name), name
    assert read_sidecar(right, "av").nla_release.training["processes"] == 2
    assert "processes" not in read_sidecar(left, "av").nla_release.training
    assert done.stderr.count(f"wrote {right}") == 1
    assert kept_steps(two, "av").keys() == {3}


def test_the_others_wait_for_days_while_one_works_alone():
    """A main process that splits, builds or evaluates for hours must not end the run."""
    asked = (
        "from train.processes import state; state()\n"
        "from torch.distributed import distributed_c10d as groups\n"
        "print(groups._get_default_group()._get_backend(state().device).options._timeout.days)"
    )
    alone = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", asked],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **alone, "MASTER_PORT": "0", "ACCELERATE_USE_CPU": "true"},
    )

    assert done.stdout == "7\n", done.stderr


def test_one_process_needs_no_launcher():
    assert list(share([[1], [2]])) == [(0, [1]), (1, [2])]
    assert device_here("cpu") == "cpu"
    assert device_here(None) is None
    assert any_of_us(True)
