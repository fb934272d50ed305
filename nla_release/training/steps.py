"""Which steps are done under a recipe, and which are still to do."""

from pathlib import Path

from nla_release.engine.processes import gather, is_main
from nla_release.errors import ConfigError, RefusedError
from nla_release.io.log import log
from nla_release.training import STEPS, StepName
from nla_release.training.recipe import HubDataset, Recipe, pinned, read_recipe
from nla_release.training.record import read_record, stale, unfinished

# The steps that several processes take together.
SHARED: tuple[StepName, ...] = ("extract", "label", "av", "ar")
# The steps that put the base on a device.
ON_A_DEVICE: tuple[StepName, ...] = ("extract", "av", "ar", "eval")


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
            hint=f"run `nla-release train {name}` with --again to replace it, or take another"
            " folder",
        )
    if is_main():
        log.info(f"{name}: done already in {folder}, with these settings")
    return True


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
    if shared:
        found, *_ = gather(found)
    if is_main():
        before, now = _revisions(recipe), _revisions(found)
        for source in now:
            if now[source] != before[source]:
                log.info(f"{source}: {before[source]} is commit {now[source]}")
    return found


def _revisions(recipe: Recipe) -> dict[str, str]:
    """The revisions in a recipe, by what they are of."""
    found = {f"base {recipe.base.id}": recipe.base.revision}
    if isinstance(corpus := recipe.extract.corpus, HubDataset):
        found[f"dataset {corpus.dataset}"] = corpus.revision
    return found
