"""`python -m benchmarks.calibrate`: what `calibrate` costs, next to reading its evidence.

Synthetic evidence of documents of five rows is written once. Reading it, which checks every hash,
and computing its calibration are then measured in turn, each in a process of its own, so that
whatever else the machine does falls on both.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from benchmarks.process import peak
from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import read_evidence, write_evidence
from nla_release.contract.explanation import wrap
from nla_release.evidence.records import EvidenceRow, RunFacts, Verbalization

WIDTH, ROWS_EACH = 2048, 5
WORDS = 3000  # that explanations and texts are made of

# The aims of the project: processor seconds by number of rows, and GB beyond the vectors.
AIMS = {307: 1.0, 10_000: 10.0}
MEMORY = 1.0


def make_evidence(folder: Path, rows: int, width: int) -> int:
    """Write evidence of a pair that reads half of what it is given; the size of its vectors."""
    random = np.random.default_rng(0)
    documents = -(-rows // ROWS_EACH)
    document = np.arange(rows) // ROWS_EACH

    def directions(count: int) -> np.ndarray:
        drawn = random.standard_normal((count, width), dtype=np.float32)
        return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))

    gold = directions(1) + directions(documents)[document] + directions(rows)
    gold /= np.linalg.norm(gold, axis=1, keepdims=True)
    mean = gold.mean(axis=0)
    real = gold + directions(rows)
    other = (np.arange(rows) + ROWS_EACH) % rows
    vectors = {
        "gold": gold,
        "real": real,
        "shuffled": real[other],
        "reference_mean": mean,
        "empty": np.tile(mean, (rows, 1)),
        "zero_vector": np.tile(mean, (rows, 1)),
        "random_vector": real[::-1],
    }
    sources = [" ".join(_words(random, 200)) for _ in range(documents)]
    spoken = [_said([*sources[at].split()[:8], *_words(random, 8)]) for at in document]
    records = [
        EvidenceRow(
            id=f"r{at}",
            document=f"d{document[at]}",
            text=_beginning(sources[document[at]], 40 * (at % ROWS_EACH + 1)),
            gold=None,
            shuffled_from=f"r{other[at]}",
            shuffled_status="ok",
            random_vector=_said(_words(random, 16)),
            **spoken[at].model_dump(),
        )
        for at in range(rows)
    ]
    facts = _facts(rows, documents, variance=1 - float(mean.astype(np.float64) @ mean))
    write_evidence(folder, records, vectors, facts)
    return (folder / "vectors.safetensors").stat().st_size


def _words(random: np.random.Generator, count: int) -> list[str]:
    """Few words are common and most are rare, as in a language."""
    return [f"word{at % WORDS}" for at in random.zipf(1.3, count)]


def _beginning(text: str, words: int) -> str:
    return " ".join(text.split()[:words])


def _said(words: list[str]) -> Verbalization:
    text = " ".join(words)
    return Verbalization(explanation=text, status="ok", raw=wrap(text))


def _facts(rows: int, documents: int, *, variance: float) -> RunFacts:
    names = ("adapter_config.json", "adapter_model.safetensors", "nla_meta.yaml")
    files = {f"{role}/{name}": "2" * 64 for role in ("av", "ar") for name in names}
    return RunFacts.model_validate(
        {
            "schema": 2,
            "tool_version": "0",
            "started_at": "2026-01-01T00:00:00Z",
            "finished_at": "2026-01-01T00:00:00Z",
            "base": {"id": "someone/base", "revision": "0" * 40},
            "tokenizer_sha256": "1" * 64,
            "files": files | {"ar/value_head.safetensors": "2" * 64},
            "evaluation": {"sha256": "3" * 64, "rows": rows, "documents": documents},
            "reference": {"sha256": "4" * 64, "rows": rows, "variance": variance},
            "precision": {"quantization": None, "dtype": "float32"},
            "injection": {"site": "embedding", "op": "replace", "scale": 1.0},
            "decoding": {"greedy": True, "max_new_tokens": 200, "batch_size": 16},
            "seed": 0,
            "zero_vector": _said(["nothing"]).model_dump(),
            "device": "cpu",
            "libraries": {},
        }
    )


def side(name: str, folder: Path) -> tuple[float, float, float]:
    """Wall seconds and processor seconds of one side, and the most MB its process has held."""
    line = [sys.executable, "-m", "benchmarks.calibrate", "--side", name, str(folder)]
    output = subprocess.run(line, check=True, capture_output=True, text=True).stdout
    wall, processor, memory = map(float, output.split())
    return wall, processor, memory


def measure(name: str, folder: Path) -> None:
    """Print what `side` returns, for this process."""
    evidence = read_evidence(folder) if name == "calibrate" else None
    started, used = time.perf_counter(), time.process_time()
    if evidence is None:
        read_evidence(folder)
    else:
        calibrate(evidence)
    wall, processor = time.perf_counter() - started, time.process_time() - used
    click.echo(f"{wall} {processor} {peak()}")


def compare(folder: Path, rows: int, width: int, runs: int) -> None:
    """Show one line per run, and what came out in the middle."""
    vectors = make_evidence(folder, rows, width) / 1e6
    click.echo(f"{rows} rows of width {width}: {vectors:.0f} MB of vectors")
    click.echo("run  read s  calibrate s  processor s  ratio  MB over the vectors")
    lines = []
    for number in range(runs):
        _, reading, _ = side("read", folder)
        wall, processor, memory = side("calibrate", folder)
        lines.append((wall, processor, processor / reading, memory - vectors))
        click.echo(
            f"{number + 1:3}  {reading:6.2f}  {wall:11.2f}  {processor:11.2f}"
            f"  {processor / reading:5.1f}  {memory - vectors:19.0f}"
        )
    wall, processor, ratio, memory = map(statistics.median, zip(*lines, strict=True))
    aim = f" (aim: under {AIMS[rows]:.0f} s, {MEMORY:.0f} GB)" if rows in AIMS else ""
    click.echo(
        f"median {processor:.2f} s of the processor, {wall:.2f} s by the clock,"
        f" {ratio:.1f} times reading, {memory / 1e3:.2f} GB{aim}"
    )


@click.command()
@click.option("--runs", default=3, show_default=True, help="How often each is measured.")
@click.option("--small", is_flag=True, help="Measure a few rows only, to see that this works.")
@click.option("--side", "name", hidden=True, nargs=2, type=(str, Path))
def command(runs: int, small: bool, name: tuple[str, Path] | None) -> None:
    """Measure `calibrate` on as many rows as a release has, and on many more."""
    if name:
        measure(*name)
        return
    with tempfile.TemporaryDirectory(prefix="nla-release-bench-") as folder:
        for rows in (40,) if small else tuple(AIMS):
            compare(Path(folder) / str(rows), rows, 32 if small else WIDTH, runs)


if __name__ == "__main__":
    command()
