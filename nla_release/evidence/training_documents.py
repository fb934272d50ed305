"""Which documents a pair was trained on, and whether the evaluation meets any of them again.

A list is a JSONL file, one document a line: `id`, and `sha256` of its text by `text_digest`.
`nla-release train build` writes it as `training_documents.jsonl` next to its data, and anybody can:
the texts themselves need not be published.
"""

import json
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from nla_release.errors import DataError
from nla_release.evidence.records import Name, Sha256, TrainingOverlap
from nla_release.io.documents import parse_json
from nla_release.io.files import read_text, sha256_bytes, write_atomic
from nla_release.io.schema import Open, parse

FILE_NAME = "training_documents.jsonl"

_MAX_LIST_BYTES = 2 * 1024**3


class TrainingDocument(Open):
    """One line of a list."""

    id: Name
    sha256: Sha256


def text_digest(text: str) -> str:
    """Hex sha256 of a text with case, spacing and the width of its characters evened out.

    NFKC, case folded, white space collapsed to single spaces and dropped at both ends, UTF-8.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return sha256_bytes(" ".join(folded.split()).encode())


def write_training_documents(path: Path, documents: Iterable[tuple[str, str]]) -> None:
    """Write the list of `(id, text)`."""
    lines = (
        json.dumps({"id": name, "sha256": text_digest(text)}, ensure_ascii=False) + "\n"
        for name, text in documents
    )
    write_atomic(path, "".join(lines))


def training_overlap(
    lists: Sequence[Path],
    *,
    ids: Sequence[str],
    documents: Sequence[str],
    digests: Sequence[str | None],
) -> TrainingOverlap:
    """What the evaluation has in common with the training documents.

    Args:
        lists: the files, one at least.
        ids: of the evaluation's rows.
        documents: the document of each row.
        digests: `text_digest` of each row's whole document, null where it is not known.

    Raises:
        DataError: a list cannot be read, or they hold no document.
    """
    texts = [read_text(path, limit=_MAX_LIST_BYTES) for path in lists]
    trained = [
        _document(line, f"{path} line {number}")
        for path, text in zip(lists, texts, strict=True)
        for number, line in enumerate(text.removesuffix("\n").split("\n") if text else [], start=1)
    ]
    if not trained:
        raise DataError(f"{', '.join(map(str, lists))}: no training documents are listed")
    trained_ids = {document.id for document in trained}
    trained_texts = {document.sha256 for document in trained}
    return TrainingOverlap(
        sha256=_digest(texts),
        documents=len(trained),
        ids_overlapping=sorted(trained_ids & set(documents)),
        texts_overlapping=[
            name for name, digest in zip(ids, digests, strict=True) if digest in trained_texts
        ],
        texts_compared=sum(digest is not None for digest in digests),
    )


def lists_digest(lists: Sequence[Path]) -> str:
    """The `sha256` that `training_overlap` records of these lists.

    Raises:
        InputError: a list cannot be read.
    """
    return _digest([read_text(path, limit=_MAX_LIST_BYTES) for path in lists])


def _digest(texts: Sequence[str]) -> str:
    return sha256_bytes("".join(texts).encode())


def _document(line: str, where: str) -> TrainingDocument:
    return parse(TrainingDocument, parse_json(line, where, error=DataError), where, error=DataError)
