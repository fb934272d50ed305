"""Contradictions within evidence: in its documents, reconstructions and reference mean.

Numbers alone cannot show that evidence is true. Three facts can show that it is not: rows of one
document come from one text, an AR gives one reconstruction per text, and the norm of a mean of unit
vectors equals their mean cosine with it.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise

import numpy as np
from pydantic import Field

from nla_release.calibration.contamination import MIN_SHINGLES, NEAR
from nla_release.evidence.controls import row_texts
from nla_release.evidence.parts import Evidence
from nla_release.evidence.records import EvidenceRow
from nla_release.evidence.training_documents import word_sequences
from nla_release.io.schema import Strict
from nla_release.statistics.blocks import MIN_DOCUMENTS_OF_INTERVAL
from nla_release.statistics.clustered import mean_intervals
from nla_release.statistics.formulas import Floats, unit_rows
from nla_release.statistics.places import retrieved

# Texts of two documents may share a title or a greeting.
MIN_SHARED = 80

# Largest 1 - cosine of two reconstructions of one text. It was below 1e-15 in five runs of two
# bases, where each text is read once; bfloat16 and other batches change it by about 1e-5.
SAME_TEXT = 1e-3

# The same for two texts that look alike: an additional space may change the reconstruction a
# little. Rows of one document are farther apart than this.
LOOKS_ALIKE = 0.1

# Invisible, and not of the category Cf: the grapheme joiner, fillers, and variation selectors.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")

# The variance of a reference of other texts is up to 1.11 times that of the rows (rows of one topic
# of twelve, on the tiny base). It is compared with the lower end of the rows' interval.
MAX_VARIANCE = 1.1
# Rows of one topic score at least 0.88 of the norm of the reference mean; of another layer, about
# 0.
LEAST_COSINE = 0.8
# Below this norm the activations have no common direction to compare.
LEAST_MEAN = 0.1

# Characters at the beginning of a document that are compared with other documents.
_BEGINNING = 1000

_HALF_CHARACTER = "\ufffd"  # where a token ends inside a character, and the text was decoded

Texts = list[str | None]


class DocumentsChecked(Strict):
    """Whether the source texts confirm the documents that rows name."""

    checked: bool = Field(
        description="whether rows of one document were seen to read one text, and different"
        " documents different ones; false where that is the author's word"
    )
    reason: str | None = Field(default=None, description="why not; absent when it was checked")


def documents_checked(evidence: Evidence) -> DocumentsChecked:
    """Whether every row has a source text, and every document a text of its own."""
    reason = _why_not_checked(evidence)
    return DocumentsChecked(checked=False, reason=reason) if reason else _CHECKED


_CHECKED = DocumentsChecked(checked=True)


def _why_not_checked(evidence: Evidence) -> str | None:
    if withheld := sum(not (row.text or "").strip() for row in evidence.rows):
        return f"the source texts of {withheld} of {len(evidence.rows)} rows are withheld"
    longest = _longest(_texts(evidence))
    total = len(longest)
    if alike := sum(longer.startswith(text) for text, longer in pairwise(sorted(longest.values()))):
        return (
            f"the source texts of {alike} of {total} documents are beginnings of other documents"
            " too"
        )
    if copied := copies(longest):
        return (
            f"half or more of the first word sequences in {copied} of {total} documents are in"
            " other documents too"
        )
    return None


def copies(texts: Mapping[str, str]) -> int:
    """The number of documents that share half of their first word sequences with others.

    Finds a document that was split in two, even where single words were changed.
    """
    shingles = [set(word_sequences(text[:_BEGINNING])) for text in texts.values()]
    holders = Counter(chain.from_iterable(shingles))
    return sum(
        sum(holders[each] > 1 for each in found) >= NEAR * len(found)
        for found in shingles
        if len(found) >= MIN_SHINGLES
    )


def unlike_documents(evidence: Evidence) -> list[str]:
    """Contradictions between the rows' texts and documents, as sentences.

    A row's text is its document up to and including the activation's position. So the texts of a
    document are prefixes of its longest one, and no document's text is a prefix of another's.
    """
    texts = _texts(evidence)
    longest = _longest(texts)
    found = [
        f"the text of row {row.id!r} is not a prefix of document {row.document!r}"
        for row, text in texts
        if not longest[row.document].startswith(text)
    ]
    ordered = sorted((text, name) for name, text in longest.items() if len(text) >= MIN_SHARED)
    found += [
        f"documents {name!r} and {other!r} have the same text"
        for (text, name), (longer, other) in pairwise(ordered)
        if longer.startswith(text)
    ]
    return found


def _texts(evidence: Evidence) -> list[tuple[EvidenceRow, str]]:
    """The rows with a source text, each with that text."""
    return [
        (row, row.text.rstrip(_HALF_CHARACTER)) for row in evidence.rows if row.text is not None
    ]


def _longest(texts: Sequence[tuple[EvidenceRow, str]]) -> dict[str, str]:
    """By document, the longest text of its rows."""
    longest: dict[str, str] = {}
    for row, text in texts:
        longest[row.document] = max(longest.get(row.document, ""), text, key=len)
    return longest


def read_differently(evidence: Evidence) -> list[tuple[str, str]]:
    """Tensors and rows whose reconstruction differs from that of the same text elsewhere."""
    first: dict[str, Floats] = {}
    return [
        (tensor, row)
        for tensor, row, text, vector in _reconstructions(evidence)
        if 1 - first.setdefault(text, vector) @ vector > SAME_TEXT
    ]


def look_alike(evidence: Evidence) -> list[tuple[str, str]]:
    """Tensors and rows whose reconstruction differs from that of a text that looks the same.

    Texts that differ in spaces or invisible characters look the same to a reader.
    """
    first: dict[str, tuple[str, Floats]] = {}
    found = []
    for tensor, row, text, vector in _reconstructions(evidence):
        other, read = first.setdefault(looks(text), (text, vector))
        if other != text and 1 - read @ vector > LOOKS_ALIKE:
            found.append((tensor, row))
    return found


def looks(text: str) -> str:
    """A text as a reader sees it: without invisible characters, NFKC, single spaces."""
    composed = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
    seen = "".join(each for each in composed if unicodedata.category(each) != "Cf")
    return " ".join(seen.split())


def more_hits_than_texts(evidence: Evidence) -> list[tuple[str, int, int]]:
    """Tensors with more retrieved rows than visibly different texts, with both counts.

    One text has one reconstruction, so it can retrieve only one row.
    """
    found, mean = [], evidence.vectors["reference_mean"]
    for tensor, texts in _read(evidence):
        distinct = len({looks(text) for text in texts if text is not None})
        if distinct == len(texts):
            continue
        hits = int(retrieved(evidence.vectors[tensor], evidence.vectors["gold"], mean).sum())
        if hits > distinct:
            found.append((tensor, hits, distinct))
    return found


def misfit_of_reference(evidence: Evidence, others: float) -> str | None:
    """Why the reference mean cannot be the mean of activations like these; None where it can.

    Unit vectors with mean mu have the mean cosine ||mu|| with it, since
    `mean u . mu / ||mu|| = ||mu||`. Rows of the same kind give about the same. A shorter mean makes
    `1 - ||mu||^2`, the denominator of FVE, larger and FVE too high. A mean of another layer or base
    has a direction that the rows do not share. None with too few documents for an interval.
    `others` is `reference.other_documents`, the cosine with the mean of the other documents.
    """
    if len(set(evidence.documents)) < MIN_DOCUMENTS_OF_INTERVAL:
        return None
    mean = evidence.vectors["reference_mean"].astype(np.float64)
    gold = unit_rows(evidence.vectors["gold"])
    norm = float(np.linalg.norm(mean))
    cosines = gold @ (mean / norm)
    score = float(cosines.mean())
    (interval,) = mean_intervals(cosines[np.newaxis], evidence.documents)
    promised = max(norm, others)
    if promised > LEAST_MEAN and score < LEAST_COSINE * promised:
        return (
            f"reference_mean has cosine {score:.3f} with these activations, where its norm is"
            f" {norm:.3f} and the mean of their other documents has {others:.3f}: it is of another"
            " layer, base or kind of text"
        )
    low = max(interval[0], 0.0) if interval else 0.0
    if 1 - norm**2 > MAX_VARIANCE * (1 - low**2):
        return (
            f"reference_mean is {norm:.3f} long, and has cosine {score:.3f} with these activations,"
            " where the mean of such activations is as long as that: FVE divides by a variance that"
            " is too large"
        )
    return None


def _read(evidence: Evidence) -> Iterator[tuple[str, Texts]]:
    """The texts of each tensor [N, d]; None where there was none or it was not recorded."""
    for tensor, texts in row_texts(evidence).items():
        if tensor in evidence.vectors:
            yield tensor, [text if text or tensor == "empty" else None for text in texts]


def _reconstructions(evidence: Evidence) -> Iterator[tuple[str, str, str, Floats]]:
    """Every recorded text with its tensor, its row and its reconstruction [d] at norm 1."""
    for tensor, texts in _read(evidence):
        units = unit_rows(evidence.vectors[tensor])
        for row, text, vector in zip(evidence.rows, texts, units, strict=True):
            if text is not None:
                yield tensor, row.id, text, vector
