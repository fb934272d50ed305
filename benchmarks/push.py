"""`python -m benchmarks.push`: what a push costs, beside the client's own commit of the same files.

A pair of two adapters of 150 MB goes to a loopback Hub in a process of its own, which is new each
time. The two are measured in turn, each in a new process, so that whatever else the machine does
falls on both. Beside a `push` stands what people run without it: `create_repo` and `create_commit`
for each folder. `nla-release push` also judges the release first; `benchmarks.check` measures that.
"""

import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from huggingface_hub import CommitOperationAdd, HfApi, constants

from benchmarks.pair import TINY, Size, make_pair
from benchmarks.process import bytes_read, peak
from nla_release.hub.journal import PATH, Journal
from nla_release.hub.plan import make_plan
from nla_release.hub.push import push
from nla_release.hub_client.client import quiet_client
from nla_release.hub_client.remote import Hub
from nla_release.io.files import write_atomic
from nla_release.io.layout import ADAPTER_FILE, MANIFEST_FILE
from nla_release.release.folder import ROLES
from nla_release.release.manifest import (
    Manifest,
    ManifestBase,
    PartnerRecord,
    dump_manifest,
    record_files,
)

TOOL = Path(sys.executable).with_name("nla-release")
VERSION = "0.0.1"
# All 35 blocks of a base of about two billion parameters, at rank 64: 154 MB each.
LARGE = Size(1536, 2048, 512, 6144, rank=64, blocks={"av": 35, "ar": 35})
CARD = "---\nlicense: apache-2.0\n---\n# A pair to measure with\n"
PROCESSES = multiprocessing.get_context("spawn")

# The aims of the project: times the plain commit, times each byte is read, MB, seconds.
RATIO, READS, MEMORY, AGAIN_SECONDS = 1.3, 2, 300, 2


@dataclass(frozen=True)
class Run:
    """One run: seconds on the clock, bytes read from files, and the most memory held, in MB."""

    seconds: float
    read: int
    memory: float


def make_dist(dist: Path, size: Size) -> int:
    """Write `av/` and `ar/` as a render leaves them, as far as a push goes; gives their bytes."""
    make_pair(dist, size)
    names = {role: f"bench/pair-{role}" for role in ROLES}
    for role in ROLES:
        for name, text in (("README.md", CARD), ("HISTORY.md", "# History\n"), ("LICENSE", "")):
            write_atomic(dist / role / name, text or "Apache-2.0\n")
    files = {role: record_files(dist / role) for role in ROLES}
    for role, other in zip(ROLES, reversed(ROLES), strict=True):
        manifest = Manifest(
            role=role,
            repo=names[role],
            version=VERSION,
            tag=f"v{VERSION}",
            base=ManifestBase(id="bench/base", revision="0" * 40),
            files=files[role],
            partner=PartnerRecord(
                repo=names[other],
                tag=f"v{VERSION}",
                adapter_sha256=files[other][ADAPTER_FILE].sha256,
            ),
        )
        write_atomic(dist / role / MANIFEST_FILE, dump_manifest(manifest))
    return sum(path.stat().st_size for path in dist.rglob("*") if path.is_file())


def our_push(dist: Path, endpoint: str, token: str) -> None:
    """Plan and push, as the command does."""
    hub = Hub(endpoint, token)
    plan = make_plan(dist, VERSION, hub)
    journal = Journal(dist, plan.release_id, endpoint)
    push(plan, hub, journal, check=lambda: None)


def plain_commits(dist: Path, endpoint: str, token: str) -> None:
    """A repository and a commit for each folder, by the client alone."""
    constants.HF_HUB_DISABLE_XET = True
    api = HfApi(endpoint=endpoint, token=token)
    for role in ROLES:
        folder = dist / role
        files = [path for path in folder.rglob("*") if path.is_file()]
        operations = [CommitOperationAdd(path.name, str(path)) for path in files]
        api.create_repo(f"bench/pair-{role}")
        api.create_commit(f"bench/pair-{role}", operations, commit_message="Add the pair")


Side = Callable[[Path, str, str], None]


def _measured(side: Side, dist: Path, endpoint: str, token: str) -> Run:
    quiet_client()
    read, started = bytes_read(), time.perf_counter()
    side(dist, endpoint, token)
    return Run(time.perf_counter() - started, bytes_read() - read, peak())


def _run(side: Side, dist: Path, endpoint: str, token: str) -> Run:
    """One run, in a process that has done nothing else."""
    with PROCESSES.Pool(1) as one:
        return one.apply(_measured, (side, dist, endpoint, token))


@contextmanager
def _hub(root: Path) -> Iterator[tuple[str, str]]:
    """A new Hub in a process of its own: its address and token."""
    line = [str(TOOL), "hub", "--root", str(root), "--port", "0"]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            said = process.stdout.readline().strip()
            if not said.startswith("Serving on http"):
                raise click.ClickException(f"the Hub did not start: {said}")
            yield said.removeprefix("Serving on "), (root / "token").read_text().strip()
        finally:
            process.kill()
    shutil.rmtree(root)


@click.command()
@click.option("--runs", default=5, show_default=True, help="How often each is measured.")
@click.option("--small", is_flag=True, help="Measure a tiny pair only, to see that this works.")
def command(runs: int, small: bool) -> None:
    """Measure a push of a pair of 2 x 150 MB, and a push of the same once more."""
    with tempfile.TemporaryDirectory(prefix="nla-release-bench-") as name:
        dist, root = Path(name) / "dist", Path(name) / "hub"
        size = make_dist(dist, TINY if small else LARGE)
        click.echo(
            f"{size / 1e6:.1f} MB in 2 repositories; {os.cpu_count()} cores, load average"
            f" {os.getloadavg()[0]:.1f}"
        )
        click.echo("run  push s  commit s  ratio  times read  push MB  again s")
        ratios, ours, agains = [], [], []
        for number in range(runs + 1):
            with _hub(root) as at:
                theirs = _run(plain_commits, dist, *at)
            with _hub(root) as at:
                mine, again = _run(our_push, dist, *at), _run(our_push, dist, *at)
            shutil.rmtree(dist / PATH.parent)
            if number == 0:
                continue  # to warm up
            ratios.append(mine.seconds / theirs.seconds)
            ours.append(mine)
            agains.append(again.seconds)
            click.echo(
                f"{number:3}  {mine.seconds:6.2f}  {theirs.seconds:8.2f}  {ratios[-1]:5.2f}"
                f"  {mine.read / size:14.2f}  {mine.memory:7.0f}  {again.seconds:7.2f}"
            )
        click.echo(f"median ratio {statistics.median(ratios):.2f} (aim: at most {RATIO})")
        reads = max(run.read for run in ours) / size
        click.echo(f"each byte is read {reads:.2f} times (aim: at most {READS})")
        click.echo(f"most memory {max(run.memory for run in ours):.0f} MB (aim: under {MEMORY})")
        click.echo(
            f"a push of published bytes: median {statistics.median(agains):.2f} s"
            f" (aim: under {AGAIN_SECONDS})"
        )


if __name__ == "__main__":
    command()
