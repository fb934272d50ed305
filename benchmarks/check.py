"""`python -m benchmarks.check`: what the gate costs, beside `sha256sum` of the same files.

The two are measured in turn, so that whatever else the machine does falls on both. The files were
just written and lie in the page cache, and the package's bytecode is compiled, as it is after an
install: what is measured is work, not the disk.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.pair import REALISTIC, TINY, Size, make_pair

TOOL = Path(sys.executable).with_name("nla-release")
TOKENIZER = Path("train/tiny/base/tokenizer.json")  # of the base that the sidecars are made for

# The aims of the project: times sha256sum, MB of memory, seconds for the tiny pair.
RATIO, MEMORY, TINY_SECONDS = 0.7, 200, 0.5


@dataclass(frozen=True)
class Run:
    """One run of a command: seconds on the clock, and the most memory it held, in MB."""

    seconds: float
    memory: float


@dataclass(frozen=True)
class Bench:
    """A folder to measure in."""

    folder: Path

    def pair(self, size: Size, runs: int) -> None:
        """Show how the check of a pair compares with the hashing of its files."""
        files = make_pair(self.folder / "pair", size)
        check, sums = self._check("pair"), ["sha256sum", *map(str, files)]
        total = sum(path.stat().st_size for path in files) / 1e6
        click.echo(
            f"{total:.1f} MB in {len(files)} files; {os.cpu_count()} cores, load average"
            f" {os.getloadavg()[0]:.1f}"
        )
        click.echo("run  check s  sha256sum s  ratio  check MB")
        ratios, memory = [], 0.0
        for number in range(runs + 1):
            ours, theirs = self._run(check), self._run(sums)
            if number == 0:
                continue  # to warm up
            ratios.append(ours.seconds / theirs.seconds)
            memory = max(memory, ours.memory)
            click.echo(
                f"{number:3}  {ours.seconds:7.3f}  {theirs.seconds:11.3f}  {ratios[-1]:5.2f}"
                f"  {ours.memory:8.0f}"
            )
        click.echo(f"median ratio {statistics.median(ratios):.2f} (aim: at most {RATIO})")
        click.echo(f"most memory {memory:.0f} MB (aim: at most {MEMORY})")

    def tiny(self, runs: int) -> None:
        """Show how long the check of a tiny pair takes from the shell."""
        make_pair(self.folder / "tiny", TINY)
        check = self._check("tiny")
        self._run(check)
        median = statistics.median(self._run(check).seconds for _ in range(runs))
        click.echo(f"tiny pair: median {median:.3f} s from the shell (aim: under {TINY_SECONDS})")

    def _check(self, name: str) -> list[str]:
        return [str(TOOL), "check", str(self.folder / name), "--tokenizer", str(TOKENIZER)]

    def _run(self, line: Sequence[str]) -> Run:
        """Run a command to its end.

        Raises:
            ClickException: it failed; its output says why.
        """
        environment = os.environ | {"PYTHONPYCACHEPREFIX": str(self.folder / "bytecode")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        with (self.folder / "output.txt").open("w+") as output:
            started = time.perf_counter()
            child = subprocess.Popen(line, stdout=output, stderr=output, env=environment)
            _, status, usage = os.wait4(child.pid, 0)
            seconds = time.perf_counter() - started
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                output.seek(0)
                raise click.ClickException(f"{line[0]} failed: {output.read()}")
        return Run(seconds, usage.ru_maxrss / 1024)


@click.command()
@click.option("--runs", default=7, show_default=True, help="How often each is measured.")
@click.option("--small", is_flag=True, help="Measure a tiny pair only, to see that this works.")
def command(runs: int, small: bool) -> None:
    """Measure `nla-release check` on a pair of realistic size, and on a tiny one."""
    with tempfile.TemporaryDirectory(prefix="nla-release-bench-") as folder:
        bench = Bench(Path(folder))
        bench.pair(TINY if small else REALISTIC, runs)
        bench.tiny(runs)


if __name__ == "__main__":
    command()
