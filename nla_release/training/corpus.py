"""Documents of a corpus, and the side that each belongs to.

A document has `id`, `text`, optionally `split` ("train" or "eval"; documents of any other split
are left out), and optionally `labels`, a list of `{start, end, explanation}` with character
offsets into the text, and `paraphrase`, the explanation in other words.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import Field, NonNegativeInt

from nla_release.errors import DataError, NothingCheckedError
from nla_release.evidence.training_documents import text_digest
from nla_release.io.schema import Open, Strict, parse
from nla_release.training.recipe import Split

DocumentSplit = Literal["train", "eval"]
Side = Literal["av", "ar", "eval", "rl"]
SIDES: tuple[Side, ...] = get_args(Side)
# The sides whose explanations the pair is trained on.
LEARNING: frozenset[Side] = frozenset({"av", "ar"})


class CorpusLabel(Strict):
    """An explanation of the activation at the last token of `text[start:end]`."""

    start: NonNegativeInt
    end: NonNegativeInt
    explanation: str
    paraphrase: str | None = None


class _Line(Open):
    id: str = Field(min_length=1)
    text: str
    split: str | None = None
    labels: list[CorpusLabel] | None = None


@dataclass(frozen=True)
class Document:
    """One document; `split` is what the corpus says of it."""

    id: str
    text: str
    split: DocumentSplit | None
    labels: list[CorpusLabel] | None


@dataclass(frozen=True)
class CorpusSurvey:
    """A corpus read to its end: documents to take activations of, and those of other splits."""

    documents: int
    left_out: int


def read_document(fields: dict[str, Any], where: str) -> Document | None:
    """A document from its fields; None when its split is neither train nor eval.

    Raises:
        DataError: a field is missing or not what it should be.
    """
    line = parse(_Line, fields, where, error=DataError)
    said = [it for label in line.labels or () for it in (label.explanation, label.paraphrase)]
    try:
        "".join([line.id, line.text, *filter(None, said)]).encode()
    except UnicodeEncodeError as error:  # JSON can write half a character
        raise DataError(f"{where} contains an invalid character: {error.reason}") from error
    for label in line.labels or ():
        if not label.start < label.end <= len(line.text):
            raise DataError(
                f"{where}: a label covers characters {label.start} to {label.end} of a text of"
                f" {len(line.text)} characters"
            )
    if line.split not in (None, *get_args(DocumentSplit)):
        return None
    return Document(line.id, line.text, line.split, line.labels)  # type: ignore[arg-type]


def sides_of(shares: Split) -> list[Side]:
    """The sides that documents are put on; an AR that learns from the AV's rows has none."""
    return [
        side for side in SIDES if isinstance(share := getattr(shares, side), float) and share > 0
    ]


def side_of(digest: str, said: str | None, shares: Split) -> Side:
    """The side of a document.

    The side follows from the hash of the text that was read, after case and spacing are normalised.
    So copies of a text are on the same side, and the rest of the corpus makes no difference. A
    split in the corpus is kept: its train documents are divided among the training sides in
    proportion.

    Args:
        digest: `text_digest` of the document up to the last token that is read.
        said: "train", "eval", or None when the corpus says nothing.
        shares: the recipe's.
    """
    if said == "eval":
        return "eval"
    weights = {side: float(getattr(shares, side)) for side in sides_of(shares)}
    # This order keeps the held-out documents that earlier versions chose.
    order: list[Side] = [side for side in ("eval", "av", "ar", "rl") if side in weights]
    if said == "train":
        order.remove("eval")
    place = int(digest[:8], 16) / 16**8 * sum(weights[side] for side in order)
    for side in order[:-1]:
        if place < weights[side]:
            return side
        place -= weights[side]
    return order[-1]


def survey(documents: Iterable[Document | None], where: str, shares: Split) -> CorpusSurvey:
    """Check a whole corpus before anything expensive is done with it.

    Raises:
        DataError: ids are repeated, or the same text is on two sides.
        NothingCheckedError: there are no documents, or a side would have none.
    """
    ids: set[str] = set()
    side_by_text: dict[str, Side] = {}
    shared: set[str] = set()
    left_out = 0
    for document in documents:
        if document is None:
            left_out += 1
            continue
        if document.id in ids:
            raise DataError(f"{where}: document id {document.id!r} occurs more than once")
        ids.add(document.id)
        # Of the whole text: no tokenizer is loaded yet. `split` uses the text that was read.
        digest = text_digest(document.text)
        side = side_of(digest, document.split, shares)
        if side_by_text.setdefault(digest, side) != side:
            shared.add(digest)
    if not ids:
        raise NothingCheckedError(
            f"{where} has no documents"
            + (f": all {left_out} are in splits other than train and eval" if left_out else ""),
            hint="one document a line, row or file; see docs/reference/training.md",
        )
    if shared:
        raise DataError(
            f"{where}: {len(shared)} texts are in both train and eval",
            hint="give all copies of a text the same split",
        )
    for side in sides_of(shares):
        if side not in side_by_text.values():
            raise NothingCheckedError(
                f"{where} has no {side} documents: all {len(ids)} are on other sides",
                hint="take more documents, or change the recipe's split",
            )
    return CorpusSurvey(len(ids), left_out)
