"""`nla-release train build RECIPE`: from sides and labels to the rows that a pair is trained on.

A row whose label cannot be learned from is dropped, and `data/build.json` counts the dropped rows
by reason; too many of them stop the build. No text is ever cut. Held-out rows are kept whatever
their labels are, so that the labeller does not influence what a pair is measured on.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nla_release.contract.explanation import CLOSE_TAG, OPEN_TAG, wrap
from nla_release.contract.prompt import ar_prompt
from nla_release.diagnostics.injection import CJK
from nla_release.engine.base import LoadedBase
from nla_release.errors import DataError
from nla_release.evidence.reference import write_reference
from nla_release.evidence.training_documents import ShinglesBuilder, write_shingles
from nla_release.gate.leaks import PLACES, SECRETS, leaks
from nla_release.io.files import dump_json, sha256_file, write_atomic
from nla_release.io.log import log
from nla_release.io.parquet import read_parquet
from nla_release.training.corpus import LEARNING, Side, sides_of
from nla_release.training.data_sidecars import read_sidecar
from nla_release.training.dataset import (
    DataName,
    data_path,
    labels_path,
    reference_path,
    split_path,
    training_list_path,
    training_shingles_path,
)
from nla_release.training.prompts import (
    PLACEHOLDER,
    base_without_weights,
    contract_of,
    marked_prompt,
    pins_of,
    placeheld_prompt,
)
from nla_release.training.recipe import Recipe
from nla_release.training.record import check_inputs, forget, write_record
from nla_release.training.tables import (
    check_columns,
    pieces,
    remove_table,
    row_schema,
    vectors_of,
    write_sidecar,
    writing,
)

# Examples of each reason in the report; the counts are complete.
_NAMED = 10

# The tokens of a training sequence with a given label.
Length = Callable[[str], int]
_FILES: dict[Side, DataName] = {"av": "av_sft", "ar": "ar_sft", "eval": "eval", "rl": "rl"}


@dataclass
class SideReport:
    """The rows of a file: each is kept, or dropped for one reason."""

    limit: int | None = None
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)
    longest_dropped: int = 0
    said: Counter[str] = field(default_factory=Counter)
    with_cjk: int = 0
    with_places: int = 0

    @property
    def rows(self) -> int:
        """How many there were."""
        return self.kept + self.dropped.total()

    def drop(self, name: str, reason: str, length: int | None) -> None:
        """Count a row that is not learned from."""
        self.dropped[reason] += 1
        self.longest_dropped = max(self.longest_dropped, length or 0)
        self.examples.setdefault(reason, []).append(name)
        del self.examples[reason][_NAMED:]

    def keep(self, label: str | None, length: int | None) -> None:
        """Count a row that is, and what its label is like."""
        self.kept += 1
        if length is not None:
            self.lengths.append(length)
        if label is not None:
            self.said[label] += 1
            self.with_cjk += bool(CJK.search(label))
            self.with_places += any(leaks(label.encode(), PLACES))

    def reasons(self) -> str:
        """The drops in words."""
        return ", ".join(f"{count} {reason}" for reason, count in self.dropped.most_common())

    def document(self) -> dict[str, Any]:
        """For `data/build.json`."""
        levels = (("shortest", 0.0), ("median", 0.5), ("p95", 0.95), ("longest", 1.0))
        lengths = {
            name: int(np.quantile(self.lengths, level, method="higher"))
            for name, level in (levels if self.lengths else ())
        }
        most = self.said.most_common(1)
        return {
            "rows": self.rows,
            "kept": self.kept,
            "dropped": dict(self.dropped),
            "dropped_first": self.examples,
            "tokens": {
                "limit": self.limit,
                "cut": 0,
                **lengths,
                "longest_dropped": self.longest_dropped,
            },
            "labels": {
                "rows": self.said.total(),
                "distinct": len(self.said),
                "most_frequent": {"explanation": most[0][0], "rows": most[0][1]} if most else None,
                "with_cjk": self.with_cjk,
                "with_paths": self.with_places,
            },
        }


@dataclass(frozen=True)
class RowsFile:
    """A file to build: its target, the side that its rows are from, and its limit in tokens."""

    target: Side
    source: Side
    length: Length | None = None
    limit: int | None = None

    @property
    def file(self) -> DataName:
        """The name of the file."""
        return _FILES[self.target]

    @property
    def learns(self) -> bool:
        """Whether rows need a valid label."""
        return self.target in LEARNING


def fault(label: str, recipe: Recipe) -> str | None:
    """What is wrong with a label's words; None when nothing is.

    A path is only counted, since a text may be about paths; a secret is refused.
    """
    if not label.strip():
        return "empty"
    letters = sum(character.isalpha() for character in label)
    if len(CJK.findall(label)) > recipe.build.max_cjk_share * letters:
        return "in Chinese, Japanese or Korean"
    if recipe.marker in label or PLACEHOLDER in label:
        return "holding the marker"
    if OPEN_TAG in label or CLOSE_TAG in label:
        return "holding the tags around an explanation"
    return next((f"holding {kind}" for _, kind in leaks(label.encode(), SECRETS)), None)


def av_length(encode: Callable[[str, bool], list[int]], prompt: int) -> Length:
    """Tokens of the AV's sequence: a prompt of `prompt` tokens, the answer, the end."""
    return lambda label: prompt + len(encode(wrap(label), False)) + 1


def ar_length(encode: Callable[[str, bool], list[int]], template: str) -> Length:
    """Tokens of the AR's prompt."""
    return lambda label: len(encode(ar_prompt(template, label), True))


def build(recipe: Recipe, folder: Path) -> dict[DataName, SideReport]:
    """Write `data/av_sft.parquet` and the like; returns the report of each file.

    Raises:
        DataError: split or labels are not this recipe's, they do not fit together, or too many
            labels cannot be learned from.
        ConfigError: the recipe wants a chat, and the base has no chat template.
        PairError: a template does not suit the base's tokenizer.
    """
    sides = sides_of(recipe.split)
    read = [where(folder, side) for side in sides for where in (split_path, labels_path)]
    names = [path.relative_to(folder).as_posix() for path in read]
    inputs = check_inputs("build", recipe, folder, names)
    extraction = read_sidecar(split_path(folder, "av"))["extraction"]
    for side in sides:
        check_columns(split_path(folder, side), row_schema(extraction["d_model"]))
    base = base_without_weights(recipe, extraction["base_revision"])
    tasks = _tasks(recipe, base)
    report_path = folder / "data" / "build.json"
    forget(folder, "build")
    for name in _FILES.values():
        if name not in [task.file for task in tasks]:
            remove_table(data_path(folder, name))  # of an earlier split that had such a side
    with ExitStack() as stack:
        written = {task: _write(stack, task, recipe, base, folder) for task in tasks}
        counts = {task.file: report.document() for task, report in written.items()}
        write_atomic(report_path, dump_json(counts))
        for task, report in written.items():
            _refuse(task, report, recipe, report_path)
    for task, report in written.items():
        _describe(task, recipe, base, folder, inputs, extraction)
        dropped = f"; dropped {report.reasons()}" if report.dropped else ""
        log.info(f"build: {task.file} has {report.kept} of {report.rows} rows{dropped}")
    _list_training_documents(folder, sides)
    _sample_training_texts(folder, sides)
    outputs = [data_path(folder, task.file) for task in tasks]
    outputs += [report_path, reference_path(folder)]
    outputs += [training_list_path(folder), training_shingles_path(folder)]
    write_record("build", recipe, folder, inputs=inputs, outputs=outputs)
    return {task.file: report for task, report in written.items()}


def _tasks(recipe: Recipe, base: LoadedBase) -> list[RowsFile]:
    prompt = len(marked_prompt(base, recipe).ids)
    tasks = [
        RowsFile("av", "av", av_length(base.encode, prompt), recipe.av.max_tokens),
        RowsFile(
            "ar",
            "av" if recipe.split.ar == "av" else "ar",
            ar_length(base.encode, recipe.templates.ar),
            recipe.ar.max_tokens,
        ),
        RowsFile("eval", "eval"),
    ]
    return [*tasks, RowsFile("rl", "rl")] if recipe.split.rl else tasks


def _write(
    stack: ExitStack, task: RowsFile, recipe: Recipe, base: LoadedBase, folder: Path
) -> SideReport:
    """Write a file's rows; they take their place when the stack is left without an error."""
    report = SideReport(task.limit)
    prompt = placeheld_prompt(base, recipe)
    writer: pq.ParquetWriter | None = None
    for table, labels in _joined(folder, task.source):
        chosen, said = [], []
        for at, (name, label, status) in enumerate(labels):
            problem = fault(label, recipe) if label is not None else f"without a label: {status}"
            length = task.length(label) if task.length and label and not problem else None
            if length is not None and task.limit is not None and length > task.limit:
                problem = f"longer than {task.target}.max_tokens"
            if problem and task.learns:
                report.drop(name, problem, length)
                continue
            chosen.append(at)
            said.append(None if problem else label)
            report.keep(said[-1], length)
        built = _columns(task, table.take(pa.array(chosen, pa.int64())), said, recipe, prompt)
        if writer is None:
            writer = stack.enter_context(writing(data_path(folder, task.file), built.schema))
        if len(built):
            writer.write_table(built)
    return report


def _joined(folder: Path, side: Side) -> Iterator[tuple[pa.Table, list[tuple[str, Any, str]]]]:
    """A side's rows, piece by piece, each with the ids, explanations and statuses of its labels.

    Raises:
        DataError: the labels are not those of the rows, in order.
    """
    path = labels_path(folder, side)
    labels = read_parquet(path, ["id", "explanation", "status"])
    columns = [labels.column(name).to_pylist() for name in labels.column_names]
    rows = list(zip(*columns, strict=True))
    at = 0
    for table in pieces(split_path(folder, side)):
        part = rows[at : at + len(table)]
        if [name for name, _, _ in part] != table.column("id").to_pylist():
            raise DataError(
                f"{path} does not label the rows of {split_path(folder, side)}, in order",
                hint="run `nla-release train label --again` with this recipe",
            )
        at += len(table)
        yield table, part
    if at != len(rows):
        raise DataError(f"{path} has {len(rows)} labels, the side has {at} rows")


def _columns(
    task: RowsFile, table: pa.Table, said: list[str | None], recipe: Recipe, prompt: str
) -> pa.Table:
    """The rows with their labels, and for those who learn or act what they are asked and answer."""
    table = table.drop_columns(["split", "read_sha256"])
    at = table.schema.get_field_index("explanation")
    table = table.set_column(at, "explanation", pa.array(said, pa.string()))
    if (
        task.target != "ar"
    ):  # the paraphrase diagnostic would read it as a paraphrase of the AV's explanation
        table = table.drop_columns(["paraphrase"])
    if task.target in ("av", "rl"):
        table = table.append_column("prompt", pa.array([prompt] * len(table), pa.string()))
    if task.target == "av":
        table = table.append_column(
            "answer", pa.array([wrap(it or "") for it in said], pa.string())
        )
    if task.target == "ar":
        prompts = [ar_prompt(recipe.templates.ar, it or "") for it in said]
        table = table.append_column("prompt", pa.array(prompts, pa.string()))
    return table


def _refuse(task: RowsFile, report: SideReport, recipe: Recipe, where: Path) -> None:
    if not report.kept or report.dropped.total() > recipe.build.max_dropped_share * report.rows:
        raise DataError(
            f"{task.file}: {report.dropped.total()} of {report.rows} rows cannot be learned from:"
            f" {report.reasons()}",
            hint=f"see {where}; fix the labels, or raise build.max_dropped_share",
        )
    # The step `label` checked all labels; this checks those that are left.
    if task.learns and report.dropped and report.kept > 1 and len(report.said) == 1:
        raise DataError(
            f"{task.file}: all {report.kept} labels that can be learned from are the same:"
            f" {next(iter(report.said))[:80]!r}",
            hint=f"see {where}; look at the other labels, or at the labeller's prompt",
        )


def _describe(
    task: RowsFile,
    recipe: Recipe,
    base: LoadedBase,
    folder: Path,
    inputs: dict[str, str],
    extraction: dict[str, Any],
) -> None:
    """Write a file's sidecar, and of the AV's rows the reference."""
    path = data_path(folder, task.file)
    norms, total, documents = 0.0, np.zeros(extraction["d_model"]), set()
    rows = 0
    for table in pieces(path):
        vectors = vectors_of(table).astype(np.float64)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        norms += float(lengths.sum())
        total += (vectors / lengths).sum(axis=0)
        documents.update(table.column("document").to_pylist())
        rows += len(table)
    if task.target == "av":
        write_reference(reference_path(folder), total, rows, sha256_file(path))
    write_sidecar(
        path,
        recipe,
        "build",
        stage=task.file,
        extraction=extraction | {"mean_norm": norms / rows},
        inputs=inputs,
        rows=rows,
        documents=len(documents),
        contract=contract_of(base, recipe),
        more={"pins": pins_of(base, recipe)},
    )


def _list_training_documents(folder: Path, sides: list[Side]) -> None:
    """List what an evaluation must not meet again: every document that is not held out."""
    lines: dict[str, None] = {}
    for side in sides:
        if side != "eval":
            for table in pieces(split_path(folder, side)):
                columns = (table.column(it).to_pylist() for it in ("document", "document_sha256"))
                for name, digest in zip(*columns, strict=True):
                    document = {"id": name, "sha256": digest}
                    lines[json.dumps(document, ensure_ascii=False) + "\n"] = None
    write_atomic(training_list_path(folder), "".join(lines))


def _sample_training_texts(folder: Path, sides: list[Side]) -> None:
    """Sample the word sequences of what was read of each training document, and the labels."""
    builder = ShinglesBuilder()
    for side in sides:
        if side == "eval":
            continue
        document, longest = None, ""
        for table in pieces(split_path(folder, side)):
            columns = (table.column(it).to_pylist() for it in ("document", "text"))
            for name, text in zip(*columns, strict=True):
                if name != document and document is not None:
                    builder.add_document(longest)
                longest = max(longest if name == document else "", text or "", key=len)
                document = name
        if document is not None:
            builder.add_document(longest)
    for side in LEARNING:
        for table in pieces(data_path(folder, _FILES[side])):
            for label in table.column("explanation").to_pylist():
                builder.add_label(label)
    sample = builder.build()
    assert sample is not None  # the AV's side has documents
    write_shingles(training_shingles_path(folder), sample)
