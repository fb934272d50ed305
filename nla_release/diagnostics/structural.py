"""How much of the plain cosine exists before anything of the activation is read.

The mean vector depends on the layer, the empty text on the form of the prompt, and another row's
text on the style of explanations. Their scores owe nothing to the content of this activation.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import Field

from nla_release.diagnostics.model import Diagnostic
from nla_release.evidence import controls
from nla_release.evidence.controls import CONTROLS
from nla_release.evidence.parts import Evidence
from nla_release.io.schema import Strict, holds
from nla_release.statistics.blocks import Cosine, Inconclusive, Interval, Number, Rows, too_few
from nla_release.statistics.measures import FORMAT_3, Measures
from nla_release.statistics.row import Row
from nla_release.text.numbers import number

StructuralName = Literal["predict_mean", "empty", "shuffled"]


class Share(Strict):
    """A control's mean cosine over the real one."""

    share: Number = Field(description="control / real; above 1 the control does better")
    interval: Interval = Field(
        description="of the share; null when a resampled real mean is not above 0"
    )
    n: Rows


class Structural(Strict):
    """The part of the plain cosine that controls already give."""

    real: Cosine = Field(description="of the explanation itself, over all rows")
    shares: Annotated[dict[StructuralName, Share], holds(*get_args(StructuralName))] = Field(
        description="of the training mean, the empty text and another row's explanation"
    )


def report(evidence: Evidence, measures: Measures = FORMAT_3) -> Structural | Inconclusive:
    """Ratios of means over the same rows."""
    if few := too_few(evidence.documents):
        return few
    real = controls.cosines(evidence, "real")
    if real.mean() <= 0:
        return Inconclusive(
            inconclusive=f"the mean cosine is {_mean(real.mean(), measures)}, of which nothing can"
            " be a share"
        )
    names: tuple[StructuralName, ...] = get_args(StructuralName)
    others = np.stack([controls.cosines(evidence, name) for name in names])
    intervals = measures.ratio_intervals(others, real, evidence.documents)
    return Structural(
        real=real.mean(),
        shares={
            name: Share(share=other.mean() / real.mean(), interval=interval, n=len(real))
            for name, other, interval in zip(names, others, intervals, strict=True)
        },
    )


def _mean(value: float, measures: Measures) -> str:
    """Formats 1 and 2 wrote three decimals, whatever they showed."""
    return number(value) if measures.clustered else f"{value:.3f}"


def _rows(found: Structural) -> Iterator[Row]:
    for name in get_args(StructuralName):
        given = found.shares[name]
        yield Row(
            f"Share of the plain cosine: {CONTROLS[name].words}",
            given.share,
            given.n,
            control="the explanation itself",
            baseline=1.0,
            difference=given.share - 1,
            interval=given.interval and (given.interval[0] - 1, given.interval[1] - 1),
        )


def _sentences(found: Structural) -> Iterator[str]:
    """How little of the cosine is left for the content."""
    name, given = max(found.shares.items(), key=lambda each: each[1].share)
    left = number(1 - given.share) if given.share < 1 else "nothing"
    of = "of it" if given.share < 1 else "to it"
    yield (
        f"Of the plain cosine {number(found.real)} {CONTROLS[name].words} gives a share of"
        f" {number(given.share)} already: the row's own explanation adds {left} {of}."
    )


DIAGNOSTIC = Diagnostic(
    name="structural",
    title="structural share",
    meaning="how much of the cosine controls already give",
    records=Structural,
    report=report,
    rows=_rows,
    sentences=_sentences,
)
