"""The label: one word for what the evidence supports, and the sentence that says why.

It is decided on the rounded numbers that are published, so that a reader of `calibration.json`
arrives at the same word.
"""

from nla_release.calibration.blocks import Control
from nla_release.calibration.enough import MIN_DOCUMENTS, MIN_ROWS
from nla_release.calibration.report import Denominators, Label, Retrieval

RULE = (
    f"inconclusive below {MIN_ROWS} rows or {MIN_DOCUMENTS} documents; else format-only unless the"
    " interval of controls.shuffled lies above 0; else content-reading if the interval of retrieval"
    " lies above denominators.documents / denominators.rows; else topic-level"
)


def label(denominators: Denominators, shuffled: Control, retrieval: Retrieval) -> Label:
    """The label of a pair.

    inconclusive: too few rows or documents. format-only: another row's text does as well as the
    row's own. content-reading: the own text does better, and is traced back to its activation more
    often than a text that only tells the document would be, which is once per row of the document.
    topic-level: it does better, but retrieval does not show more than the document.
    """
    asked = f"{denominators.rows} activations from {denominators.documents} documents"
    too_few = denominators.rows < MIN_ROWS or denominators.documents < MIN_DOCUMENTS
    if too_few or shuffled.interval is None:
        return Label(
            name="inconclusive",
            sentence=f"Inconclusive: {asked} are too few to tell"
            f" (it takes {MIN_ROWS} from {MIN_DOCUMENTS}).",
            rule=RULE,
        )
    low, high = shuffled.interval
    difference = (
        f"difference {_number(shuffled.difference)}, 95% interval {_number(low)} to"
        f" {_number(high)}, n = {asked}"
    )
    if low <= 0:
        comparison = "as well as" if high >= 0 else "better than"
        return Label(
            name="format-only",
            sentence="Format-only: another row's explanation reconstructs the activation"
            f" {comparison} the row's own ({difference}).",
            rule=RULE,
        )
    better = (
        "the row's own explanation reconstructs the activation better than another row's"
        f" ({difference})"
    )
    bar = denominators.documents / denominators.rows
    found = (
        f"{retrieval.hits} of {retrieval.n} retrieved, 95% interval"
        f" {_number(retrieval.interval[0])} to {_number(retrieval.interval[1])},"
        f" chance {_number(retrieval.chance)}, knowing the document alone {_number(bar)}"
    )
    if retrieval.interval[0] > bar:
        return Label(
            name="content-reading",
            sentence=f"Content-reading: {better} and is traced back to its own activation more"
            f" often than a text that tells only the document ({found}).",
            rule=RULE,
        )
    return Label(
        name="topic-level",
        sentence=f"Topic-level: {better} but is not shown to be traced back to its own activation"
        f" more often than a text that tells only the document ({found}).",
        rule=RULE,
    )


def _number(value: float) -> str:
    """Three decimals, or all six where three would show a number that decides as zero."""
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.0005 else f"{value:.6f}"
