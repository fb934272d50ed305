"""`nla-release train label RECIPE`: an explanation for every text, or the reason why there is none.

The explanations come from the corpus, or a model behind an endpoint writes them and, when the
recipe says so, a second prompt audits them. Identical texts are labelled once. Answers are cached,
so that no command pays for an answer twice.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from nla_release.engine.processes import Processes, gather
from nla_release.errors import DataError, EnvironmentProblem, NothingCheckedError
from nla_release.io.files import make_folder
from nla_release.io.log import log
from nla_release.io.parquet import read_parquet
from nla_release.training.corpus import LEARNING
from nla_release.training.data_sidecars import read_sidecar
from nla_release.training.labelling.answers import STATUSES, Cache, LabelStatus
from nla_release.training.labelling.costs import (
    Tally,
    counts_table,
    estimate,
    in_words,
    token_counter,
)
from nla_release.training.labelling.endpoint import LabelOutcome, label_texts
from nla_release.training.recipe import Endpoint, Recipe
from nla_release.training.record import check_inputs, forget, read_record, write_record
from nla_release.training.tables import write_sidecar, write_table

_NEEDED = ("id", "document", "text", "explanation")


@dataclass(frozen=True)
class SourceRow:
    """One row of a side; `explanation` is the corpus's own, if it has one."""

    id: str
    document: str
    text: str
    explanation: str | None


@dataclass(frozen=True)
class LabelRow:
    """One row of labels.

    `draft` is the labeller's explanation before an auditor revised it, `answer` the last
    answer unchanged, `reason` why there is no explanation, `requests` how many it took, `labeller`
    the model's own name, or "corpus".
    """

    id: str
    explanation: str | None
    status: LabelStatus
    reason: str | None
    draft: str | None
    answer: str | None
    requests: int
    labeller: str | None


_SCHEMA = pa.schema(
    [
        (name, pa.int32() if name == "requests" else pa.string())
        for name in LabelRow.__dataclass_fields__
    ]
)


Sides = Mapping[str, list[SourceRow]]


def label(recipe: Recipe, folder: Path, *, only_estimate: bool = False) -> None:
    """Write `data/labels/`: a row for every row of `data/split/`.

    Raises:
        DataError: the split is missing or of another recipe, or labels are missing or all the same.
        NothingCheckedError: the split has no rows.
        EnvironmentProblem: the endpoint no longer answers, or there is no token for it.
        ConfigError: the endpoint does not know the model.
    """
    processes = Processes.from_environment()
    gather(None)  # all processes read what is done before any of them changes it
    names = _split_files(folder)
    inputs = check_inputs("label", recipe, folder, names)
    sides = {Path(name).stem: read_unlabelled(folder / name) for name in names}
    if not any(sides.values()):
        raise NothingCheckedError(f"{folder / 'data' / 'split'} has no rows")
    if only_estimate and not isinstance(recipe.label, Endpoint):
        log.info("label: the labels come from the corpus and cost nothing")
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
    gather(None)  # the next step finds complete files


def _split_files(folder: Path) -> list[str]:
    """The files of the split, from the folder; what there would be when there is none."""
    record = read_record(folder, "split")
    outputs = record.outputs if record else {"data/split/av.parquet": ""}
    return [name for name in outputs if name.endswith(".parquet")]


def read_unlabelled(path: Path) -> list[SourceRow]:
    """The rows of one side, without their vectors.

    Raises:
        DataError: it is not a parquet file, lacks a column, or repeats an id.
    """
    table = read_parquet(path, _NEEDED)
    if missing := set(_NEEDED) - set(table.column_names):
        raise DataError(f"{path} lacks the columns {', '.join(sorted(missing))}")
    rows = [SourceRow(**row) for row in table.to_pylist()]
    if len({row.id for row in rows}) != len(rows):
        raise DataError(f"{path}: an id occurs more than once")
    return rows


def from_corpus(
    rows: Sequence[SourceRow], where: object, *, shuffle: int | None = None
) -> list[LabelRow]:
    """The corpus's own labels of the rows, shuffled among the rows when there is a seed.

    Raises:
        DataError: a row has none.
    """
    bare = [row.id for row in rows if not (row.explanation or "").strip()]
    if bare:
        raise DataError(
            f"{where}: {len(bare)} of {len(rows)} rows have no explanation, the first is {bare[0]}",
            hint="label the corpus, or set label.source of the recipe to endpoint",
        )
    said = [row.explanation for row in rows]
    if shuffle is not None:
        random.Random(shuffle).shuffle(said)  # noqa: S311 - reproducible, not secret
    return [
        LabelRow(row.id, explanation, "ok", None, None, None, 0, "corpus")
        for row, explanation in zip(rows, said, strict=True)
    ]


def _ask(
    recipe: Recipe,
    settings: Endpoint,
    folder: Path,
    sides: Sides,
    processes: Processes,
    only_estimate: bool,
) -> tuple[Tally, dict[str, list[LabelRow]]]:
    """Label each text once, together with the other processes."""
    place = folder / "data" / "labels" / "cache"
    cache = Cache(place)
    texts = list(dict.fromkeys(row.text for rows in sides.values() for row in rows))
    if processes.rank == 0:
        by = token_counter(recipe.base)
        log.info(in_words(estimate(texts, settings, cache, by.count), settings, by.how))
    if only_estimate:
        return Tally(), {}
    make_folder(place)  # before the first request, so that every answer can be stored
    mine = processes.share(texts)

    def work(advance: Callable[[int, str], None]) -> tuple[list[LabelOutcome], Tally]:
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
            f"none of {len(texts)} texts got an answer: {next(iter(outcomes.values())).reason}",
            hint="run the same command again when the endpoint answers",
        )
    return Tally.together(tallies), {
        side: [_labelled(row.id, outcomes[row.text]) for row in rows]
        for side, rows in sides.items()
    }


def _labelled(row: str, outcome: LabelOutcome) -> LabelRow:
    last = outcome.answers[-1] if outcome.answers else None
    return LabelRow(
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
    labelled: Mapping[str, list[LabelRow]],
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


def check_distinct(side: str, texts: Iterable[tuple[str, str | None]]) -> None:
    """Refuse labels that are all the same: nothing can be learned from them.

    Args:
        side: whose they are.
        texts: each text with its explanation, if it has one.

    Raises:
        DataError: there is one explanation for all, or none at all.
    """
    pairs = [(text, explanation) for text, explanation in texts]
    said = {explanation for _, explanation in pairs if explanation is not None}
    if not said:
        raise DataError(
            f"{side}: none of {len(pairs)} rows has an explanation",
            hint="data/labels/cache holds the answers: look at one, and at the recipe's prompts",
        )
    if len(said) == 1 and len({text for text, explanation in pairs if explanation}) > 1:
        raise DataError(
            f"{side}: all {len(pairs)} labels are the same: {next(iter(said))[:80]!r}",
            hint="look at what the labeller was shown and at its prompt",
        )


def table_of(rows: Sequence[LabelRow]) -> pa.Table:
    """Labels as they are written."""
    return pa.Table.from_pylist([vars(row) for row in rows], _SCHEMA)


def _facts(recipe: Recipe, rows: list[LabelRow]) -> dict[str, Any]:
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


def counts(rows: Sequence[LabelRow]) -> dict[LabelStatus, int]:
    """How many rows of each status."""
    found: dict[LabelStatus, int] = {}
    for row in rows:
        found[row.status] = found.get(row.status, 0) + 1
    return found


def _show(recipe: Recipe, labelled: Mapping[str, list[LabelRow]], tally: Tally) -> None:
    found = {side: counts(rows) for side, rows in labelled.items()}
    price = recipe.label.price_per_million_tokens if isinstance(recipe.label, Endpoint) else None
    log.info(counts_table(found, tally, price))
    if failed := sum(of_side.get("failed", 0) for of_side in found.values()):
        log.info(
            f"{failed} rows got no answer: `nla-release train label --again` asks for these alone"
        )
