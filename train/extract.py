"""`python -m train.extract RECIPE`: from text to activations.

An activation is the OUTPUT of decoder block K at one position: `hidden_states[K + 1]`, raw,
never normalised. Documents, not rows, are split into train and eval.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import numpy as np
import torch

from nla_release.engine.base import Base, block_output, decoder_of
from nla_release.engine.batches import pad_right
from nla_release.errors import ConfigError, DataError, NothingCheckedError
from nla_release.progress import progress
from nla_release.training_documents import text_digest, write_training_documents
from train.adapter import load
from train.command import run, step
from train.corpus import SPLITS, Document, Split, read_corpus
from train.dataset import (
    Row,
    parquet_path,
    reference_path,
    training_list_path,
    write_reference,
    write_rows,
)
from train.recipe import Recipe, read_recipe


def extract(recipe: Recipe, folder: Path, *, device: str | None = None) -> dict[Split, int]:
    """Write `data/`: rows and their sidecars, reference, training list; gives rows per split.

    Raises:
        ConfigError: the base has no such layer.
        DataError: the corpus cannot be used, or an activation is not finite.
        NothingCheckedError: a split gives no activations.
    """
    documents = read_corpus(folder / recipe.extract.corpus, recipe.extract.eval_fraction)
    base = load(recipe, device)
    blocks = len(decoder_of(base.model).layers)
    if recipe.extract.layer > blocks - 2:
        raise ConfigError(
            f"extract.layer is {recipe.extract.layer}, the base has blocks 0 to {blocks - 1}, and"
            " the last is out: readers that take hidden_states would get it through the final norm"
        )
    counts: dict[Split, int] = {}
    for split in SPLITS:
        chosen = [document for document in documents if document.split == split]
        rows = list(_rows(base, recipe, chosen, split))
        if not rows:
            raise NothingCheckedError(f"the {split} documents give no activations")
        write_rows(parquet_path(folder, split), rows, recipe, base, split)
        counts[split] = len(rows)
        if split == "train":
            write_reference(reference_path(folder), rows, parquet_path(folder, split))
            write_training_documents(
                training_list_path(folder), ((it.id, it.text) for it in chosen)
            )
    return counts


def _rows(base: Base, recipe: Recipe, documents: Sequence[Document], split: Split) -> Iterator[Row]:
    size = recipe.extract.batch_size
    with progress(f"extract {split}", len(documents), "documents") as advance:
        for at in range(0, len(documents), size):
            batch = documents[at : at + size]
            yield from _batch_rows(base, recipe, batch)
            advance(at + len(batch))


@torch.inference_mode()
def _batch_rows(base: Base, recipe: Recipe, documents: Sequence[Document]) -> Iterator[Row]:
    encoded = [
        base.tokenizer(
            document.text,
            return_offsets_mapping=True,
            truncation=True,
            max_length=recipe.extract.max_tokens,
        )
        for document in documents
    ]
    ids, mask, _ = pad_right(
        [item["input_ids"] for item in encoded], base.tokenizer.pad_token_id, base.device
    )
    hidden = block_output(base.model, recipe.extract.layer, ids, mask).float().cpu().numpy()
    for index, (document, item) in enumerate(zip(documents, encoded, strict=True)):
        digest = text_digest(document.text)
        for position, explanation in _positions(document, item["offset_mapping"], recipe):
            activation = hidden[index, position]
            if not np.isfinite(activation).all():
                raise DataError(f"document {document.id}: activation at {position} is not finite")
            yield Row(
                document.id,
                digest,
                position,
                item["input_ids"][position],
                document.text[: item["offset_mapping"][position][1]],
                explanation,
                activation,
            )


def _positions(
    document: Document, offsets: Sequence[tuple[int, int]], recipe: Recipe
) -> Iterator[tuple[int, str | None]]:
    if document.labels is not None:
        for label in document.labels:
            position = _last_token(offsets, label.start, label.end)
            if position is not None:  # the label lies beyond max_tokens
                yield position, label.explanation
        return
    settings = recipe.extract
    candidates = [
        at for at in range(settings.min_position, len(offsets)) if offsets[at][1] > offsets[at][0]
    ]
    seed = int.from_bytes(hashlib.sha256(document.id.encode()).digest()[:8], "big")
    count = min(settings.positions_per_document, len(candidates))
    for at in sorted(np.random.default_rng(seed).choice(candidates, count, replace=False)):
        yield int(at), None


def _last_token(offsets: Sequence[tuple[int, int]], start: int, end: int) -> int | None:
    """The token that the characters `start:end` end in, when the whole word is inside."""
    covering = [at for at, (left, right) in enumerate(offsets) if left < end and right > start]
    return covering[-1] if covering and offsets[covering[-1]][1] >= end else None


@step
def command(recipe: Path, folder: Path, device: str | None) -> None:
    """Take activations from a corpus as RECIPE says; writes data/ in the folder."""
    counts = extract(read_recipe(recipe), folder, device=device)
    words = " and ".join(f"{count} {split} rows" for split, count in counts.items())
    click.echo(f"wrote {folder / 'data'}: {words}", err=True)


if __name__ == "__main__":
    run(command, "extract")
