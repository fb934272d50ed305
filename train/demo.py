"""`make demo`: a whole release on the tiny base, from a generated corpus to loading it back.

Every step is a command that a user would type, and is printed before it runs.
"""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import click

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import read_evidence
from nla_release.calibration.questions import questions
from nla_release.calibration.report import CurrentCalibration
from nla_release.cli.edge import CONTEXT_SETTINGS, debug_option, output
from nla_release.cli.edge import run as run_at_the_edge
from nla_release.errors import ConfigError, NlaReleaseError
from nla_release.evidence import records
from nla_release.io.files import read_text, read_yaml, write_atomic
from nla_release.local_hub.server import LocalHub
from nla_release.local_hub.store import Store
from nla_release.release.folder import ROLES, Release, read_release, tag
from nla_release.text.numbers import number

TINY = Path(__file__).parent / "tiny"
BASE = TINY / "base"
RECIPE = TINY / "tiny.yaml"
VERSION = "0.0.1"
MARK = ".nla-release-demo"

# In matrices this small two threads mostly wait for each other.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def prepare(folder: Path) -> None:
    """Write release.yaml and the notes, and import the tiny base into the demo's local Hub.

    Raises:
        ConfigError: the folder contains something else.
        NlaReleaseError: the shipped base is not the one that release.yaml and the recipe name.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise ConfigError(
            f"{folder} is not empty and was not made by the demo",
            hint="name an empty folder; the demo deletes what is in it",
        )
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
            hint="if you ran train.tiny.base again, write the new commit into both YAML files",
        )


def steps(folder: Path) -> list[tuple[str, list[str]]]:
    """What each step does, and its command."""
    python = sys.executable
    tool = str(Path(python).with_name("nla-release"))
    where = os.path.relpath(folder)
    recipe = [os.path.relpath(RECIPE), "--folder", where]
    return [
        ("write a corpus", [python, "-m", "train.tiny.corpus", f"{where}/corpus.jsonl"]),
        ("train the pair", [tool, "train", "run", *recipe, "--to", "ar"]),
        ("run the pair and its controls", [tool, "roundtrip", where]),
        ("compute every number from the evidence", [tool, "calibrate", where]),
        ("write both repositories", [tool, "render", "--version", VERSION, where]),
        ("check the release", [tool, "check", where]),
        (
            "publish to a local Hub",
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
    evidence = read_evidence(release.evidence)
    calibration = calibrate(evidence)
    counts, where = calibration.denominators, os.path.relpath(release.folder)
    av, ar = (release.repo_id(role, VERSION) for role in ROLES)
    layer = read_yaml(RECIPE)["extract"]["layer"]
    files = {
        f"{where}/dist/av/README.md": "the AV's model card: every number with its control",
        f"{where}/dist/ar/README.md": "the AR's model card",
        f"{where}/dist/av/figures/": "the card's figures",
        f"{where}/evidence/": "the records that every number is computed from",
    }
    next_steps = {
        f".venv/bin/nla-release report {where}": "write a page with every explanation",
        ".venv/bin/nla-release explain NLA603": "why a pair without content is refused",
        "docs/tutorials/first-release.md": "the tutorial: continue with step 2",
    }
    _say(
        f"""
== done in {seconds:.0f} s: what you have now

Trained
  Two adapters for one small language model. The verbalizer (AV) describes an activation (the
  model's internal vector at one token, here after layer {layer}) in words. The reconstructor (AR)
  computes the activation from these words alone. An example from a held-out document:
{_example(evidence.rows)}

Measured
  {counts.rows} activations from {
            counts.documents
        } documents that were not trained on. Each score has a
  control: the score without the information that the words should carry.
{_answers(calibration)}

Label
{textwrap.indent(textwrap.fill(calibration.label.sentence, 96), "  ")}
  A row is one activation with its explanation. The label follows from the controls alone;
  row-level is the strongest of five.

Published
  {av}
  {ar}
  at tag {tag(VERSION)}, on a local Hub in {where}/hub. Nothing left this machine.

Look at
{_columns(files)}

Try next
{_columns(next_steps)}
"""
    )


def _answers(calibration: CurrentCalibration) -> str:
    """Each question with its answer, and below it the first score and control that decide it."""
    lines = []
    for each in questions(calibration):
        lines.append(f"  {each.question} {each.grade.capitalize()}.")
        for row in each.rows[:1]:
            control = f"{number(row.baseline)} for the control ({row.control})"
            lines.append(f"    {row.name}: {number(row.value)}, {control}")
    return "\n".join(lines)


def _example(rows: Sequence[records.EvidenceRow]) -> str:
    """The first held-out activation that has an explanation, with the text that led to it."""
    row = next(row for row in rows if row.explanation)
    return f"    text up to its token: {row.text}\n    the AV's explanation: {row.explanation}"


def _columns(lines: dict[str, str]) -> str:
    width = max(map(len, lines))
    return "\n".join(f"  {name.ljust(width)}  {meaning}" for name, meaning in lines.items())


def _say(text: str) -> None:
    output(text)
    sys.stdout.flush()


if __name__ == "__main__":
    command.params.append(debug_option())
    run_at_the_edge(command, "python -m train.demo")
