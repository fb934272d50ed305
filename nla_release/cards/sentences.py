"""What the numbers allow to be said, in plain words. A pure function of the calibration."""

from nla_release.calibration.contamination import Shingles
from nla_release.calibration.headline import DOMINATED
from nla_release.calibration.label import beats_the_mean, label_name
from nla_release.calibration.report import CurrentCalibration
from nla_release.diagnostics.templates import Templates
from nla_release.release.config import Gates
from nla_release.statistics.blocks import Ratio
from nla_release.text.markdown import code_cell
from nla_release.text.numbers import count, interval, number, signed, unsigned

ALWAYS = "NLAs can produce unexpected or incorrect explanations."
ONE_ROW_EACH = (
    "With one row per document, identifying the document identifies the row; hold out two rows or"
    " more of each document."
)

# At 100 rows the 95% Wilson interval of a rate is still up to 0.19 wide (50 of 100: 0.40 to 0.60).
# Intervals take documents whole, so few of them make the intervals themselves uncertain.
FEW_ROWS = 100
FEW_DOCUMENTS = 20

# The gate's default. What release.yaml sets instead does not count: it must not quieten a card.
_OFTEN = Gates().max_same_as_random


def limitations(calibration: CurrentCalibration) -> list[str]:
    """Markdown sentences, the gravest first; `ALWAYS` opens the list in every release."""
    said = [
        ALWAYS,
        _format_only(calibration),
        _below_the_mean(calibration),
        _injection(calibration),
        _failures(calibration),
        _few(calibration),
        _not_told_apart(calibration),
        _shared_part(calibration),
        _template(calibration),
        _repetition(calibration),
        _not_compared(calibration),
    ]
    return [sentence for sentence in said if sentence is not None]


def _format_only(calibration: CurrentCalibration) -> str | None:
    if label_name(calibration) != "format-only":
        return None
    others = calibration.contrasts.above_others
    return (
        "**The explanations are not shown to carry content.** The row's own explanation"
        f" reconstructs an activation at centred cosine {number(others.first)}, those of other"
        f" documents at {number(others.second)} (difference {signed(others.difference)}, 95% CI"
        f" {interval(others.interval)}, n = {others.n}). Do not read these explanations as"
        " statements about an activation."
    )


def _below_the_mean(calibration: CurrentCalibration) -> str | None:
    mean = calibration.controls["predict_mean"]
    if mean.difference >= 0 and (mean.interval is None or mean.interval[0] > 0):
        return _explains_no_more_than_the_mean(calibration)
    verdict = "Below" if mean.difference < 0 else "Not shown to be better than"
    return (
        f"**{verdict} predicting the mean.** The round trip scores cosine"
        f" {number(calibration.cosine.mean)}; the mean direction of the training activations,"
        f" which uses no explanation, scores {number(mean.mean)}"
        f" (difference {signed(mean.difference)}, 95% CI {interval(mean.interval)},"
        f" n = {mean.n})."
    )


def _explains_no_more_than_the_mean(calibration: CurrentCalibration) -> str | None:
    """By FVE: predicting the mean as it is, shorter than 1, is better than its direction."""
    fve = calibration.fve
    if fve.above_mean is None or beats_the_mean(calibration):
        return None
    if fve.above_mean >= 0 and fve.above_mean_interval is None:
        return None
    return (
        "**Not shown to be better than predicting the mean.** FVE is"
        f" {number(fve.value)}, that of always predicting the mean training activation"
        f" {number(fve.of_mean)} (difference, with failed rows as ties, {signed(fve.above_mean)},"
        f" 95% CI {interval(fve.above_mean_interval)}, n = {fve.n})."
    )


def _injection(calibration: CurrentCalibration) -> str | None:
    """When a random direction, put in the activation's place, makes no difference."""
    random, counts = calibration.centred.controls["random_vector"], calibration.injection
    no_gain = random.interval is not None and random.interval[0] <= 0
    same_text = counts.random_vector_same_text >= _OFTEN * counts.n
    if counts.n == 0 or not (no_gain or same_text):
        return None
    return (
        "**The injected activation made no measurable difference.** A random direction in its"
        f" place got word for word the same explanation in {counts.random_vector_same_text} of"
        f" {counts.n} rows, and its explanation reconstructs the activation at centred cosine"
        f" {number(random.mean)} (difference {signed(random.difference)}, 95% CI"
        f" {interval(random.interval)}, n = {random.n})."
    )


def _failures(calibration: CurrentCalibration) -> str | None:
    asked, survivors = calibration.denominators, calibration.cosine_survivors
    failed = asked.rows - asked.ok
    if failed == 0:
        return None
    others = (
        f" For reference only, without them: cosine {number(survivors.mean)} over"
        f" {count(survivors.n, 'row')}."
    )
    return (
        f"**{failed} of {count(asked.rows, 'activation')} got no explanation** ({asked.empty}"
        f" empty, {asked.truncated} truncated, {asked.unparsed} without tags). They count as cosine"
        f" 0 in every mean.{others if survivors.n else ''}"
    )


def _few(calibration: CurrentCalibration) -> str | None:
    asked = calibration.denominators
    if asked.rows >= FEW_ROWS and asked.documents >= FEW_DOCUMENTS:
        return None
    return (
        f"**Small sample.** Measured on {count(asked.rows, 'activation')} from"
        f" {count(asked.documents, 'document')}. With few documents the confidence intervals"
        " themselves are rough."
    )


def _not_told_apart(calibration: CurrentCalibration) -> str | None:
    """What retrieval does not show, where the label does not say it."""
    found, pairs = calibration.retrieval, calibration.contrasts
    if pairs.within is None:
        return f"**Rows of one document were not told apart.** {ONE_ROW_EACH}"
    above = found.above_document_interval
    if above is not None and above[0] > 0:
        return None
    return (
        "**Explanations do not identify their activation among all.** The reconstruction is closest"
        f" to its own activation in {found.hits} of {found.n} rows (95% CI"
        f" {unsigned(found.interval)}). Chance is {number(found.chance)}, and knowing the document"
        f" alone would give {number(found.document_alone)}."
    )


def _shared_part(calibration: CurrentCalibration) -> str:
    energy, mean = calibration.energy, calibration.controls["predict_mean"]
    if not energy.dominated:
        return (
            "**Compare differences, not bare cosines.** Activations of one layer share a direction:"
            f" the mean training direction alone scores cosine {number(mean.mean)}, against"
            f" {number(calibration.cosine.mean)} for the pair."
        )
    largest = energy.dimensions[0]
    dimension = f"Dimension {largest.dimension} holds {largest.energy:.0%} of"
    held = f"The direction of the mean holds {energy.mean_direction:.0%} of"
    return (
        "**Plain cosines say little here.**"
        f" {dimension if largest.energy > DOMINATED else held} the energy of these activations. The"
        f" mean training direction alone scores cosine {number(mean.mean)}, the pair"
        f" {number(calibration.cosine.mean)}. Read the centred cosines, which leave out the mean."
    )


def _template(calibration: CurrentCalibration) -> str | None:
    """When most explanations are one text with a few words changed."""
    found = calibration.probes.of(Templates)
    if found is None or found.skeletons is None or not found.skeletons.most_common:
        return None
    one, common = found.skeletons.shares["1"], found.skeletons.most_common[0]
    if one.share <= 0.5:
        return None
    return (
        f"**Explanations follow one template.** {one.hits} of {one.n} are"
        f" {code_cell(common.skeleton)}, with other words in the gaps only."
    )


def _not_compared(calibration: CurrentCalibration) -> str | None:
    """When nothing tells whether the pair was measured on what it was trained on."""
    found = calibration.contamination
    shingles = found.shingles if found else None
    if isinstance(shingles, Shingles) and not shingles.uncompared_documents:
        return None
    if isinstance(shingles, Shingles) and isinstance(shingles.near, Ratio):
        return (
            f"**{count(shingles.uncompared_documents, 'document')} not compared with the training"
            " texts.** Their texts are withheld or too short, so the pair may have been trained on"
            " them."
        )
    return (
        "**Not compared with the training texts.** Whether the pair was trained on the texts that"
        " it was measured on is the author's word."
    )


def _repetition(calibration: CurrentCalibration) -> str | None:
    texts = calibration.diversity
    if texts.distinct_explanations == texts.n:
        return None
    return (
        f"**Explanations repeat.** {count(texts.n, 'explanation')}:"
        f" {count(texts.distinct_explanations, 'different text')}. Read each one as a category."
    )
