"""NLA622 to NLA625: contradictions inside the evidence. See `calibration.consistency`."""

from collections.abc import Iterator

from nla_release.calibration.consistency import (
    documents_checked,
    look_alike,
    misfit_of_reference,
    more_hits_than_texts,
    read_differently,
    unlike_documents,
)
from nla_release.gate.findings import Problem, Severity, Skip
from nla_release.gate.model import MEASURED, rule
from nla_release.gate.subject import MeasurementFolder
from nla_release.io.layout import ROWS_FILE, VECTORS_FILE
from nla_release.text.numbers import count


@rule("NLA622", "error", "rows of one document come from one text", each=MEASURED)
def documents_are_texts(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """The rows' texts against the documents that they name.

    Checks: The source texts of one document's rows are prefixes of one text. No document's text of
        80 characters or more is a prefix of another document's. Nothing can be checked if source
        texts are withheld, if several documents begin alike, or if they share half of their
        sequences of 8 words with other documents.
    Why: Intervals, retrieval and the label treat documents as independent. A pair that only
        identifies its document is document-level. With its 60 documents renamed to 12 shards it was
        labelled content-reading, and every rule passed.
    Fix: Give `document` one id for every text that was read as a whole: not a file, a shard or a
        data set with several texts, and the same id for all copies of a text. Then measure again.
    Example: 30 contradictions: the text of row 'r7' is not a prefix of document 'shard-3'
    Waive: Never: every interval and the label depend on it.
    """
    evidence = measurement.evidence
    if reason := documents_checked(evidence).reason:
        yield Skip(f"documents cannot be checked: {reason}")
    if found := unlike_documents(evidence):
        total = f"{len(found)} contradictions: " if len(found) > 1 else ""
        yield Problem(measurement.evidence_folder / ROWS_FILE, f"{total}{found[0]}")


@rule("NLA623", "error", "equal texts have equal reconstructions", each=MEASURED)
def texts_read_alike(measurement: MeasurementFolder) -> Iterator[Problem]:
    """Every reconstruction against the first of the same text.

    Checks: If the AR read the same text twice, in any row or control, it gave the same vector: 1 -
        cosine is at most 0.001. This tool reads each text once, so it is 0 in its evidence;
        bfloat16 and another batch change it by about 0.00001. For texts that differ only in spaces
        or invisible characters it is at most 0.1; more is a warning.
    Why: An AR is a function of its text. Forged evidence, with noisy activations in place of
        reconstructions, passed every rule with 307 of 307 rows retrieved, although 247 rows with
        one explanation had different reconstructions.
    Fix: Run `nla-release roundtrip` on the pair. Never edit vectors or combine several runs.
    Example: 247 reconstructions differ from another of the same text: tensor real in row 'r9'
    Waive: Never: such vectors do not come from the AR.
    """
    cases: tuple[tuple[list[tuple[str, str]], str, Severity | None], ...] = (
        (read_differently(measurement.evidence), "the same text", None),
        (
            look_alike(measurement.evidence),
            "a text that differs only in spaces or invisible characters",
            "warning",
        ),
    )
    for found, which, severity in cases:
        if found:
            tensor, row = found[0]
            yield Problem(
                measurement.evidence_folder / VECTORS_FILE,
                f"{len(found)} reconstruction{'s differ' if len(found) > 1 else ' differs'} from"
                f" another of {which}: tensor {tensor} in row {row!r}",
                severity,
            )


@rule("NLA624", "error", "no more rows are retrieved than there are different texts", each=MEASURED)
def hits_have_texts(measurement: MeasurementFolder) -> Iterator[Problem]:
    """The hits of each condition against its number of different texts.

    Checks: For each condition, at most as many reconstructions are nearest to their own activation
        as there are different texts. Spaces and invisible characters do not make texts different.
    Why: One text has one reconstruction, which is nearest to one activation. A pair that says 60
        different things cannot retrieve 307 rows; only edited vectors can.
    Fix: Run `nla-release roundtrip` on the pair. Never edit vectors.
    Example: tensor real retrieves 307 rows with 60 different texts
    Waive: Never: such vectors do not come from the AR.
    """
    for tensor, hits, texts in more_hits_than_texts(measurement.evidence):
        yield Problem(
            measurement.evidence_folder / VECTORS_FILE,
            f"tensor {tensor} retrieves {hits} rows with {count(texts, 'different text')}",
        )


@rule("NLA625", "error", "the reference mean fits the evaluation's activations", each=MEASURED)
def reference_fits(measurement: MeasurementFolder) -> Iterator[Problem]:
    """Length and direction of the reference mean against the rows.

    Checks: The mean of unit vectors is as long as its mean cosine with them. So the variance that
        the length of reference_mean implies is at most 1.1 times the variance that its cosine with
        these activations implies, at the lower limit of the 95% CI. Its cosine is at least 0.8
        times its length, and at least 0.8 times the cosine of the mean of the evaluation's other
        documents.
    Why: FVE divides by the variance of the reference. A mean shortened to 2% of its length raised
        an FVE from 0.636 to 0.750, and every rule passed. A mean of another layer scores near zero,
        which makes everything compared with it look good. The implied variance of honest references
        was 0.93 to 1.11 times that of the rows, even for rows of one topic.
    Fix: Take evaluation.reference from the training activations of this base and layer, with
        `nla-release data` or `nla-release train build`, and measure again. If it already is, hold
        out texts of the same kind.
    Example: reference_mean is 0.011 long, and has cosine 0.559 with these activations, where the
        mean of such activations is as long as that: FVE divides by a variance that is too large
    Waive: Never: FVE would not be a fraction of these activations' variance.
    """
    others = measurement.recomputed.reference.other_documents
    assert others is not None  # only published calibrations of format 1 lack it
    if misfit := misfit_of_reference(measurement.evidence, others):
        yield Problem(measurement.evidence_folder / VECTORS_FILE, misfit)
