"""`nla-release train`: from text to a trained pair, one command per step.

The training library is imported when a step runs, so that all help is there without the extra.
"""

import functools
import gc
import importlib.util
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nla_release.cli.edge import ExampleCommand, ExampleGroup, output
from nla_release.errors import ConfigError, EnvironmentProblem, RefusedError, install_hint
from nla_release.io.files import package_folder
from nla_release.io.log import log
from nla_release.training import STEPS, StepName

if TYPE_CHECKING:
    from nla_release.training.recipe import Recipe

# What the extra `train` brings and every step needs.
_LIBRARIES = ("accelerate", "peft", "pyarrow", "torch", "transformers")

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)

_recipe = click.argument("recipe", type=_FILE)
_folder = click.option(
    "--folder",
    type=_FOLDER,
    default=".",
    show_default=True,
    help="The folder of data/ and pair/; a relative corpus path starts here too.",
)
_again = click.option(
    "--again", is_flag=True, help="Run the step although it is done, and replace its files."
)
_device = click.option("--device", help="Torch device; CUDA when there is one, by default.")
_allow_ood = click.option(
    "--allow-ood-injection",
    is_flag=True,
    help="Train an AV although the injection scale is out of proportion to the embedding norm.",
)
_card = click.option("--card", help="The card's memory to plan for, such as 4GB.")


@click.group(
    "train",
    cls=ExampleGroup,
    example="nla-release train recipe gemma-3-1b --out recipe.yaml\n"
    "nla-release train run recipe.yaml --folder my-pair",
)
def command() -> None:
    """Train a pair from a recipe.

    A recipe is one YAML file that drives every step. `run` runs all steps; each is also a command
    of its own. A step that is done is skipped, and an interrupted one continues. Training needs the
    extra `train`; for several GPUs, run `accelerate launch --num_processes N -m nla_release train
    STEP RECIPE`.
    """


def _require_extra() -> None:
    missing = next((each for each in _LIBRARIES if importlib.util.find_spec(each) is None), None)
    if missing:
        raise EnvironmentProblem(
            f"training is not installed ({missing} is missing)", hint=install_hint("train")
        )


def _step(name: StepName) -> Callable[[Callable[..., None]], click.Command]:
    """A command of a step: RECIPE, --folder, --again and the function's own options.

    The function gets the recipe read, and is not called when the step is done, unless `again`.
    Of several processes only the first calls it, unless they share the work of this step.
    """

    def made(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def unless_done(recipe: Path, folder: Path, again: bool, **options: Any) -> None:
            _require_extra()
            from nla_release.engine.processes import is_main
            from nla_release.training.steps import ON_A_DEVICE, SHARED, done, read_pinned

            if name not in SHARED and not is_main():
                return
            wanted = read_pinned(recipe, shared=name in SHARED)
            if again or not done(name, wanted, folder):
                function(wanted, folder, again=again, **options)
                if name in ON_A_DEVICE:
                    gc.collect()  # its base, before another step loads its own

        with_options = _recipe(_folder(_again(unless_done)))
        example = f"nla-release train {name} recipe.yaml --folder my-pair"
        return command.command(name, cls=ExampleCommand, example=example)(with_options)

    return made


@command.command(
    "recipe", cls=ExampleCommand, example="nla-release train recipe gemma-3-1b --out recipe.yaml"
)
@click.argument("name", required=False)
@click.option("--out", type=_FILE, help="A new file to write the recipe to.")
def recipe_command(name: str | None, out: Path | None) -> None:
    """Print or copy a recipe that comes with nla-release; list them without NAME.

    Edit the copy: a recipe holds everything that a pair follows from.
    """
    known = {path.stem: path for path in sorted(package_folder("recipes").glob("*.yaml"))}
    if name is None:
        if out:
            raise ConfigError("--out needs the NAME of a recipe")
        for each, path in known.items():
            output(f"{each:<18}{path.read_text(encoding='utf-8').splitlines()[0].lstrip('# ')}")
        return
    if name not in known:
        raise ConfigError(
            f"there is no recipe named {name!r}", hint=f"choose one of {', '.join(known)}"
        )
    text = known[name].read_text(encoding="utf-8")
    if out is None:
        output(text, nl=False)
        return
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise RefusedError(f"{out} already exists", hint="give --out a new file") from None
    except FileNotFoundError:
        raise ConfigError(f"{out.parent} does not exist") from None
    log.info(
        f"wrote {out}; next: edit it, then run `nla-release train plan {shlex.quote(str(out))}`"
    )


@command.command(
    "run", cls=ExampleCommand, example="nla-release train run recipe.yaml --folder my-pair"
)
@_recipe
@_folder
@click.option(
    "--from",
    "first",
    type=click.Choice(STEPS),
    default=STEPS[0],
    show_default=True,
    help="The first step to run.",
)
@click.option(
    "--to",
    "last",
    type=click.Choice(STEPS),
    default=STEPS[-1],
    show_default=True,
    help="The last step to run.",
)
@click.option(
    "--plan",
    "only_plan",
    is_flag=True,
    help="Show what would be done and what memory both trainings take, and do nothing.",
)
@_card
@_again
@_device
@_allow_ood
def run_command(
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
    """Run all steps of RECIPE, from text to a trained and measured pair.

    When AV and AR are trained and the folder has no release.yaml, one is written for `nla-release
    roundtrip`.
    """
    if card and not only_plan:
        raise ConfigError("--card needs --plan", hint="give --plan too")
    _require_extra()
    from nla_release.engine.processes import is_main, wait_for_all
    from nla_release.training.memory_plan import card_bytes
    from nla_release.training.plan import plans
    from nla_release.training.recipe import read_recipe
    from nla_release.training.skeleton import write_skeleton
    from nla_release.training.steps import ON_A_DEVICE, chosen, plan, read_pinned

    names = chosen(first, last)
    if only_plan:
        wanted = read_pinned(recipe)
        output("\n".join(plan(wanted, folder, names)))
        if {"av", "ar"} & set(names):
            output("\n" + plans(wanted, folder, card=card_bytes(card) if card else None))
        return
    for name in names:
        options = [str(recipe), "--folder", str(folder)]
        options += ["--again"] if again else []
        options += ["--device", device] if device and name in ON_A_DEVICE else []
        options += ["--allow-ood-injection"] if allow_ood_injection and name == "av" else []
        if is_main():
            log.info(f"\n$ nla-release train {name} {shlex.join(options)}")
        command.commands[name].main(options, standalone_mode=False)
        wait_for_all()
    if is_main() and (written := write_skeleton(read_recipe(recipe), folder)):
        log.info(
            f"\nwrote {written}: edit the lines marked EDIT, then run\n"
            f"  nla-release roundtrip {shlex.quote(str(folder))}"
        )


@command.command(
    "plan", cls=ExampleCommand, example="nla-release train plan recipe.yaml --card 8GB"
)
@_recipe
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=".",
    show_default=True,
    help="The folder of the training; a relative stack_on starts here.",
)
@_card
@click.option("--length", type=click.IntRange(2), help="Tokens of a row; max_tokens by default.")
@click.option(
    "--prompt",
    type=click.IntRange(0),
    help="Tokens of the AV's prompt; counted by the tokenizer by default.",
)
@click.option("--config", "source", help="The base's config.json, or a folder with it.")
def plan_command(
    recipe: Path,
    folder: Path,
    card: str | None,
    length: int | None,
    prompt: int | None,
    source: str | None,
) -> None:
    """Show what memory training the adapters of RECIPE takes, without loading the base."""
    _require_extra()
    from nla_release.training.memory_plan import card_bytes
    from nla_release.training.plan import plans
    from nla_release.training.recipe import read_recipe

    size = card_bytes(card) if card else None
    wanted = read_recipe(recipe)
    output(plans(wanted, folder, source=source, card=size, length=length, prompt=prompt))


@_step("extract")
@_device
def extract_command(recipe: "Recipe", folder: Path, again: bool, device: str | None) -> None:
    """Take activations from the corpus of RECIPE; writes data/base.parquet."""
    from nla_release.engine.processes import is_main
    from nla_release.training.dataset import data_path
    from nla_release.training.extract import extract

    extract(recipe, folder, device=device, again=again)
    if is_main():
        log.info(f"wrote {data_path(folder, 'base')}")


@_step("split")
def split_command(recipe: "Recipe", folder: Path, again: bool) -> None:  # noqa: ARG001
    """Divide the activations between AV, AR and evaluation, by document; writes data/split."""
    from nla_release.training.dataset import split_path
    from nla_release.training.split import split

    split(recipe, folder)
    log.info(f"wrote {split_path(folder, 'av').parent}")


@_step("label")
@click.option("--estimate", is_flag=True, help="Show what labelling may cost, and stop.")
def label_command(recipe: "Recipe", folder: Path, again: bool, estimate: bool) -> None:  # noqa: ARG001
    """Give every text of data/split an explanation; writes data/labels.

    The answers of an endpoint are kept in data/labels/cache and are never asked for again, not even
    with --again; remove the cache for that.
    """
    from nla_release.training.label import label

    label(recipe, folder, only_estimate=estimate)


@_step("build")
def build_command(recipe: "Recipe", folder: Path, again: bool) -> None:  # noqa: ARG001
    """Make the rows that a pair learns from; writes data/*_sft.parquet and data/eval.parquet."""
    from nla_release.training.build import build

    build(recipe, folder)
    log.info(f"wrote {folder / 'data'}")


@_step("av")
@_device
@_allow_ood
def av_command(
    recipe: "Recipe", folder: Path, again: bool, device: str | None, allow_ood_injection: bool
) -> None:
    """Train the activation verbalizer of RECIPE; writes pair/av."""
    from nla_release.engine.processes import is_main
    from nla_release.training.adapter_training import summary
    from nla_release.training.av import train_av

    done = train_av(
        recipe, folder, device=device, allow_ood_injection=allow_ood_injection, again=again
    )
    if is_main():
        log.info(summary(folder / "pair" / "av", done))


@_step("ar")
@_device
def ar_command(recipe: "Recipe", folder: Path, again: bool, device: str | None) -> None:
    """Train the activation reconstructor of RECIPE; writes pair/ar."""
    from nla_release.engine.processes import is_main
    from nla_release.training.adapter_training import summary
    from nla_release.training.ar import train_ar

    done = train_ar(recipe, folder, device=device, again=again)
    if is_main():
        log.info(summary(folder / "pair" / "ar", done))


@_step("eval")
@_device
def eval_command(recipe: "Recipe", folder: Path, again: bool, device: str | None) -> None:
    """Measure the trained pair and its checkpoints; writes trajectory.jsonl and trajectory.md."""
    from nla_release.training.eval import evaluate
    from nla_release.training.trajectory import TABLE_NAME

    points = evaluate(recipe, folder, device=device, again=again)
    last = points[-1]
    log.info(
        f"wrote {folder / TABLE_NAME}: {len(points)} pairs; the finished one has cosine"
        f" {last.cosine:.3f}, {last.real_minus_shuffled:+.3f} against shuffled: {last.label}"
    )
