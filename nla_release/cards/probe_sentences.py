"""What the numbers of the probes, and of what was compared and tried, allow to be said."""

import math
from typing import get_args

from nla_release.calibration.blocks import Inconclusive, Permutation, Ratio
from nla_release.calibration.contamination import Contamination
from nla_release.calibration.multiplicity import Multiplicity
from nla_release.calibration.probes.ceiling import Ceiling
from nla_release.calibration.probes.claims import Claims
from nla_release.calibration.probes.discrimination import Discrimination
from nla_release.calibration.probes.paraphrase import SMALL, Paraphrase, Rewording
from nla_release.calibration.probes.structural import Structural, StructuralName
from nla_release.calibration.probes.templates import Length, Templates
from nla_release.calibration.report import Probes
from nla_release.calibration.statistics import wilson
from nla_release.cards.markdown import code_cell
from nla_release.cards.probe_rows import unsigned
from nla_release.text.numbers import count, interval, number, signed

_WITHOUT_READING: dict[StructuralName, str] = {
    "predict_mean": "the mean training direction",
    "empty": "the empty explanation",
    "shuffled": "another row's explanation",
}


def discrimination_sentence(found: Discrimination) -> str:
    """Whether the AR reads text that no AV wrote."""
    told = found.auc_interval is not None and found.auc_interval[0] > 0.5
    bounds = (
        f"95% interval {number(found.auc_interval[0])} to {number(found.auc_interval[1])}"
        if found.auc_interval
        else "no interval"
    )
    return (
        f"A source text scores above gibberish of equal length in {number(found.auc)} of all pairs"
        f" ({bounds}, chance {number(0.5)}, n = {found.n}): the AR"
        f" {'tells' if told else 'is not shown to tell'} ordinary text from gibberish."
    )


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


def wording_cost(probes: Probes) -> str | None:
    """What a paraphrase costs; None where none was read, or the cost is small and counts."""
    reworded = probes.paraphrase
    if not isinstance(reworded, Paraphrase):
        return None
    found = reworded.rewordings.get("paraphrase")
    if not isinstance(found, Rewording) or (_is_small(found) and reworded.separates):
        return None
    share = ""
    if found.share is not None and found.share_interval:
        share = (
            f", a share of {number(found.share)} of what another row's text costs (95% interval"
            f" {unsigned(found.share_interval)})"
        )
    besides = (
        "" if reworded.separates else ", and not all texts without the content score below either"
    )
    return (
        f"a paraphrase costs {number(found.difference)} of the cosine{share} in"
        f" {count(found.n, 'row')}{besides}"
    )


def _is_small(found: Rewording | Inconclusive) -> bool:
    bounds = found.share_interval if isinstance(found, Rewording) else None
    return bounds is not None and bounds[1] < SMALL


def structural_sentence(found: Structural) -> str:
    """How little of the cosine is left for the content."""
    name, most = max(
        ((name, given.share) for name, given in found.shares.items()), key=lambda each: each[1]
    )
    added = (
        f"the row's own explanation adds {number(1 - most)} of it"
        if most < 1
        else "the row's own explanation adds nothing to it"
    )
    return (
        f"Of the cosine {number(found.real)} {_WITHOUT_READING[name]} gives a share of"
        f" {number(most)} already: {added}."
    )


def claims_sentence(found: Claims) -> str:
    """Whether a claim is missed by its own activation, which the second control decides."""
    control = found.controls["other_activation"]
    missed = control.interval is not None and control.interval[0] > 0
    verdict = (
        "a claim is missed more by its own activation than by another's. A disturbance that shrinks"
        " every cosine alike would cost the larger one more, so a small difference is no proof"
        if missed
        else "a claim is not shown to be missed more by its own activation than by another's. The"
        " AR may be disturbed by any shorter text"
    )
    asked = f"{count(found.rows, 'explanation')} of two or more claims"
    if found.too_short or found.failed:
        asked += f" ({found.too_short} shorter and {found.failed} failed were not probed)"
    return (
        f"In {asked}, leaving a claim out raised the error {found.positive.hits} times of"
        f" {found.positive.n}. Read the control of another activation: the error rises by"
        f" {signed(found.change)} against {signed(control.mean)} there (difference"
        f" {signed(control.difference)}, 95% interval {interval(control.interval)}): {verdict}."
    )


def permutation_sentence(name: str, found: Permutation | Inconclusive) -> str:
    """How often a chance assignment hits as often, and the least that could be shown."""
    if isinstance(found, Inconclusive):
        return f"{name}: no p, inconclusive, {code_cell(found.inconclusive)}."
    # Four decimals: the floor of 2000 permutations would be rounded up to twice itself.
    return (
        f"{name}: p = {found.p:.4f} by {found.draws} permutations, which cannot show less than"
        f" {found.floor:.4f}."
    )


def templates_sentence(found: Templates) -> str:
    """How many ways there are to begin."""
    ways = ", ".join(
        f"{each.distinct} at {length} characters (the most common {count(each.largest, 'time')})"
        for length in get_args(Length)
        if (each := found.beginnings.get(length))
    )
    failed = f"; {found.failed} failed and are left out" if found.failed else ""
    return f"Different beginnings of the {count(found.n, 'explanation')}: {ways}{failed}."


def ceiling_sentence(found: Ceiling) -> str:
    """Whom to blame for a low score."""
    if _told(found.nearest, found.nearest_chance, found.documents) or _told(
        found.probe, found.probe_chance, found.documents
    ):
        return (
            "Raw activations tell their document better than chance, so a score at chance would not"
            " be the layer's alone."
        )
    return (
        "Raw activations are not shown to tell their document either, so a low score may be the"
        " layer's or the data's and not the pair's."
    )


def _told(found: Ratio, chance: float, documents: int) -> bool:
    """Above chance even if all rows of a document hit or miss as one."""
    low, _ = wilson(math.floor(found.share * documents), documents)
    return low > chance


def contamination_sentence(found: Contamination | None) -> str:
    """Whether the pair was measured on what it was trained on."""
    if found is None:
        return (
            "Nothing was compared with the training documents: whether the pair was trained on"
            " these texts is not known."
        )
    texts = found.texts
    by_text = (
        f"texts were not compared: {texts.inconclusive}."
        if isinstance(texts, Inconclusive)
        else f"{texts.hits} of {texts.n} rows are of a document that shares its text."
    )
    said = (
        f"Compared with {count(found.training_documents, 'training document')}:"
        f" {found.documents.hits} of {found.documents.n} evaluation documents share an id with one,"
        f" and {by_text}"
    )
    if not (found.documents.hits or (isinstance(texts, Ratio) and texts.hits)):
        return said
    return (
        f"{said} Without these documents the cosine is {number(found.clean.mean)}"
        f" (n = {found.clean.n})."
    )


def tried_sentence(found: Multiplicity) -> str:
    """How many others were tried; RELEASE_CALIBRATION.md has the note on intervals too."""
    if found.attempts is None:
        return "How many other checkpoints or settings were tried is not recorded."
    if found.attempts == 1:
        return "No other checkpoint or setting was tried."
    return (
        f"This pair is one of {found.attempts} checkpoints or settings that were tried; the best of"
        " many looks better than it is."
    )
