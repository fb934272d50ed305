"""`nla-release train extract RECIPE`: from text to activations.

An activation is the OUTPUT of decoder block K at one position: `hidden_states[K + 1]`, raw,
never normalised. Several processes share the documents (`accelerate launch -m nla_release train
extract RECIPE`). `data/base.parquet` is the same, byte for byte, on the same hardware with as many
threads and in batches of the same size; other batches give the same within rounding.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from nla_release.engine.architecture import block_count, embedding_norm, width_of
from nla_release.engine.base import Base
from nla_release.engine.extraction import activations_at, encode_text
from nla_release.errors import ConfigError, DataError
from nla_release.evidence.training_documents import text_digest
from nla_release.io.log import log
from nla_release.training.chunks import (
    DOCUMENTS,
    Taken,
    chunk_path,
    chunked,
    join_chunks,
    open_parts,
    remove_parts,
    write_chunk,
)
from nla_release.training.corpus import Document, Survey, survey
from nla_release.training.corpus_files import corpus_digest, corpus_path, documents, stream_dataset
from nla_release.training.dataset import data_path
from nla_release.training.learner import load
from nla_release.training.positions import places
from nla_release.training.processes import Processes, is_main, shared_progress, wait_for_all
from nla_release.training.recipe import HubDataset, Recipe
from nla_release.training.record import BASE, base_inputs, forget, settings_of, write_record
from nla_release.training.tables import row_schema, write_sidecar

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


def extract(
    recipe: Recipe, folder: Path, *, device: str | None = None, again: bool = False
) -> None:
    """Write `data/base.parquet` and its sidecar; goes on where a killed extraction stopped.

    Raises:
        ConfigError: the base has no such layer.
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


def _check_layer(base: Base, layer: int) -> None:
    blocks = block_count(base.model)
    if layer > blocks - 2:
        raise ConfigError(
            f"extract.layer is {layer}, the base has blocks 0 to {blocks - 1}, and the last is"
            " out: readers that take hidden_states would get it through the final norm"
        )


def _take(base: Base, recipe: Recipe, path: Path, parts: Path, found: Survey) -> int:
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


def _chunk(base: Base, recipe: Recipe, chunk: Sequence[Document]) -> tuple[pa.Table, Counter[str]]:
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


def _describe(
    path: Path, recipe: Recipe, base: Base, inputs: dict[str, str], found: Survey, taken: Taken
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
    for reason, count in sorted(left_out.items()):
        log.info(f"extract: left out {count} {reason}")


def _named(recipe: Recipe) -> str:
    corpus = recipe.extract.corpus
    if isinstance(corpus, HubDataset):
        return f"{corpus.dataset}@{corpus.revision}"
    return corpus
