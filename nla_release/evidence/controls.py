"""The controls of a reconstruction: their texts, their scores, and the rule of the shuffled one.

A control without a text does not score 0, which would make it easier to beat the more often the AV
fails. Where another row, a random direction or the zero vector has no explanation, the AR's
reconstruction of the empty text is used instead.

The shuffled control could be made easy to beat by choosing bad texts for it. So the other row of
each row follows from the documents and the seed alone, and reading evidence computes it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nla_release.errors import EvidenceError
from nla_release.evidence.parts import Condition, Evidence
from nla_release.evidence.records import NOT_FROM_THE_EXPLANATION, EvidenceRow, Run, TextCondition
from nla_release.statistics.formulas import Floats, cosine_rows
from nla_release.statistics.measures import FORMAT_3, Measures
from nla_release.statistics.places import Places

Vectors = npt.NDArray[np.floating[Any]]
Answer = Condition | TextCondition | Literal["predict_mean"]


@dataclass(frozen=True)
class ControlKind:
    """How a control is called wherever it is shown, and what it removes from the score."""

    words: str
    takes_out: str


# Every control of a cosine, in the order in which they are shown.
CONTROLS: dict[str, ControlKind] = {
    "shuffled": ControlKind("another row's explanation", "that the text belongs to the activation"),
    "empty": ControlKind("the empty explanation", "the text"),
    "gold_text": ControlKind(
        "the labelled explanation (a ceiling)", "nothing: what a good text scores"
    ),
    "lookup_table": ControlKind(
        "the label of the nearest training activation", "the AV: what a table of labels scores"
    ),
    "random_vector": ControlKind(
        "the explanation of a random direction", "the activation, before it is explained"
    ),
    "zero_vector": ControlKind(
        "the explanation of the zero vector", "the activation, before it is explained"
    ),
    "predict_mean": ControlKind("the mean training direction", "the text and the AR"),
    "gibberish": ControlKind("gibberish of equal length", "the words"),
    "word_shuffled": ControlKind("its words in another order", "the order of words"),
    "source_text": ControlKind("the source text", "nothing: what a perfect quotation scores"),
    "paraphrase": ControlKind("a paraphrase of it", "the wording"),
    "sentence_shuffled": ControlKind("its sentences in another order", "the order of sentences"),
}

_WITHOUT_OWN_TEXT = frozenset({"shuffled", "random_vector", "zero_vector"})


def reconstructions(evidence: Evidence, name: Answer) -> npt.NDArray[np.float32]:
    """[N, d] the AR's reconstructions under a condition, or the reference mean for all rows.

    A row without an explanation keeps zeros, which score 0, in conditions made from its own
    explanation: the real score is 0 there too.
    """
    if name == "predict_mean":
        mean = evidence.vectors["reference_mean"]
        return np.broadcast_to(mean, evidence.vectors["gold"].shape)
    found = evidence.vectors[name]
    if name not in _WITHOUT_OWN_TEXT:
        return found
    return np.where(evidence.failed(name)[:, np.newaxis], evidence.vectors["empty"], found)


def cosines(evidence: Evidence, name: Answer) -> Floats:
    """[N] cosines of the activations with `reconstructions`."""
    return cosine_rows(evidence.vectors["gold"], reconstructions(evidence, name))


def centred_cosines(evidence: Evidence, name: Answer) -> Floats:
    """[N] cosines of unit vectors less the reference mean.

    A row without an explanation has 0 in every condition: a tie.
    """
    found = between(evidence, evidence.vectors["gold"], reconstructions(evidence, name), FORMAT_3)
    return np.where(evidence.failed("real"), 0.0, found)


def scores(evidence: Evidence, name: Answer, measures: Measures) -> Floats:
    """[N] the cosines that a diagnostic compares: centred, or plain before format 3."""
    return centred_cosines(evidence, name) if measures.clustered else cosines(evidence, name)


def between(evidence: Evidence, gold: Vectors, read: Vectors, measures: Measures) -> Floats:
    """[n] the same for any activations [n, d] and reconstructions [n, d]."""
    return cosine_rows(gold, read, centre(evidence, measures))


def all_places(evidence: Evidence, measures: Measures) -> Places:
    """The ranks of the own activations among all, by the same cosines."""
    return evidence.places if measures.clustered else evidence.plain_places


def centre(evidence: Evidence, measures: Measures) -> Floats | None:
    """[d] the reference mean, which unit vectors are compared without; None before format 3."""
    mean: Floats = evidence.vectors["reference_mean"].astype(np.float64)
    return mean if measures.clustered else None


def row_texts(evidence: Evidence) -> dict[str, list[str | None]]:
    """The text of each row, by tensor `[N, d]` of reconstructions."""
    rows, zero = evidence.rows, evidence.run.zero_vector
    explained = {row.id: row.explanation if row.status == "ok" else None for row in rows}
    random = [row.random_vector for row in rows]
    texts: dict[str, list[str | None]] = {
        "real": list(explained.values()),
        "shuffled": [explained[row.shuffled_from] for row in rows],
        "empty": [""] * len(rows),
        "random_vector": [it.explanation if it.status == "ok" else None for it in random],
        "zero_vector": [zero.explanation if zero.status == "ok" else None] * len(rows),
    }
    if "gold_text" in evidence.vectors:
        texts["gold_text"] = [row.gold for row in rows]
    for name in rows[0].texts:
        always = name in NOT_FROM_THE_EXPLANATION
        texts[name] = [row.texts[name] if always or row.status == "ok" else None for row in rows]
    return texts


def failures(evidence: Evidence, name: Answer) -> int:
    """The number of rows where the condition had no text."""
    return 0 if name == "predict_mean" else int(evidence.failed(name).sum())


def has(evidence: Evidence, name: Answer) -> bool:
    """Whether the evidence holds the condition."""
    return name == "predict_mean" or name in evidence.vectors


# The name of the shuffle's rule in run.json.
SHUFFLE: Literal["v2"] = "v2"


def other_rows(documents: Sequence[str], seed: int) -> list[int]:
    """For each row, the row whose explanation replaces its own: one of another document.

    Rows are laid out document by document, in a random order, and shifted by the largest
    document's size. Where one document holds more than half of all rows, some rows would still get
    one of their own document; these get a random row of another. With a single document, the
    other row is of the same document.

    Args:
        documents: [N] the document of each row, in the order of the data.
        seed: for numpy's legacy generator, whose stream is frozen (NEP 19).
    """
    random = np.random.RandomState(seed)
    names, labels, counts = np.unique(documents, return_inverse=True, return_counts=True)
    rank = random.permutation(len(names))[labels]
    order = np.lexsort((random.random_sample(len(documents)), rank))
    shift = int(counts.max()) if len(names) > 1 else 1
    source = np.empty(len(documents), dtype=np.intp)
    source[order] = np.roll(order, -shift)
    if len(names) > 1:
        for row in np.flatnonzero(labels[source] == labels):
            source[row] = random.choice(np.flatnonzero(labels != labels[row]))
    return [int(row) for row in source]


def check_shuffle(path: Path, rows: Sequence[EvidenceRow], run: Run) -> None:
    """Check that each row's other row exists, is of another document, and follows the rule.

    Older runs name no rule; theirs cannot be computed again.

    Raises:
        EvidenceError: a row fails the check; the message names the line.
    """
    by_id = {row.id: row for row in rows}
    documents = [row.document for row in rows]
    ruled = [rows[at].id for at in other_rows(documents, run.seed)] if run.shuffle else None
    for position, row in enumerate(rows):
        where = f"{path} line {position + 1}"
        source = by_id.get(row.shuffled_from)
        if source is None:
            raise EvidenceError(
                f"{where}: shuffled_from {row.shuffled_from!r} is not the id of a row"
            )
        if source.status != row.shuffled_status:
            raise EvidenceError(
                f"{where}: shuffled_status is {row.shuffled_status}, but row {source.id!r}"
                f" has status {source.status}"
            )
        if source.document == row.document and len(set(documents)) > 1:
            raise EvidenceError(
                f"{where}: shuffled_from {source.id!r} is of the same document"
                f" {row.document!r}, so it is not a control"
            )
        if ruled and row.shuffled_from != ruled[position]:
            raise EvidenceError(
                f"{where}: shuffled_from is {row.shuffled_from!r}, but documents and seed"
                f" {run.seed} give {ruled[position]!r}"
            )
