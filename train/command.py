"""What the steps' command lines share."""

import functools
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from nla_release.cli.edge import CONTEXT_SETTINGS, debug_option
from nla_release.cli.edge import run as run_at_the_edge
from nla_release.errors import RefusedError
from nla_release.io.progress import tell
from train.ranks import Processes
from train.recipe import HubDataset, Recipe, pinned, read_recipe
from train.record import StepName, read_record, stale, unfinished

Step = Callable[..., Any]

# The steps that several processes take together.
_SHARED: tuple[StepName, ...] = ("extract", "label", "av", "ar")
# The steps that put the base on a device.
ON_A_DEVICE: tuple[StepName, ...] = ("extract", "av", "ar", "eval")

recipe_argument = click.argument("recipe", type=click.Path(path_type=Path, dir_okay=False))
folder_option = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    show_default=True,
    help="Where data/ and pair/ are read and written; a relative corpus lies here too.",
)
again_option = click.option(
    "--again", is_flag=True, help="Do it although it is done, and replace what is there."
)
device_option = click.option("--device", help="Torch device; CUDA when there is one, by default.")
allow_ood_option = click.option(
    "--allow-ood-injection",
    is_flag=True,
    help="Train an AV although the injection scale is out of proportion to the embedding norm.",
)


def step(name: StepName) -> Callable[[Step], click.Command]:
    """A click command of a step: RECIPE, --folder, --again, --debug, and the function's options.

    The function gets the recipe read, and is not called when its files are there already, unless
    it is to make them `again`: then it also goes on from nothing that an earlier run left halfway.
    Of several processes only the first calls it, unless they share the work of this step.
    """

    def made(function: Step) -> click.Command:
        @functools.wraps(function)
        def unless_done(recipe: Path, folder: Path, again: bool, **options: Any) -> None:
            if name not in _SHARED and Processes.from_environment().rank > 0:
                return
            wanted = read_pinned(recipe, shared=name in _SHARED)
            if again or not done(name, wanted, folder):
                function(wanted, folder, again=again, **options)
                if name in ON_A_DEVICE:
                    gc.collect()  # its base, before another step loads its own

        command = click.command(context_settings=CONTEXT_SETTINGS)(
            recipe_argument(folder_option(again_option(unless_done)))
        )
        command.params.append(debug_option())
        return command

    return made


def read_pinned(path: Path, *, shared: bool = False) -> Recipe:
    """A recipe from its file, with the commits that its base and Hub dataset have now.

    Of several processes that share a step, all take the commits of the first.

    Raises:
        ConfigError: the recipe is wrong, or a revision in it does not exist.
        EnvironmentProblem: a commit cannot be found out, or a process has ended.
    """
    recipe = read_recipe(path)
    found = pinned(recipe)
    if found == recipe:
        return recipe
    processes = Processes.from_environment()
    if shared:
        found, *_ = processes.gather(found)
    if processes.rank == 0:
        before, now = _revisions(recipe), _revisions(found)
        for source in now:
            if now[source] != before[source]:
                tell(f"{source}: {before[source]} is commit {now[source]}")
    return found


def _revisions(recipe: Recipe) -> dict[str, str]:
    """The revisions in a recipe, by what they are of."""
    found = {f"base {recipe.base.id}": recipe.base.revision}
    if isinstance(corpus := recipe.extract.corpus, HubDataset):
        found[f"dataset {corpus.dataset}"] = corpus.revision
    return found


def done(name: StepName, recipe: Recipe, folder: Path) -> bool:
    """Whether a step's files are there, made under this recipe from what is there; says so.

    Raises:
        RefusedError: its files are there, and they are not of this recipe.
    """
    record = read_record(folder, name)
    if record is None or unfinished(record, folder):
        return False
    if reason := stale(record, recipe, folder):
        raise RefusedError(
            f"{folder}: {name} is done already, and not as the recipe says: {reason}",
            hint=f"run `python -m train.{name}` with --again to replace it, or take another folder",
        )
    if Processes.from_environment().rank == 0:
        tell(f"{name}: done already in {folder}, with these settings")
    return True


def run(command: click.Command, name: str) -> NoReturn:
    """Run a step as `python -m train.NAME`."""
    run_at_the_edge(command, f"python -m train.{name}")
