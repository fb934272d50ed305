"""How good a pair is, in three questions: each with its grade and the rows of its table.

Cards, RELEASE_CALIBRATION.md, the terminal and the HTML report show these rows, in these words.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from nla_release.calibration.blocks import AgainstChance, Control, Ranking
from nla_release.calibration.label import grades
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
from nla_release.calibration.row import Row, share_row
from nla_release.text.numbers import count, number

CONTROLS: dict[ControlName, str] = {
    "shuffled": "another row's explanation",
    "empty": "the empty explanation",
    "predict_mean": "the mean training direction",
    "random_vector": "the explanation of a random direction",
    "zero_vector": "the explanation of the zero vector",
    "gold_text": "the labelled explanation (a ceiling)",
}

# What a card shows of the plain controls; another row's text is the first row, centred.
_ON_CARDS: tuple[ControlName, ...] = ("predict_mean", "empty", "random_vector")


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
    given = grades(calibration)
    return [
        Question(
            "tells_rows_apart",
            "Does it tell rows apart?",
            given.tells_rows_apart,
            list(_apart(calibration)),
            list(_plainly_apart(calibration)),
        ),
        Question(
            "reads_text",
            "Does the AR read the text?",
            given.reads_text,
            list(_read(calibration)),
            list(_read_besides(calibration)),
        ),
        Question(
            "readable",
            "Can a reader use the text?",
            given.readable,
            list(_used(calibration)),
            [],
        ),
    ]


def _apart(calibration: CurrentCalibration) -> Iterator[Row]:
    pairs, found = calibration.contrasts, calibration.retrieval
    yield from _contrasts("Centred cosine", pairs.within, pairs.between, pairs.above_token)
    if inside := found.in_document:
        name = "Own activation is the nearest of its document"
        yield _against(name, inside, "knowing the document")
    yield _retrieved(found)


def _plainly_apart(calibration: CurrentCalibration) -> Iterator[Row]:
    pairs, near = calibration.plain_contrasts, calibration.retrieval.percentile
    yield from _contrasts("Plain cosine", pairs.within, pairs.between, pairs.above_token)
    yield _against("Other activations that are farther than the own one", near, "chance")


def _contrasts(
    score: str,
    within: PairContrast | None,
    between: PairContrast | None,
    above_token: PairContrast | None,
) -> Iterator[Row]:
    if within:
        words = "texts of other rows of the document"
        yield _contrast(f"{score}, own text", within, words)
    if between:
        name = f"{score}, texts of other rows of the document"
        yield _contrast(name, between, "texts of other documents")
    if above_token:
        words = "texts of other documents at the same token"
        yield _contrast(f"{score}, own text", above_token, words)


def _contrast(name: str, found: PairContrast, control: str) -> Row:
    return Row(
        name,
        found.first,
        found.n,
        control=control,
        baseline=found.second,
        difference=found.difference,
        interval=found.interval,
    )


def _against(name: str, found: AgainstChance, control: str) -> Row:
    return Row(
        name,
        found.mean,
        found.n,
        control=control,
        baseline=found.chance,
        difference=found.difference,
        interval=found.interval,
    )


def _retrieved(found: CurrentRetrieval) -> Row:
    """Against knowing the document; with one row per document, that says which row it is."""
    chance = f"chance {number(found.chance)}, 1 in {found.candidates}"
    alone = found.document_alone < 1
    baseline = found.document_alone if alone else found.chance
    return Row(
        "Own activation is the nearest of all (top-1)",
        found.top1,
        found.n,
        found.hits,
        f"knowing the document ({chance})" if alone else f"{chance}; one row per document",
        baseline,
        found.top1 - baseline,
        found.above_document_interval if alone else found.above_chance_interval,
    )


def _read(calibration: CurrentCalibration) -> Iterator[Row]:
    yield _contrast(
        "Centred cosine, own text",
        calibration.contrasts.above_others,
        "texts of other documents",
    )
    yield _explained("Variance explained (FVE)", calibration.fve)
    for name in _ON_CARDS:
        yield _control(calibration, name)
    failures = calibration.failures
    yield share_row("Explanations that fail", failures)


def _read_besides(calibration: CurrentCalibration) -> Iterator[Row]:
    yield _explained("Mean-norm FVE", calibration.fve_mean_norm)
    for name, control in calibration.centred.controls.items():
        mean = calibration.centred.mean
        yield _controlled("Centred cosine (failures count 0)", mean, name, control)
    for name in CONTROL_NAMES:
        if name in calibration.controls and name not in _ON_CARDS:
            yield _control(calibration, name)


def _control(calibration: CurrentCalibration, name: ControlName) -> Row:
    control = calibration.controls[name]
    return _controlled("Plain cosine (failures count 0)", calibration.cosine.mean, name, control)


def _controlled(score: str, value: float, name: ControlName, control: Control) -> Row:
    failed = f" ({count(control.failed, 'row')} failed)" if control.failed else ""
    return Row(
        score,
        value,
        control.n,
        control=f"{CONTROLS[name]}{failed}",
        baseline=control.mean,
        difference=control.difference,
        interval=control.interval,
    )


def _explained(name: str, fve: Fve) -> Row:
    """Its difference takes failed rows as ties, so it is not that of the two."""
    return Row(
        name,
        fve.value,
        fve.n,
        control="the mean training activation (failed rows tie)",
        baseline=fve.of_mean,
        difference=fve.above_mean,
        interval=fve.above_mean_interval,
    )


def _used(calibration: CurrentCalibration) -> Iterator[Row]:
    matched = calibration.probes.text_retrieval
    if not isinstance(matched, TextRetrieval):
        return
    yield _led("Explanation leads to its source document, by words", matched.lexical)
    if isinstance(matched.encoder, Ranking):
        yield _led("Explanation leads to its source document, by an encoder", matched.encoder)


def _led(name: str, found: Ranking) -> Row:
    low, high = found.interval
    return Row(
        name,
        found.top1,
        found.n,
        found.hits,
        f"chance, 1 in {found.candidates}",
        found.chance,
        found.top1 - found.chance,
        (low - found.chance, high - found.chance),
    )
