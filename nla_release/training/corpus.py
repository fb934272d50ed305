"""Documents, what is known of them beforehand, and the side that each is on.

A document has `id`, `text`, optionally `split` ("train" or "eval"; documents of any other split
are left out), and optionally `labels`, a list of `{start, end, explanation}` with character
offsets into the text, and `paraphrase`, the explanation said otherwise.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import Field, NonNegativeInt

from nla_release.errors import DataError, NothingCheckedError
from nla_release.evidence.training_documents import text_digest
from nla_release.io.schema import Open, Strict, parse
from nla_release.training.recipe import Split

Said = Literal["train", "eval"]
Side = Literal["av", "ar", "eval", "rl"]
SIDES: tuple[Side, ...] = get_args(Side)
# Of these a pair is taught the explanations.
LEARNING: frozenset[Side] = frozenset({"av", "ar"})


class Label(Strict):
    """An explanation of the activation at the last token of `text[start:end]`."""

    start: NonNegativeInt
    end: NonNegativeInt
    explanation: str
    paraphrase: str | None = None


class _Line(Open):
    id: str = Field(min_length=1)
    text: str
    split: str | None = None
    labels: list[Label] | None = None


@dataclass(frozen=True)
class Document:
    """One document; `split` is what the corpus says of it."""

    id: str
    text: str
    split: Said | None
    labels: list[Label] | None


@dataclass(frozen=True)
class Survey:
    """A corpus read to its end: documents to take activations of, and those of other splits."""

    documents: int
    left_out: int


def read_document(fields: dict[str, Any], where: str) -> Document | None:
    """A document from its fields; None when it is of a split that is neither train nor eval.

    Raises:
        DataError: a field is missing or not what it should be.
    """
    line = parse(_Line, fields, where, error=DataError)
    said = [it for label in line.labels or () for it in (label.explanation, label.paraphrase)]
    try:
        "".join([line.id, line.text, *filter(None, said)]).encode()
    except UnicodeEncodeError as error:  # JSON can write half a character
        raise DataError(f"{where} holds what is no character: {error.reason}") from error
    for label in line.labels or ():
        if not label.start < label.end <= len(line.text):
            raise DataError(
                f"{where}: a label stands at {label.start} to {label.end} of a text of"
                f" {len(line.text)} characters"
            )
    if line.split not in (None, *get_args(Said)):
        return None
    return Document(line.id, line.text, line.split, line.labels)  # type: ignore[arg-type]


def sides_of(shares: Split) -> list[Side]:
    """The sides that documents are put on; an AR that learns from the AV's rows has none."""
    return [
        side for side in SIDES if isinstance(share := getattr(shares, side), float) and share > 0
    ]


def side_of(digest: str, said: str | None, shares: Split) -> Side:
    """The side of a document.

    By hash of what was read of it with case and spacing evened out, so that copies of a text lie on
    the same side, and whatever else the corpus holds makes no difference. What the corpus says is
    obeyed: its train documents are divided among the sides that learn, in proportion.

    Args:
        digest: `text_digest` of the document up to the last token that is read.
        said: "train", "eval", or None when the corpus says nothing.
        shares: the recipe's.
    """
    if said == "eval":
        return "eval"
    weights = {side: float(getattr(shares, side)) for side in sides_of(shares)}
    # In this order a corpus without sides keeps the held-out documents of earlier versions.
    order: list[Side] = [side for side in ("eval", "av", "ar", "rl") if side in weights]
    if said == "train":
        order.remove("eval")
    place = int(digest[:8], 16) / 16**8 * sum(weights[side] for side in order)
    for side in order[:-1]:
        if place < weights[side]:
            return side
        place -= weights[side]
    return order[-1]


def survey(documents: Iterable[Document | None], where: str, shares: Split) -> Survey:
    """Look through a whole corpus before anything expensive is done with it.

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
            raise DataError(f"{where}: document id {document.id!r} stands more than once")
        ids.add(document.id)
        # Of the whole, before there is a tokenizer; where that differs, the split says so.
        digest = text_digest(document.text)
        side = side_of(digest, document.split, shares)
        if side_by_text.setdefault(digest, side) != side:
            shared.add(digest)
    if not ids:
        raise NothingCheckedError(
            f"{where} has no documents"
            + (f": all {left_out} are of splits other than train and eval" if left_out else ""),
            hint="one document a line, row or file; see docs/reference/training.md",
        )
    if shared:
        raise DataError(
            f"{where}: {len(shared)} texts are in train and in eval; hold them out whole"
        )
    for side in sides_of(shares):
        if side not in side_by_text.values():
            raise NothingCheckedError(
                f"{where} has no {side} documents: all {len(ids)} are on other sides",
                hint="take more documents, or change the recipe's split",
            )
    return Survey(len(ids), left_out)
