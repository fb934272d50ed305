"""The figures of a release, drawn from the training log, the evidence and the calibration.

Each is a `Plot`: PNG and SVG for the eye, a CSV of the numbers that it shows, and words for readers
who do not see it. The same inputs give the same bytes.
"""

from nla_release.cards.figures.controls import cosine_distributions
from nla_release.cards.figures.loss import training_loss
from nla_release.cards.figures.plot import Plot, drawn_with
from nla_release.cards.figures.questions import three_questions
from nla_release.cards.figures.retrieval import retrieval_vs_chance
from nla_release.cards.figures.versions import versions_side_by_side

__all__ = [
    "Plot",
    "cosine_distributions",
    "drawn_with",
    "retrieval_vs_chance",
    "three_questions",
    "training_loss",
    "versions_side_by_side",
]
