"""Whether saying the same otherwise leaves the reconstruction where it was.

A change of wording that keeps the meaning should cost little. That is good only of an AR that
reads: one that ignores its text is moved by nothing. So the change is held against the cost of
another row's text, and says nothing unless the content controls separate.

Fraser-Taliente et al. read a large drop as a sign of steganography: the words would carry more than
they say. SolshineCode/nla-gemma-4-e2b read a small one as a failure, which is the test inverted.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeInt

from nla_release.calibration import controls
from nla_release.calibration.blocks import (
    Cosine,
    Inconclusive,
    Interval,
    Number,
    Rows,
)
from nla_release.calibration.controls import CONTROLS
from nla_release.calibration.enough import too_few
from nla_release.calibration.measures import FORMAT_3, Measures
from nla_release.calibration.parts import Evidence
from nla_release.calibration.records import Row as EvidenceRow
from nla_release.calibration.row import Row
from nla_release.calibration.texts import paraphrase as paraphrase_of
from nla_release.calibration.texts import sentence_shuffled
from nla_release.diagnostics.asking import Plan, Seen, Texts
from nla_release.diagnostics.model import Diagnostic, Leaves
from nla_release.schema import Strict
from nla_release.text.numbers import count, number, unsigned

RewordingName = Literal["paraphrase", "sentence_shuffled"]
_NAMES: dict[RewordingName, str] = {
    "paraphrase": "A paraphrase",
    "sentence_shuffled": "Another order of sentences",
}

# Half of what another row's text costs: above it wording decides more than meaning.
SMALL = 0.5

_CONTENT_CONTROLS: tuple[controls.Answer, ...] = ("shuffled", "empty", "gibberish")


class Rewording(Strict):
    """What it costs to say the same otherwise, over rows whose text the rule changed.

    Cosines are centred; plain before format 3.
    """

    mean: Cosine = Field(description="cosine of the reworded text")
    difference: Number = Field(description="mean of real - reworded")
    interval: Interval = Field(description="of the difference")
    n: Rows = Field(description="rows whose text changed, in more than case and white space")
    unchanged: NonNegativeInt = Field(description="rows whose text no rule changed, left out")
    failed: NonNegativeInt = Field(
        description="rows without an explanation, or whose other row has none, left out"
    )
    share: Number | None = Field(
        description="difference over that of another row's text on the same rows; null when that"
        " is not above 0"
    )
    share_interval: Interval = Field(description="of the share")
    sentence: str = Field(description="what follows, in words")


class Paraphrase(Strict):
    """Rewordings, and whether there is any content whose survival they could show."""

    separates: bool = Field(
        description="whether another row's text, the empty text and gibberish, where it was given,"
        " all score below the own one by intervals above 0"
    )
    rewordings: dict[RewordingName, Rewording | Inconclusive] = Field(
        description="a paraphrase by rules or from the data, and the sentences in another order"
    )


def report(evidence: Evidence, measures: Measures = FORMAT_3) -> Paraphrase | Inconclusive | None:
    """Over rows whose text changed: the others would only dilute the change."""
    names = [name for name in get_args(RewordingName) if name in evidence.vectors]
    if not names:
        return None
    if few := too_few(evidence.documents):
        return few
    separates = _separates(evidence, measures)
    return Paraphrase(
        separates=separates,
        rewordings={name: _rewording(evidence, name, separates, measures) for name in names},
    )


def _separates(evidence: Evidence, measures: Measures) -> bool:
    real = controls.scores(evidence, "real", measures)
    gaps = [
        real - controls.scores(evidence, name, measures)
        for name in _CONTENT_CONTROLS
        if controls.has(evidence, name)
    ]
    found = measures.intervals(np.stack(gaps), evidence.documents)
    return all(interval is not None and interval[0] > 0 for interval in found)


def _rewording(
    evidence: Evidence, name: RewordingName, separates: bool, measures: Measures
) -> Rewording | Inconclusive:
    compared = ~(evidence.failed("real") | evidence.failed("shuffled"))
    changed = _changed(evidence.rows, name) & compared
    documents = [evidence.documents[i] for i in np.flatnonzero(changed)]
    if few := too_few(documents, "texts changed"):
        return few
    own, other, shuffled = (
        controls.scores(evidence, key, measures)[changed] for key in ("real", name, "shuffled")
    )
    loss, gap = own - other, own - shuffled
    (interval,) = measures.intervals(loss[np.newaxis], documents)
    (share_interval,) = measures.ratio_intervals(loss[np.newaxis], gap, documents)
    score = "centred cosine" if measures.clustered else "cosine"
    cost = (
        f"{_NAMES[name]} costs {_cost(loss.mean(), measures)} of the {score}, another row's text"
        f" {_cost(gap.mean(), measures)} (n = {len(documents)})"
    )
    return Rewording(
        mean=other.mean(),
        difference=loss.mean(),
        interval=interval,
        n=len(documents),
        unchanged=int((compared & ~changed).sum()),
        failed=int((~compared).sum()),
        share=loss.mean() / gap.mean() if gap.mean() > 0 else None,
        share_interval=share_interval,
        sentence=f"{cost}: {_meaning(share_interval, separates)}.",
    )


def _changed(rows: Sequence[EvidenceRow], name: RewordingName) -> npt.NDArray[np.bool_]:
    """[N] whether another word is said, or in another place."""
    return np.array([_words(row.texts[name]) != _words(row.explanation) for row in rows])


def _words(text: str) -> list[str]:
    return text.casefold().split()


def _meaning(share: tuple[float, float] | None, separates: bool) -> str:
    if not separates:
        return (
            "this says nothing, because texts without the content do not score below the"
            " explanation, and an AR that ignores its text is not moved by wording either"
        )
    if share is not None and share[1] < SMALL:
        return "the wording may change and most of the content stays"
    return "the wording is not shown to matter less than the content"


def _cost(mean: float, measures: Measures) -> str:
    """Formats 1 and 2 wrote three decimals, whatever they showed."""
    return number(mean) if measures.clustered else f"{round(mean, 3) + 0.0:.3f}"


def _rows(found: Paraphrase) -> Iterator[Row]:
    for name, cost in found.rewordings.items():
        if isinstance(cost, Rewording):
            yield Row(
                "Cosine, where rewording changed the text",
                cost.mean + cost.difference,
                cost.n,
                control=CONTROLS[name].words,
                baseline=cost.mean,
                difference=cost.difference,
                interval=cost.interval,
            )


def _sentences(found: Paraphrase) -> Iterator[str]:
    for name, cost in found.rewordings.items():
        if isinstance(cost, Rewording):
            yield cost.sentence
        else:
            yield f"{_NAMES[name]}: inconclusive, {cost.inconclusive}."
    if said := rewording_sentence(found):
        yield said


def rewording_sentence(found: Paraphrase) -> str | None:
    """Whether a small cost of other words can count for anything, where there is one."""
    if not any(_is_small(each) for each in found.rewordings.values()):
        return None
    if found.separates:
        return (
            "A small cost of rewording counts here, since the texts without the content all score"
            " below the explanation."
        )
    return (
        "A small cost of rewording does not count here, since not all texts without the content"
        " score below the explanation."
    )


def wording_cost(found: Paraphrase | None) -> str | None:
    """What a paraphrase costs; None where none was read, or the cost is small and counts."""
    if found is None:
        return None
    cost = found.rewordings.get("paraphrase")
    if not isinstance(cost, Rewording) or (_is_small(cost) and found.separates):
        return None
    share = ""
    if cost.share is not None and cost.share_interval:
        share = (
            f", a share of {number(cost.share)} of what another row's text costs (95% interval"
            f" {unsigned(cost.share_interval)})"
        )
    besides = (
        "" if found.separates else ", and not all texts without the content score below either"
    )
    return (
        f"a paraphrase costs {number(cost.difference)} of the cosine{share} in"
        f" {count(cost.n, 'row')}{besides}"
    )


def _is_small(found: Rewording | Inconclusive) -> bool:
    bounds = found.share_interval if isinstance(found, Rewording) else None
    return bounds is not None and bounds[1] < SMALL


def _stated(found: Paraphrase) -> Iterator[float]:
    """What another row's text costs, which the sentences say."""
    for cost in found.rewordings.values():
        if isinstance(cost, Rewording) and cost.share:
            yield cost.difference / cost.share


def ask(seen: Seen) -> Plan:
    """The AR reads each explanation said otherwise, and its sentences in another order."""
    given = [text.strip() if text else None for text in seen.data.paraphrases]
    rows = list(zip(seen.rows(), given, strict=True))
    texts: dict[str, Texts] = {
        "sentence_shuffled": [
            it and sentence_shuffled(it, id_, seen.seed) for (id_, it), _ in rows
        ],
        "paraphrase": [
            it and (written or paraphrase_of(it, id_, seen.seed)) for (id_, it), written in rows
        ],
    }
    total = sum(it is not None and bool(written) for (_, it), written in rows)
    return Plan({"seed": seen.seed, "given_in_the_data": total}, texts=texts)


DIAGNOSTIC = Diagnostic(
    name="paraphrase",
    title="paraphrase",
    meaning="the same said otherwise",
    records=Paraphrase,
    report=report,
    rows=_rows,
    sentences=_sentences,
    ask=ask,
    leaves=Leaves({"paraphrase": len, "sentence_shuffled": len}),
    metrics={"": ("control", "cosine")},
    mentioned=r"paraphras|reword|sentence\s(?:shuffl|order)|sentences\sin",
    stated=_stated,
)
