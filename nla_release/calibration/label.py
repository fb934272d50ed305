"""The label: one word for what the evidence supports, and two short sentences that say why.

It is decided on the rounded numbers that are published, so that a reader of `calibration.json`
arrives at the same word. docs/calibration.md has a table of how often it is wrong on simulated
pairs of known truth, which `benchmarks/labels.py` makes.
"""

from collections.abc import Callable, Iterator

from nla_release.calibration.blocks import AgainstChance, Inconclusive, Interval, Ranking
from nla_release.calibration.enough import MIN_DOCUMENTS, MIN_ROWS
from nla_release.calibration.report import (
    Calibration,
    Contrasts,
    Grade,
    Grades,
    Label,
    LabelName,
    PairContrast,
)

# The first that holds is the label; cards show them as a table, calibration.json as a sentence.
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

# Below this a difference of centred cosines is small beside what the own text leaves unexplained,
# however certain it is; the sentence says so.
SMALL_EFFECT = 0.05


def label(calibration: Calibration) -> Label:
    """The label of a calibration that has all else."""
    name, sentence = _decide(calibration)
    clauses = [*_before(calibration, name), sentence, *_after(calibration)]
    return Label(
        name=name, sentence=" ".join(clauses), rule=RULE, grades=_grades(calibration, name)
    )


def beats_the_mean(calibration: Calibration) -> bool:
    """Whether FVE lies above that of always predicting the reference mean, by its interval."""
    return _above(calibration.fve.above_mean_interval)


def found_by_words(calibration: Calibration) -> bool | None:
    """Whether explanations lead to their source document, by words or encoder.

    None where that was not measured: no source texts, or too few rows.
    """
    matched = calibration.probes.text_retrieval
    if matched is None or isinstance(matched, Inconclusive):
        return None
    rankings = [each for each in (matched.lexical, matched.encoder) if isinstance(each, Ranking)]
    return any(_above_chance(each) for each in rankings)


def level(
    contrasts: Contrasts, inside: AgainstChance | None, percentile: AgainstChance
) -> LabelName:
    """The label of evidence that is enough to decide.

    Args:
        contrasts: of centred cosines.
        inside: retrieval of the own activation among those of its document, or None.
        percentile: nearness to the own activation among those of all rows.
    """
    if not (_above(contrasts.above_others.interval) and _above(percentile.interval)):
        return "format-only"
    between = contrasts.between is not None and _above(contrasts.between.interval)
    if between and all(
        part is not None and _above(part.interval)
        for part in (contrasts.within, contrasts.above_token, inside)
    ):
        return "row-level"
    return "document-level" if between else "token-level"


def _decide(calibration: Calibration) -> tuple[LabelName, str]:
    if reason := _why_inconclusive(calibration):
        return "inconclusive", f"**Inconclusive.** {reason}."
    contrasts, found = calibration.contrasts, calibration.retrieval
    assert contrasts is not None
    assert found.percentile is not None
    name = level(contrasts, found.in_document, found.percentile)
    return name, _SENTENCES[name](calibration, contrasts)


def _format_only(calibration: Calibration, contrasts: Contrasts) -> str:
    others = contrasts.above_others
    if not _above(others.interval):
        return (
            "**Format-only.** The own explanation is not shown to reconstruct its activation better"
            f" than explanations of other documents: {_numbers(others, calibration)}."
        )
    return (
        "**Format-only.** The reconstruction is not shown to be nearer to its own activation than"
        " to others, though the own explanation does better than those of other documents:"
        f" {_numbers(others, calibration)}."
    )


def _row_level(calibration: Calibration, contrasts: Contrasts) -> str:
    assert contrasts.within is not None  # or it would be another label
    return (
        "**Row-level.** The own explanation reconstructs its activation better than those of other"
        f" rows of the same document: {_numbers(contrasts.within, calibration)}."
    )


def _document_level(calibration: Calibration, contrasts: Contrasts) -> str:
    assert contrasts.between is not None  # or it would be another label
    return (
        "**Document-level.** Explanations tell documents apart:"
        f" {_numbers(contrasts.between, calibration)}. {_not_row_level(calibration)}"
    )


def _token_level(calibration: Calibration, contrasts: Contrasts) -> str:
    return (
        "**Token-level.** Explanations tell rows apart, and are not shown to tell documents apart:"
        f" {_numbers(contrasts.above_others, calibration)}."
    )


_SENTENCES: dict[LabelName, Callable[[Calibration, Contrasts], str]] = {
    "format-only": _format_only,
    "row-level": _row_level,
    "document-level": _document_level,
    "token-level": _token_level,
}


def _not_row_level(calibration: Calibration) -> str:
    """What is missing for more, the first of it."""
    contrasts, inside = calibration.contrasts, calibration.retrieval.in_document
    assert contrasts is not None
    if contrasts.within is None:
        return "With one row per document, rows of a document cannot be compared."
    if not _above(contrasts.within.interval):
        return (
            "They are not shown to tell rows of one document apart:"
            f" {_numbers(contrasts.within, calibration)}."
        )
    if contrasts.above_token is None:
        return (
            "Whether they say more than the token is not measured: no source texts, or no token"
            " that occurs in two documents."
        )
    if not _above(contrasts.above_token.interval):
        return (
            "They are not shown to say more than the token:"
            f" {_numbers(contrasts.above_token, calibration)}."
        )
    assert inside is not None
    return (
        "They are not shown to find their own activation among those of the document:"
        f" {_number(inside.mean)}, by knowing the document {_number(inside.chance)}."
    )


def _before(calibration: Calibration, name: LabelName) -> Iterator[str]:
    """What must be read first."""
    if name in ("inconclusive", "format-only") or beats_the_mean(calibration):
        return
    fve = calibration.fve
    if fve.value is None or fve.of_mean is None:
        return
    yield (
        "**Does not beat the mean.** Reconstructions are not shown to be better than always"
        f" predicting the mean training activation: FVE {_number(fve.value)}, the mean"
        f" {_number(fve.of_mean)} (difference {_interval(fve.above_mean_interval)})."
    )


def _after(calibration: Calibration) -> Iterator[str]:
    failures = calibration.failures
    if failures is not None and failures.hits:
        yield f"{failures.hits} of {failures.n} explanations fail ({failures.share:.0%})."
    if found_by_words(calibration) is False:
        yield (
            "Read by its own AR only: the words do not lead a reader to the source document more"
            " often than chance."
        )


def _grades(calibration: Calibration, name: LabelName) -> Grades:
    if name == "inconclusive":
        return Grades(
            reads_text="not measured", tells_rows_apart="not measured", readable="not measured"
        )
    apart: dict[LabelName, Grade] = {
        "row-level": "yes",
        "document-level": "partly",
        "token-level": "partly",
    }
    reads = "no" if name == "format-only" else "yes" if beats_the_mean(calibration) else "partly"
    found = found_by_words(calibration)
    return Grades(
        reads_text=reads,
        tells_rows_apart=apart.get(name, "no"),
        readable="not measured" if found is None else "yes" if found else "no",
    )


def _why_inconclusive(calibration: Calibration) -> str | None:
    asked = calibration.denominators
    count = f"{asked.rows} activations from {asked.documents} documents"
    if asked.rows < MIN_ROWS or asked.documents < MIN_DOCUMENTS:
        return f"{count} are too few: it takes {MIN_ROWS} from {MIN_DOCUMENTS}"
    if asked.ok == 0:
        return f"None of {count} has an explanation"
    return None


def _numbers(found: PairContrast, calibration: Calibration) -> str:
    documents = calibration.denominators.documents
    small = ", which is small" if 0 < found.difference < SMALL_EFFECT else ""
    return (
        f"centred cosine {_number(found.first)} against {_number(found.second)}, difference"
        f" {_signed(found.difference)}{small} ({_interval(found.interval)}; {found.n} rows,"
        f" {documents} documents)"
    )


def _above_chance(found: Ranking) -> bool:
    return found.interval[0] > found.chance and _above(found.percentile.interval)


def _above(interval: Interval) -> bool:
    return interval is not None and interval[0] > 0


def _interval(interval: Interval) -> str:
    if interval is None:
        return "no interval"
    return f"95% CI {_signed(interval[0])} to {_signed(interval[1])}"


def _signed(value: float) -> str:
    return _number(value) if value < 0 else f"+{_number(value)}"


def _number(value: float) -> str:
    """Three decimals, or all six where three would show a number that decides as zero."""
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.0005 else f"{value:.6f}"
