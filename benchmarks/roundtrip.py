"""`python -m benchmarks.roundtrip`: the engine beside a usage snippet's loop, on the same rows.

Each side is a process of its own, on one thread. The two run in turn, so that whatever else the
machine does falls on both. Rows per second count explaining and reading back, not loading.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

# The aims of the project: times the loop's rows per second, share of its memory.
SPEED, MEMORY = 40, 0.5

# What the table shows of both sides, by the name of the figure.
LINES = {
    "speed": "rows per second",
    "cpu_speed": "rows per second of CPU time",
    "av_speed": "  explaining",
    "ar_speed": "  reading back",
    "load_seconds": "loading, seconds",
    "weights": "weights, MB",
    "peak": "peak of memory, MB",
    "above": "  above the libraries",
}

Result = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """A release to measure on, how many rows, and how many at once."""

    release: Path
    rows: int
    batch_size: int

    def turns(self, runs: int) -> tuple[list[Result], list[Result]]:
        """Run both sides in turn, showing each pair of runs.

        Raises:
            ClickException: a side failed, or they did not say the same.
        """
        click.echo(
            f"{self.rows} rows, batches of {self.batch_size}, one thread; {os.cpu_count()} cores,"
            f" load average {os.getloadavg()[0]:.1f}"
        )
        click.echo("run  engine rows/s  loop rows/s  ratio")
        engine, loop = [], []
        for number in range(1, runs + 1):
            ours, theirs = self.side("engine"), self.side("loop")
            _agree(ours, theirs)
            engine.append(ours)
            loop.append(theirs)
            click.echo(
                f"{number:3}  {ours['speed']:13.1f}  {theirs['speed']:11.2f}"
                f"  {ours['speed'] / theirs['speed']:5.0f}"
            )
        return engine, loop

    def side(self, name: str, *options: str) -> Result:
        """Run one side; gives what it wrote, with its speed."""
        with tempfile.TemporaryDirectory(prefix="nla-release-bench-") as folder:
            result = Path(folder) / "side.json"
            line = [sys.executable, "-m", "benchmarks.sides", name, str(self.release)]
            line += ["--rows", str(self.rows), "--batch-size", str(self.batch_size)]
            done = subprocess.run(
                [*line, "--result", str(result), *options],
                capture_output=True,
                text=True,
                # In matrices this small two threads mostly wait for each other.
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                check=False,
            )
            if done.returncode:
                raise click.ClickException(f"the side {name} failed: {done.stderr}")
            found: Result = json.loads(result.read_text())
        av, ar = found["av_seconds"], found["ar_seconds"]
        return found | {
            "speed": self.rows / (av + ar),
            "cpu_speed": self.rows / found["cpu_seconds"],
            "av_speed": self.rows / av,
            "ar_speed": self.rows / ar,
            "above": found["peak"] - found["libraries"],
        }


def _agree(ours: Result, theirs: Result) -> None:
    differing = sum(one != other for one, other in zip(ours["texts"], theirs["texts"], strict=True))
    if differing:
        raise click.ClickException(f"{differing} of {len(ours['texts'])} texts differ")
    apart = max(
        abs(one - other)
        for rows in zip(ours["vectors"], theirs["vectors"], strict=True)
        for one, other in zip(*rows, strict=True)
    )
    if apart > 1e-3:
        raise click.ClickException(f"reconstructions differ by {apart:.1e}")


def _table(engine: list[Result], loop: list[Result]) -> None:
    click.echo("\nmedians                          engine       loop    ratio")
    ratios = {}
    for name, title in LINES.items():
        ours, theirs = [run[name] for run in engine], [run[name] for run in loop]
        ratios[name] = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        click.echo(
            f"{title:<28} {statistics.median(ours):10.2f} {statistics.median(theirs):10.2f}"
            f"  {ratios[name]:7.2f}"
        )
    click.echo(
        f"texts identical; {ratios['speed']:.0f} times the rows per second (aim: {SPEED}),"
        f" {ratios['peak']:.2f} of the peak memory (aim: {MEMORY}), of which the weights"
        f" {ratios['weights']:.2f}; the libraries themselves are the same for both"
    )


def _bounds(result: Result) -> None:
    reading = result["ar_seconds"] / (result["av_seconds"] + result["ar_seconds"])
    click.echo(
        f"\nwhat bounds the rest of the engine's time: {1 - reading:.0%} explaining, {reading:.0%}"
        " reading back; of both, profiled (which slows Python most),"
    )
    for name, share in result["shares"].items():
        click.echo(f"  {share:4.0%} {name}")


@click.command()
@click.option("--rows", default=200, show_default=True, help="Held-out activations to explain.")
@click.option("--runs", default=5, show_default=True, help="How often each side runs.")
@click.option("--batch-size", default=100, show_default=True, help="Of the engine.")
@click.option(
    "--release",
    default=Path("build/demo"),
    show_default=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A release with a trained pair, as `make demo` leaves it.",
)
def command(rows: int, runs: int, batch_size: int, release: Path) -> None:
    """Measure the engine beside the loop of a model card's usage snippet."""
    bench = Bench(release, rows, batch_size)
    _table(*bench.turns(runs))
    _bounds(bench.side("engine", "--profile"))


if __name__ == "__main__":
    command()
