"""Small tasks for the training loop: what they lose is worked out by hand."""

import json
import sys
import time
from pathlib import Path

import pytest
import torch
from accelerate.utils import gather_object
from safetensors.torch import save_file
from torch.distributed import distributed_c10d

from nla_release.adapter.training_log import Tripwire, dump_log
from nla_release.cli.edge import print_messages
from nla_release.cli.train import command
from nla_release.engine.processes import any_process, device_here, is_main
from nla_release.errors import ConfigError, NlaReleaseError
from nla_release.io.files import sha256_bytes
from nla_release.training.checkpoints import Checkpoints
from nla_release.training.loop import fit
from nla_release.training.settings import AdapterSettings


def settings(**changes):
    """Eight steps of four rows with AdamW."""
    return AdapterSettings.model_validate(
        {
            "rank": 1,
            "alpha": 1,
            "dropout": 0.0,
            "target_modules": "x",
            "optimizer": "adamw",
            "learning_rate": 0.1,
            "schedule": "linear",
            "steps": 8,
            "micro_batch": 2,
            "gradient_accumulation": 2,
            "max_tokens": 8,
        }
        | changes
    )


class Line:
    """Least squares of y = w x through dropout; row i counts i + 1 times, as a longer text does."""

    def __init__(self, rows=10, width=40, dropout=0.0, dtype=torch.float32):
        generator = torch.Generator().manual_seed(0)
        self.rows = rows
        self.weights = torch.nn.Parameter(torch.zeros(width, dtype=dtype))
        self.unused = torch.nn.Parameter(torch.ones(3))
        self.x = torch.randn(rows, width, generator=generator)
        self.y = torch.randn(rows, generator=generator)
        self.dropout = dropout
        self.seen = []

    @property
    def parameters(self):
        return {"weights": self.weights, "unused": self.unused}

    def loss(self, rows, draw):
        self.seen += rows
        x = torch.nn.functional.dropout(self.x[rows], self.dropout)
        counts = torch.tensor([row + 1.0 for row in rows])
        return ((x @ self.weights.float() - self.y[rows]).square() * counts).sum()

    def weight(self, rows):
        return sum(row + 1.0 for row in rows)

    def longest(self, rows):
        return 100 + max(rows)

    def about(self, rows):
        return f"rows of a line, {rows}"


def run(folder, **changes):
    """Fit the line, one of several processes perhaps, and leave log and weights in the folder."""
    line = Line(rows=23, dropout=changes.pop("dropout_of_line", 0.0))
    done = fit("line", line.parameters, line, settings(**changes))
    if is_main():
        folder.mkdir(parents=True)
        (folder / "training_log.jsonl").write_text(dump_log(done.steps))
        save_file({"weights": line.weights.detach()}, folder / "weights.safetensors")
    others = gather_object([sha256_bytes(line.weights.detach().numpy().tobytes())])
    assert len(set(others)) == 1, "every process ends with the same weights"


def refused(device):
    """What is said to a process that asks for a device."""
    try:
        device_here(device)
    except ConfigError as error:
        return error.message
    return None


def stopped(folder):
    """Where the line lies that a tripwire stopped, when that is said; writing it takes a while."""

    def write(target, _done):
        time.sleep(0.5)
        target.mkdir(parents=True)

    def watch():
        return Tripwire(rows=2, unit="cosine", real_minus_shuffled=0.0, failures=["it is crooked"])

    line = Line()
    block = settings(tripwire={"every": 1, "on_failure": "stop"})
    kept = Checkpoints(folder, None, {}, write)
    with pytest.raises(NlaReleaseError, match="the current adapter is in"):
        fit("line", line.parameters, line, block, checkpoints=kept, watch=watch)
    return folder / "step_000001"


def longest_wait():
    """How long a process waits for another that works alone."""
    return distributed_c10d._get_default_group()._get_backend(torch.device("cpu")).options._timeout


if __name__ == "__main__":
    print_messages()
    place, every, recipe, folder, extraction = sys.argv[1:]
    assert device_here("cpu") == device_here(None) == "cpu"
    assert "accelerate started 2 processes on cpu" in refused("cuda")
    assert any_process(not is_main())
    assert not any_process(False)
    assert longest_wait().days == 7, "a split or an evaluation of hours must not end the run"
    for number, one in enumerate(json.loads(every)):
        run(Path(place) / str(number), **one)
    assert stopped(Path(place) / "stopped").is_dir(), "whoever ends first ends the others"
    command.main(
        ["extract", extraction, "--folder", str(Path(extraction).parent)], standalone_mode=False
    )
    command.main(["av", recipe, "--folder", folder], standalone_mode=False)
