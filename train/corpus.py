"""Documents, and which of them are held out.

A corpus is a JSONL file, one document a line: `id`, `text`, optionally `split` ("train" or "eval";
lines of any other split are left out), and optionally `labels`, a list of `{start, end,
explanation}` with character offsets into the text.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import NonNegativeInt

from nla_release.errors import DataError, NothingCheckedError
from nla_release.files import read_text
from nla_release.schema import Open, Strict, parse
from nla_release.training_documents import text_digest

Split = Literal["train", "eval"]
SPLITS: tuple[Split, Split] = ("train", "eval")

_MAX_CORPUS_BYTES = 2 * 1024**3


class Label(Strict):
    """An explanation of the activation at the last token of `text[start:end]`."""

    start: NonNegativeInt
    end: NonNegativeInt
    explanation: str


class Line(Open):
    """One line of the corpus."""

    id: str
    text: str
    split: str | None = None
    labels: list[Label] | None = None


@dataclass(frozen=True)
class Document:
    """One document and the side it is on."""

    id: str
    text: str
    split: Split
    labels: list[Label] | None


def read_corpus(path: Path, eval_fraction: float) -> list[Document]:
    """All documents of both splits.

    The split is by document: by what the corpus says, or else by hash of the text with case and
    spacing evened out, so that copies of a text lie on the same side.

    Raises:
        DataError: unreadable, repeated ids, or the same text on both sides.
        NothingCheckedError: a side is empty.
    """
    documents = [
        document
        for number, text in enumerate(read_text(path, limit=_MAX_CORPUS_BYTES).splitlines(), 1)
        if (document := _document(text, f"{path} line {number}", eval_fraction)) is not None
    ]
    if repeated := [
        name for name, count in Counter(it.id for it in documents).items() if count > 1
    ]:
        raise DataError(f"{path}: document id {repeated[0]!r} stands more than once")
    texts = {
        split: {text_digest(it.text) for it in documents if it.split == split} for split in SPLITS
    }
    for split in SPLITS:
        if not texts[split]:
            raise NothingCheckedError(f"{path} has no {split} documents")
    if shared := texts["train"] & texts["eval"]:
        raise DataError(
            f"{path}: {len(shared)} texts are in train and in eval; hold them out whole"
        )
    return documents


def _document(text: str, where: str, eval_fraction: float) -> Document | None:
    try:
        line = parse(Line, json.loads(text), where, error=DataError)
    except ValueError as error:
        raise DataError(f"{where} is not valid JSON: {error}") from error
    if line.split is None:
        held_out = int(text_digest(line.text)[:8], 16) / 16**8 < eval_fraction
        return Document(line.id, line.text, "eval" if held_out else "train", line.labels)
    if line.split not in SPLITS:
        return None
    return Document(line.id, line.text, line.split, line.labels)
