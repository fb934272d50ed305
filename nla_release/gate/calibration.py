"""NLA603 to NLA607: what the headline metrics say of the pair, computed from the evidence."""

import math
from collections.abc import Iterator

from nla_release.calibration.label import SMALL_EFFECT, beats_the_mean
from nla_release.calibration.reading import above_zero
from nla_release.calibration.report import Calibration, CurrentCalibration
from nla_release.gate.findings import Page, Problem, Skip
from nla_release.gate.model import MEASURED, rule
from nla_release.gate.subject import MeasurementFolder
from nla_release.io.layout import ROWS_FILE
from nla_release.statistics.blocks import MIN_DOCUMENTS_OF_INTERVAL
from nla_release.text.numbers import interval, number, signed, unsigned

_NO_TEXT = Skip("no row has an explanation, see NLA609")
_NO_INTERVAL = Skip("rows of so few documents give no interval, see NLA608")


@rule(
    "NLA603",
    "error",
    "the pair is not format-only",
    each=MEASURED,
    page=Page(
        checks="A row's own explanation reconstructs its activation better than explanations of"
        " other documents: the 95% CI of the difference of centred cosines"
        " (contrasts.above_others) is above 0. Reconstructions are nearer to their own"
        " activation than to others: the 95% CI of retrieval.percentile is above 0.5. A"
        " certain difference that is smaller than 0.05 is a warning. A published calibration"
        " of format 1 or 2 is checked by controls.shuffled and probes.retrieval instead.",
        why="A cosine alone says little: the published pair of SolshineCode/nla-gemma-4-e2b"
        " scores 0.438, and 0.405 if its AR is given the empty string. An AR that always"
        " answers near the mean needs no explanation. A difference of 0.01 can be certain and"
        " still be useless to a reader.",
        fix="The explanations do not carry what the AR needs. Train longer, or on labels that"
        " distinguish rows, and read rows.jsonl before the next run.",
        example="format-only: centred cosine of the own text 0.232, of texts of other documents"
        " 0.229, difference +0.003, 95% interval -0.020 to +0.022",
        waive="Never: this is the claim that a release makes.",
    ),
)
def not_format_only(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """The own text against all texts of other documents."""
    calibration = measurement.recomputed
    if isinstance(calibration, CurrentCalibration):
        yield from _not_format_only(measurement, calibration)
    else:
        yield from _shuffled_control(measurement, calibration)


def _not_format_only(
    measurement: MeasurementFolder, calibration: CurrentCalibration
) -> Iterator[Problem | Skip]:
    others, near = calibration.contrasts.above_others, calibration.retrieval.percentile
    numbers = (
        f"centred cosine of the own text {number(others.first)}, of texts of other documents"
        f" {number(others.second)}, difference {signed(others.difference)}, 95% interval"
        f" {interval(others.interval)}"
    )
    if not calibration.denominators.ok:
        yield _NO_TEXT
    elif calibration.denominators.documents < MIN_DOCUMENTS_OF_INTERVAL:
        yield _NO_INTERVAL
    elif not above_zero(others):
        yield Problem(measurement.calibration_path, f"format-only: {numbers}")
    elif not above_zero(near):
        yield Problem(
            measurement.calibration_path,
            f"format-only: reconstructions are nearer to their own activation than to"
            f" {number(near.mean)} of the others, chance {number(near.chance)}, 95% interval of"
            f" the difference {interval(near.interval)}",
        )
    elif others.difference < SMALL_EFFECT:
        yield Problem(
            measurement.calibration_path,
            f"the difference is small: {numbers}",
            severity="warning",
        )


def _shuffled_control(
    measurement: MeasurementFolder, calibration: Calibration
) -> Iterator[Problem | Skip]:
    """What formats 1 and 2 were held to."""
    control = calibration.controls["shuffled"]
    if control.inconclusive:
        yield Skip(f"{control.inconclusive}, see NLA609")
    elif control.interval is None:
        yield _NO_INTERVAL
    elif control.interval[0] <= 0:
        yield Problem(
            measurement.calibration_path,
            f"own text {number(calibration.cosine.mean)}, another row's {number(control.mean)}:"
            f" difference {signed(control.difference)}, 95% interval {interval(control.interval)}",
        )
    elif calibration.label.name == "format-only":
        yield Problem(measurement.calibration_path, calibration.label.sentence)


@rule(
    "NLA604",
    "warning",
    "the pair reconstructs better than the mean activation",
    each=MEASURED,
    page=Page(
        checks="The FVE of the pair minus the FVE of always predicting the training mean, on the"
        " same rows, has a 95% CI above 0 (fve.above_mean_interval). A failed row counts as a"
        " tie. A published calibration of format 1 or 2 is checked by the difference of"
        " cosines (controls.predict_mean).",
        why="On a layer of low variance the mean is hard to beat: it scores 0.985 on the"
        " reference's Gemma-3-12B (kitft/natural_language_autoencoders). The published 0.438"
        " of SolshineCode/nla-gemma-4-e2b is below its mean's 0.47 to 0.49. A pair with FVE"
        " -0.117 was labelled topic-level and passed its gate.",
        fix="Train the AR longer: it is not better than the mean yet. Until then report the"
        " difference instead of the cosine.",
        example="FVE -0.117, the mean activation has 0.002: difference -0.119, 95% interval -0.160"
        " to -0.078",
        waive="The warning may stand for an intermediate release whose card says so.",
    ),
)
def above_the_mean(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """The predict-mean control, by its own FVE."""
    calibration = measurement.recomputed
    if not isinstance(calibration, CurrentCalibration):
        yield from _predict_mean_control(measurement, calibration)
        return
    fve = calibration.fve
    if fve.value is None or fve.of_mean is None:
        yield Skip("the reference set does not vary, so that there is no FVE")
    elif fve.above_mean_interval is None:
        yield _NO_INTERVAL
    elif not beats_the_mean(calibration):
        yield Problem(
            measurement.calibration_path,
            f"FVE {number(fve.value)}, the mean activation has {number(fve.of_mean)}: difference"
            f" {signed(fve.above_mean)}, 95% interval {interval(fve.above_mean_interval)}",
        )


def _predict_mean_control(
    measurement: MeasurementFolder, calibration: Calibration
) -> Iterator[Problem | Skip]:
    """What formats 1 and 2 were held to."""
    control = calibration.controls["predict_mean"]
    if control.interval is None:
        yield _NO_INTERVAL
    elif control.interval[0] <= 0:
        yield Problem(
            measurement.calibration_path,
            f"cosine {number(calibration.cosine.mean)}, the mean activation scores"
            f" {number(control.mean)}: difference {signed(control.difference)}, 95% interval"
            f" {interval(control.interval)}",
        )


@rule(
    "NLA605",
    "warning",
    "reconstructions identify their own activation",
    each=MEASURED,
    page=Page(
        checks="The 95% CI of top-1 retrieval is above chance, which is one in the number of"
        " rows. Among the activations of its document, a reconstruction finds its own more"
        " often than by knowing the document alone, by its 95% CI (retrieval.in_document). A"
        " published calibration of format 1 or 2 is compared with chance only.",
        why="In 14 attempts of SolshineCode/nla-gemma-4-e2b retrieval stayed at chance while the"
        " cosine looked fine. And 31 of 50 hits at a chance of 0.020 (0.62) are no more than"
        " a text gives that identifies the document and nothing of the row: 0.62 to 0.74"
        " there.",
        fix="The explanations name documents or topics, but not what distinguishes their rows."
        " Train on more specific labels, or accept the label document-level or token-level.",
        example="in its document 95 of 307 reconstructions find their own activation (0.309), by"
        " knowing the document 0.195: difference +0.014, 95% interval -0.010 to +0.038",
        waive="The warning may stand for a pair labelled document-level or token-level, whose"
        " card says that it does not distinguish rows.",
    ),
)
def rows_identified(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """Retrieval among all rows against chance, and in the document against knowing it."""
    calibration = measurement.recomputed
    chance = list(_above_chance(measurement, calibration))
    yield from chance
    if chance or not isinstance(calibration, CurrentCalibration):
        return
    inside = calibration.retrieval.in_document
    if inside is None:
        yield Skip("every document has one row: finding it is finding the document")
    elif inside.interval is None:
        yield _NO_INTERVAL
    elif not above_zero(inside):
        yield Problem(
            measurement.calibration_path,
            f"in its document {number(inside.mean)} of {inside.n} reconstructions find their own"
            f" activation, by knowing the document {number(inside.chance)}: difference"
            f" {signed(inside.difference)}, 95% interval {interval(inside.interval)}",
        )


def _above_chance(
    measurement: MeasurementFolder, calibration: Calibration
) -> Iterator[Problem | Skip]:
    found = calibration.retrieval
    hits, above = f"{found.hits} of {found.n} retrieved", found.above_chance_interval
    if found.interval[0] <= found.chance:
        yield Problem(
            measurement.calibration_path,
            f"{hits}, 95% interval {unsigned(found.interval)}, chance {number(found.chance)}",
        )
    elif above is None:
        yield _NO_INTERVAL
    elif above[0] <= 0:
        yield Problem(
            measurement.calibration_path,
            f"{hits}, {interval(above)} above chance by documents",
        )


@rule(
    "NLA606",
    "error",
    "the AV's explanations differ between activations",
    each=MEASURED,
    page=Page(
        checks="The explanations have at least 3 different beginnings (60 characters) per 10"
        " rows, up to 8 in all, unless gates.min_prefixes_per_row and gates.min_prefixes set"
        " other values.",
        why="A collapsed AV passes gates on loss and cosine: one of SolshineCode's gates passed"
        " with a single text in 68 rows. The numbers are those of the tripwire and the"
        " diversity test that it adopted afterwards.",
        fix="Train the AV longer, lower the learning rate, and check that the injection reaches"
        " the marker.",
        example="1 different beginning in 100 explanations; it takes 8",
        waive="Never: a constant text explains nothing.",
    ),
)
def texts_differ(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """Distinct prefixes of the rows with an explanation."""
    counts = measurement.recomputed.diversity
    if counts.n == 0:
        yield _NO_TEXT
        return
    gates = measurement.gates
    needed = min(math.ceil(gates.min_prefixes_per_row * counts.n), gates.min_prefixes)
    if counts.distinct_prefixes_60 < needed:
        yield Problem(
            measurement.evidence_folder / ROWS_FILE,
            f"{counts.distinct_prefixes_60} different beginning"
            f"{'s' * (counts.distinct_prefixes_60 != 1)} in {counts.n} explanations; it takes"
            f" {needed}",
        )


@rule(
    "NLA607",
    "error",
    "the injected vector changes the explanation",
    each=MEASURED,
    page=Page(
        checks="Less than gates.max_same_as_random of the explanations (0.5 by default) are word"
        " for word what the AV says for a random direction of the same norm.",
        why="If the injection does not reach the marker, the AV always describes its prompt. The"
        " reference calls this the first thing to rule out"
        " (kitft/natural_language_autoencoders, docs/inference.md).",
        fix="Check the scale (NLA102), marker and neighbours (NLA201) and that the hook fires,"
        " then train again.",
        example="74 of 100 explanations are what a random vector gives",
        waive="Never: the text does not come from the activation.",
    ),
)
def injection_matters(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """The random-vector control, as text."""
    counts = measurement.recomputed.injection
    if counts.n == 0:
        yield _NO_TEXT
    elif counts.random_vector_same_text >= measurement.gates.max_same_as_random * counts.n:
        yield Problem(
            measurement.evidence_folder / ROWS_FILE,
            f"{counts.random_vector_same_text} of {counts.n} explanations are what a random vector"
            " gives",
        )
