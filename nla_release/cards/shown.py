"""What the numbers show and what they do not, by label. A pure function of the calibration.

A label allows little: each list holds the sentences that its label allows, and of those only the
ones whose interval decides them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

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
from nla_release.cards.sentences import ONE_ROW_EACH
from nla_release.diagnostics.claims import Claims, missed_by_its_own
from nla_release.diagnostics.paraphrase import Paraphrase, wording_cost
from nla_release.diagnostics.text_retrieval import TextRetrieval
from nla_release.statistics.blocks import Permutation, Ranking
from nla_release.text.numbers import count, interval, number, signed

_NO_DETAIL = (
    "Whether any single name, number or detail in an explanation is true: explanations were scored"
    " against activations, not against facts."
)
_NO_WORD = (
    "Whether a specific word, name or example in an explanation is in the activation: it may be the"
    " topic and no more."
)
_NO_DOCUMENT = (
    "Whether an explanation says anything about its document: what tells rows apart may be the"
    " token, the position or the length."
)
_NO_CONTENT = "Whether an explanation says anything about its own activation"
_NO_UNDERSTANDING = (
    "Whether a high round-trip cosine is a sign of content: it is not shown to be lower without"
    " content."
)
_NO_ACCIDENT = (
    "Whether a difference from other explanations is a sign of content: an AR that answers nearly"
    " alike for all texts shows a small difference by accident."
)


@dataclass(frozen=True)
class Shown:
    """Sentences in Markdown; under no label is either list empty."""

    shows: list[str]
    does_not_show: list[str]


def shown(calibration: CurrentCalibration) -> Shown:
    """What the label allows to be said, and what a reader might take for shown and is not."""
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
                [_texts_apart(calibration), *_besides(calibration)],
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
    yield f"They carry more than the last token{_small(pairs.above_token)}."
    if inside := found.in_document:
        yield (
            "Among the activations of its document, the reconstruction finds its own in"
            f" {inside.mean:.1%} of {count(inside.n, 'row')}; knowing the document alone gives"
            f" {inside.chance:.1%}."
        )


def _documents_apart(calibration: CurrentCalibration) -> str:
    return f"Explanations tell documents apart{_small(calibration.contrasts.between)}."


def _texts_apart(calibration: CurrentCalibration) -> str:
    others = calibration.contrasts.above_others
    return f"Explanations tell rows apart{_small(others)}."


def _small(found: PairContrast | None) -> str:
    """A clause where the difference is small; the headline table has it with its interval."""
    assert found is not None  # or it would be another label
    if found.difference >= SMALL_EFFECT:
        return ""
    return f", by a small difference (centred cosine {signed(found.difference)})"


def _besides(calibration: CurrentCalibration) -> Iterator[str]:
    """What may or may not be shown under the same label."""
    mean = calibration.controls["predict_mean"]
    random = calibration.centred.controls["random_vector"]
    if above_zero(mean) and beats_the_mean(calibration):
        yield "Using the explanation beats predicting the mean training direction."
    if above_zero(random):
        yield "The injected activation matters: a random direction in its place does worse."
    found = calibration.probes.of(TextRetrieval)
    by_words = found and above_chance(found.lexical)
    if found and by_words:
        yield (
            "The words are informative without the AR: by words in common"
            f" {_led(found.lexical, 'source document')}."
        )
    if (
        found
        and not by_words
        and isinstance(found.encoder, Ranking)
        and above_chance(found.encoder)
    ):
        yield (
            "The words are informative without the AR: by an encoder"
            f" {_led(found.encoder, 'source document')}."
        )
    claims = calibration.probes.of(Claims)
    if claims and missed_by_its_own(claims):
        control = claims.controls["other_activation"]
        yield (
            "Leaving out a single claim costs its own activation more than another's (error"
            f" {signed(control.difference)}, 95% CI {interval(control.interval)},"
            f" n = {count(claims.n, 'claim')})."
        )


def _in_general(calibration: CurrentCalibration) -> Iterator[str]:
    """What neither label that allows content lets a reader conclude."""
    yield from _in_words(calibration)
    if cost := wording_cost(calibration.probes.of(Paraphrase)):
        yield f"Whether meaning rather than wording carries the content: {cost}."
    yield from _elsewhere(calibration)


def _in_words(calibration: CurrentCalibration) -> Iterator[str]:
    """Whether a reader would find it in the words too, and not this AR alone."""
    found = calibration.probes.of(TextRetrieval)
    if found is None:
        yield (
            "Whether a reader finds the content in the words: only this AR, which was trained for"
            " it, has read them."
        )
    elif not found_by_words(calibration):
        yield (
            "Whether a reader finds the content in the words: by the words alone"
            f" {_led(found.lexical, 'document')}. The AR may read them in a way of its own."
        )


def _led(found: Ranking, whereto: str) -> str:
    told = found.permutation
    p = f", p = {told.p:.4f} by permuting documents" if isinstance(told, Permutation) else ""
    return (
        f"{found.hits} of {found.n} explanations lead to their {whereto} (95% CI"
        f" {number(found.interval[0])} to {number(found.interval[1])}, chance"
        f" {number(found.chance)}{p})"
    )


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
    said = "Whether an explanation distinguishes its activation from others of the same document"
    if within is None:
        return f"{said}. {ONE_ROW_EACH}"
    return (
        f"{said}: the own text scores centred cosine {number(within.first)}, texts of other rows of"
        f" the document {number(within.second)} (difference {signed(within.difference)}, 95% CI"
        f" {interval(within.interval)}, n = {within.n})."
    )


def _without_content(calibration: CurrentCalibration) -> str:
    others, mean = calibration.contrasts.above_others, calibration.controls["predict_mean"]
    return (
        "How much of the score needs no content: the row's own explanation scores centred cosine"
        f" {number(others.first)}, explanations of other documents {number(others.second)}"
        f" (difference {signed(others.difference)}, 95% CI {interval(others.interval)},"
        f" n = {others.n}). Of plain cosines, the pair scores {number(calibration.cosine.mean)} and"
        f" the mean training direction {number(mean.mean)}."
    )


def _no_content(calibration: CurrentCalibration) -> list[str]:
    """Not said to be equal: what is not shown to differ may differ."""
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
