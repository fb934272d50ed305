"""`make demo`: the whole way of a release on the tiny base, from a made-up corpus to loading back.

Every step is the command that a person would type, and is shown before it runs.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import click

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import read_evidence
from nla_release.calibration.tables import calibration_table
from nla_release.cli.edge import CONTEXT_SETTINGS, debug_option, output
from nla_release.cli.edge import run as run_at_the_edge
from nla_release.errors import ConfigError, NlaReleaseError
from nla_release.io.files import read_text, read_yaml, write_atomic
from nla_release.local_hub.server import LocalHub
from nla_release.local_hub.store import Store
from nla_release.release.folder import ROLES, Release, read_release, tag

TINY = Path(__file__).parent / "tiny"
BASE = TINY / "base"
RECIPE = TINY / "tiny.yaml"
VERSION = "0.0.1"
MARK = ".nla-release-demo"

# In matrices this small two threads mostly wait for each other.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def prepare(folder: Path) -> None:
    """Lay out release.yaml, the notes, and the tiny base on the demo's local Hub.

    Raises:
        ConfigError: the folder holds something else.
        NlaReleaseError: the shipped base is not the one that release.yaml and the recipe name.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise ConfigError(f"{folder} is not empty and is no demo; it would be emptied")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(TINY / "release", folder)
    (folder / MARK).touch()
    text = read_text(folder / "release.yaml")
    local = os.path.relpath(BASE, folder.resolve())
    write_atomic(folder / "release.yaml", f"{text}base_path: {local}\n")
    named = read_yaml(folder / "release.yaml")
    commit = Store(folder / "hub").import_folder(named["base_model"], BASE)
    if commit != named["base_revision"]:
        raise NlaReleaseError(
            f"the shipped base is commit {commit}, release.yaml names {named['base_revision']}",
            hint="train.tiny.base was run again; write the new commit into both YAML files",
        )


def steps(folder: Path) -> list[tuple[str, list[str]]]:
    """What each step does, and its command."""
    python = sys.executable
    tool = str(Path(python).with_name("nla-release"))
    where = os.path.relpath(folder)
    recipe = [os.path.relpath(RECIPE), "--folder", where]
    return [
        ("write a corpus", [python, "-m", "train.tiny.corpus", f"{where}/corpus.jsonl"]),
        ("make the pair", [tool, "train", "run", *recipe, "--to", "ar"]),
        ("measure the pair and its controls", [tool, "roundtrip", where]),
        ("compute the numbers", [tool, "calibrate", where]),
        ("write both repositories", [tool, "render", "--version", VERSION, where]),
        ("judge the release", [tool, "check", where]),
        (
            "publish to a Hub on this machine",
            [tool, "push", "--version", VERSION, "--rehearse", "--hub-root", f"{where}/hub", where],
        ),
    ]


def usage_snippet(card: str) -> str:
    """The first Python block of a card: the code that a reader would copy."""
    return card.split("```python\n", 1)[1].split("\n```\n", 1)[0]


@click.command(context_settings=CONTEXT_SETTINGS)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def command(folder: Path) -> None:
    """Make, measure, publish and load a pair in FOLDER, which is emptied first."""
    started = time.monotonic()
    prepare(folder)
    for title, line in steps(folder):
        _run(title, line)
    release = read_release(folder)
    _load_back(release)
    _summary(release, time.monotonic() - started)


def _run(title: str, line: list[str]) -> None:
    _say(f"\n== {title}\n   $ {' '.join([Path(line[0]).name, *line[1:]])}")
    done = subprocess.run(line, env={**os.environ, **ONE_THREAD}, check=False)
    if done.returncode != 0:
        raise NlaReleaseError(f"the step {title!r} ended with exit code {done.returncode}")


def _load_back(release: Release) -> None:
    """Run the published cards' own snippets in fresh processes, against the local Hub."""
    with LocalHub(release.folder / "hub") as hub:
        environment = {
            **os.environ,
            **ONE_THREAD,
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str((release.folder / "hf-home").resolve()),
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        for role in ROLES:
            _say(f"\n== load the published {role.upper()} with the code on its card, which prints")
            snippet = usage_snippet(read_text(release.dist / role / "README.md"))
            done = subprocess.run(
                [sys.executable, "-c", snippet],
                capture_output=True,  # the libraries' advice is shown only when it went wrong
                text=True,
                env=environment,
                check=False,
            )
            if done.returncode != 0:
                raise NlaReleaseError(f"the {role.upper()} card's code failed:\n{done.stderr}")
            first, *more = done.stdout.splitlines()
            _say(f"   {first}{' ...' if more else ''}")


def _summary(release: Release, seconds: float) -> None:
    calibration = calibrate(read_evidence(release.evidence))
    where = os.path.relpath(release.folder)
    repos = " and ".join(release.repo_id(role, VERSION) for role in ROLES)
    _say(
        f"""
== what you have now, after {seconds:.0f} s

A verbalizer that turns an activation into words, and a reconstructor that turns the words back,
published as {repos}
at tag {tag(VERSION)}, on a Hub that lives in {where}/hub. How well the words carry the activation,
compared with controls that take their meaning away:

{calibration_table(calibration)}

cards    {where}/dist/av/README.md, {where}/dist/ar/README.md
figures  {where}/dist/av/figures/, {where}/dist/ar/figures/
evidence {where}/evidence/ (every number above follows from it: nla-release calibrate {where})

Try next: .venv/bin/nla-release explain NLA603
"""
    )


def _say(text: str) -> None:
    output(text)
    sys.stdout.flush()


if __name__ == "__main__":
    command.params.append(debug_option())
    run_at_the_edge(command, "python -m train.demo")
