"""A good release, and one pair for every small way in which one is broken.

A defect is a named mutation of the good release, made by code when a test asks for it: nothing is
stored. `zoo` makes the good one and registers defects; the other modules hold them, one family of
rules each.
"""

from tests.pairs import (
    addenda,
    base,
    card,
    compared,
    evidence,
    history,
    leaks,
    modules,
    pair,
    prompt,
    publishing,
    references,
    sidecar,
    weights,
)
from tests.pairs.zoo import DEFECTS

__all__ = [
    "DEFECTS",
    "addenda",
    "base",
    "card",
    "compared",
    "evidence",
    "history",
    "leaks",
    "modules",
    "pair",
    "prompt",
    "publishing",
    "references",
    "sidecar",
    "weights",
]
