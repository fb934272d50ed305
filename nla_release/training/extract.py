"""`nla-release train extract RECIPE`: from text to activations.

An activation is the OUTPUT of decoder block K at one position: `hidden_states[K + 1]`, raw, never
normalised. Several processes share the documents (`accelerate launch -m nla_release train extract
RECIPE`). Each writes chunks: parquet files of a fixed number of documents, written atomically. The
content of a chunk depends on the corpus and the recipe alone, so an interrupted extraction
continues from the chunks that exist. `data/base.parquet` is identical, byte for byte, on the same
hardware with as many threads and the same batch size; other batches agree within rounding.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nla_release.engine.architecture import block_count, embedding_norm, width_of
from nla_release.engine.base import LoadedBase
from nla_release.engine.extraction import activations_at, encode_text
from nla_release.engine.processes import Processes, is_main, shared_progress, wait_for_all
from nla_release.errors import (
    ConfigError,
    DataError,
    EnvironmentProblem,
    NothingCheckedError,
    RefusedError,
)
from nla_release.evidence.training_documents import text_digest
from nla_release.io.documents import parse_json
from nla_release.io.files import dump_json, read_json, write_atomic
from nla_release.io.log import log
from nla_release.training.corpus import CorpusSurvey, Document, survey
from nla_release.training.corpus_files import corpus_digest, corpus_path, documents, stream_dataset
from nla_release.training.dataset import data_path
from nla_release.training.gates import check_block_output
from nla_release.training.learner import load
from nla_release.training.recipe import ExtractionSettings, HubDataset, Recipe
from nla_release.training.record import BASE, base_inputs, forget, settings_of, write_record
from nla_release.training.tables import (
    pieces,
    row_schema,
    vectors_of,
    write_sidecar,
    write_table,
    writing,
)

# Few enough that little is lost when a run is killed, many enough that files stay few.
DOCUMENTS = 64
_COUNTS = b"left_out"
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


@dataclass(frozen=True)
class ExtractionTotals:
    """What all chunks hold: norms `[N]` of the activations, documents, and what was left out."""

    norms: npt.NDArray[np.float64]
    documents: int
    left_out: dict[str, int]


@dataclass(frozen=True)
class Position:
    """A position of a document to take the activation at, and what the corpus says of it."""

    position: int
    explanation: str | None = None
    paraphrase: str | None = None


def extract(
    recipe: Recipe, folder: Path, *, device: str | None = None, again: bool = False
) -> None:
    """Write `data/base.parquet` and its sidecar; continues where a killed extraction stopped.

    Raises:
        ConfigError: the base has no such layer, or its blocks do not put out `hidden_states`.
        DataError: the corpus cannot be used, or an activation is not finite.
        NothingCheckedError: a side would have no documents, or no document gives an activation.
        RefusedError: an extraction with other settings was cut off here.
    """
    path, settings = corpus_path(recipe.extract, folder), recipe.extract
    if isinstance(settings.corpus, HubDataset) and is_main() and not path.exists():
        stream_dataset(settings.corpus, path)
    wait_for_all()
    found = survey(documents(path, settings), str(path), recipe.split)
    base = load(recipe, device)
    _check_layer(base, settings.layer)
    check_block_output(base, settings.layer, _first_text(path, settings))
    inputs = {_named(recipe): corpus_digest(path)} | base_inputs(recipe)
    origin = settings_of(recipe, "extract") | {
        "extract.batch_size": settings.batch_size,  # within rounding, and a file has one
        "the base's commit": base.revision,
        "the tokenizer's sha256": base.tokenizer_sha256,
        **{f"the sha256 of {name}": digest for name, digest in inputs.items()},
    }
    parts = data_path(folder, "base").with_suffix(".parts")
    if is_main():
        open_parts(parts, origin, again=again)
        forget(folder, "extract")
    wait_for_all()
    count = _take(base, recipe, path, parts, found)
    wait_for_all()
    if is_main():
        target = data_path(folder, "base")
        schema = row_schema(width_of(base.model))
        taken = join_chunks(parts, count, target, schema)
        _describe(target, recipe, base, inputs, found, taken)
        streamed = [path] if isinstance(settings.corpus, HubDataset) else []
        write_record("extract", recipe, folder, inputs=inputs, outputs=[target, *streamed])
        remove_parts(parts)
    wait_for_all()


def _check_layer(base: LoadedBase, layer: int) -> None:
    blocks = block_count(base.model)
    if layer > blocks - 2:
        raise ConfigError(
            f"extract.layer is {layer}, the base has blocks 0 to {blocks - 1}, and the last is"
            " out: readers that take hidden_states would get it through the final norm"
        )


def _first_text(path: Path, settings: ExtractionSettings) -> str:
    return next(it.text for it in documents(path, settings) if it is not None and it.text)


def _take(base: LoadedBase, recipe: Recipe, path: Path, parts: Path, found: CorpusSurvey) -> int:
    """Write the chunks of this process that are missing; gives how many there are in all."""
    count = -(-found.documents // DOCUMENTS)
    missing = [number for number in range(count) if not chunk_path(parts, number).exists()]
    if is_main() and len(missing) < count:
        log.info(f"extract: {count - len(missing)} of {count} chunks are there already")
    mine = set(Processes.from_environment().share(missing))
    total = sum(min(DOCUMENTS, found.documents - number * DOCUMENTS) for number in mine)
    wait_for_all()  # until each has seen what is missing, before any of them writes
    done = 0
    with shared_progress("extract", total, "documents") as advance:
        for number, chunk in chunked(documents(path, recipe.extract)):
            if number in mine:
                table, left_out = _chunk(base, recipe, chunk)
                write_chunk(parts, number, table, left_out)
                done += len(chunk)
                advance(done)
    return count


def _chunk(
    base: LoadedBase, recipe: Recipe, chunk: Sequence[Document]
) -> tuple[pa.Table, Counter[str]]:
    columns: dict[str, list[Any]] = {
        name: [] for name in row_schema(1).names if name != "activation"
    }
    vectors, left_out = [], Counter[str]()
    size = recipe.extract.batch_size
    for at in range(0, len(chunk), size):
        batch = chunk[at : at + size]
        encoded = [
            encode_text(base, document.text, max_tokens=recipe.extract.max_tokens)
            for document in batch
        ]
        chosen = []
        for document, item in zip(batch, encoded, strict=True):
            digest = text_digest(document.text)
            taken, missed = places(document, digest, item["offset_mapping"], recipe.extract)
            left_out.update(missed)
            last = max((end for _, end in item["offset_mapping"]), default=0)
            read = text_digest(document.text[:last])
            chosen.append([place.position for place in taken])
            for place in taken:
                row = {
                    "id": f"{document.id}:{place.position}",
                    "document": document.id,
                    "document_sha256": digest,
                    "read_sha256": read,
                    "split": document.split,
                    "position": place.position,
                    "token_id": item["input_ids"][place.position],
                    "text": document.text[: item["offset_mapping"][place.position][1]],
                    "explanation": place.explanation,
                    "paraphrase": place.paraphrase,
                }
                for name, value in row.items():
                    columns[name].append(value)
        vectors += activations_at(
            base, recipe.extract.layer, [item["input_ids"] for item in encoded], chosen
        )
    d_model = width_of(base.model)
    stacked = np.concatenate([np.empty((0, d_model), np.float32), *vectors])
    if bad := np.flatnonzero(~np.isfinite(stacked).all(axis=1)).tolist():
        name = columns["id"][bad[0]]
        raise DataError(
            f"the activation at {name} is not finite (document:position)",
            hint="use bfloat16 or float32: float16 has too little range for some bases",
        )
    if zero := np.flatnonzero(~stacked.any(axis=1)).tolist():
        raise DataError(f"the activation at {columns['id'][zero[0]]} is zero (document:position)")
    activation = pa.FixedSizeListArray.from_arrays(pa.array(stacked.reshape(-1)), d_model)
    schema = row_schema(d_model)
    return pa.table({**columns, "activation": activation}, schema=schema), left_out


def places(
    document: Document,
    digest: str,
    offsets: Sequence[tuple[int, int]],
    settings: ExtractionSettings,
) -> tuple[list[Position], Counter[str]]:
    """Where to take a document's activations, and what cannot be taken, by reason.

    Which positions are sampled follows from the seed and the document's text, and from nothing
    else: not from its name, the rest of the corpus, or how the work is shared.

    Args:
        document: that is read.
        digest: `text_digest` of it.
        offsets: each token's characters, of the tokens that are read.
        settings: that say which.

    Raises:
        DataError: two labels end in the same token.
    """
    left_out = Counter[str]()
    read = max((end for _, end in offsets), default=0)
    if len(offsets) >= settings.max_tokens and read < len(document.text):
        left_out["documents' ends beyond extract.max_tokens"] += 1
    if document.labels is not None:
        if not document.labels:
            left_out["documents without labels"] += 1
        found: dict[int, Position] = {}
        for label in document.labels:
            position = _last_token(offsets, label.start, label.end)
            if position is None:
                left_out["labels beyond extract.max_tokens"] += 1
            elif position in found:
                raise DataError(f"document {document.id}: two labels end in token {position}")
            else:
                found[position] = Position(position, label.explanation, label.paraphrase)
        return list(found.values()), left_out
    candidates = [
        at for at in range(settings.min_position, len(offsets)) if offsets[at][1] > offsets[at][0]
    ]
    if not candidates:
        left_out["documents shorter than extract.min_position"] += 1
    elif len(candidates) < settings.positions_per_document:
        left_out["documents' positions short of extract.positions_per_document"] += (
            settings.positions_per_document - len(candidates)
        )
    key = hashlib.sha256(f"{settings.seed}:{digest}".encode()).digest()
    count = min(settings.positions_per_document, len(candidates))
    chosen = np.random.default_rng(list(key)).choice(candidates, count, replace=False)
    return [Position(int(at)) for at in sorted(chosen)], left_out


def _last_token(offsets: Sequence[tuple[int, int]], start: int, end: int) -> int | None:
    """The token that the characters `start:end` end in, when the whole word is inside."""
    covering = [at for at, (left, right) in enumerate(offsets) if left < end and right > start]
    return covering[-1] if covering and offsets[covering[-1]][1] >= end else None


def chunked(documents: Iterable[Document | None]) -> Iterator[tuple[int, list[Document]]]:
    """Documents in numbered chunks."""
    taken = (document for document in documents if document is not None)
    for number in count():
        chunk = list(islice(taken, DOCUMENTS))
        if not chunk:
            return
        yield number, chunk


def chunk_path(parts: Path, number: int) -> Path:
    """The path of a chunk."""
    return parts / f"{number:06d}.parquet"


def open_parts(parts: Path, origin: dict[str, Any], *, again: bool) -> None:
    """Make the folder of chunks, or continue with that of an interrupted extraction.

    Args:
        parts: the folder.
        origin: what the chunks depend on, by name.
        again: whether to start again and remove what is there.

    Raises:
        RefusedError: there are chunks with another origin.
        EnvironmentProblem: what is there cannot be removed, or the folder cannot be written.
    """
    marker = parts / "origin.json"
    if again or not marker.exists():  # chunks of unknown origin are useless
        remove_parts(parts)
    if marker.exists():
        found = read_json(marker)
        for key in sorted(origin.keys() | found.keys()):
            if found.get(key) != origin.get(key):
                raise RefusedError(
                    f"{parts} holds activations of an interrupted extraction, with"
                    f" {key} {found.get(key)!r}; now it is {origin.get(key)!r}",
                    hint="run `nla-release train extract` with --again to start again",
                )
        return
    write_atomic(marker, dump_json(origin))


def remove_parts(parts: Path) -> None:
    """Remove the folder of chunks.

    Raises:
        EnvironmentProblem: something of it cannot be removed.
    """
    try:
        if parts.exists():
            shutil.rmtree(parts)
    except OSError as error:
        raise EnvironmentProblem(
            f"{parts} cannot be removed: {error.strerror or error}",
            hint="remove it yourself; it holds chunks of an extraction that are no longer needed",
        ) from error


def write_chunk(parts: Path, number: int, table: pa.Table, left_out: Counter[str]) -> None:
    """Write the rows of a chunk, which may be none, and what was left out of it."""
    counts = json.dumps(left_out, sort_keys=True).encode()
    write_table(chunk_path(parts, number), table.replace_schema_metadata({_COUNTS: counts}))


def join_chunks(parts: Path, chunks: int, target: Path, schema: pa.Schema) -> ExtractionTotals:
    """Put all chunks together in order, a row group each, holding one at a time in memory.

    Raises:
        NothingCheckedError: none of them has a row.
        EnvironmentProblem: the disk is full.
    """
    norms: list[npt.NDArray[np.float64]] = []
    documents = 0
    left_out: Counter[str] = Counter()
    with writing(target, schema) as writer:
        for number in range(chunks):
            for table in pieces(chunk_path(parts, number)):
                left_out.update(parse_json(table.schema.metadata[_COUNTS], parts))
                if len(table):
                    writer.write_table(table.replace_schema_metadata(None))
                    norms.append(np.linalg.norm(vectors_of(table).astype(np.float64), axis=1))
                    documents += len(set(table.column("document").to_pylist()))
        if not norms:
            reasons = ", ".join(f"{many} {reason}" for reason, many in sorted(left_out.items()))
            raise NothingCheckedError(
                f"the corpus gives no activations: {reasons or 'no labels'}",
                hint="take longer texts, or lower extract.min_position",
            )
    return ExtractionTotals(np.concatenate(norms), documents, dict(left_out))


def _describe(
    path: Path,
    recipe: Recipe,
    base: LoadedBase,
    inputs: dict[str, str],
    found: CorpusSurvey,
    taken: ExtractionTotals,
) -> None:
    left_out = taken.left_out
    if found.left_out:
        left_out["documents of other splits"] = found.left_out
    extraction = {
        "base_model": recipe.base.id,
        "base_revision": base.revision,
        "base_sha256": inputs.get(BASE),
        "quantization": recipe.base.quantization,
        "dtype": recipe.base.dtype,
        "d_model": width_of(base.model),
        "layer_index": recipe.extract.layer,
        "layer_convention": "block_output",
        "norm": "none",
        "corpus": _named(recipe),
        "corpus_slice": {"start": 0, "length": found.documents},
        "positions_per_doc": recipe.extract.positions_per_document,
        "mean_norm": float(taken.norms.mean()),
    }
    levels = zip(QUANTILES, np.quantile(taken.norms, QUANTILES), strict=True)
    more = {
        "embedding_norm": embedding_norm(base.model),
        "norm_quantiles": {f"{level:g}": float(value) for level, value in levels},
        "documents_read": found.documents,
        "left_out": dict(sorted(left_out.items())),
    }
    write_sidecar(
        path,
        recipe,
        "extract",
        stage="base",
        extraction=extraction,
        inputs=inputs,
        rows=len(taken.norms),
        documents=taken.documents,
        more=more,
    )
    log.info(f"extract: {len(taken.norms)} activations of {taken.documents} documents")
    for reason, number in sorted(left_out.items()):
        log.info(f"extract: left out {number} {reason}")


def _named(recipe: Recipe) -> str:
    corpus = recipe.extract.corpus
    if isinstance(corpus, HubDataset):
        return f"{corpus.dataset}@{corpus.revision}"
    return corpus
