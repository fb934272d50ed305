"""What the numbers allow to be said, in plain words. A pure function of the calibration."""

from nla_release.calibration.blocks import AgainstChance
from nla_release.calibration.label import singles_out
from nla_release.calibration.probes.retrieval import Retrieval
from nla_release.calibration.report import Calibration, LabelName
from nla_release.cards.numbers import count, interval, number, signed
from nla_release.cards.probe_sentences import wording_cost
from nla_release.release_config import Gates

ALWAYS = "NLAs can produce unexpected or incorrect explanations."
ONE_ROW_EACH = (
    "With one row per document, telling the document is telling the row; hold out two rows or more."
)

# At 100 rows the 95% Wilson interval of a rate is still up to 0.19 wide (50 of 100: 0.40 to 0.60).
# Documents are what intervals resample, so few of them make the intervals themselves uncertain.
FEW_ROWS = 100
FEW_DOCUMENTS = 20

# The gate's default. What release.yaml sets instead does not count: it must not quieten a card.
_OFTEN = Gates().max_same_as_random

_REALISTIC_OUTPUT: dict[LabelName, str] = {
    "content-reading": "**Single statements were not judged.** The calibration tells whether a text"
    " belongs to its activation, not which of its names, numbers and details are true.",
    "topic-level": "**What tells documents apart is shown to carry over, and nothing finer.** That"
    " may be the topic and no more: do not rely on a specific word, name or example in an"
    " explanation.",
    "format-only": "**The right form is all that was shown.** Expect nothing in an explanation to"
    " be about the activation.",
    "inconclusive": "**What output is realistic is not known**: the evidence is too small to say"
    " whether explanations fit their activations.",
}


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
        _REALISTIC_OUTPUT[calibration.label.name] if calibration.denominators.ok else None,
        _wording(calibration),
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
        why = f"And yet {not_nearer(retrieval.all.percentile)}."
    else:
        return None
    return (
        "**The explanations are not shown to carry content.** Another row's explanation"
        f" reconstructs an activation at cosine {number(shuffled.mean)}, the row's own at"
        f" {number(calibration.cosine.mean)} (difference {signed(shuffled.difference)}, 95%"
        f" interval {interval(shuffled.interval)}, n = {shuffled.n}). {why} Do not read these"
        " explanations as statements about an activation."
    )


def not_nearer(percentile: AgainstChance) -> str:
    """What is wrong where the own text does better and is format-only all the same."""
    return (
        "the reconstruction is not shown to be nearer to its own activation than to others (share"
        f" of the others that are farther {number(percentile.mean)}, chance"
        f" {number(percentile.chance)}, 95% interval of the difference"
        f" {interval(percentile.interval)}, n = {percentile.n})"
    )


def _below_the_mean(calibration: Calibration) -> str | None:
    mean = calibration.controls["predict_mean"]
    if mean.difference >= 0 and (mean.interval is None or mean.interval[0] > 0):
        return None
    verdict = "Below" if mean.difference < 0 else "Not shown to be better than"
    return (
        f"**{verdict} predicting the mean.** The round trip scores cosine"
        f" {number(calibration.cosine.mean)}; answering every time with the mean direction of the"
        f" training activations, without reading anything, scores {number(mean.mean)}"
        f" (difference {signed(mean.difference)}, 95% interval {interval(mean.interval)},"
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
        "**The injected activation makes no difference that was measured.** A random direction in"
        f" its place is explained word for word the same in {counts.random_vector_same_text} of"
        f" {counts.n} rows, and its explanation reconstructs the activation at cosine"
        f" {number(random.mean)} (difference {signed(random.difference)}, 95% interval"
        f" {interval(random.interval)}, n = {random.n})."
    )


def _failures(calibration: Calibration) -> str | None:
    asked, survivors = calibration.denominators, calibration.cosine_survivors
    failed = asked.rows - asked.ok
    if failed == 0:
        return None
    others = (
        f" Over the {survivors.n} others the cosine is {number(survivors.mean)}, which is not the"
        " headline: it forgets the failures."
    )
    return (
        f"**{failed} of {count(asked.rows, 'activation')} got no explanation** ({asked.empty}"
        f" empty, {asked.truncated} truncated, {asked.unparsed} unparsed). They count as cosine 0"
        f" in every mean.{others if survivors.n else ''}"
    )


def _few(calibration: Calibration) -> str | None:
    asked = calibration.denominators
    if asked.rows >= FEW_ROWS and asked.documents >= FEW_DOCUMENTS:
        return None
    return (
        f"**Small sample.** Measured on {count(asked.rows, 'activation')} from"
        f" {count(asked.documents, 'document')}. The intervals say how uncertain that leaves each"
        " number, and the fewer the documents, the rougher the intervals themselves."
    )


def _not_identified(calibration: Calibration) -> str | None:
    """When retrieval is not shown to be better than that of a text which tells the document."""
    asked, found = calibration.denominators, calibration.retrieval
    if singles_out(asked, found):
        return None
    closest = (
        f"The reconstruction is closest to its own activation in {found.hits} of {found.n} rows"
        f" (hit rate {number(found.top1)}, 95% interval {number(found.interval[0])} to"
        f" {number(found.interval[1])}). Chance is {number(found.chance)}"
    )
    if asked.documents < asked.rows:
        return (
            f"**Explanations are not shown to single out their activation.** {closest}, and knowing"
            f" the document alone would give {number(asked.documents / asked.rows)}."
        )
    if found.interval[0] > found.chance:
        return f"**Rows of one document were not told apart.** {closest}. {ONE_ROW_EACH}"
    return f"**Explanations are not shown to single out their activation.** {closest}."


def _wording(calibration: Calibration) -> str | None:
    if calibration.label.name not in ("content-reading", "topic-level"):
        return None
    if (cost := wording_cost(calibration.probes)) is None:
        return None
    return f"**That meaning rather than wording carries it is not shown:** {cost}."


def _shared_part(calibration: Calibration) -> str:
    empty, mean = calibration.controls["empty"], calibration.controls["predict_mean"]
    return (
        "**A cosine alone says little.** Activations of one layer share a direction: without"
        f" reading anything, the mean training direction scores {number(mean.mean)} and the empty"
        f" explanation {number(empty.mean)}, beside {number(calibration.cosine.mean)} for the real"
        " ones. Compare differences to controls, never bare cosines, and never across models or"
        " layers."
    )


def _repetition(calibration: Calibration) -> str | None:
    texts = calibration.diversity
    if texts.distinct_explanations == texts.n:
        return None
    return (
        f"**Explanations repeat.** {texts.n} activations got"
        f" {count(texts.distinct_explanations, 'different explanation')}, with"
        f" {count(texts.distinct_prefixes_60, 'different beginning')} of 60 characters. Read one as"
        " a category that the activation was put into."
    )
