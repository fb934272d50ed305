"""What the numbers show, what they do not show, and the limitations, in plain words.

Pure functions of the calibration. The label decides which sentences are allowed; of those, only the
ones whose interval decides them are used.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from nla_release.calibration.contamination import ShingleOverlap
from nla_release.calibration.headline import DOMINATED
from nla_release.calibration.label import (
    SMALL_EFFECT,
    above_chance,
    beats_the_mean,
    clauses,
    found_by_words,
    label_name,
)
from nla_release.calibration.reading import above_zero
from nla_release.calibration.report import CurrentCalibration, PairContrast
from nla_release.diagnostics.claims import Claims, missed_by_its_own
from nla_release.diagnostics.paraphrase import Paraphrase, wording_cost
from nla_release.diagnostics.templates import Templates
from nla_release.diagnostics.text_retrieval import TextRetrieval
from nla_release.release.config import Gates
from nla_release.statistics.blocks import Control, Permutation, Ranking, Ratio
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

# The gate's default. A threshold in release.yaml must not remove a sentence from a card.
_OFTEN = Gates().max_same_as_random

_NO_DETAIL = (
    "Whether any single name, number or detail in an explanation is true: explanations were scored"
    " against activations, not against facts."
)

_NO_WORD = (
    "Whether a specific word, name or example in an explanation is in the activation: only the"
    " topic may be."
)

_NO_DOCUMENT = (
    "Whether an explanation says anything about its document: it may tell rows apart by the token,"
    " the position or the length."
)

_NO_CONTENT = "Whether an explanation says anything about its own activation"

_NO_UNDERSTANDING = (
    "Whether a high round-trip cosine is a sign of content: it is not shown to be lower for"
    " explanations without content."
)

_NO_ACCIDENT = (
    "Whether a difference from other explanations is a sign of content: an AR that gives nearly the"
    " same output for every text can show a small difference by chance."
)


@dataclass(frozen=True)
class Shown:
    """Sentences in Markdown; neither list is empty, whatever the label."""

    shows: list[str]
    does_not_show: list[str]


def shown(calibration: CurrentCalibration) -> Shown:
    """What the numbers show under this label, and what a reader might wrongly conclude."""
    match label_name(calibration):
        case "row-level":
            return Shown(
                [*_rows_apart(calibration), *_besides(calibration)],
                [_NO_DETAIL, *_in_general(calibration)],
            )
        case "document-level":
            return Shown(
                [_documents_apart(calibration), *_besides(calibration)],
                [_not_rows_apart(calibration), _NO_WORD, *_in_general(calibration)],
            )
        case "token-level":
            return Shown(
                [
                    f"Explanations tell rows apart{_small(calibration.contrasts.above_others)}.",
                    *_besides(calibration),
                ],
                [_NO_DOCUMENT, _NO_WORD, *_in_general(calibration)],
            )
        case "format-only":
            return Shown([_without_content(calibration)], _no_content(calibration))
        case _:
            return Shown([_it_runs(calibration)], [_undecided(calibration)])


def _rows_apart(calibration: CurrentCalibration) -> Iterator[str]:
    pairs, found = calibration.contrasts, calibration.retrieval
    yield f"Explanations tell rows of one document apart{_small(pairs.within)}."
    yield _documents_apart(calibration)
    yield f"Explanations carry more than the last token{_small(pairs.above_token)}."
    if inside := found.in_document:
        failures = calibration.denominators.rows - calibration.denominators.ok
        counted = " (a failed row counts as such a text)" if failures else ""
        yield (
            "Among the activations of its document, the reconstruction finds its own in"
            f" {inside.mean:.1%} of {count(inside.n, 'row')}; a text that says only the document"
            f" would find {inside.chance:.1%}{counted}."
        )


def _documents_apart(calibration: CurrentCalibration) -> str:
    return f"Explanations tell documents apart{_small(calibration.contrasts.between)}."


def _small(found: PairContrast | None) -> str:
    """A clause where the difference is small; the headline table has it with its interval."""
    assert found is not None  # or it would be another label
    if found.difference >= SMALL_EFFECT:
        return ""
    return f", by a small difference (centred cosine {signed(found.difference)})"


def _besides(calibration: CurrentCalibration) -> Iterator[str]:
    """Further sentences that the numbers of this release may or may not support."""
    mean = calibration.controls["predict_mean"]
    random = calibration.centred.controls["random_vector"]
    if above_zero(mean) and beats_the_mean(calibration):
        yield "Using the explanation beats predicting the mean training direction."
    if above_zero(random):
        yield "The injected activation matters: a random direction in its place does worse."
    found = calibration.probes.of(TextRetrieval)
    if found and above_chance(found.lexical):
        yield f"The words are informative without the AR. By shared words, {_led(found.lexical)}."
    elif found and isinstance(found.encoder, Ranking) and above_chance(found.encoder):
        yield (
            f"The words are informative without the AR. By a text encoder, {_led(found.encoder)}."
        )
    claims = calibration.probes.of(Claims)
    if claims and missed_by_its_own(claims):
        control = claims.controls["other_activation"]
        yield (
            "Leaving out a single claim raises the error for its own activation more than for"
            f" another's (by {signed(control.difference)}, 95% CI {interval(control.interval)},"
            f" n = {count(claims.n, 'claim')})."
        )


def _in_general(calibration: CurrentCalibration) -> Iterator[str]:
    """What the numbers do not show under any label."""
    yield from _in_words(calibration)
    if cost := wording_cost(calibration.probes.of(Paraphrase)):
        yield f"Whether meaning rather than wording carries the content: {cost}."
    yield from _elsewhere(calibration)


def _in_words(calibration: CurrentCalibration) -> Iterator[str]:
    """Whether the content was found in the words without this AR."""
    found = calibration.probes.of(TextRetrieval)
    if found is None:
        yield (
            "Whether a reader finds the content in the words: only this AR has read them, and it"
            " was trained for it."
        )
    elif not found_by_words(calibration):
        yield (
            f"Whether a reader finds the content in the words: {_not_by_words(calibration, found)}"
        )


def _not_by_words(calibration: CurrentCalibration, found: TextRetrieval) -> str:
    led = _led(found.lexical)
    if label_name(calibration) == "token-level":
        return (
            "an explanation of the token or the position need not lead to the source document, and"
            f" nothing else was measured without the AR ({led})."
        )
    return f"by shared words, {led}. The AR may read them in a way of its own."


def _led(found: Ranking) -> str:
    test = found.permutation
    p = f", p = {test.p:.4f} by permuting documents" if isinstance(test, Permutation) else ""
    return (
        f"{found.hits} of {found.n} explanations lead to their source document (95% CI"
        f" {unsigned(found.interval)}, chance {number(found.chance)}{p})"
    )


def _difference(found: PairContrast | Control) -> str:
    bounds = f"95% CI {interval(found.interval)}" if found.interval else "no 95% CI"
    return f"(difference {signed(found.difference)}, {bounds}, n = {found.n})"


def _elsewhere(calibration: CurrentCalibration) -> Iterator[str]:
    asked = calibration.denominators
    yield (
        f"Anything beyond these {count(asked.rows, 'activation')} from"
        f" {count(asked.documents, 'document')}: other kinds of text, other positions, other"
        " layers, other models."
    )
    yield (
        "Whether the model uses what an explanation names: no behaviour was predicted or changed."
    )


def _not_rows_apart(calibration: CurrentCalibration) -> str:
    within = calibration.contrasts.within
    open_question = (
        "Whether an explanation distinguishes its activation from others of the same document"
    )
    if within is None:
        return f"{open_question}. {ONE_ROW_EACH}"
    return (
        f"{open_question}: the own text scores centred cosine {number(within.first)}, texts of"
        f" other rows of the document {number(within.second)} {_difference(within)}."
    )


def _without_content(calibration: CurrentCalibration) -> str:
    others, mean = calibration.contrasts.above_others, calibration.controls["predict_mean"]
    return (
        "How much of the score needs no content: the row's own explanation scores centred cosine"
        f" {number(others.first)}, explanations of other documents {number(others.second)}"
        f" {_difference(others)}. By plain cosine, the pair scores"
        f" {number(calibration.cosine.mean)} and the mean training direction {number(mean.mean)}."
    )


def _no_content(calibration: CurrentCalibration) -> list[str]:
    """Sentences that never say "equal": a difference that was not shown may still exist."""
    others, near = calibration.contrasts.above_others, calibration.retrieval.percentile
    low, high = others.interval or (0, 0)
    if high < 0:
        return [
            f"{_NO_CONTENT}: explanations of other documents reconstruct it better.",
            _NO_UNDERSTANDING,
        ]
    if low > 0:
        return [
            (
                f"{_NO_CONTENT}: the reconstruction is not shown to be nearer to its own activation"
                f" than to others (it is nearer than to {number(near.mean)} of them, chance"
                f" {number(near.chance)}, 95% CI of the difference {interval(near.interval)},"
                f" n = {near.n})."
            ),
            _NO_ACCIDENT,
        ]
    return [
        (
            f"{_NO_CONTENT}: it is not shown to say more about it than explanations of other"
            " documents do."
        ),
        _NO_UNDERSTANDING,
    ]


def _it_runs(calibration: CurrentCalibration) -> str:
    asked = calibration.denominators
    return f"The pair runs: {asked.ok} of {count(asked.rows, 'activation')} got an explanation."


def _undecided(calibration: CurrentCalibration) -> str:
    (why,) = clauses(calibration)
    return f"What an explanation carries. {why.reason} Do not cite these numbers as results."


def limitations(calibration: CurrentCalibration) -> list[str]:
    """Markdown sentences, the most serious first; `ALWAYS` is first in every release."""
    sentences = [
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
    return [sentence for sentence in sentences if sentence is not None]


def _format_only(calibration: CurrentCalibration) -> str | None:
    if label_name(calibration) != "format-only":
        return None
    others = calibration.contrasts.above_others
    return (
        "**The explanations are not shown to carry content.** The row's own explanation"
        f" reconstructs an activation at centred cosine {number(others.first)}, those of other"
        f" documents at {number(others.second)} {_difference(others)}. Do not read these"
        " explanations as statements about an activation."
    )


def _below_the_mean(calibration: CurrentCalibration) -> str | None:
    mean = calibration.controls["predict_mean"]
    if mean.difference >= 0 and (mean.interval is None or mean.interval[0] > 0):
        return _explains_no_more_than_the_mean(calibration)
    verdict = "Below" if mean.difference < 0 else "Not shown to be better than"
    return (
        f"**{verdict} predicting the mean.** The round trip scores plain"
        f" cosine {number(calibration.cosine.mean)}; the mean training direction, which uses no"
        f" explanation, scores {number(mean.mean)} {_difference(mean)}."
    )


def _explains_no_more_than_the_mean(calibration: CurrentCalibration) -> str | None:
    """By FVE, where the mean itself, which is shorter than 1, does better than its direction."""
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
    """Where a random direction in the activation's place makes no difference."""
    random, counts = calibration.centred.controls["random_vector"], calibration.injection
    no_gain = random.interval is not None and random.interval[0] <= 0
    same_text = counts.random_vector_same_text >= _OFTEN * counts.n
    if counts.n == 0 or not (no_gain or same_text):
        return None
    return (
        "**The injected activation made no measurable difference.** A random direction in its"
        f" place got word for word the same explanation in {counts.random_vector_same_text} of"
        f" {counts.n} rows, and its explanation reconstructs the activation at centred cosine"
        f" {number(random.mean)} {_difference(random)}."
    )


def _failures(calibration: CurrentCalibration) -> str | None:
    asked, survivors = calibration.denominators, calibration.cosine_survivors
    failed = asked.rows - asked.ok
    if failed == 0:
        return None
    without_them = (
        f" For reference only, without them: plain cosine {number(survivors.mean)} over"
        f" {count(survivors.n, 'row')}."
    )
    return (
        f"**{failed} of {count(asked.rows, 'activation')} got no explanation** ({asked.empty}"
        f" empty, {asked.truncated} truncated, {asked.unparsed} without tags). They count as cosine"
        f" 0 in every mean.{without_them if survivors.n else ''}"
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
    """Where retrieval does not tell the activations apart."""
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
            "**Do not compare plain cosines.** Activations of one layer share a direction: the mean"
            f" training direction alone scores plain cosine {number(mean.mean)}, the pair"
            f" {number(calibration.cosine.mean)}. Use centred cosines."
        )
    largest = energy.dimensions[0]
    dimension = f"Dimension {largest.dimension} holds {largest.energy:.0%} of"
    held = f"The direction of the mean holds {energy.mean_direction:.0%} of"
    return (
        "**Plain cosines say little here.**"
        f" {dimension if largest.energy > DOMINATED else held} the energy of these activations. The"
        f" mean training direction alone scores plain cosine {number(mean.mean)}, the pair"
        f" {number(calibration.cosine.mean)}. Read the centred cosines, which leave out the mean."
    )


def _template(calibration: CurrentCalibration) -> str | None:
    """Where most explanations are one text with a few words changed."""
    found = calibration.probes.of(Templates)
    if found is None or found.skeletons is None or not found.skeletons.most_common:
        return None
    one, common = found.skeletons.shares["1"], found.skeletons.most_common[0]
    if one.share <= 0.5:
        return None
    return (
        f"**Explanations follow one template.** {one.hits} of {one.n} have the form"
        f" {code_cell(common.skeleton)}; only the words in the gaps differ."
    )


def _not_compared(calibration: CurrentCalibration) -> str | None:
    """Where it is not known whether the pair was trained on the texts that it was measured on."""
    found = calibration.contamination
    shingles = found.shingles if found else None
    if isinstance(shingles, ShingleOverlap) and not shingles.uncompared_documents:
        return None
    if isinstance(shingles, ShingleOverlap) and isinstance(shingles.near, Ratio):
        return (
            f"**{count(shingles.uncompared_documents, 'document')} not compared with the training"
            " texts.** Their texts are withheld or too short, so the pair may have been trained on"
            " them."
        )
    return (
        "**Not compared with the training texts.** Whether the pair was trained on the texts that"
        " it was measured on was not checked."
    )


def _repetition(calibration: CurrentCalibration) -> str | None:
    texts = calibration.diversity
    if texts.distinct_explanations == texts.n:
        return None
    return (
        f"**Explanations repeat.** {count(texts.n, 'explanation')}:"
        f" {count(texts.distinct_explanations, 'different text')}. Treat each text as a category."
    )
