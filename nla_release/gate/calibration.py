"""NLA603 to NLA607: the headline metrics of the pair, computed from the evidence."""

import math
from collections.abc import Iterator

from nla_release.calibration.label import SMALL_EFFECT
from nla_release.calibration.reading import above_zero
from nla_release.calibration.report import Calibration, CurrentCalibration
from nla_release.gate.findings import Problem, Skip
from nla_release.gate.model import MEASURED, rule
from nla_release.gate.subject import MeasurementFolder
from nla_release.io.layout import ROWS_FILE
from nla_release.statistics.blocks import MIN_DOCUMENTS_OF_INTERVAL
from nla_release.statistics.formulas import TIE
from nla_release.text.numbers import count, interval, number, signed, unsigned

NO_TEXT = Skip("no row has an explanation, see NLA609")
_NO_INTERVAL = Skip("there are too few documents for a confidence interval, see NLA608")


@rule("NLA603", "error", "the pair is not format-only", each=MEASURED)
def not_format_only(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """The own explanation against all explanations of other documents.

    Checks: Two 95% CIs. (a) A row's own explanation reconstructs its activation better than
        explanations of other documents: the CI of the difference of centred cosines
        (contrasts.above_others) is above 0. (b) Reconstructions are nearer to their own activation
        than to others: the CI of retrieval.percentile is above 0.5. If both hold and the difference
        in (a) is below 0.05, the finding is a warning. Calibrations of format 1 or 2 are checked by
        controls.shuffled and probes.retrieval instead.
    Why: A cosine alone says little: the published pair of SolshineCode/nla-gemma-4-e2b scores
        0.438, and 0.405 if its AR is given the empty string. An AR that always answers near the
        mean needs no explanation. A difference of 0.01 can be certain and still be useless to a
        reader.
    Fix: The explanations do not carry what the AR needs. Train longer, or on labels that
        distinguish rows, and read rows.jsonl before the next run.
    Example: format-only: centred cosine of the own text 0.232, of texts of other documents 0.229,
        difference +0.003, 95% CI -0.020 to +0.022
    Waive: Never: this is the claim that a release makes.
    """
    calibration, path = measurement.recomputed, measurement.calibration_path
    if not isinstance(calibration, CurrentCalibration):
        yield from _shuffled_control(measurement, calibration)
        return
    others, near = calibration.contrasts.above_others, calibration.retrieval.percentile
    numbers = (
        f"centred cosine of the own text {number(others.first)}, of texts of other documents"
        f" {number(others.second)}, difference {signed(others.difference)}, 95% CI"
        f" {interval(others.interval)}"
    )
    if not calibration.denominators.ok:
        yield NO_TEXT
    elif calibration.denominators.documents < MIN_DOCUMENTS_OF_INTERVAL:
        yield _NO_INTERVAL
    elif not above_zero(others):
        yield Problem(path, f"format-only: {numbers}")
    elif not above_zero(near):
        yield Problem(
            path,
            "format-only: a reconstruction is nearer to its own activation than to"
            f" {number(near.mean)} of the others, chance {number(near.chance)}, 95% CI of the"
            f" difference {interval(near.interval)}",
        )
    elif others.difference < SMALL_EFFECT:
        yield Problem(path, f"the difference is small: {numbers}", severity="warning")


def _shuffled_control(
    measurement: MeasurementFolder, calibration: Calibration
) -> Iterator[Problem | Skip]:
    """The same for calibrations of formats 1 and 2."""
    control = calibration.controls["shuffled"]
    if control.inconclusive:
        yield Skip(f"{control.inconclusive}, see NLA609")
        return
    words = f"own text {number(calibration.cosine.mean)}, another row's {number(control.mean)}"
    found = list(_unless_above(0, measurement, words, control.difference, control.interval))
    yield from found
    if not found and calibration.label.name == "format-only":
        yield Problem(measurement.calibration_path, calibration.label.sentence)


def _unless_above(
    tie: float,
    measurement: MeasurementFolder,
    words: str,
    difference: float | None,
    bounds: tuple[float, float] | None,
) -> Iterator[Problem | Skip]:
    """A finding if the 95% CI of a difference is not above a tie; a skip if there is no CI."""
    if bounds is None:
        yield _NO_INTERVAL
    elif bounds[0] <= tie:
        numbers = f"difference {signed(difference)}, 95% CI {interval(bounds)}"
        yield Problem(measurement.calibration_path, f"{words}: {numbers}")


@rule("NLA604", "warning", "the pair reconstructs better than the mean activation", each=MEASURED)
def above_the_mean(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """The predict-mean control, by FVE; by cosine for calibrations of formats 1 and 2.

    Checks: The FVE of the pair minus the FVE of always predicting the training mean, on the same
        rows, has a 95% CI above 0 (fve.above_mean_interval). A failed row counts as a tie. A
        published calibration of format 1 or 2 is checked by the difference of cosines
        (controls.predict_mean).
    Why: On a layer of low variance the mean is hard to beat: it scores 0.985 on the reference's
        Gemma-3-12B (kitft/natural_language_autoencoders). The published 0.438 of
        SolshineCode/nla-gemma-4-e2b is below its mean's 0.47 to 0.49. A pair with FVE -0.117 was
        labelled topic-level and passed its gate.
    Fix: Train the AR longer: it is not better than the mean yet. Until then report the difference
        instead of the cosine.
    Example: FVE -0.117, of the mean activation 0.002: difference -0.119, 95% CI -0.160 to -0.078
    Waive: The warning may stand for an intermediate release whose card says so.
    """
    calibration = measurement.recomputed
    if not isinstance(calibration, CurrentCalibration):
        control = calibration.controls["predict_mean"]
        words = (
            f"cosine {number(calibration.cosine.mean)}, of the mean activation"
            f" {number(control.mean)}"
        )
        yield from _unless_above(0, measurement, words, control.difference, control.interval)
        return
    fve = calibration.fve
    if fve.value is None or fve.of_mean is None:
        yield Skip("the reference set has no variance, so there is no FVE")
        return
    words = f"FVE {number(fve.value)}, of the mean activation {number(fve.of_mean)}"
    yield from _unless_above(0, measurement, words, fve.above_mean, fve.above_mean_interval)


@rule("NLA605", "warning", "reconstructions identify their own activation", each=MEASURED)
def rows_identified(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """Retrieval among all rows against chance, then within the document against knowing it.

    Checks: The 95% CI of top-1 retrieval is above chance, which is 1 / number of rows. Within its
        document, a reconstruction finds its own activation more often than knowing the document
        alone would (95% CI of retrieval.in_document above 0). Published calibrations of format 1 or
        2 are compared with chance only.
    Why: In 14 attempts of SolshineCode/nla-gemma-4-e2b retrieval stayed at chance while the cosine
        looked fine. Elsewhere 31 of 50 rows (0.62) were retrieved at a chance of 0.020, but texts
        that identify only the document reach 0.62 to 0.74 there.
    Fix: The explanations name documents or topics, but not what distinguishes their rows. Train on
        more specific labels, or accept the label document-level or token-level.
    Example: retrieval within the document 0.209 (307 rows), 0.195 by knowing the document alone:
        difference +0.014, 95% CI -0.010 to +0.038
    Waive: The warning may stand for a pair labelled document-level or token-level, whose card says
        that it does not distinguish rows.
    """
    calibration = measurement.recomputed
    chance = list(_above_chance(measurement, calibration))
    yield from chance
    if chance or not isinstance(calibration, CurrentCalibration):
        return
    inside = calibration.retrieval.in_document
    if inside is None:
        yield Skip("every document has one row, so knowing the document is enough to find it")
        return
    words = (
        f"retrieval within the document {number(inside.mean)} ({inside.n} rows),"
        f" {number(inside.chance)} by knowing the document alone"
    )
    yield from _unless_above(TIE, measurement, words, inside.difference, inside.interval)


def _above_chance(
    measurement: MeasurementFolder, calibration: Calibration
) -> Iterator[Problem | Skip]:
    found, path = calibration.retrieval, measurement.calibration_path
    hits, above = f"{found.hits} of {found.n} retrieved", found.above_chance_interval
    if found.interval[0] <= found.chance:
        bounds = f"95% CI {unsigned(found.interval)}"
        yield Problem(path, f"{hits}, {bounds}, chance {number(found.chance)}")
    elif above is None:
        yield _NO_INTERVAL
    elif above[0] <= 0:
        yield Problem(path, f"{hits}, 95% CI of hits above chance by document: {interval(above)}")


@rule("NLA606", "error", "the AV's explanations differ between activations", each=MEASURED)
def texts_differ(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """Different beginnings of the explanations.

    Checks: The explanations have at least 3 different beginnings (60 characters) per 10 rows, up to
        8 in all, unless gates.min_prefixes_per_row and gates.min_prefixes set other values.
    Why: A collapsed AV passes gates on loss and cosine: one of SolshineCode's gates passed with a
        single text in 68 rows. The numbers are those of the tripwire and the diversity test that it
        adopted afterwards.
    Fix: Train the AV longer, lower the learning rate, and check that the injection reaches the
        marker.
    Example: 1 different beginning in 100 explanations, at least 8 required
    Waive: Never: a constant text explains nothing.
    """
    counts = measurement.recomputed.diversity
    if counts.n == 0:
        yield NO_TEXT
        return
    gates = measurement.gates
    needed = min(math.ceil(gates.min_prefixes_per_row * counts.n), gates.min_prefixes)
    if (found := counts.distinct_prefixes_60) < needed:
        yield Problem(
            measurement.evidence_folder / ROWS_FILE,
            f"{count(found, 'different beginning')} in {counts.n} explanations, at least {needed}"
            " required",
        )


@rule("NLA607", "error", "the injected vector changes the explanation", each=MEASURED)
def injection_matters(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """The texts of the random-vector control.

    Checks: Fewer than gates.max_same_as_random of the explanations (0.5 by default) are identical
        to what the AV says for a random vector of the same norm.
    Why: If the injection does not reach the marker, the AV always describes its prompt. The
        reference calls this the first thing to rule out (kitft/natural_language_autoencoders,
        docs/inference.md).
    Fix: Check the scale (NLA102), marker and neighbours (NLA201) and that the hook fires, then
        train again.
    Example: 74 of 100 explanations are the same for a random vector
    Waive: Never: the text does not come from the activation.
    """
    counts = measurement.recomputed.injection
    if counts.n == 0:
        yield NO_TEXT
    elif counts.random_vector_same_text >= measurement.gates.max_same_as_random * counts.n:
        yield Problem(
            measurement.evidence_folder / ROWS_FILE,
            f"{counts.random_vector_same_text} of {counts.n} explanations are the same for a random"
            " vector",
        )
