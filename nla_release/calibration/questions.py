"""How good a pair is, in three questions: each with its grade and the rows of its table.

Cards, RELEASE_CALIBRATION.md, the terminal and the HTML report show these rows, in these words.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from nla_release.calibration.blocks import AgainstChance, Inconclusive, Ranking
from nla_release.calibration.probes.text_retrieval import TextRetrieval
from nla_release.calibration.report import (
    CONTROL_NAMES,
    ControlName,
    CurrentCalibration,
    CurrentRetrieval,
    Fve,
    Grade,
    PairContrast,
)
from nla_release.calibration.row import Row, compared, share_compared
from nla_release.text.numbers import count, number

CONTROLS: dict[ControlName, str] = {
    "shuffled": "another row's explanation",
    "empty": "the empty explanation",
    "predict_mean": "the mean training direction",
    "random_vector": "the explanation of a random direction",
    "zero_vector": "the explanation of the zero vector",
    "gold_text": "the labelled explanation (a ceiling)",
}


@dataclass(frozen=True)
class Question:
    """A question that a reader has, its answer in a word, and the numbers behind it.

    `rows` are what a card shows. `more` is for those who want every control.
    """

    name: str
    question: str
    grade: Grade
    rows: list[Row]
    more: list[Row]


def questions(calibration: CurrentCalibration) -> list[Question]:
    """The three, of which the first decides the label."""
    grades = calibration.label.grades
    assert grades is not None  # every label of this format has them
    return [
        Question(
            "tells_rows_apart",
            "Does it tell rows apart?",
            grades.tells_rows_apart,
            list(_apart(calibration)),
            list(_plainly_apart(calibration)),
        ),
        Question(
            "reads_text",
            "Does the AR read the text?",
            grades.reads_text,
            list(_read(calibration)),
            list(_read_besides(calibration)),
        ),
        Question(
            "readable",
            "Can a reader use the text?",
            grades.readable,
            list(_used(calibration)),
            [],
        ),
    ]


def _apart(calibration: CurrentCalibration) -> Iterator[Row]:
    pairs, found = calibration.contrasts, calibration.retrieval
    yield from _contrasts("Centred cosine", pairs.within, pairs.between, pairs.above_token)
    if inside := found.in_document:
        yield _nearest("Own activation is the nearest of its document", inside)
    yield _retrieved(found)


def _plainly_apart(calibration: CurrentCalibration) -> Iterator[Row]:
    pairs, near = calibration.plain_contrasts, calibration.retrieval.percentile
    yield from _contrasts("Plain cosine", pairs.within, pairs.between, pairs.above_token)
    yield compared(
        "Other activations that are farther than the own one",
        near.mean,
        near.chance,
        "chance",
        near.difference,
        near.interval,
        near.n,
    )


def _contrasts(
    score: str,
    within: PairContrast | None,
    between: PairContrast | None,
    above_token: PairContrast | None,
) -> Iterator[Row]:
    if within:
        words = "explanations of other rows of the document"
        yield _contrast(f"{score}, own explanation", within, words)
    if between:
        name = f"{score}, explanations of other rows of the document"
        yield _contrast(name, between, "explanations of other documents")
    if above_token:
        words = "explanations of other documents at the same token"
        yield _contrast(f"{score}, own explanation", above_token, words)


def _contrast(name: str, found: PairContrast, words: str) -> Row:
    return compared(
        name, found.first, found.second, words, found.difference, found.interval, found.n
    )


def _nearest(name: str, found: AgainstChance) -> Row:
    return compared(
        name,
        found.mean,
        found.chance,
        "knowing the document",
        found.difference,
        found.interval,
        found.n,
    )


def _retrieved(found: CurrentRetrieval) -> Row:
    """Against knowing the document, which is chance with one row per document."""
    words = f"knowing the document (chance {number(found.chance)}, 1 in {found.candidates})"
    return compared(
        "Own activation is the nearest of all (top-1)",
        found.top1,
        found.document_alone,
        words if found.document_alone < 1 else "one row per document",
        found.top1 - found.document_alone,
        found.above_document_interval,
        found.n,
        hits=found.hits,
    )


def _read(calibration: CurrentCalibration) -> Iterator[Row]:
    yield _contrast(
        "Centred cosine, own explanation",
        calibration.contrasts.above_others,
        "explanations of other documents",
    )
    yield _explained("Variance explained (FVE)", calibration.fve)
    for name in ("predict_mean", "empty", "random_vector"):
        yield _control(calibration, name)
    failures = calibration.failures
    yield share_compared("Explanations that fail", failures)


def _read_besides(calibration: CurrentCalibration) -> Iterator[Row]:
    yield _explained("Mean-norm FVE", calibration.fve_mean_norm)
    for name in CONTROL_NAMES:
        if name in calibration.centred.controls:
            control = calibration.centred.controls[name]
            yield compared(
                "Centred cosine, failures as 0",
                calibration.centred.mean,
                control.mean,
                CONTROLS[name],
                control.difference,
                control.interval,
                control.n,
            )
    for name in CONTROL_NAMES:
        if name in calibration.controls and name not in ("predict_mean", "empty", "random_vector"):
            yield _control(calibration, name)


def _control(calibration: CurrentCalibration, name: ControlName) -> Row:
    control = calibration.controls[name]
    failed = f" ({count(control.failed, 'row')} failed)" if control.failed else ""
    return compared(
        "Plain cosine, failures as 0",
        calibration.cosine.mean,
        control.mean,
        f"{CONTROLS[name]}{failed}",
        control.difference,
        control.interval,
        control.n,
    )


def _explained(name: str, fve: Fve) -> Row:
    """Its difference from the mean takes failed rows as ties, so it is not that of the two."""
    return compared(
        name,
        fve.value,
        fve.of_mean,
        "the mean training activation on these rows; failed rows are ties in the difference",
        fve.above_mean,
        fve.above_mean_interval,
        fve.n,
    )


def _used(calibration: CurrentCalibration) -> Iterator[Row]:
    matched = calibration.probes.text_retrieval
    if not isinstance(matched, TextRetrieval):
        return
    yield _led("Explanation leads to its source document, by words", matched.lexical)
    if isinstance(matched.encoder, Ranking):
        yield _led("Explanation leads to its source document, by an encoder", matched.encoder)


def _led(name: str, found: Ranking | Inconclusive) -> Row:
    assert isinstance(found, Ranking)
    low, high = found.interval
    return compared(
        name,
        found.top1,
        found.chance,
        f"chance, 1 in {found.candidates}",
        found.top1 - found.chance,
        (low - found.chance, high - found.chance),
        found.n,
        hits=found.hits,
    )
