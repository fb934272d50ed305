"""Whether what was measured on was trained on."""

from pydantic import Field, NonNegativeInt, PositiveInt

from nla_release.calibration.blocks import BOOTSTRAP, Cosine, Inconclusive, Ratio
from nla_release.calibration.parts import Evidence
from nla_release.calibration.records import Sha256, TrainingOverlap
from nla_release.calibration.statistics import cosine_rows, wilson
from nla_release.schema import Strict
from nla_release.text.numbers import count, number


class Clean(Strict):
    """The cosine without the documents that overlap, by id or by text."""

    mean: Cosine | None = Field(description="null when every document overlaps")
    n: NonNegativeInt = Field(description="rows of the others, failures included")


class Contamination(Strict):
    """The evaluation's documents and texts against those that the pair was trained on."""

    training_sha256: Sha256 = Field(description="of the list of training documents")
    training_documents: PositiveInt = Field(description="in that list")
    documents: Ratio = Field(description="evaluation documents whose id is in it")
    texts: Ratio | Inconclusive = Field(
        description="rows whose document has the text of one in it, of the rows whose document's"
        " text was compared"
    )
    clean: Clean = Field(description="the cosine without the documents that overlap")


def contamination(evidence: Evidence) -> Contamination | None:
    """What the run found, or None when it compared nothing."""
    training = evidence.run.training
    if training is None:
        return None
    texts = set(training.texts_overlapping)
    dirty = {*training.ids_overlapping, *(row.document for row in evidence.rows if row.id in texts)}
    cosines = cosine_rows(evidence.vectors["gold"], evidence.vectors["real"])
    clean = [
        cosine
        for row, cosine in zip(evidence.rows, cosines, strict=True)
        if row.document not in dirty
    ]
    return Contamination(
        training_sha256=training.sha256,
        training_documents=training.documents,
        documents=_counted(len(set(training.ids_overlapping)), len(set(evidence.documents))),
        texts=_texts(evidence, training),
        clean=Clean(mean=sum(clean) / len(clean) if clean else None, n=len(clean)),
    )


def _texts(evidence: Evidence, training: TrainingOverlap) -> Ratio | Inconclusive:
    """Rows that overlap, of those that could have been found to."""
    overlapping = set(training.texts_overlapping)
    compared = training.texts_compared
    if compared is None:
        compared = sum(row.text is not None or row.id in overlapping for row in evidence.rows)
    if compared == 0:
        return Inconclusive(
            inconclusive="of no row is the whole document's text known, so none was compared"
        )
    return _counted(len(overlapping), compared)


def _counted(hits: int, n: int) -> Ratio:
    """Documents are independent; of the rows' documents too few are known to take them whole."""
    return Ratio(hits=hits, n=n, share=hits / n, interval=wilson(hits, n, level=BOOTSTRAP.level))


def contamination_sentence(found: Contamination | None) -> str:
    """Whether the pair was measured on what it was trained on."""
    if found is None:
        return (
            "Nothing was compared with the training documents: whether the pair was trained on"
            " these texts is not known."
        )
    texts = found.texts
    by_text = (
        f"texts were not compared: {texts.inconclusive}."
        if isinstance(texts, Inconclusive)
        else f"{texts.hits} of {texts.n} rows are of a document that shares its text."
    )
    said = (
        f"Compared with {count(found.training_documents, 'training document')}:"
        f" {found.documents.hits} of {found.documents.n} evaluation documents share an id with one,"
        f" and {by_text}"
    )
    if not (found.documents.hits or (isinstance(texts, Ratio) and texts.hits)):
        return said
    return (
        f"{said} Without these documents the cosine is {number(found.clean.mean)}"
        f" (n = {found.clean.n})."
    )
