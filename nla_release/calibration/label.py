"""The label: one word for what the evidence supports, with a sentence and its numbers.

It is decided on the rounded numbers that are published, so that a reader of `calibration.json` can
repeat the decision. docs/calibration.md has a table of how often it is wrong on simulated
pairs of known truth, which `benchmarks/labels.py` makes.
"""

from dataclasses import dataclass

from nla_release.calibration.reading import above_zero, level
from nla_release.calibration.report import (
    CurrentCalibration,
    Grade,
    Grades,
    Label,
    LabelName,
    PairContrast,
)
from nla_release.diagnostics.text_retrieval import TextRetrieval, rankings
from nla_release.statistics.blocks import MIN_DOCUMENTS, MIN_ROWS, Ranking
from nla_release.text.numbers import interval, number, signed

# The label is the first whose condition holds. Published in calibration.json: do not reword.
CONDITIONS: dict[LabelName, str] = {
    "inconclusive": f"fewer than {MIN_ROWS} rows or {MIN_DOCUMENTS} documents, or no explanation at"
    " all",
    "format-only": "the own text is not shown to do better than texts of other documents"
    " (contrasts.above_others), or the reconstruction is not shown to be nearer to its own"
    " activation than to others (retrieval.percentile)",
    "row-level": "the own text does better than texts of the same document (contrasts.within),"
    " texts of the same document do better than texts of others (contrasts.between), the own text"
    " does better than texts of other documents at the same token (contrasts.above_token), and the"
    " reconstruction finds its own activation among those of its document more often than by"
    " knowing the document (retrieval.in_document)",
    "document-level": "texts of the same document do better than texts of others"
    " (contrasts.between)",
    "token-level": "otherwise: rows are told apart, and it is not shown that documents are",
}
RULE = (
    "the first that holds decides, and each comparison holds when its whole interval lies above 0: "
    + "; ".join(f"{name}, {condition}" for name, condition in CONDITIONS.items())
)

# A smaller difference of centred cosines is called small, however certain it is. Of what a text
# could add, 1 - (what other texts give), it is less than a twentieth.
SMALL_EFFECT = 0.05


@dataclass(frozen=True)
class Clause:
    """A part of the label: a few words, then the reason with its numbers."""

    head: str
    reason: str


def label(calibration: CurrentCalibration) -> Label:
    """The label of a calibration that is otherwise complete."""
    return Label(
        name=label_name(calibration),
        sentence=" ".join(f"{each.head} {each.reason}" for each in clauses(calibration)),
        rule=RULE,
        grades=grades(calibration),
    )


def clauses(calibration: CurrentCalibration) -> list[Clause]:
    """The label in words, the most important caveat first."""
    name = label_name(calibration)
    if name == "inconclusive":
        return [_inconclusive(calibration)]
    said = [
        _not_above_the_mean(calibration, name),
        _verdict(calibration, name),
        _failures(calibration),
        _code(calibration, name),
        _documents(calibration),
    ]
    return [clause for clause in said if clause is not None]


def beats_the_mean(calibration: CurrentCalibration) -> bool:
    """Whether the interval of FVE above that of the reference mean is above 0."""
    bounds = calibration.fve.above_mean_interval
    return bounds is not None and bounds[0] > 0


def found_by_words(calibration: CurrentCalibration) -> bool | None:
    """Whether explanations lead to their source document, by words or by an encoder.

    None where it was not measured: no source texts, or too few rows.
    """
    matched = calibration.probes.of(TextRetrieval)
    return None if matched is None else any(map(above_chance, rankings(matched).values()))


def above_chance(found: Ranking) -> bool:
    """Whether the own candidate is found more often than by chance, and is nearer than others."""
    return found.interval[0] > found.chance and above_zero(found.percentile)


def label_name(calibration: CurrentCalibration) -> LabelName:
    """The label's name, from the published numbers."""
    asked = calibration.denominators
    if asked.rows < MIN_ROWS or asked.documents < MIN_DOCUMENTS or asked.ok == 0:
        return "inconclusive"
    found = calibration.retrieval
    return level(calibration.contrasts, found.in_document, found.percentile)


def _inconclusive(calibration: CurrentCalibration) -> Clause:
    asked = calibration.denominators
    measured = f"{asked.rows} activations from {asked.documents} documents"
    if asked.ok == 0:
        return Clause("Inconclusive.", f"None of {measured} has an explanation.")
    return Clause(
        "Inconclusive.",
        f"{measured} are too few: a label takes {MIN_ROWS} from {MIN_DOCUMENTS}.",
    )


def _verdict(calibration: CurrentCalibration, name: LabelName) -> Clause:
    """The label, and the numbers that decide it."""
    pairs, others = calibration.contrasts, "texts of other documents"
    if name == "format-only":
        reason = _format_only(calibration)
    elif name == "row-level":
        assert pairs.within is not None  # or it would be another label
        numbers = _numbers(calibration, pairs.within, "texts of the same document")
        reason = f"Explanations tell rows of one document apart. {numbers}"
    elif name == "document-level":
        assert pairs.between is not None  # or it would be another label
        numbers = _numbers(
            calibration, pairs.between, others, own="texts of the same document score"
        )
        reason = (
            "Explanations tell documents apart, but are not shown to tell rows of one document"
            f" apart. {numbers} {_not_row_level(calibration)}"
        )
    else:
        single = " With one row per document, rows of a document cannot be compared."
        reason = (
            "Explanations tell rows apart, but are not shown to tell documents apart."
            f"{single if pairs.within is None else ''}"
            f" {_numbers(calibration, pairs.above_others, others)}"
        )
    return Clause(f"{name.capitalize()}.", reason)


def _format_only(calibration: CurrentCalibration) -> str:
    others, near = calibration.contrasts.above_others, calibration.retrieval.percentile
    numbers = _numbers(calibration, others, "texts of other documents")
    if not above_zero(others):
        return (
            "The own explanation is not shown to reconstruct its activation better than"
            f" explanations of other documents. {numbers}"
        )
    return (
        "Reconstructions are not shown to be nearer to their own activation than to others. They"
        f" are nearer than to {near.mean:.1%} of the others, chance is {near.chance:.0%}"
        f" (difference {_interval(near.interval)}; {near.n} rows). {numbers}"
    )


def _not_row_level(calibration: CurrentCalibration) -> str:
    """The first condition of row-level that does not hold."""
    pairs, inside = calibration.contrasts, calibration.retrieval.in_document
    if pairs.within is None or inside is None:
        return "Rows of one document are not compared."
    if not above_zero(pairs.within):
        return (
            f"The own text scores {number(pairs.within.first)} where texts of the same document"
            f" score {number(pairs.within.second)} ({_apart(calibration, pairs.within)})."
        )
    if pairs.above_token is None:
        return (
            "Whether they say more than the token is not measured: no source texts, or no token"
            " that occurs in two documents."
        )
    if not above_zero(pairs.above_token):
        return (
            "They are not shown to say more than the token: the own text scores"
            f" {number(pairs.above_token.first)}, texts of other documents at the same token"
            f" {number(pairs.above_token.second)} ({_apart(calibration, pairs.above_token)})."
        )
    return (
        "Reconstructions are not shown to find their own activation among those of the document:"
        f" {number(inside.mean)} of them do, by knowing the document {number(inside.chance)}"
        f" would (difference {_interval(inside.interval)}; {inside.n} rows)."
    )


def _not_above_the_mean(calibration: CurrentCalibration, name: LabelName) -> Clause | None:
    fve = calibration.fve
    if name == "format-only" or beats_the_mean(calibration):
        return None
    if fve.value is None or fve.of_mean is None:
        return None
    return Clause(
        "Does not beat the mean.",
        "Reconstructions are not shown to be better than always predicting the mean training"
        f" activation. FVE is {number(fve.value)}, of the mean {number(fve.of_mean)} (difference,"
        f" with failed rows as ties, {_interval(fve.above_mean_interval)}).",
    )


def _failures(calibration: CurrentCalibration) -> Clause | None:
    failures = calibration.failures
    if not failures.hits:
        return None
    return Clause(
        "Some explanations fail." if failures.share < 1 else "All explanations fail.",
        f"{failures.hits} of {failures.n} ({failures.share:.1%}, 95% CI {failures.interval[0]:.1%}"
        f" to {failures.interval[1]:.1%}).",
    )


def _documents(calibration: CurrentCalibration) -> Clause | None:
    documents = calibration.documents
    if documents.checked:
        return None
    why = documents.reason or "the source texts do not show them"
    return Clause("Documents are the author's word.", f"{why[0].upper()}{why[1:]}.")


def _code(calibration: CurrentCalibration, name: LabelName) -> Clause | None:
    """Whether the words help only the AR; not asked of token-level pairs."""
    if name == "token-level" or found_by_words(calibration) is not False:
        return None
    return Clause(
        "Read by its own AR only.",
        "The words do not lead to the source document more often than chance.",
    )


def grades(calibration: CurrentCalibration) -> Grades:
    """The three grades of the pair."""
    name, within = label_name(calibration), calibration.contrasts.within
    if name == "inconclusive":
        nothing: Grade = "not measured"
        return Grades(reads_text=nothing, tells_rows_apart=nothing, readable=nothing)
    reads: Grade = "yes" if beats_the_mean(calibration) else "partly"
    large = name == "row-level" and within and within.difference >= SMALL_EFFECT
    apart: Grade = "yes" if large else "partly"
    if name == "format-only":
        reads = apart = "no"
    found = found_by_words(calibration)
    readable: Grade = "yes" if found else "no"
    # Words about a token need not lead to the document.
    if found is None or (not found and name == "token-level"):
        readable = "not measured"
    return Grades(reads_text=reads, tells_rows_apart=apart, readable=readable)


def _numbers(
    calibration: CurrentCalibration,
    found: PairContrast,
    others: str,
    own: str = "the own text scores",
) -> str:
    return (
        f"Of centred cosines, {own} {number(found.first)}, {others} {number(found.second)}"
        f" ({_apart(calibration, found)})."
    )


def _apart(calibration: CurrentCalibration, found: PairContrast) -> str:
    documents = calibration.denominators.documents
    small = ", small" if 0 < found.difference < SMALL_EFFECT else ""
    return (
        f"difference {signed(found.difference)}{small}, {_interval(found.interval)}; {found.n}"
        f" rows, {documents} documents"
    )


def _interval(bounds: tuple[float, float] | None) -> str:
    return "no interval" if bounds is None else f"95% CI {interval(bounds)}"
