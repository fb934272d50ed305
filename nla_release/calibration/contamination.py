"""Whether what was measured on was trained on."""

from pydantic import Field, NonNegativeInt, PositiveInt

from nla_release.calibration.blocks import Cosine, Ratio
from nla_release.calibration.evidence import Evidence
from nla_release.calibration.measures import ratio
from nla_release.calibration.records import Sha256
from nla_release.calibration.statistics import cosine_rows
from nla_release.schema import Strict


class Clean(Strict):
    """The cosine without the rows that overlap."""

    mean: Cosine | None = Field(description="null when every row overlaps")
    n: NonNegativeInt = Field(description="rows that do not overlap, failures included")


class Contamination(Strict):
    """The evaluation's documents and texts against those that the pair was trained on."""

    training_sha256: Sha256 = Field(description="of the list of training documents")
    training_documents: PositiveInt = Field(description="in that list")
    documents: Ratio = Field(description="evaluation documents whose id is in it")
    texts: Ratio = Field(description="rows whose document has the text of one in it")
    clean: Clean = Field(description="the cosine without the rows that overlap")


def contamination(evidence: Evidence) -> Contamination | None:
    """What the run found, or None when it compared nothing."""
    training = evidence.run.training
    if training is None:
        return None
    ids, texts = set(training.ids_overlapping), set(training.texts_overlapping)
    cosines = cosine_rows(evidence.vectors["gold"], evidence.vectors["real"])
    clean = [
        cosine
        for row, cosine in zip(evidence.rows, cosines, strict=True)
        if row.document not in ids and row.id not in texts
    ]
    return Contamination(
        training_sha256=training.sha256,
        training_documents=training.documents,
        documents=ratio(len(ids), len(set(evidence.documents))),
        texts=ratio(len(texts), len(evidence.rows)),
        clean=Clean(mean=sum(clean) / len(clean) if clean else None, n=len(clean)),
    )
