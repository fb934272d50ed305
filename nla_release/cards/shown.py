"""What the numbers show and what they do not, by label. A pure function of the calibration.

A label allows little: each list holds the sentences that its label allows, and of those only the
ones whose interval decides them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from nla_release.calibration.blocks import Permutation, Ranking
from nla_release.calibration.probes.claims import Claims
from nla_release.calibration.probes.retrieval import Retrieval
from nla_release.calibration.probes.text_retrieval import TextRetrieval
from nla_release.calibration.report import Calibration, ControlName
from nla_release.cards.probe_sentences import wording_cost
from nla_release.cards.sentences import ONE_ROW_EACH, not_nearer
from nla_release.text.numbers import count, interval, number, signed

SIGNIFICANT = 0.05

_NO_DETAIL = (
    "Whether any single name, number or detail in an explanation is true: explanations were scored"
    " against activations, not against facts."
)
_NO_WORD = (
    "Whether a specific word, name or example in an explanation is in the activation: it may be the"
    " topic and no more."
)
_NOT_BEYOND_ITS_PLACE = (
    "Whether the explanations carry more than the token at the activation's position: no control"
    " gives the AR that token alone."
)
_NO_CONTENT = "Whether an explanation says anything about its own activation"
_NO_UNDERSTANDING = (
    "Whether a high round-trip cosine is a sign of content: it is not shown to be lower without"
    " content."
)
_NO_ACCIDENT = (
    "Whether a difference from another row's explanation is a sign of content: an AR that answers"
    " nearly alike for all texts shows a small difference by accident."
)


@dataclass(frozen=True)
class Shown:
    """Sentences in Markdown; under no label is either list empty."""

    shows: list[str]
    does_not_show: list[str]


def shown(calibration: Calibration) -> Shown:
    """What the label allows to be said, and what a reader might take for shown and is not."""
    match calibration.label.name:
        case "content-reading":
            return Shown(
                [_belongs(calibration), _singles_out(calibration), *_besides(calibration)],
                [_NO_DETAIL, _NOT_BEYOND_ITS_PLACE, *_in_general(calibration)],
            )
        case "topic-level":
            return Shown(
                [_belongs(calibration), *_besides(calibration)],
                [_not_singled_out(calibration), _NO_WORD, *_in_general(calibration)],
            )
        case "format-only":
            return Shown([_without_content(calibration)], _no_content(calibration))
        case "inconclusive":
            return Shown([_it_runs(calibration)], [_undecided(calibration)])


def _belongs(calibration: Calibration) -> str:
    return (
        "Explanations belong to their activations: another row's explanation lowers the cosine"
        f" {_apart(calibration, 'shuffled')}."
    )


def _singles_out(calibration: Calibration) -> str:
    found = calibration.retrieval
    return (
        "They carry more than their document: the reconstruction is nearest to its own activation"
        f" in {found.hits} of {found.n} rows, where knowing the document alone would give"
        f" {number(_document_alone(calibration))} of them."
    )


def _besides(calibration: Calibration) -> Iterator[str]:
    """What may or may not be shown under the same label."""
    if _above(calibration, "predict_mean"):
        yield (
            "Using the explanation beats predicting the mean training direction, which lowers the"
            f" cosine {_apart(calibration, 'predict_mean')}."
        )
    if _above(calibration, "random_vector"):
        yield (
            "The injected activation matters: a random direction in its place lowers the cosine"
            f" {_apart(calibration, 'random_vector')}."
        )
    found = calibration.probes.text_retrieval
    if isinstance(found, TextRetrieval) and _above_chance(found.lexical):
        yield (
            "The words are informative without the AR: by words in common"
            f" {_led(found.lexical, 'source document')}."
        )
    claims = calibration.probes.claims
    if isinstance(claims, Claims):
        control = claims.controls["other_activation"]
        if control.interval and control.interval[0] > 0:
            yield (
                "Leaving out a single claim costs its own activation more than another's (error"
                f" {signed(control.difference)}, 95% CI {interval(control.interval)},"
                f" n = {count(claims.n, 'claim')})."
            )


def _in_general(calibration: Calibration) -> Iterator[str]:
    """What neither label that allows content lets a reader conclude."""
    yield from _in_words(calibration)
    if cost := wording_cost(calibration.probes):
        yield f"Whether meaning rather than wording carries the content: {cost}."
    yield from _elsewhere(calibration)


def _in_words(calibration: Calibration) -> Iterator[str]:
    """Whether a reader would find it in the words too, and not this AR alone."""
    found = calibration.probes.text_retrieval
    if not isinstance(found, TextRetrieval):
        yield (
            "Whether a reader finds the content in the words: only this AR, which was trained for"
            " it, has read them."
        )
    elif not _above_chance(found.lexical):
        yield (
            "Whether a reader finds the content in the words: by the words alone"
            f" {_led(found.lexical, 'document')}. The AR may read them in a way of its own."
        )


def _above_chance(found: Ranking) -> bool:
    """By rows and by documents: where those of a document hit together, Wilson is too narrow."""
    told = found.permutation
    by_documents = isinstance(told, Permutation) and told.p < SIGNIFICANT
    return found.interval[0] > found.chance and by_documents


def _led(found: Ranking, whereto: str) -> str:
    told = found.permutation
    p = f", p = {told.p:.4f} by permuting documents" if isinstance(told, Permutation) else ""
    return (
        f"{found.hits} of {found.n} explanations lead to their {whereto} (95% CI"
        f" {number(found.interval[0])} to {number(found.interval[1])}, chance"
        f" {number(found.chance)}{p})"
    )


def _elsewhere(calibration: Calibration) -> Iterator[str]:
    asked = calibration.denominators
    yield (
        f"Anything beyond these {count(asked.rows, 'activation')} from"
        f" {count(asked.documents, 'document')}: other kinds of text, other positions, other"
        " layers, other models."
    )
    yield (
        "Whether the model uses what an explanation names: no behaviour was predicted or changed."
    )


def _not_singled_out(calibration: Calibration) -> str:
    found, alone = calibration.retrieval, _document_alone(calibration)
    said = "Whether an explanation distinguishes its activation from others of the same document"
    if alone == 1:
        return f"{said}. {ONE_ROW_EACH}"
    return (
        f"{said}: the reconstruction is nearest to its own activation in {found.hits} of {found.n}"
        f" rows (95% CI {number(found.interval[0])} to {number(found.interval[1])}), and"
        f" knowing the document alone would give {number(alone)}."
    )


def _without_content(calibration: Calibration) -> str:
    shuffled, mean = calibration.controls["shuffled"], calibration.controls["predict_mean"]
    return (
        "How much of the cosine needs no content: the row's own explanation scores"
        f" {number(calibration.cosine.mean)}, another row's {number(shuffled.mean)} and the mean"
        f" training direction {number(mean.mean)} (own minus another's"
        f" {signed(shuffled.difference)}, 95% CI {interval(shuffled.interval)},"
        f" n = {shuffled.n})."
    )


def _no_content(calibration: Calibration) -> list[str]:
    """Not said to be equal: what is not shown to differ may differ."""
    low, high = calibration.controls["shuffled"].interval or (0, 0)
    retrieval = calibration.probes.retrieval
    if high < 0:
        return [
            f"{_NO_CONTENT}: another row's explanation reconstructs it better.",
            _NO_UNDERSTANDING,
        ]
    if low > 0 and isinstance(retrieval, Retrieval):
        return [f"{_NO_CONTENT}: {not_nearer(retrieval.all.percentile)}.", _NO_ACCIDENT]
    return [
        f"{_NO_CONTENT}: it is not shown to say more about it than another row's explanation does.",
        _NO_UNDERSTANDING,
    ]


def _it_runs(calibration: Calibration) -> str:
    asked = calibration.denominators
    return f"The pair runs: {asked.ok} of {count(asked.rows, 'activation')} got an explanation."


def _undecided(calibration: Calibration) -> str:
    return (
        f"What an explanation carries. {calibration.label.sentence} Do not cite these numbers as"
        " results."
    )


def _apart(calibration: Calibration, name: ControlName) -> str:
    """Both values; the headline table has their difference with its interval."""
    control = calibration.controls[name]
    return f"from {number(calibration.cosine.mean)} to {number(control.mean)}"


def _above(calibration: Calibration, name: ControlName) -> bool:
    bounds = calibration.controls[name].interval
    return bounds is not None and bounds[0] > 0


def _document_alone(calibration: Calibration) -> float:
    asked = calibration.denominators
    return asked.documents / asked.rows
