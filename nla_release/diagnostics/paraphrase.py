"""Whether rewording an explanation changes the reconstruction.

A change of wording that keeps the meaning should cost little. An AR that ignores its text passes
that too. So the cost is compared with that of another row's text, and counts only when the content
controls score below the explanation.

Fraser-Taliente et al. read a large drop as a sign of steganography: the words would carry more than
they say. SolshineCode/nla-gemma-4-e2b read a small drop as a failure, which inverts the test.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeInt

from nla_release.diagnostics.model import (
    Diagnostic,
    DiagnosticEvidence,
    DiagnosticInputs,
    Plan,
    Texts,
)
from nla_release.diagnostics.texts import paraphrase as paraphrase_of
from nla_release.diagnostics.texts import sentence_shuffled
from nla_release.evidence import controls
from nla_release.evidence.controls import CONTROLS
from nla_release.evidence.parts import Evidence
from nla_release.evidence.records import EvidenceRow
from nla_release.io.schema import Strict
from nla_release.statistics.blocks import (
    Cosine,
    Difference,
    Inconclusive,
    Interval,
    Number,
    Proportion,
    Rows,
    too_few,
)
from nla_release.statistics.measures import FORMAT_3, Measures
from nla_release.statistics.row import Row, difference_row
from nla_release.text.numbers import count, number, unsigned

RewordingName = Literal["paraphrase", "sentence_shuffled"]
_NAMES: dict[RewordingName, str] = {
    "paraphrase": "A paraphrase",
    "sentence_shuffled": "Another order of sentences",
}

# Half of what another row's text costs: above it wording decides more than meaning.
SMALL = 0.5

# A paraphrase that keeps more of the content words than this is mostly the text itself. Its small
# cost cannot show that the meaning rather than the wording carries the content.
MOST_WORDS = 0.5

_GIVEN = "given_in_the_data"
_WORD = re.compile(r"\w+")

_CONTENT_CONTROLS: tuple[controls.Answer, ...] = ("shuffled", "empty", "gibberish")


class Rewording(Difference):
    """The cost of a rewording, over rows whose text the rule changed.

    Cosines are centred; plain before format 3.
    """

    mean: Cosine = Field(description="cosine of the reworded text")
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


class KeptWords(Strict):
    """What share of an explanation's content words its paraphrase keeps.

    A word is content when fewer than half of the explanations say it.
    """

    mean: Proportion = Field(description="over all n")
    interval: Interval = Field(description="of the mean")
    median: Proportion = Field(description="over all n")
    n: Rows = Field(description="rows whose explanation has a content word")

    @property
    def most(self) -> bool:
        """Whether the paraphrases are mostly the words that they stand for."""
        return self.mean > MOST_WORDS


class Paraphrase(Strict):
    """Rewordings, and whether there is any content whose survival they could show."""

    separates: bool = Field(
        description="whether another row's text, the empty text and gibberish, where it was given,"
        " all score below the own one by intervals above 0"
    )
    rewordings: dict[RewordingName, Rewording | Inconclusive] = Field(
        description="a paraphrase by rules or from the data, and the sentences in another order"
    )
    given: NonNegativeInt | None = Field(
        default=None,
        description="rows whose paraphrase the data gave, the others' being by rules; absent before"
        " format 3",
    )
    kept_words: KeptWords | None = Field(
        default=None,
        description="content words that paraphrases keep; absent before format 3, null where no"
        " explanation has any",
    )

    @property
    def counts(self) -> bool:
        """Whether a small cost of the paraphrase shows that wording may change."""
        return self.separates and not (self.kept_words and self.kept_words.most)


def report(evidence: Evidence, measures: Measures = FORMAT_3) -> Paraphrase | Inconclusive | None:
    """Over rows whose text changed: the others would only dilute the cost."""
    names = [name for name in get_args(RewordingName) if name in evidence.vectors]
    if not names:
        return None
    if few := too_few(evidence.documents):
        return few
    separates = _separates(evidence, measures)
    kept = None
    words: dict[str, Any] = {}
    if measures.clustered and "paraphrase" in names:
        kept = _kept_words(evidence, measures)
        words = {"given": _given(evidence), "kept_words": kept}
    return Paraphrase(
        separates=separates,
        rewordings={
            name: _rewording(
                evidence, name, separates, measures, kept if name == "paraphrase" else None
            )
            for name in names
        },
        **words,
    )


def _given(evidence: Evidence) -> int:
    """What the run recorded; nothing where it is from before that."""
    settings = [each.settings for each in evidence.run.probes if each.name == "paraphrase"]
    found = settings[0].get(_GIVEN) if settings else None
    return found if isinstance(found, int) else 0


def _kept_words(evidence: Evidence, measures: Measures) -> KeptWords | None:
    rows = [row for row in evidence.rows if row.status == "ok"]
    said = [set(_WORD.findall(row.explanation.casefold())) for row in rows]
    often = Counter(word for words in said for word in words)
    shares, documents = [], []
    for row, words in zip(rows, said, strict=True):
        content = {word for word in words if 2 * often[word] < len(rows)}
        if content:
            kept = content & set(_WORD.findall(row.texts["paraphrase"].casefold()))
            shares.append(len(kept) / len(content))
            documents.append(row.document)
    if not shares:
        return None
    (interval,) = measures.intervals(np.array([shares]), documents)
    return KeptWords(
        mean=float(np.mean(shares)),
        interval=interval,
        median=float(np.median(shares)),
        n=len(shares),
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
    evidence: Evidence,
    name: RewordingName,
    separates: bool,
    measures: Measures,
    kept: KeptWords | None,
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
        sentence=f"{cost}: {_meaning(share_interval, separates, kept)}.",
    )


def _changed(rows: Sequence[EvidenceRow], name: RewordingName) -> npt.NDArray[np.bool_]:
    """[N] whether the words or their order changed."""
    return np.array(
        [row.texts[name].casefold().split() != row.explanation.casefold().split() for row in rows]
    )


def _meaning(share: tuple[float, float] | None, separates: bool, kept: KeptWords | None) -> str:
    if not separates:
        return (
            "this says nothing, because texts without the content do not score below the"
            " explanation, and an AR that ignores its text is not moved by wording either"
        )
    if kept and kept.most:
        return "this says little, because most content words are the same"
    if share is not None and share[1] < SMALL:
        return "the wording may change and most of the content stays"
    return "the wording is not shown to matter less than the content"


def _cost(mean: float, measures: Measures) -> str:
    """Formats 1 and 2 wrote three decimals, whatever they showed."""
    return number(mean) if measures.clustered else f"{round(mean, 3) + 0.0:.3f}"


def _rows(found: Paraphrase) -> Iterator[Row]:
    for name, cost in found.rewordings.items():
        if isinstance(cost, Rewording):
            words, own = CONTROLS[name].words, cost.mean + cost.difference
            changed = "Cosine, where rewording changed the text"
            yield difference_row(changed, own, words, cost.mean, cost)


def _sentences(found: Paraphrase) -> Iterator[str]:
    for name, cost in found.rewordings.items():
        if isinstance(cost, Rewording):
            yield cost.sentence
        else:
            yield f"{_NAMES[name]}: inconclusive, {cost.inconclusive}."
    if kept := found.kept_words:
        yield (
            f"Paraphrases keep {number(kept.mean)} of the content words (95% CI"
            f" {unsigned(kept.interval)}, median {number(kept.median)}, n = {kept.n});"
            f" {count(found.given or 0, 'paraphrase')} came with the data, the others are by rules."
        )
    if said := rewording_sentence(found):
        yield said


def rewording_sentence(found: Paraphrase) -> str | None:
    """Whether a small cost of other words can count for anything, where there is one."""
    if not any(_is_small(each) for each in found.rewordings.values()):
        return None
    if found.counts:
        return (
            "A small cost of rewording counts here, since the texts without the content all score"
            " below the explanation."
        )
    if found.separates:
        return (
            "A small cost of the paraphrase does not count here, since it keeps most of the content"
            " words."
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
    if not isinstance(cost, Rewording) or (_is_small(cost) and found.counts):
        return None
    share = ""
    if cost.share is not None and cost.share_interval:
        share = (
            f", a share of {number(cost.share)} of what another row's text costs (95% interval"
            f" {unsigned(cost.share_interval)})"
        )
    also = ""
    if not found.separates:
        also = ", and not all texts without the content score below either"
    elif found.kept_words and found.kept_words.most:
        also = f", and keeps {number(found.kept_words.mean)} of the content words"
    return (
        f"a paraphrase costs {number(cost.difference)} of the centred cosine{share} in"
        f" {count(cost.n, 'row')}{also}"
    )


def _is_small(found: Rewording | Inconclusive) -> bool:
    bounds = found.share_interval if isinstance(found, Rewording) else None
    return bounds is not None and bounds[1] < SMALL


def ask(inputs: DiagnosticInputs) -> Plan:
    """The AR reads a paraphrase of each explanation, and its sentences in another order."""
    given = [text.strip() if text else None for text in inputs.data.paraphrases]
    rows = list(zip(inputs.rows(), given, strict=True))
    texts: dict[str, Texts] = {
        "sentence_shuffled": [
            it and sentence_shuffled(it, id_, inputs.seed) for (id_, it), _ in rows
        ],
        "paraphrase": [
            it and (written or paraphrase_of(it, id_, inputs.seed)) for (id_, it), written in rows
        ],
    }
    total = sum(it is not None and bool(written) for (_, it), written in rows)
    return Plan({"seed": inputs.seed, _GIVEN: total}, texts=texts)


DIAGNOSTIC = Diagnostic(
    name="paraphrase",
    title="paraphrase",
    meaning="the cost of rewording an explanation",
    records=Paraphrase,
    report=report,
    rows=_rows,
    sentences=_sentences,
    ask=ask,
    recorded=DiagnosticEvidence({"paraphrase": len, "sentence_shuffled": len}),
)
