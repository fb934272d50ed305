"""The record of each step, so that no step uses files of another recipe.

With its files a step writes `steps/STEP.json`: the settings that made them, and the sha256 of
what it read and wrote: the files of other steps, the corpus, a base in a local folder, an adapter
that a training continues from. A step is done when its record has the current settings and all
hashes still match; a step that finds otherwise says what differs and changes nothing.

A base from the Hub is identified by its commit. A local folder may hold any weights, whatever id
and revision the recipe names, so all files that are loaded are hashed, once per process.
"""

import functools
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nla_release.base_model.source import is_commit
from nla_release.errors import DataError
from nla_release.io.files import dump_json, read_json, sha256_bytes, sha256_file, write_atomic
from nla_release.io.schema import Strict, parse
from nla_release.training import StepName
from nla_release.training.corpus_files import corpus_digest
from nla_release.training.data_sidecars import is_sidecar, sidecar_digest, sidecar_path
from nla_release.training.recipe import BaseSettings, Recipe

# The files that transformers loads; the tokenizer has a hash of its own.
_LOADED = ("config.json", "*.index.json", "*.safetensors", "*.bin")
_READS: dict[StepName, tuple[StepName, ...]] = {
    "extract": (),
    "split": ("extract",),
    "label": ("split",),
    "build": ("split", "label"),
    "av": ("build",),
    "ar": ("build",),
    "eval": ("build", "av", "ar"),
}
_USES: dict[StepName, tuple[str, ...]] = {
    "extract": ("base", "extract"),
    "split": ("split",),
    "label": ("label",),
    "build": (
        "marker",
        "templates",
        "prompt_encoding",
        "chat_options",
        "build",
        "av.max_tokens",
        "ar.max_tokens",
    ),
    "av": ("av",),
    "ar": ("ar",),
    "eval": ("eval",),
}
# The place of the base, the speed of the work, the tripwire: none of it changes the result, except
# for the rounding of other batches.
_WITHOUT_EFFECT = (
    "base.path",
    "extract.batch_size",
    "label.concurrency",
    "label.requests_per_minute",
    "label.retries",
    "label.backoff_seconds",
    "label.timeout_seconds",
    "label.token_variable",
    "label.price_per_million_tokens",
    "av.checkpoint_every",
    "av.tripwire",
    "ar.checkpoint_every",
    "ar.tripwire",
)

# How the names begin of what each step writes, from the folder. Files and folders are written next
# to their place, as `.NAME.` and eight letters, and moved there when they are whole.
_WRITES: Mapping[str, tuple[str, ...]] = {
    "extract": ("data/base.parquet", "data/base.parts/", "data/corpus-"),
    "split": ("data/split/",),
    "label": ("data/labels/", "data/labels/cache/*/"),
    "build": tuple(
        f"data/{name}."
        for name in (
            *("av_sft", "ar_sft", "eval", "rl", "build", "reference"),
            *("training_documents", "training_shingles"),
        )
    ),
    "av": ("pair/av", "checkpoints/av/"),
    "ar": ("pair/ar", "checkpoints/ar/"),
    "eval": ("trajectory.", "trajectory/*/", "trajectory/*/*/"),
}
_LETTERS = "[a-z0-9_]" * 8  # of `tempfile`

# What the Hub may have moved since, without a change of the recipe.
_REVISIONS = ("base.revision", "extract.corpus.revision")

# The name of the base as an input: its key in the recipe, since its folder may be anywhere.
BASE = "base.path"


class StepRecord(Strict):
    """`steps/STEP.json`. Files are named from the folder, and given with their sha256.

    Of a sidecar it is that of what it says, see `data_sidecars.sidecar_digest`; of a corpus or a
    base in a folder that of all its files.
    """

    step: StepName
    recipe: str
    settings: dict[str, Any]
    settings_sha256: str
    inputs: dict[str, str]
    outputs: dict[str, str]


def settings_of(recipe: Recipe, step: StepName) -> dict[str, Any]:
    """The recipe's settings that a step's files follow from, those of steps before it included.

    Keys are dotted, as in `extract.layer`.
    """
    document = dict(_flat(recipe.model_dump(mode="json")))
    names = {name for earlier in _steps_up_to(step) for name in _USES[earlier]}
    # The build reads both trainings' limits, and neither adapter follows from the other's.
    other = {"av": "ar", "ar": "av"}.get(step, "")
    return {
        key: value
        for key, value in document.items()
        if _within(key, names) and not _within(key, _WITHOUT_EFFECT) and not _within(key, [other])
    }


def settings_digest(recipe: Recipe, step: StepName) -> str:
    """Hex sha256 of `settings_of` as canonical JSON."""
    return _digest(settings_of(recipe, step))


def record_path(folder: Path, step: StepName) -> Path:
    """The path of a step's record."""
    return folder / "steps" / f"{step}.json"


def read_record(folder: Path, step: StepName) -> StepRecord | None:
    """A step's record; None when the step is not finished.

    Raises:
        DataError: the file is damaged.
    """
    path = record_path(folder, step)
    return parse(StepRecord, read_json(path), path, error=DataError) if path.exists() else None


def write_record(
    step: StepName,
    recipe: Recipe,
    folder: Path,
    *,
    inputs: dict[str, str],
    outputs: Sequence[Path],
) -> None:
    """Record that a step is done; the last file that it writes.

    Args:
        step: that is done.
        recipe: that it followed.
        folder: where all steps read and write.
        inputs: sha256 of what it read.
        outputs: the files that it wrote; the sidecars of parquet files go without saying.
    """
    written = list(outputs)
    written += [it for path in outputs if (it := sidecar_path(path)).exists()]
    record = StepRecord(
        step=step,
        recipe=recipe.name,
        settings=settings_of(recipe, step),
        settings_sha256=settings_digest(recipe, step),
        inputs=inputs,
        outputs={_name(path, folder): _digest_of(path) for path in written},
    )
    write_atomic(record_path(folder, step), dump_json(record.model_dump()))


def forget(folder: Path, step: StepName) -> None:
    """Remove a step's record, before the step changes any file.

    Unfinished files of an interrupted run are removed too.
    """
    record_path(folder, step).unlink(missing_ok=True)
    clear_leftovers(folder, step)


def clear_leftovers(folder: Path, step: str) -> None:
    """Remove the unfinished files of an earlier run of a step, while no other run is active."""
    for begin in (f"steps/{step}", *_WRITES[step]):
        place, slash, name = begin.rpartition("/")
        for path in list(folder.glob(f"{place}{slash}.{name}*.{_LETTERS}")):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def base_sha256(base: BaseSettings) -> str | None:
    """Hex sha256 of the names and sha256 of what is loaded from `base.path`.

    None for a base from the Hub, and where the folder is not on this machine.
    """
    if base.path is None or not (folder := Path(base.path)).is_dir():
        return None
    found = sorted({path for pattern in _LOADED for path in folder.glob(pattern)})
    return _hashed_once(
        tuple((path, (it := path.stat()).st_size, it.st_mtime_ns) for path in found)
    )


def base_inputs(recipe: Recipe) -> dict[str, str]:
    """The sha256 of a base in a local folder, for the record; nothing of one from the Hub."""
    digest = base_sha256(recipe.base)
    return {BASE: digest} if digest else {}


def check_inputs(
    step: StepName, recipe: Recipe, folder: Path, names: Sequence[str]
) -> dict[str, str]:
    """The sha256 of files that a step reads, which earlier steps wrote under this recipe.

    Those of their sidecars are among them.

    Args:
        step: that reads them.
        recipe: that it follows.
        folder: where all steps read and write.
        names: of the files, from the folder.

    Raises:
        DataError: a file is missing, was changed, or was made with other settings or from other
            files than the recipe and the folder have now.
    """
    writers = _writers(step, folder)
    checked: set[StepName] = set()
    inputs: dict[str, str] = {}
    for name in names:
        record = writers.get(name)
        if record is None:
            raise DataError(
                f"{folder / name}, which this step reads, was not written by any step",
                hint=f"run `nla-release train {_READS[step][-1]}` with this recipe first",
            )
        if record.step not in checked and (reason := outdated(record, recipe, folder)):
            raise DataError(
                f"{folder / name} is not what this recipe gives: {reason}",
                hint=f"run `nla-release train {record.step} --again` with this recipe",
            )
        checked.add(record.step)
        for path in (folder / name, sidecar_path(folder / name)):
            if (file := _name(path, folder)) in record.outputs:
                _check_file(path, file, record)
                inputs[file] = record.outputs[file]
    return inputs


def stale(record: StepRecord, recipe: Recipe, folder: Path) -> str | None:
    """Why the files of a step, which all exist, do not match recipe and inputs; None if they do."""
    return outdated(record, recipe, folder) or _changed(record, recipe, folder)


def outdated(record: StepRecord, recipe: Recipe, folder: Path) -> str | None:
    """Why a record does not match this recipe and these files; None when it does."""
    wanted = settings_of(recipe, record.step)
    for key in sorted(wanted.keys() | record.settings.keys()):
        found = record.settings.get(key)
        if found != wanted.get(key):
            moved = key in _REVISIONS and is_commit(found)
            kept = "; name the earlier commit in the recipe to keep it" if moved else ""
            return f"it was made with {key} {found!r}, the recipe has {wanted.get(key)!r}{kept}"
    for earlier in _READS[record.step]:
        before = read_record(folder, earlier)
        for name, digest in record.inputs.items():
            if before and before.outputs.get(name, digest) != digest:
                return f"it was made from another {name}"
        if before and (reason := outdated(before, recipe, folder)):
            return f"of {earlier}, {reason}"
    return None


def unfinished(record: StepRecord, folder: Path) -> str | None:
    """The first output of a step that is missing; None when all exist."""
    return next((name for name in record.outputs if not (folder / name).exists()), None)


def _changed(record: StepRecord, recipe: Recipe, folder: Path) -> str | None:
    """Which output of a step, or input that no step wrote, has changed; None if none has.

    A missing input is ignored.
    """
    written = _writers(record.step, folder)
    for name, digest in (*record.outputs.items(), *record.inputs.items()):
        path = folder / name
        if name == BASE and base_sha256(recipe.base) not in (None, digest):
            return f"{name} {recipe.base.path} holds another base now"
        if name not in written and path.exists() and _digest_of(path) != digest:
            return f"{name} was changed afterwards"
    return None


def _writers(step: StepName, folder: Path) -> dict[str, StepRecord]:
    """The files that a step may read of earlier ones, with the records of these."""
    records = [record for earlier in _READS[step] if (record := read_record(folder, earlier))]
    return {name: record for record in records for name in record.outputs}


def _check_file(path: Path, name: str, record: StepRecord) -> None:
    again = f"run `nla-release train {record.step} --again` with this recipe"
    if not path.exists():
        raise DataError(f"{path} is missing", hint=again)
    if (found := _digest_of(path)) != record.outputs[name]:
        raise DataError(
            f"{path} was changed after the step {record.step} wrote it: sha256 {found}, expected"
            f" {record.outputs[name]}",
            hint=again,
        )


def _steps_up_to(step: StepName) -> Iterator[StepName]:
    for earlier in _READS[step]:
        yield from _steps_up_to(earlier)
    yield step


def _flat(document: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _within(key: str, names: Iterable[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)


def _digest(settings: dict[str, Any]) -> str:
    return sha256_bytes(dump_json(settings).encode())


def _digest_of(path: Path) -> str:
    return sidecar_digest(path) if is_sidecar(path) else corpus_digest(path)


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


@functools.cache
def _hashed_once(files: tuple[tuple[Path, int, int], ...]) -> str:
    lines = [f"{sha256_file(path)}  {path.name}" for path, *_ in files]
    return sha256_bytes("\n".join(lines).encode())
