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
from nla_release.cards.numbers import count, interval, number, signed
from nla_release.cards.probe_sentences import wording_cost
from nla_release.cards.sentences import ONE_ROW_EACH, not_nearer

SIGNIFICANT = 0.05

_NO_DETAIL = (
    "That any one name, number or detail in an explanation is true: texts were compared with"
    " activations, not statements with facts."
)
_NO_WORD = (
    "That a specific word, name or example in an explanation is there in the activation: what"
    " carries over may be the topic and no more."
)
_NOT_BEYOND_ITS_PLACE = (
    "That it carries more than the token it was read at: no control gives the AR that token alone."
)
_NOT_ABOUT = "so none should be read as a statement about what it stands beside."
_NO_UNDERSTANDING = (
    "That a high cosine of the round trip is a sign of content: it is not shown to be lower"
    " without."
)
_NO_ACCIDENT = (
    "That a difference from another's is a sign of content: where the AR answers nearly alike, any"
    " accident of the text makes one."
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
        "That an explanation belongs to its activation. Read in the place of the row's own, another"
        f" row's explanation lowers the cosine {_apart(calibration, 'shuffled')}."
    )


def _singles_out(calibration: Calibration) -> str:
    found = calibration.retrieval
    return (
        "That it carries more than its document. The reconstruction is nearest to its own"
        f" activation in {found.hits} of {found.n} rows (95% interval {number(found.interval[0])}"
        f" to {number(found.interval[1])}); knowing the document alone would give"
        f" {number(_document_alone(calibration))}."
    )


def _besides(calibration: Calibration) -> Iterator[str]:
    """What may or may not be shown under the same label."""
    if _above(calibration, "predict_mean"):
        yield (
            "That reading beats not reading: the mean training direction, given as the answer every"
            f" time, lowers the cosine {_apart(calibration, 'predict_mean')}."
        )
    if _above(calibration, "random_vector"):
        yield (
            "That what is injected matters: explained in the activation's place, a random direction"
            f" lowers the cosine {_apart(calibration, 'random_vector')}."
        )
    found = calibration.probes.text_retrieval
    if isinstance(found, TextRetrieval) and _above_chance(found.lexical):
        yield (
            "That the words alone, without the AR, tell something: by words in common"
            f" {_led(found.lexical, 'source document')}."
        )
    claims = calibration.probes.claims
    if isinstance(claims, Claims):
        control = claims.controls["other_activation"]
        if control.interval and control.interval[0] > 0:
            yield (
                "That single claims are missed by their own activation more than by another's"
                f" (error {signed(control.difference)}, 95% interval {interval(control.interval)},"
                f" n = {count(claims.n, 'claim')})."
            )


def _in_general(calibration: Calibration) -> Iterator[str]:
    """What neither label that allows content lets a reader conclude."""
    yield from _in_words(calibration)
    if cost := wording_cost(calibration.probes):
        yield f"That meaning rather than wording carries it: {cost}."
    yield from _elsewhere(calibration)


def _in_words(calibration: Calibration) -> Iterator[str]:
    """Whether a reader would find it in the words too, and not this AR alone."""
    found = calibration.probes.text_retrieval
    if not isinstance(found, TextRetrieval):
        yield (
            "That a reader finds the content in the words: this AR was trained to, and nothing"
            " else read them."
        )
    elif not _above_chance(found.lexical):
        yield (
            "That a reader finds the content in the words. By the words alone"
            f" {_led(found.lexical, 'document')}: the AR may read them in a way of its own."
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
        f"{found.hits} of {found.n} explanations lead to their {whereto} (95% interval"
        f" {number(found.interval[0])} to {number(found.interval[1])}, chance"
        f" {number(found.chance)}{p})"
    )


def _elsewhere(calibration: Calibration) -> Iterator[str]:
    asked = calibration.denominators
    yield (
        f"Anything beyond the {count(asked.rows, 'activation')} from"
        f" {count(asked.documents, 'document')} that were measured: other kinds of text, other"
        " positions in a text, other layers, other models."
    )
    yield (
        "That the model uses what an explanation names: no behaviour was predicted from a text, and"
        " none was changed by one."
    )


def _not_singled_out(calibration: Calibration) -> str:
    found, alone = calibration.retrieval, _document_alone(calibration)
    said = "That an explanation tells its activation from others of the same document."
    if alone == 1:
        return f"{said} {ONE_ROW_EACH}"
    return (
        f"{said} The reconstruction is nearest to its own activation in {found.hits} of {found.n}"
        f" rows (95% interval {number(found.interval[0])} to {number(found.interval[1])}), and"
        f" knowing the document alone would give {number(alone)}."
    )


def _without_content(calibration: Calibration) -> str:
    shuffled, mean = calibration.controls["shuffled"], calibration.controls["predict_mean"]
    return (
        "How much of the cosine is there without the content. The row's own explanation scores"
        f" {number(calibration.cosine.mean)}, another row's {number(shuffled.mean)} and the mean"
        f" training direction {number(mean.mean)} (own minus another's"
        f" {signed(shuffled.difference)}, 95% interval {interval(shuffled.interval)},"
        f" n = {shuffled.n})."
    )


def _no_content(calibration: Calibration) -> list[str]:
    """Not said to be equal: what is not shown to differ may differ."""
    said = "That an explanation says anything about its own activation"
    low, high = calibration.controls["shuffled"].interval or (0, 0)
    retrieval = calibration.probes.retrieval
    if high < 0:
        return [f"{said}: another's reconstructs it better, {_NOT_ABOUT}", _NO_UNDERSTANDING]
    if low > 0 and isinstance(retrieval, Retrieval):
        return [f"{said}: {not_nearer(retrieval.all.percentile)}, {_NOT_ABOUT}", _NO_ACCIDENT]
    return [
        f"{said}: it is not shown to say more about it than another's does, {_NOT_ABOUT}",
        _NO_UNDERSTANDING,
    ]


def _it_runs(calibration: Calibration) -> str:
    asked = calibration.denominators
    return (
        f"That the pair runs: asked for {count(asked.rows, 'activation')}, the AV explained"
        f" {asked.ok} of them."
    )


def _undecided(calibration: Calibration) -> str:
    return (
        f"Anything about what an explanation carries. {calibration.label.sentence} The numbers are"
        " here to be checked, not to be cited."
    )


def _apart(calibration: Calibration, name: ControlName) -> str:
    control = calibration.controls[name]
    return (
        f"from {number(calibration.cosine.mean)} to {number(control.mean)} (difference"
        f" {signed(control.difference)}, 95% interval {interval(control.interval)},"
        f" n = {control.n})"
    )


def _above(calibration: Calibration, name: ControlName) -> bool:
    bounds = calibration.controls[name].interval
    return bounds is not None and bounds[0] > 0


def _document_alone(calibration: Calibration) -> float:
    asked = calibration.denominators
    return asked.documents / asked.rows
