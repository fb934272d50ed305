"""`nla-release train label RECIPE`: an explanation for every text, or the reason why there is none.

The explanations are those of the corpus, or a model behind an endpoint writes them and, when the
recipe says so, a second prompt audits them. Texts that are the same are labelled once. Answers are
cached: what was paid for is not asked again, by whatever command.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nla_release.errors import EnvironmentProblem, NothingCheckedError
from nla_release.io.files import make_folder
from nla_release.io.log import log
from nla_release.training.corpus import LEARNING
from nla_release.training.data_sidecars import read_sidecar
from nla_release.training.labelling.answers import STATUSES
from nla_release.training.labelling.costs import (
    Tally,
    counts_table,
    estimate,
    in_words,
    token_counter,
)
from nla_release.training.labelling.passes import Outcome, label_texts
from nla_release.training.labelling.request import Cache
from nla_release.training.labelling.rows import (
    Labelled,
    Unlabelled,
    check_distinct,
    counts,
    from_corpus,
    read_unlabelled,
    table_of,
)
from nla_release.training.processes import Processes, gather
from nla_release.training.recipe import Endpoint, Recipe
from nla_release.training.record import check_inputs, forget, read_record, write_record
from nla_release.training.tables import write_sidecar, write_table

Sides = Mapping[str, list[Unlabelled]]


def label(recipe: Recipe, folder: Path, *, only_estimate: bool = False) -> None:
    """Write `data/labels/`: a row for every row of `data/split/`.

    Raises:
        DataError: the split is missing or of another recipe, or labels are missing or all the same.
        NothingCheckedError: the split has no rows.
        EnvironmentProblem: the endpoint answers nothing any more, or there is no token for it.
        ConfigError: the endpoint does not know the model.
    """
    processes = Processes.from_environment()
    gather(None)  # all have seen what is done before any of them changes it
    names = _split_files(folder)
    inputs = check_inputs("label", recipe, folder, names)
    sides = {Path(name).stem: read_unlabelled(folder / name) for name in names}
    if not any(sides.values()):
        raise NothingCheckedError(f"{folder / 'data' / 'split'} has no rows")
    if only_estimate and not isinstance(recipe.label, Endpoint):
        log.info("label: the corpus brings its labels along, they cost nothing")
        return
    if isinstance(recipe.label, Endpoint):
        tally, labelled = _ask(recipe, recipe.label, folder, sides, processes, only_estimate)
    else:
        tally = Tally()
        labelled = {
            side: from_corpus(
                rows, folder / "data", shuffle=None if side == "eval" else recipe.label.shuffle
            )
            for side, rows in sides.items()
        }
    if processes.rank == 0 and labelled:
        _show(recipe, labelled, tally)
        _write(recipe, folder, sides, labelled, inputs)
        log.info(f"wrote {folder / 'data' / 'labels'}")
    gather(None)  # what comes next finds the files whole


def _split_files(folder: Path) -> list[str]:
    """The files of the split, from the folder; what there would be when there is none."""
    record = read_record(folder, "split")
    outputs = record.outputs if record else {"data/split/av.parquet": ""}
    return [name for name in outputs if name.endswith(".parquet")]


def _ask(
    recipe: Recipe,
    settings: Endpoint,
    folder: Path,
    sides: Sides,
    processes: Processes,
    only_estimate: bool,
) -> tuple[Tally, dict[str, list[Labelled]]]:
    """Label each text once, together with the other processes."""
    place = folder / "data" / "labels" / "cache"
    cache = Cache(place)
    texts = list(dict.fromkeys(row.text for rows in sides.values() for row in rows))
    if processes.rank == 0:
        by = token_counter(recipe.base)
        log.info(in_words(estimate(texts, settings, cache, by.count), settings, by.how))
    if only_estimate:
        return Tally(), {}
    make_folder(place)  # an answer that cannot be kept is not asked for
    mine = processes.share(texts)

    def work(advance: Callable[[int, str], None]) -> tuple[list[Outcome], Tally]:
        return asyncio.run(
            label_texts(mine, settings, cache, processes=processes.count, advance=advance)
        )

    if processes.rank == 0:
        with log.progress("label", len(mine), "texts") as advance:
            done = work(advance)
    else:
        done = work(lambda _done, _note: None)
    shares, tallies = zip(*gather(done), strict=True)
    outcomes = dict(zip(texts, processes.merge(shares), strict=True))
    if all(outcome.status == "failed" for outcome in outcomes.values()):
        raise EnvironmentProblem(
            f"not one of {len(texts)} texts was answered: {next(iter(outcomes.values())).reason}",
            hint="run the same command again when the endpoint answers",
        )
    return Tally.together(tallies), {
        side: [_labelled(row.id, outcomes[row.text]) for row in rows]
        for side, rows in sides.items()
    }


def _labelled(row: str, outcome: Outcome) -> Labelled:
    last = outcome.answers[-1] if outcome.answers else None
    return Labelled(
        row,
        outcome.explanation,
        outcome.status,
        outcome.reason,
        outcome.draft,
        last.content if last else None,
        outcome.requests,
        last.model if last else None,
    )


def _write(
    recipe: Recipe,
    folder: Path,
    sides: Sides,
    labelled: Mapping[str, list[Labelled]],
    inputs: dict[str, str],
) -> None:
    """Write the files of all sides, their sidecars, and last that the step is done."""
    for side in sorted(sides.keys() & LEARNING):
        pairs = zip(sides[side], labelled[side], strict=True)
        check_distinct(side, ((row.text, found.explanation) for row, found in pairs))
    forget(folder, "label")
    outputs = []
    for side, rows in labelled.items():
        path = folder / "data" / "labels" / f"{side}.parquet"
        write_table(path, table_of(rows))
        source = folder / "data" / "split" / path.name
        write_sidecar(
            path,
            recipe,
            "label",
            stage="labels",
            extraction=read_sidecar(source)["extraction"],
            inputs=inputs,
            rows=len(rows),
            documents=len({row.document for row in sides[side]}),
            more={"labels": _facts(recipe, rows)},
        )
        outputs.append(path)
    write_record("label", recipe, folder, inputs=inputs, outputs=outputs)


def _facts(recipe: Recipe, rows: list[Labelled]) -> dict[str, Any]:
    settings = recipe.label
    if isinstance(settings, Endpoint):
        origin: dict[str, Any] = {
            "model": settings.model,
            "endpoint": settings.base_url or f"provider:{settings.provider}",
            "passes": 1 if settings.auditor is None else 2,
        }
    else:
        origin = {"shuffled": settings.shuffle is not None}
    found = counts(rows)
    return {
        "source": settings.source,
        **origin,
        "labellers": sorted({row.labeller for row in rows if row.labeller is not None}),
        "status": {status: found.get(status, 0) for status in STATUSES},
        "distinct": len({row.explanation for row in rows if row.explanation is not None}),
    }


def _show(recipe: Recipe, labelled: Mapping[str, list[Labelled]], tally: Tally) -> None:
    found = {side: counts(rows) for side, rows in labelled.items()}
    price = recipe.label.price_per_million_tokens if isinstance(recipe.label, Endpoint) else None
    log.info(counts_table(found, tally, price))
    if failed := sum(of_side.get("failed", 0) for of_side in found.values()):
        log.info(
            f"{failed} rows got no answer: `nla-release train label --again` asks for these alone"
        )
