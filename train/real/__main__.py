"""`make real`: a pair on a real language model, from its weights to a rehearsed release.

Each step is a command that a user would type. A step that is done is skipped and an interrupted one
continues, so the command may be stopped and given again.
"""

import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import yaml

from nla_release.cli.edge import CONTEXT_SETTINGS, debug_option, output
from nla_release.cli.edge import run as run_at_the_edge
from nla_release.errors import ConfigError, NlaReleaseError
from nla_release.io.documents import parse_yaml
from nla_release.io.files import dump_json, read_json, read_yaml, write_atomic
from nla_release.local_hub.store import Store
from nla_release.training import STEPS
from train.real.base import BASE_ID, write_base
from train.real.ceiling import ceiling
from train.real.corpus import write_corpus
from train.real.held_out import leave_out_copies

HERE = Path(__file__).parent
VERSION = "0.0.1"
# The scale is chosen from the activations' norm, not from the embeddings'.
_OPTIONS = {"av": ["--allow-ood-injection"]}
# Seconds and peak memory of every step, added up over interruptions.
MEASURED = "measured.json"


@click.command(context_settings=CONTEXT_SETTINGS)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--documents", default=2000, show_default=True, help="Documents of the corpus.")
@click.option("--labels", default=3, show_default=True, help="Labelled positions of each document.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the recipe to change, such as extract.layer=12.",
)
@click.option("--ar-only", is_flag=True, help="Train no AV; show how well the AR reads labels.")
def command(
    folder: Path, documents: int, labels: int, changes: tuple[str, ...], ar_only: bool
) -> None:
    """Train, measure and rehearse a pair on SmolLM2-135M in FOLDER, or continue there."""
    folder.mkdir(parents=True, exist_ok=True)
    prepare(folder, documents, labels, changes)
    tool = str(Path(sys.executable).with_name("nla-release"))
    where = os.path.relpath(folder)
    for name in STEPS[:-1]:
        if ar_only and name == "av":
            continue
        line = [tool, "train", name, f"{where}/recipe.yaml", "--folder", where]
        _run(folder, f"train {name}", [*line, *_OPTIONS.get(name, ())])
    if ar_only:
        output("\n".join(ceiling(folder)))
        return
    kept, left_out = leave_out_copies(folder)
    output(f"\nheld out: {kept} documents; {left_out} repeat a training document and are left out")
    _run(folder, "roundtrip", [tool, "roundtrip", where, "--probe", "all"])
    _run(folder, "calibrate", [tool, "calibrate", where])
    _run(folder, "render", [tool, "render", "--version", VERSION, where])
    push = ["push", "--version", VERSION, "--rehearse", "--hub-root", f"{where}/hub", where]
    accepted = _run(folder, "check", [tool, "check", where], may_fail=True)
    if accepted:
        _run(folder, "push --rehearse", [tool, *push])
    else:
        output("check refuses this pair: that is its result, and it is not published")


def prepare(folder: Path, documents: int, labels: int, changes: tuple[str, ...]) -> None:
    """Write base, corpus, recipe and release.yaml, as far as they are missing.

    Raises:
        ConfigError: a change names no setting of the recipe.
        EnvironmentProblem: a package that is needed is not installed.
    """
    if not (folder / "base").exists():
        output(f"== write the base {BASE_ID}")
        write_base(folder / "base")
    commit = Store(folder / "hub").import_folder(BASE_ID, folder / "base")
    if not (folder / "corpus.jsonl").exists():
        output("== write the corpus")
        found = write_corpus(folder / "corpus.jsonl", count=documents, labels=labels)
        output(f"   {found} documents")
    recipe = read_yaml(HERE / "smollm2.yaml")
    recipe["base"]["revision"] = commit
    for change in changes:
        _change(recipe, change)
    write_atomic(folder / "recipe.yaml", yaml.safe_dump(recipe, allow_unicode=True))
    if not (folder / "release.yaml").exists():
        shutil.copytree(HERE / "release", folder, dirs_exist_ok=True)
        text = (HERE / "release" / "release.yaml").read_text(encoding="utf-8")
        named = f"base_revision: {commit}\nbase_path: base\n"
        write_atomic(folder / "release.yaml", text + named)


def _change(recipe: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    *path, last = key.split(".")
    block = recipe
    for name in path:
        block = block.get(name, {})
    if not equals or last not in block:
        raise ConfigError(
            f"--set {change}: the recipe has no setting {key}",
            hint="such as --set extract.layer=12 or --set av.steps=800",
        )
    block[last] = parse_yaml(f"value: {value}", f"--set {change}", error=ConfigError)["value"]


def _run(folder: Path, name: str, line: list[str], *, may_fail: bool = False) -> bool:
    """Run a command, and add its seconds and memory to what was measured of it."""
    output(f"\n== {' '.join(['nla-release', *line[1:]])}")
    sys.stdout.flush()
    started = time.monotonic()
    process = subprocess.Popen(line)
    _, status, usage = os.wait4(process.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    _measured(folder, name, time.monotonic() - started, usage)
    if code != 0 and not may_fail:
        raise NlaReleaseError(
            f"`nla-release {' '.join(line[1:])}` ended with exit code {code}",
            hint="give the same command again when the cause is gone: it continues there",
        )
    return code == 0


def _measured(folder: Path, name: str, seconds: float, usage: resource.struct_rusage) -> None:
    path = folder / MEASURED
    steps = read_json(path) if path.exists() else {}
    before = steps.get(name, {"seconds": 0.0, "processor_seconds": 0.0, "peak_mib": 0.0})
    steps[name] = {
        "seconds": before["seconds"] + seconds,
        "processor_seconds": before["processor_seconds"] + usage.ru_utime + usage.ru_stime,
        "peak_mib": max(before["peak_mib"], usage.ru_maxrss / 1024),
    }
    write_atomic(path, dump_json(steps))


if __name__ == "__main__":
    command.params.append(debug_option())
    run_at_the_edge(command, "python -m train.real")
