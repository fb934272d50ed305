"""What stands beside the real reconstruction, and what a control scores that has no text.

A failed control is not a control at 0: the AR was asked nothing there, and a zero would make it the
easier to beat the more often it fails. Where another row, a random direction or the zero vector has
no explanation, the AR's answer to the empty text stands in: that is what it makes of nothing said.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nla_release.evidence.parts import Evidence
from nla_release.evidence.records import NOT_FROM_THE_EXPLANATION, TextCondition
from nla_release.evidence.vectors import Condition
from nla_release.statistics.formulas import Floats, cosine_rows
from nla_release.statistics.measures import FORMAT_3, Measures
from nla_release.statistics.places import Places

Vectors = npt.NDArray[np.floating[Any]]
Answer = Condition | TextCondition | Literal["predict_mean"]


@dataclass(frozen=True)
class ControlKind:
    """What a control is called wherever it is shown, and what it takes out."""

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
    """[N, d] the AR's answers under a condition, or the mean that is always the same answer.

    Zeros, which score 0, remain where the row's own explanation failed and the condition is made
    of it: there the real one scores 0 too.
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
    """[N] cosines of what unit activations and reconstructions have beyond the reference mean.

    Where the row's own explanation failed it is 0 in every condition: a tie.
    """
    found = between(evidence, evidence.vectors["gold"], reconstructions(evidence, name), FORMAT_3)
    return np.where(evidence.failed("real"), 0.0, found)


def scores(evidence: Evidence, name: Answer, measures: Measures) -> Floats:
    """[N] what a diagnostic compares: centred cosines, or plain ones before format 3."""
    return centred_cosines(evidence, name) if measures.clustered else cosines(evidence, name)


def between(evidence: Evidence, gold: Vectors, read: Vectors, measures: Measures) -> Floats:
    """[n] the same of any activations [n, d] and reconstructions [n, d]."""
    return cosine_rows(gold, read, centre(evidence, measures))


def all_places(evidence: Evidence, measures: Measures) -> Places:
    """Where each reconstruction places its own activation among all, by the same."""
    return evidence.places if measures.clustered else evidence.plain_places


def centre(evidence: Evidence, measures: Measures) -> Floats | None:
    """[d] what unit vectors are compared without: the reference mean, nothing before format 3."""
    mean: Floats = evidence.vectors["reference_mean"].astype(np.float64)
    return mean if measures.clustered else None


def row_texts(evidence: Evidence) -> dict[str, list[str | None]]:
    """The texts of the tensors `[N, d]` that hold a reconstruction per row."""
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
    """Rows where the condition had no text."""
    return 0 if name == "predict_mean" else int(evidence.failed(name).sum())


def has(evidence: Evidence, name: Answer) -> bool:
    """Whether the evidence holds the condition."""
    return name == "predict_mean" or name in evidence.vectors
