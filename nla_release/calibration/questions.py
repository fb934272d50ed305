"""Three questions about a pair, each with its grade and the rows of its table.

Cards, RELEASE_CALIBRATION.md, the terminal and the HTML report all show these rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from nla_release.calibration.label import grades
from nla_release.calibration.report import (
    CONTROL_NAMES,
    Contrasts,
    ControlName,
    CurrentCalibration,
    Fve,
    Grade,
    PairContrast,
)
from nla_release.diagnostics.model import control_row, first_row
from nla_release.diagnostics.text_retrieval import TextRetrieval, rankings
from nla_release.evidence.controls import CONTROLS
from nla_release.statistics.blocks import AgainstChance
from nla_release.statistics.row import Row, difference_row, share_row

# The controls that a card shows. The lookup table shows whether the pair is better than a table of
# training labels.
_ON_CARDS: tuple[ControlName, ...] = ("lookup_table", "empty", "random_vector")


@dataclass(frozen=True)
class Question:
    """A question, its grade, and the rows behind it.

    A card shows `rows`; RELEASE_CALIBRATION.md shows `more`, with every control, too.
    """

    name: str
    question: str
    grade: Grade
    rows: list[Row]
    more: list[Row]


def questions(calibration: CurrentCalibration) -> list[Question]:
    """The three questions; the first decides the label."""
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
    found = calibration.retrieval
    yield from _contrasts("Centred cosine", calibration.contrasts)
    if inside := found.in_document:
        name = "Own activation is found among those of its document"
        yield _against(name, inside, "knowing the document (failed rows tie)")
    yield first_row("Own activation is the nearest of all (top-1)", found)


def _plainly_apart(calibration: CurrentCalibration) -> Iterator[Row]:
    near, words = calibration.retrieval.percentile, "chance (failed rows tie)"
    yield from _contrasts("Plain cosine", calibration.plain_contrasts)
    yield _against("Other activations that are farther than the own one", near, words)


def _contrasts(score: str, pairs: Contrasts) -> Iterator[Row]:
    if pairs.within:
        words = "texts of other rows of the document"
        yield _contrast(f"{score}, own text", pairs.within, words)
    if pairs.between:
        name = f"{score}, texts of other rows of the document"
        yield _contrast(name, pairs.between, "texts of other documents")
    if pairs.above_token:
        words = "texts of other documents at the same token"
        yield _contrast(f"{score}, own text", pairs.above_token, words)


def _contrast(name: str, found: PairContrast, control: str) -> Row:
    return difference_row(name, found.first, control, found.second, found)


def _against(name: str, found: AgainstChance, control: str) -> Row:
    return difference_row(name, found.mean, control, found.chance, found)


def _read(calibration: CurrentCalibration) -> Iterator[Row]:
    yield _contrast(
        "Centred cosine, own text",
        calibration.contrasts.above_others,
        "texts of other documents",
    )
    yield _explained("Variance explained (FVE)", calibration.fve)
    yield _plain(calibration, "predict_mean")
    for name in _ON_CARDS:
        if name in calibration.centred.controls:
            yield _centred(calibration, name)
    yield share_row("Explanations that fail", calibration.failures)


def _read_besides(calibration: CurrentCalibration) -> Iterator[Row]:
    yield _explained("Mean-norm FVE", calibration.fve_mean_norm)
    yield _error(calibration)
    for name in CONTROL_NAMES:
        if name in calibration.centred.controls and name not in _ON_CARDS:
            yield _centred(calibration, name)
    for name in CONTROL_NAMES:
        if name in calibration.controls and name != "predict_mean":
            yield _plain(calibration, name)


def _centred(calibration: CurrentCalibration, name: ControlName) -> Row:
    found = calibration.centred
    words, control = CONTROLS[name].words, found.controls[name]
    return control_row("Centred cosine (failures tie)", found.mean, control, words)


def _plain(calibration: CurrentCalibration, name: ControlName) -> Row:
    words, control = CONTROLS[name].words, calibration.controls[name]
    return control_row("Plain cosine (failures count 0)", calibration.cosine.mean, control, words)


def _explained(name: str, fve: Fve) -> Row:
    """FVE compared with the mean. Failed rows are ties in the difference only."""
    return Row(
        name,
        fve.value,
        fve.n,
        control="the mean training activation (failed rows tie)",
        baseline=fve.of_mean,
        difference=fve.above_mean,
        interval=fve.above_mean_interval,
    )


def _error(calibration: CurrentCalibration) -> Row:
    """2 (1 - cosine), whose difference is -2 times that of the plain cosines."""
    mean = calibration.controls["predict_mean"]
    bounds = mean.interval
    return Row(
        "Error of unit vectors, 2 (1 - cos), failures as 2",
        calibration.mse.mean,
        calibration.mse.n,
        control=CONTROLS["predict_mean"].words,
        baseline=2 * (1 - mean.mean),
        difference=-2 * mean.difference,
        interval=None if bounds is None else (-2 * bounds[1], -2 * bounds[0]),
    )


def _used(calibration: CurrentCalibration) -> Iterator[Row]:
    if matched := calibration.probes.of(TextRetrieval):
        for name, ranking in rankings(matched).items():
            yield first_row(name, ranking)
