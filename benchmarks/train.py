"""`python -m benchmarks.train`: the training chain beside loops that people write.

Training an AV beside a plain loop of transformers and PEFT; taking activations beside one row at a
time. Each side is a process of its own, on one thread, and the two run in turn, so that whatever
else the machine does falls on both. The aims are of wall time. CPU time stands beside it: it stands
still while others run, so where the two ratios differ, the machine was not quiet.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from benchmarks.train_sides import RECIPE
from nla_release.io.files import dump_yaml, read_yaml, write_atomic
from nla_release.training.recipe import read_recipe
from train.demo import RECIPE as TINY
from train.tiny.corpus import generate, write_jsonl
from train.tiny.rows import prepare_data

# How often held-out rows are tried: each time costs as much as some steps.
TRIPWIRE_EVERY = 50

# The aims of the project: times the loop's speed.
AIMS = {"av": 1, "extract": 5}
UNITS = {"av": "tokens", "extract": "activations"}
TIMED = {"av": "the steps", "extract": "all of it, loading included"}
TITLES = {
    "av": "training an AV, tripwire on, beside a plain loop of transformers and PEFT",
    "extract": "taking activations, beside one row at a time",
}

# In matrices this small two threads mostly wait for each other. The second is of the tokenizers.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

Result = dict[str, Any]


def prepare(folder: Path, documents: int, steps: int) -> None:
    """Write corpus, recipe and rows; the tiny recipe with few steps and a tripwire."""
    recipe = read_yaml(TINY)
    recipe["base"]["path"] = str((TINY.parent / recipe["base"]["path"]).resolve())
    recipe["av"] |= {"steps": steps, "tripwire": {"every": min(steps, TRIPWIRE_EVERY), "rows": 10}}
    write_atomic(folder / RECIPE, dump_yaml(recipe))
    chosen = [it for it in generate(0) if it["split"] in ("train", "eval")]
    held_out = [it for it in chosen if it["split"] == "eval"][: max(documents // 10, 1)]
    learned = [it for it in chosen if it["split"] == "train"][:documents]
    write_jsonl(folder / "corpus.jsonl", [*learned, *held_out])
    prepare_data(read_recipe(folder / RECIPE), folder, device="cpu")


def turn(folder: Path, work: str, side: str) -> Result:
    """Run one side; gives what it wrote, with its speed."""
    result = folder / "side.json"
    line = [sys.executable, "-m", "benchmarks.train_sides", work, side, str(folder)]
    done = subprocess.run(
        [*line, "--result", str(result)],
        capture_output=True,
        text=True,
        env=os.environ | ONE_THREAD,
        check=False,
    )
    if done.returncode:
        raise click.ClickException(f"{work} by the {side} failed: {done.stderr}")
    found: Result = json.loads(result.read_text())
    return found | {
        "speed": found["units"] / found["seconds"],
        "cpu_speed": found["units"] / found["cpu_seconds"],
        "above": found["peak"] - found["libraries"],
    }


def compare(folder: Path, work: str, runs: int) -> None:
    """Run both sides in turn, and show each pair of runs and the medians of their ratios.

    Raises:
        ClickException: a side failed, or they did not compute the same.
    """
    unit = UNITS[work]
    click.echo(
        f"\n{TITLES[work]}\n{unit} per second of wall time ({TIMED[work]}); then the chain's over"
        " the loop's: by wall time, by CPU time (the process after its imports), memory"
        f"\nrun  chain {unit}/s  loop {unit}/s  by wall  by CPU  memory"
    )
    speeds, busy, memories = [], [], []
    for number in range(1, runs + 1):
        chain, loop = turn(folder, work, "chain"), turn(folder, work, "loop")
        _agree(chain["figures"], loop["figures"])
        speeds.append(chain["speed"] / loop["speed"])
        busy.append(chain["cpu_speed"] / loop["cpu_speed"])
        memories.append(chain["above"] / loop["above"])
        click.echo(
            f"{number:3}  {chain['speed']:{len(unit) + 8}.1f}  {loop['speed']:{len(unit) + 7}.1f}"
            f"  {speeds[-1]:7.2f}  {busy[-1]:6.2f}  {memories[-1]:6.2f}   ({chain['above']:.0f} and"
            f" {loop['above']:.0f} MB above the libraries)"
        )
    click.echo(
        f"median: {statistics.median(speeds):.2f} times the loop's speed by wall time (aim:"
        f" {AIMS[work]}), {statistics.median(busy):.2f} times by CPU time,"
        f" {statistics.median(memories):.2f} of its memory"
    )


def _agree(ours: list[float], theirs: list[float]) -> None:
    """Rounding apart, both made the same; the loop's mean loss is over tokens, as ours is."""
    apart = max(
        abs(one - other) / max(1.0, abs(other)) for one, other in zip(ours, theirs, strict=True)
    )
    if apart > 0.02:
        raise click.ClickException(f"the sides differ by {apart:.2g}")


@click.command()
@click.option("--runs", default=5, show_default=True, help="How often each side runs.")
@click.option("--steps", default=100, show_default=True, help="Optimizer steps of a training.")
@click.option("--documents", default=300, show_default=True, help="Training documents.")
def command(runs: int, steps: int, documents: int) -> None:
    """Measure training and extraction beside loops of transformers and PEFT."""
    with tempfile.TemporaryDirectory(prefix="nla-release-bench-") as name:
        folder = Path(name)
        prepare(folder, documents, steps)
        click.echo(
            f"{os.cpu_count()} cores, one thread for either side, load average"
            f" {os.getloadavg()[0]:.1f}"
        )
        for work in TITLES:
            compare(folder, work, runs)


if __name__ == "__main__":
    command()
