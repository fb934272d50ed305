"""The label of formats 1 and 2, only to recompute published releases.

Its sentences are published in calibration.json and must not be reworded.
"""

from nla_release.calibration.report import Calibration, Denominators, Label, LabelName, Retrieval
from nla_release.diagnostics.retrieval import ActivationRetrieval
from nla_release.statistics.blocks import MIN_DOCUMENTS, MIN_ROWS, Control

# The label is the first whose condition holds.
CONDITIONS: dict[LabelName, str] = {
    "inconclusive": f"fewer than {MIN_ROWS} rows or {MIN_DOCUMENTS} documents, no explanation at"
    " all, or more than half of the other rows' texts failed",
    "format-only": "the interval of the own text's cosine minus another row's (controls.shuffled)"
    " does not lie above 0, or that of the percentile minus chance among all rows"
    " (probes.retrieval.all.percentile) does not",
    "content-reading": "the interval of retrieval (retrieval.interval, Wilson, of rows) lies above"
    " documents / rows, and that of the difference from knowing the document alone"
    " (retrieval.above_document_interval, bootstrap, of documents) above 0",
    "topic-level": "otherwise",
}
RULE = "the first that holds decides: " + "; ".join(
    f"{name}, {condition}" for name, condition in CONDITIONS.items()
)


def label(calibration: Calibration) -> Label:
    """The label of a calibration that is otherwise complete.

    inconclusive: too little to tell. format-only: the row's own text is not shown to do better than
    another row's, or it does and yet the reconstruction is not shown to be nearer to its activation
    than to others. content-reading: both are shown, and it is traced back to its activation more
    often than a text that only tells the document would be, which is once per document.
    topic-level: both are shown, but retrieval does not show more than the document.

    The difference alone would not do for format-only: an AR that ignores its text answers so much
    alike that a difference of 0.0001, there by accident, has an interval above 0.
    """
    denominators, retrieval = calibration.denominators, calibration.retrieval
    shuffled = calibration.controls["shuffled"]
    if reason := _why_inconclusive(denominators, shuffled):
        return _label("inconclusive", f"Inconclusive: {reason}.")
    assert shuffled.interval is not None  # there are documents enough, and texts
    low, high = shuffled.interval
    difference = (
        f"difference {_number(shuffled.difference)}, 95% interval {_number(low)} to"
        f" {_number(high)}, n = {_asked(denominators)}"
    )
    if high < 0:
        return _label(
            "format-only",
            "Format-only: another row's explanation reconstructs the activation better than the"
            f" row's own ({difference}).",
        )
    if low <= 0:
        return _label(
            "format-only",
            "Format-only: the row's own explanation is not shown to reconstruct the activation"
            f" better than another row's ({difference}).",
        )
    better = (
        "the row's own explanation reconstructs the activation better than another row's"
        f" ({difference})"
    )
    ranked = calibration.probes.of(ActivationRetrieval)
    assert ranked is not None  # as above
    percentile = ranked.all.percentile
    assert percentile.interval is not None
    if percentile.interval[0] <= 0:
        low, high = percentile.interval
        return _label(
            "format-only",
            f"Format-only: {better}, but the reconstruction is not shown to be nearer to its own"
            f" activation than to others (nearer than to {_number(percentile.mean)} of them, 95%"
            f" interval of the difference from chance {_number(low)} to {_number(high)}).",
        )
    if singles_out(denominators, retrieval):
        return _label(
            "content-reading",
            f"Content-reading: {better} and is traced back to its own activation more often than a"
            f" text that tells only the document ({_found(denominators, retrieval)}).",
        )
    if denominators.documents == denominators.rows:
        return _label(
            "topic-level",
            f"Topic-level: {better}; with one row per document, telling the document is telling the"
            f" row ({_retrieved(retrieval)}).",
        )
    return _label(
        "topic-level",
        f"Topic-level: {better} but is not shown to be traced back to its own activation more often"
        f" than a text that tells only the document ({_found(denominators, retrieval)}).",
    )


def singles_out(denominators: Denominators, retrieval: Retrieval) -> bool:
    """Whether retrieval is above that of a text which tells its document and nothing more.

    By both intervals: Wilson's takes rows as independent and is too narrow where those of a
    document hit or miss together; the bootstrap of documents is too narrow where hits are few.
    """
    above = retrieval.above_document_interval
    return (
        retrieval.interval[0] > denominators.documents / denominators.rows
        and above is not None
        and above[0] > 0
    )


def _why_inconclusive(denominators: Denominators, shuffled: Control) -> str | None:
    if denominators.rows < MIN_ROWS or denominators.documents < MIN_DOCUMENTS:
        return (
            f"{_asked(denominators)} are too few to tell (it takes {MIN_ROWS} from {MIN_DOCUMENTS})"
        )
    if denominators.ok == 0:
        return f"none of {_asked(denominators)} has an explanation"
    if shuffled.inconclusive:
        return f"another row's explanation cannot be compared with, {shuffled.inconclusive}"
    return None


def _label(name: LabelName, sentence: str) -> Label:
    return Label(name=name, sentence=sentence, rule=RULE)


def _asked(denominators: Denominators) -> str:
    return f"{denominators.rows} activations from {denominators.documents} documents"


def _found(denominators: Denominators, retrieval: Retrieval) -> str:
    bounds, apart = retrieval.above_document_interval, ""
    if bounds:
        apart = f", difference from it {_signed(bounds[0])} to {_signed(bounds[1])} by documents"
    return (
        f"{_retrieved(retrieval)}, knowing the document alone"
        f" {_number(denominators.documents / denominators.rows)}{apart}"
    )


def _retrieved(retrieval: Retrieval) -> str:
    low, high = retrieval.interval
    return (
        f"{retrieval.hits} of {retrieval.n} retrieved, 95% interval {_number(low)} to"
        f" {_number(high)}, chance {_number(retrieval.chance)}"
    )


def _signed(value: float) -> str:
    return _number(value) if value < 0 else f"+{_number(value)}"


def _number(value: float) -> str:
    """Three decimals, or all six where three would show a number that decides as zero."""
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.0005 else f"{value:.6f}"
