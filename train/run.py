"""`python -m train.run RECIPE`: the whole chain, from text to a measured pair.

Each step is the command that a person would type. What is done already is skipped, and what was
cut off goes on.
"""

import importlib
import shlex
from pathlib import Path

import click

from nla_release.cli import edge
from nla_release.cli.edge import CONTEXT_SETTINGS, debug_option
from nla_release.errors import ConfigError
from nla_release.io.progress import tell
from train.command import (
    ON_A_DEVICE,
    again_option,
    allow_ood_option,
    device_option,
    folder_option,
    read_pinned,
    recipe_argument,
)
from train.command import run as run_step
from train.memory import card_bytes
from train.plan import plans
from train.processes import is_main, wait_for_all
from train.recipe import Recipe, read_recipe
from train.record import STEPS, StepName, read_record, stale, unfinished
from train.skeleton import write_skeleton


def chosen(first: StepName, last: StepName) -> list[StepName]:
    """The steps of a run.

    Raises:
        ConfigError: the last comes before the first.
    """
    start, end = STEPS.index(first), STEPS.index(last)
    if end < start:
        raise ConfigError(f"--to {last} comes before --from {first}")
    return list(STEPS[start : end + 1])


def plan(recipe: Recipe, folder: Path, names: list[StepName]) -> list[str]:
    """A line for each step: whether it is done, and if not as the recipe says, why."""
    lines = []
    for name in names:
        record = read_record(folder, name)
        if record is None or unfinished(record, folder):
            lines.append(f"{name}: to do")
        elif reason := stale(record, recipe, folder):
            lines.append(f"{name}: done otherwise ({reason}); needs --again")
        else:
            lines.append(f"{name}: done")
    return lines


@click.command(context_settings=CONTEXT_SETTINGS)
@recipe_argument
@folder_option
@click.option("--from", "first", type=click.Choice(STEPS), default=STEPS[0], show_default=True)
@click.option("--to", "last", type=click.Choice(STEPS), default=STEPS[-1], show_default=True)
@click.option(
    "--plan",
    "only_plan",
    is_flag=True,
    help="Tell what would be done and what memory the trainings take, and do nothing.",
)
@click.option("--card", help="The card's memory to plan for, such as 4GB.")
@again_option
@device_option
@allow_ood_option
def command(
    recipe: Path,
    folder: Path,
    first: StepName,
    last: StepName,
    only_plan: bool,
    card: str | None,
    again: bool,
    device: str | None,
    allow_ood_injection: bool,
) -> None:
    """Make the pair of RECIPE in the folder, step after step.

    When AV and AR are trained and the folder has no release.yaml, one is written that `nla-release
    roundtrip` accepts.
    """
    names = chosen(first, last)
    if card and not only_plan:
        raise ConfigError("--card is of --plan, and nothing is planned", hint="give --plan too")
    if only_plan:
        wanted = read_pinned(recipe)
        edge.tell("\n".join(plan(wanted, folder, names)))
        if {"av", "ar"} & set(names):
            edge.tell("\n" + plans(wanted, folder, card=card_bytes(card) if card else None))
        return
    for name in names:
        options = [str(recipe), "--folder", str(folder)]
        options += ["--again"] if again else []
        options += ["--device", device] if device and name in ON_A_DEVICE else []
        options += ["--allow-ood-injection"] if allow_ood_injection and name == "av" else []
        if is_main():
            tell(f"\n$ python -m train.{name} {shlex.join(options)}")
        importlib.import_module(f"train.{name}").command.main(options, standalone_mode=False)
        wait_for_all()
    if is_main() and (written := write_skeleton(read_recipe(recipe), folder)):
        tell(
            f"\nwrote {written}: edit the lines marked EDIT, then run\n"
            f"  nla-release roundtrip {shlex.quote(str(folder))}"
        )


if __name__ == "__main__":
    command.params.append(debug_option())
    run_step(command, "run")
