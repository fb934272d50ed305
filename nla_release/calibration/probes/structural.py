"""How much of the cosine is there before anything is read.

The mean vector knows the layer, the empty text knows the prompt's form, and another row's text
knows how explanations sound. What they score belongs to none of this activation's content.
"""

from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import Field

from nla_release.calibration import controls
from nla_release.calibration.blocks import Cosine, Inconclusive, Interval, Number, Rows
from nla_release.calibration.enough import too_few
from nla_release.calibration.evidence import Evidence
from nla_release.calibration.measures import FORMAT_3, Measures
from nla_release.schema import Strict, holds

StructuralName = Literal["predict_mean", "empty", "shuffled"]


class Share(Strict):
    """A control's mean cosine over the real one."""

    share: Number = Field(description="control / real; above 1 the control does better")
    interval: Interval = Field(
        description="of the share; null when a resampled real mean is not above 0"
    )
    n: Rows


class Structural(Strict):
    """The part of the cosine that controls already give."""

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
            inconclusive=f"the mean cosine is {real.mean():.3f}, of which nothing can be a share"
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
