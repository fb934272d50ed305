"""Whether the evaluation data was trained on, and whether explanations repeat training labels.

Ids and digests of documents are declared by the author: another id, or none, hides a document. The
texts of the rows are in the evidence, and are compared with a sample of the training texts.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeInt, PositiveInt

from nla_release.evidence.parts import Evidence
from nla_release.evidence.records import Sha256, TrainingOverlap
from nla_release.evidence.training_documents import (
    Sample,
    TrainingShingles,
    hashes_of_rows,
    label_hash,
)
from nla_release.io.schema import Strict
from nla_release.statistics.blocks import Cosine, Inconclusive, Proportion, Ratio
from nla_release.statistics.formulas import cosine_rows, wilson
from nla_release.statistics.measures import FORMAT_3, Measures
from nla_release.text.numbers import count, number

# A text is compared when at least so many of its shingles could be in the sample; with fewer, a
# stock phrase would decide. It is near a training text when it shares half of them.
MIN_SHINGLES = 8
NEAR = 0.5


class CosineWithoutOverlap(Strict):
    """The cosine without the documents that overlap, by id or by text."""

    mean: Cosine | None = Field(description="null when every document overlaps")
    n: NonNegativeInt = Field(description="rows of the others, failures included")


class ShingleOverlap(Strict):
    """The rows' own texts compared with shingles of the training texts, without ids or digests."""

    training_sha256: Sha256 = Field(description="of training_shingles.safetensors")
    documents: PositiveInt = Field(description="training documents that the file is of")
    one_in: PositiveInt = Field(description="one shingle in so many is in the file")
    exact: Ratio | Inconclusive = Field(
        description="rows of which every sampled shingle is a training text's, of those compared"
    )
    near: Ratio | Inconclusive = Field(
        description=f"rows of which at least {NEAR} of the sampled shingles are, exact ones"
        " included"
    )
    shared: Proportion | None = Field(
        description="share of the sampled shingles of all rows together, each counted once; null"
        f" with fewer than {MIN_SHINGLES}"
    )
    withheld: NonNegativeInt = Field(description="rows without a text")
    too_short: NonNegativeInt = Field(
        description=f"rows with fewer than {MIN_SHINGLES} sampled shingles, which are not compared"
    )
    uncompared_documents: NonNegativeInt = Field(
        description="documents of which no row could be compared"
    )

    @property
    def contaminated(self) -> bool:
        """Whether a row, or all rows together, are near a training text."""
        rows = isinstance(self.near, Ratio) and self.near.hits > 0
        return rows or (self.shared is not None and self.shared >= NEAR)


class RepeatedLabels(Strict):
    """How many texts are training labels word for word, of those that the sample can show."""

    explanations: Ratio | Inconclusive = Field(description="of the AV's explanations")
    labels: Ratio | Inconclusive | None = Field(
        description="of the labels of the rows that were measured; null without labels"
    )


class Contamination(Strict):
    """The evaluation's documents and texts compared with those that the pair was trained on."""

    training_sha256: Sha256 | None = Field(
        description="of the list of training documents; null without a list"
    )
    training_documents: NonNegativeInt = Field(description="in that list")
    documents: Ratio | Inconclusive = Field(description="evaluation documents whose id is in it")
    texts: Ratio | Inconclusive = Field(
        description="rows whose document has the text of one in it, of the rows whose document's"
        " text was compared"
    )
    clean: CosineWithoutOverlap = Field(description="the cosine without the documents that overlap")
    shingles: ShingleOverlap | Inconclusive | None = Field(
        default=None, description="the rows' own texts; absent before format 3"
    )
    repeated: RepeatedLabels | None = Field(
        default=None,
        description="training labels word for word; null without their hashes, absent before"
        " format 3",
    )


_NO_LIST = Inconclusive(inconclusive="release.yaml names no list of training documents")
_NO_SHINGLES: ShingleOverlap | Inconclusive = Inconclusive(
    inconclusive="no training_shingles.safetensors was given under evaluation.training"
)


def contamination(evidence: Evidence, measures: Measures = FORMAT_3) -> Contamination | None:
    """Every comparison with the training data, or the reason why it was not made.

    Before format 3 that is the list of training documents; None without one.
    """
    training, sample = evidence.run.training, evidence.shingles
    if training is None and not measures.clustered:
        return None
    found, near = _NO_SHINGLES, set[str]()
    if sample and measures.clustered:
        found, near = _shingles(evidence, sample)
    block = Contamination(
        training_sha256=training.sha256 if training else None,
        training_documents=training.documents if training else 0,
        documents=_ids(evidence, training) if training else _NO_LIST,
        texts=_texts(evidence, training) if training else _NO_LIST,
        clean=_clean(evidence, _listed(evidence, training) | near),
    )
    if not measures.clustered:
        return block
    repeated = _repeated(evidence, sample) if sample and len(sample.labels.hashes) else None
    return block.model_copy(update={"shingles": found, "repeated": repeated})


def _shingles(evidence: Evidence, sample: TrainingShingles) -> tuple[ShingleOverlap, set[str]]:
    """The report, and the documents that are near a training text."""
    table = sample.shingles
    texts = [row.text for row in evidence.rows]
    columns = list(map(table.comparable, hashes_of_rows(texts)))
    sizes = np.array([len(column) for column in columns])
    hits = np.array([int(table.holds(column).sum()) for column in columns])
    compared = sizes >= MIN_SHINGLES
    near = compared & (hits >= NEAR * sizes)
    every = np.unique(np.concatenate(columns))
    withheld = sum(text is None for text in texts)
    places = [evidence.documents[row] for row in np.flatnonzero(compared)]
    found = ShingleOverlap(
        training_sha256=evidence.run.shingles_sha256 or "",
        documents=sample.documents,
        one_in=table.one_in,
        exact=_of_rows((hits == sizes)[compared], places, _NONE_COMPARED),
        near=_of_rows(near[compared], places, _NONE_COMPARED),
        shared=float(table.holds(every).mean()) if len(every) >= MIN_SHINGLES else None,
        withheld=withheld,
        too_short=int((~compared).sum()) - withheld,
        uncompared_documents=len(set(evidence.documents) - set(places)),
    )
    return found, {evidence.documents[row] for row in np.flatnonzero(near)}


_NONE_COMPARED = "no row has a text that is long enough to be compared"


def _repeated(evidence: Evidence, sample: TrainingShingles) -> RepeatedLabels:
    said = [(row.document, row.explanation) for row in evidence.rows if row.status == "ok"]
    labels = [(row.document, row.gold) for row in evidence.rows if row.gold is not None]
    return RepeatedLabels(
        explanations=_word_for_word(said, sample.labels),
        labels=_word_for_word(labels, sample.labels) if labels else None,
    )


def _word_for_word(texts: Sequence[tuple[str, str]], table: Sample) -> Ratio | Inconclusive:
    """How many of the texts, each given after its document, are training labels."""
    hashed = [(document, table.comparable([label_hash(text)])) for document, text in texts]
    compared = [(document, found) for document, found in hashed if len(found)]
    hits = np.array([bool(table.holds(found)[0]) for _, found in compared], dtype=np.bool_)
    return _of_rows(hits, [document for document, _ in compared], "there is no text to compare")


def _of_rows(
    hits: npt.NDArray[np.bool_], documents: Sequence[str], otherwise: str
) -> Ratio | Inconclusive:
    """A share of rows, with an interval clustered by document."""
    if not len(hits):
        return Inconclusive(inconclusive=otherwise)
    return FORMAT_3.ratio(hits, documents)


def _listed(evidence: Evidence, training: TrainingOverlap | None) -> set[str]:
    """The evaluation documents that are in the list, by id or by text."""
    if training is None:
        return set()
    texts = set(training.texts_overlapping)
    return {*training.ids_overlapping, *(row.document for row in evidence.rows if row.id in texts)}


def _clean(evidence: Evidence, dirty: Iterable[str]) -> CosineWithoutOverlap:
    without = set(dirty)
    cosines = cosine_rows(evidence.vectors["gold"], evidence.vectors["real"])
    clean = [
        cosine
        for row, cosine in zip(evidence.rows, cosines, strict=True)
        if row.document not in without
    ]
    return CosineWithoutOverlap(mean=sum(clean) / len(clean) if clean else None, n=len(clean))


def _ids(evidence: Evidence, training: TrainingOverlap) -> Ratio:
    return _counted(len(set(training.ids_overlapping)), len(set(evidence.documents)))


def _texts(evidence: Evidence, training: TrainingOverlap) -> Ratio | Inconclusive:
    """Rows that overlap, of those that were compared."""
    overlapping = set(training.texts_overlapping)
    compared = training.texts_compared
    if compared is None:
        compared = sum(row.text is not None or row.id in overlapping for row in evidence.rows)
    if not compared:
        return Inconclusive(
            inconclusive="of no row is the whole document's text known, so none was compared"
        )
    return _counted(len(overlapping), compared)


def _counted(hits: int, n: int) -> Ratio:
    """A share of documents, which are independent, or of rows whose documents are not recorded."""
    return Ratio(hits=hits, n=n, share=hits / n, interval=wilson(hits, n))


def contamination_sentence(found: Contamination | None) -> str:
    """Whether the pair was measured on what it was trained on."""
    if found is None:
        return (
            "Nothing was compared with the training documents: whether the pair was trained on"
            " these texts is not known."
        )
    said = [_by_list(found), _by_shingles(found.shingles), _repeated_sentence(found.repeated)]
    if any(isinstance(each, Ratio) and each.hits for each in (found.documents, found.texts)) or (
        isinstance(found.shingles, ShingleOverlap) and found.shingles.contaminated
    ):
        said.append(
            f"Without these documents the cosine is {number(found.clean.mean)}"
            f" (n = {found.clean.n})."
        )
    return " ".join(filter(None, said))


def _by_list(found: Contamination) -> str:
    ids, texts = found.documents, found.texts
    if isinstance(ids, Inconclusive):
        return "The author gives no list of training documents."
    by_text = (
        f"texts were not compared: {texts.inconclusive}."
        if isinstance(texts, Inconclusive)
        else f"{texts.hits} of {texts.n} rows are of a document that shares its text."
    )
    return (
        f"Compared with the author's list of"
        f" {count(found.training_documents, 'training document')}: {ids.hits} of {ids.n} evaluation"
        f" documents share an id with one, and {by_text}"
    )


def _by_shingles(found: ShingleOverlap | Inconclusive | None) -> str | None:
    """How many rows share word sequences with the training texts."""
    if found is None:
        return None
    if isinstance(found, Inconclusive):
        return "The rows' own texts were not compared with the training texts."
    of = f"the word sequences of {count(found.documents, 'training text')}"
    if isinstance(found.near, Inconclusive) or isinstance(found.exact, Inconclusive):
        said = f"No row could be compared with {of}"
    else:
        said = (
            f"Compared with {of}: {found.near.hits} of {found.near.n} rows share at least half of"
            f" theirs, {found.exact.hits} share all"
        )
    left_out = ", ".join(
        f"{count(rows, 'row')} {why}"
        for rows, why in ((found.withheld, "without a text"), (found.too_short, "too short"))
        if rows
    )
    return f"{said} (not compared: {left_out})." if left_out else f"{said}."


def _repeated_sentence(found: RepeatedLabels | None) -> str | None:
    if found is None or isinstance(found.explanations, Inconclusive):
        return None
    said, labels = found.explanations, found.labels
    held_out = (
        f" and {labels.hits} of {labels.n} held-out labels" if isinstance(labels, Ratio) else ""
    )
    return f"{said.hits} of {said.n} explanations{held_out} repeat a training label word for word."
