"""At which tokens of a document activations are taken."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nla_release.errors import DataError
from nla_release.training.corpus import Document
from nla_release.training.recipe import Extraction


@dataclass(frozen=True)
class Place:
    """A position of a document to take the activation at, and what the corpus says of it."""

    position: int
    explanation: str | None = None
    paraphrase: str | None = None


def places(
    document: Document, digest: str, offsets: Sequence[tuple[int, int]], settings: Extraction
) -> tuple[list[Place], Counter[str]]:
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
        found: dict[int, Place] = {}
        for label in document.labels:
            position = _last_token(offsets, label.start, label.end)
            if position is None:
                left_out["labels beyond extract.max_tokens"] += 1
            elif position in found:
                raise DataError(f"document {document.id}: two labels end in token {position}")
            else:
                found[position] = Place(position, label.explanation, label.paraphrase)
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
    return [Place(int(at)) for at in sorted(chosen)], left_out


def _last_token(offsets: Sequence[tuple[int, int]], start: int, end: int) -> int | None:
    """The token that the characters `start:end` end in, when the whole word is inside."""
    covering = [at for at, (left, right) in enumerate(offsets) if left < end and right > start]
    return covering[-1] if covering and offsets[covering[-1]][1] >= end else None
