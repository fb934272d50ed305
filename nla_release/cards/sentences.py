"""What the numbers allow to be said, in plain words. A pure function of the calibration."""

from dataclasses import dataclass

from nla_release.calibration.blocks import AgainstChance
from nla_release.calibration.label import singles_out
from nla_release.calibration.probes.retrieval import Retrieval
from nla_release.calibration.report import Calibration, LabelName
from nla_release.cards.markdown import inline
from nla_release.release_config import Gates
from nla_release.text.numbers import count, interval, number, signed

ALWAYS = "NLAs can produce unexpected or incorrect explanations."
ONE_ROW_EACH = (
    "With one row per document, identifying the document identifies the row; hold out two rows or"
    " more of each document."
)

# At 100 rows the 95% Wilson interval of a rate is still up to 0.19 wide (50 of 100: 0.40 to 0.60).
# Documents are what intervals resample, so few of them make the intervals themselves uncertain.
FEW_ROWS = 100
FEW_DOCUMENTS = 20

# The gate's default. What release.yaml sets instead does not count: it must not quieten a card.
_OFTEN = Gates().max_same_as_random

_MEANING: dict[LabelName, str] = {
    "content-reading": "The explanations carry content of the activation they describe, beyond what"
    " its document alone gives.",
    "topic-level": "The explanations carry content of their document, but are not shown to identify"
    " the single activation.",
    "format-only": "The explanations are not shown to carry content of the activation.",
    "inconclusive": "Too little was measured to say what the explanations carry.",
}


@dataclass(frozen=True)
class Verdict:
    """The label as a card opens with it: the word, what it means, and the numbers behind it."""

    word: str
    meaning: str
    numbers: str


def verdict(calibration: Calibration) -> Verdict:
    """The label in plain words, in Markdown; RELEASE_CALIBRATION.md gives its whole reason."""
    name = calibration.label.name
    return Verdict(name.capitalize(), _MEANING[name], _verdict_numbers(calibration))


def _verdict_numbers(calibration: Calibration) -> str:
    shuffled, found = calibration.controls["shuffled"], calibration.retrieval
    if calibration.label.name == "inconclusive":
        reason = calibration.label.sentence.partition(": ")[2]
        return inline(reason[:1].upper() + reason[1:])
    return (
        f"Round-trip cosine {number(calibration.cosine.mean)}, with another row's explanation"
        f" {number(shuffled.mean)} (95% CI of the difference {interval(shuffled.interval)}); own"
        f" activation retrieved in {found.hits} of {found.n} rows (chance {number(found.chance)})."
    )


def limitations(calibration: Calibration) -> list[str]:
    """Markdown sentences, the gravest first; `ALWAYS` opens the list in every release."""
    said = [
        ALWAYS,
        _format_only(calibration),
        _below_the_mean(calibration),
        _injection(calibration),
        _failures(calibration),
        _few(calibration),
        _not_identified(calibration),
        _shared_part(calibration),
        _repetition(calibration),
    ]
    return [sentence for sentence in said if sentence is not None]


def _format_only(calibration: Calibration) -> str | None:
    """Whenever the own text is not shown to do better, or to bring its activation nearer."""
    shuffled, retrieval = calibration.controls["shuffled"], calibration.probes.retrieval
    if shuffled.interval is None:
        return None
    if shuffled.interval[0] <= 0:
        why = "More than the form of the text is not shown to survive the round trip."
    elif calibration.label.name == "format-only" and isinstance(retrieval, Retrieval):
        why = f"{not_nearer(retrieval.all.percentile)}."
        why = why[0].upper() + why[1:]
    else:
        return None
    return (
        "**The explanations are not shown to carry content.** Another row's explanation"
        f" reconstructs an activation at cosine {number(shuffled.mean)}, the row's own at"
        f" {number(calibration.cosine.mean)} (difference {signed(shuffled.difference)}, 95%"
        f" CI {interval(shuffled.interval)}, n = {shuffled.n}). {why} Do not read these"
        " explanations as statements about an activation."
    )


def not_nearer(percentile: AgainstChance) -> str:
    """What is wrong where the own text does better and is format-only all the same."""
    return (
        "the reconstruction is not shown to be nearer to its own activation than to others (share"
        f" of the others that are farther {number(percentile.mean)}, chance"
        f" {number(percentile.chance)}, 95% CI of the difference"
        f" {interval(percentile.interval)}, n = {percentile.n})"
    )


def _below_the_mean(calibration: Calibration) -> str | None:
    mean = calibration.controls["predict_mean"]
    if mean.difference >= 0 and (mean.interval is None or mean.interval[0] > 0):
        return None
    verdict = "Below" if mean.difference < 0 else "Not shown to be better than"
    return (
        f"**{verdict} predicting the mean.** The round trip scores cosine"
        f" {number(calibration.cosine.mean)}; the mean direction of the training activations,"
        f" which uses no explanation, scores {number(mean.mean)}"
        f" (difference {signed(mean.difference)}, 95% CI {interval(mean.interval)},"
        f" n = {mean.n})."
    )


def _injection(calibration: Calibration) -> str | None:
    """When a random direction, put in the activation's place, makes no difference."""
    random, counts = calibration.controls["random_vector"], calibration.injection
    no_gain = random.interval is not None and random.interval[0] <= 0
    same_text = counts.random_vector_same_text >= _OFTEN * counts.n
    if counts.n == 0 or not (no_gain or same_text):
        return None
    return (
        "**The injected activation made no measurable difference.** A random direction in its"
        f" place got word for word the same explanation in {counts.random_vector_same_text} of"
        f" {counts.n} rows, and its explanation reconstructs the activation at cosine"
        f" {number(random.mean)} (difference {signed(random.difference)}, 95% CI"
        f" {interval(random.interval)}, n = {random.n})."
    )


def _failures(calibration: Calibration) -> str | None:
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


def _few(calibration: Calibration) -> str | None:
    asked = calibration.denominators
    if asked.rows >= FEW_ROWS and asked.documents >= FEW_DOCUMENTS:
        return None
    return (
        f"**Small sample.** Measured on {count(asked.rows, 'activation')} from"
        f" {count(asked.documents, 'document')}. With few documents the confidence intervals"
        " themselves are rough."
    )


def _not_identified(calibration: Calibration) -> str | None:
    """When retrieval is not shown to be better than that of a text which tells the document.

    Under topic-level this is the first thing that the card says it does not show.
    """
    asked, found = calibration.denominators, calibration.retrieval
    if singles_out(asked, found) or calibration.label.name == "topic-level":
        return None
    closest = (
        f"The reconstruction is closest to its own activation in {found.hits} of {found.n} rows"
        f" (hit rate {number(found.top1)}, 95% CI {number(found.interval[0])} to"
        f" {number(found.interval[1])}). Chance is {number(found.chance)}"
    )
    if asked.documents < asked.rows:
        return (
            f"**Explanations are not shown to identify their activation.** {closest}, and knowing"
            f" the document alone would give {number(asked.documents / asked.rows)}."
        )
    if found.interval[0] > found.chance:
        return f"**Rows of one document were not told apart.** {closest}. {ONE_ROW_EACH}"
    return f"**Explanations are not shown to identify their activation.** {closest}."


def _shared_part(calibration: Calibration) -> str:
    mean = calibration.controls["predict_mean"]
    return (
        "**Compare differences, not bare cosines.** Activations of one layer share a direction: the"
        f" mean training direction alone scores cosine {number(mean.mean)}, against"
        f" {number(calibration.cosine.mean)} for the pair."
    )


def _repetition(calibration: Calibration) -> str | None:
    texts = calibration.diversity
    if texts.distinct_explanations == texts.n:
        return None
    return (
        f"**Explanations repeat.** {count(texts.n, 'explanation')}:"
        f" {count(texts.distinct_explanations, 'different text')}. Read each one as a category."
    )
