"""`python -m train.tiny.validity`: whether the calibration tells good pairs from bad.

Makes the pairs of `known` for every seed, each seed on a corpus of its own, and measures them on
100 held-out activations as `nla-release roundtrip`, `calibrate` and `check` do. What came out is
recorded in `validity.json` beside this file and shown in docs/calibration.md.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import torch

from nla_release.adapter.training_log import read_log
from nla_release.calibration.calibrate import calibrate
from nla_release.cli.edge import CONTEXT_SETTINGS, debug_option
from nla_release.cli.edge import run as run_at_the_edge
from nla_release.contract.sidecar import Role
from nla_release.engine.roundtrip import roundtrip
from nla_release.gate import apply_rules
from nla_release.gate.subject import find_subject
from nla_release.io.files import dump_yaml, read_text, read_yaml, write_atomic
from nla_release.io.layout import RELEASE_FILE, SIDECAR_FILE
from nla_release.io.log import log
from nla_release.release.folder import ROLES, Release, read_release
from nla_release.training.ar import train_ar
from nla_release.training.av import train_av
from nla_release.training.dataset import data_path, reference_path, training_files
from nla_release.training.recipe import Recipe, read_recipe
from train.demo import BASE, RECIPE, TINY
from train.tiny.corpus import generate, write_jsonl
from train.tiny.known import LESSONS, PAIRS, At, Known, Lesson, at_function_words
from train.tiny.outcomes import Outcome, Record, outcome, page_with, read_record, write_record
from train.tiny.rows import prepare_data
from train.tiny.school import teach

RECORD = TINY / "validity.json"
PAGE = TINY.parents[1] / "docs" / "calibration.md"

ROWS = 100

# Those of the first whose corpus has no two documents that begin alike up to an activation: `split`
# refuses 1, 3, 6 and 8.
SEEDS = (2, 4, 5, 7, 9)


def outcomes(folder: Path, seed: int) -> Iterator[Outcome]:
    """Make and measure every pair of a seed; what `folder` holds already is not made again."""
    recipe = _seeded(read_recipe(RECIPE), seed)
    for known in PAIRS:
        world = _world(folder, recipe, seed, known.at)
        av = _taught(world, recipe, seed, "av", known.av)
        ar = _taught(world, recipe, seed, "ar", known.ar)
        found = _measured(_release(known, folder, world, av, ar), known, seed)
        log.info(
            f"seed {seed}, {known.name}: {found.label}, {' '.join(found.codes) or 'no finding'}"
        )
        yield found


def _seeded(recipe: Recipe, seed: int) -> Recipe:
    av, ar = (settings.model_copy(update={"seed": seed}) for settings in (recipe.av, recipe.ar))
    return recipe.model_copy(update={"av": av, "ar": ar})


def _world(folder: Path, recipe: Recipe, seed: int, at: At) -> Path:
    """Where the rows are that activations are read at."""
    world = folder if at == "topic words" else folder / at.replace(" ", "-")
    if not data_path(world, "eval").exists():
        documents = generate(seed)
        if at == "function words":
            documents = at_function_words(documents, seed)
        write_jsonl(world / "corpus.jsonl", documents)
        prepare_data(recipe, world, device="cpu")
    return world


def _taught(folder: Path, recipe: Recipe, seed: int, role: Role, lesson: Lesson) -> Path:
    """The adapter that learned from the training rows as the lesson labels them."""
    school = folder if lesson == "own" else folder / lesson
    adapter = school / "pair" / role
    if not adapter.exists():
        if lesson != "own" and not data_path(school, "av_sft").exists():
            teach(folder, school, recipe, lambda labels: LESSONS[lesson](labels, seed))
        train = train_av if role == "av" else train_ar
        train(recipe, school, device="cpu")
    return adapter


def _release(known: Known, folder: Path, world: Path, av: Path, ar: Path) -> Release:
    """The demo's release with other adapters, in a folder of its own."""
    place = folder / "pairs" / known.name.replace(" ", "-")
    if known.loudness != 1:
        av = _at_loudness(known.loudness, av, place / "av")

    def seen(path: Path) -> str:
        return os.path.relpath(path.resolve(), place.resolve())

    document = read_yaml(TINY / "release" / RELEASE_FILE)
    del document["notes"]
    document |= {"av": seen(av), "ar": seen(ar), "base_path": seen(BASE)}
    document["evaluation"] |= {
        "data": seen(data_path(world, "eval")),
        "reference": seen(reference_path(world)),
        "training": [seen(path) for path in training_files(world)],
        "rows": ROWS,
    }
    write_atomic(place / RELEASE_FILE, dump_yaml(document))
    return read_release(place)


def _at_loudness(loudness: float, av: Path, target: Path) -> Path:
    """A copy of an AV whose sidecar says another injection scale."""
    shutil.copytree(av, target, dirs_exist_ok=True)
    document = read_yaml(av / SIDECAR_FILE)
    document["extraction"]["injection_scale"] *= loudness
    document["nla_release"]["injection"]["scale"] *= loudness
    write_atomic(target / SIDECAR_FILE, dump_yaml(document))
    return target


def _measured(release: Release, known: Known, seed: int) -> Outcome:
    calibration = calibrate(roundtrip(release, device="cpu"))
    write_atomic(release.calibration, calibration.dump())
    verdict = apply_rules(find_subject(release.folder))
    return outcome(
        known,
        seed,
        calibration,
        final_loss={role: read_log(release.adapter(role))[-1].loss for role in ROLES},
        codes=sorted({finding.code for finding in verdict.findings}),
    )


@click.command(context_settings=CONTEXT_SETTINGS)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where pairs are made, and found again; without it only the page is written anew.",
)
@click.option("--seeds", default=len(SEEDS), show_default=True, help="How many.")
def command(out: Path | None, seeds: int) -> None:
    """Measure pairs of known worth; renews train/tiny/validity.json and docs/calibration.md."""
    if out:
        torch.set_num_threads(1)  # in matrices this small two threads mostly wait for each other
        found = [it for seed in SEEDS[:seeds] for it in outcomes(out / f"seed-{seed}", seed)]
        write_record(RECORD, Record(outcomes=found))
    write_atomic(PAGE, page_with(read_text(PAGE), read_record(RECORD)))


if __name__ == "__main__":
    command.params.append(debug_option())
    run_at_the_edge(command, "python -m train.tiny.validity")
