"""How much was tried: with enough checkpoints and enough numbers something looks good."""

from typing import Any

from pydantic import Field, NonNegativeInt, PositiveInt

from nla_release.schema import Strict


class Multiplicity(Strict):
    """What a reader must know to discount the best of many."""

    attempts: PositiveInt | None = Field(
        description="checkpoints or settings tried, this one included; null when not recorded"
    )
    metrics: NonNegativeInt = Field(description="intervals and p values in this report")
    note: str = Field(description="what follows, in words")


def multiplicity(attempts: int | None, report: Any, level: float) -> Multiplicity:
    """Count the intervals and p values of a report, as JSON gives it.

    Args:
        attempts: as `run.json` records them.
        report: the rest of the calibration.
        level: of the intervals.
    """
    metrics = _tests(report)
    tried = (
        "How many checkpoints or settings were tried before is not recorded"
        " (release.yaml, evaluation.attempts)."
        if attempts is None
        else "Nothing was tried before this pair."
        if attempts == 1
        else f"This pair is one of {attempts} that were tried; the best of many flatters."
    )
    return Multiplicity(
        attempts=attempts,
        metrics=metrics,
        note=f"{tried} Of the {metrics} intervals and p values none is adjusted for the others: of"
        f" as many at {level:.0%} confidence about {metrics * (1 - level):.0f} mislead by chance.",
    )


def _tests(document: Any) -> int:
    if not isinstance(document, dict):
        return 0
    return sum(
        int((key == "p" or key.endswith("interval")) and value is not None) + _tests(value)
        for key, value in document.items()
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
