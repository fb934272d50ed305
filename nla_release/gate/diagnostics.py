"""NLA611 to NLA615 and NLA626: what the diagnostics find."""

from collections.abc import Iterator

from nla_release.calibration.contamination import ShingleOverlap
from nla_release.calibration.label import above_chance
from nla_release.calibration.tables import rankings
from nla_release.diagnostics import text_retrieval
from nla_release.diagnostics.injection import InjectionControls
from nla_release.diagnostics.templates import Templates
from nla_release.diagnostics.text_retrieval import TextRetrieval
from nla_release.gate.calibration import NO_TEXT
from nla_release.gate.findings import Problem, Skip
from nla_release.gate.model import MEASURED, rule
from nla_release.gate.subject import MeasurementFolder
from nla_release.io.layout import ROWS_FILE, RUN_FILE
from nla_release.statistics.blocks import Inconclusive, Ratio
from nla_release.statistics.measures import UNEQUAL
from nla_release.text.numbers import number, unsigned

_TOO_FEW = Skip("too few rows for the diagnostic, see NLA608")


@rule(
    "NLA611",
    "warning",
    "labels reconstruct at least as well as the pair's explanations",
    each=MEASURED,
)
def labels_reconstruct(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """The gold-text control.

    Checks: If the data has labels, the AV's explanations do not reconstruct better than the labels:
        the 95% CI of cosine(explanation) - cosine(label) is not entirely above 0. Failed rows are
        left out, because every label does better there.
    Why: A label is what the AV was trained to say, and the positive control of the AR: the
        reference paper compares with it (kitft/natural_language_autoencoders). An AR that does
        better on the AV's words than on good ones has learned a private code of the pair.
    Fix: Explain it in the notes. Look for a private code with the diagnostic paraphrase. Check
        whether the labels have another form than the AV's text, or belong to other rows.
    Example: explanations reconstruct better than labels: cosine 0.790 and 0.712, difference 0.078,
        95% CI 0.051 to 0.104
    Waive: The warning may stand if the notes explain it, for example after reinforcement learning,
        where the AV may say more than its labels did.
    """
    survivors = measurement.recomputed.cosine_survivors
    control = survivors.gold_text
    if control is None:
        labelled = "gold_text" in measurement.recomputed.controls
        yield NO_TEXT if labelled else Skip("not every row has a labelled explanation")
    elif control.interval is None:
        yield Skip("there are too few documents for a confidence interval, see NLA608")
    elif control.interval[0] > 0:
        yield Problem(
            measurement.calibration_path,
            f"explanations reconstruct better than labels: cosine {number(survivors.mean)} and"
            f" {number(control.mean)}, difference {number(control.difference)}, 95% CI"
            f" {unsigned(control.interval)}",
        )


@rule("NLA612", "error", "no evaluation data was used in training", each=MEASURED)
def nothing_trained_on(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """The contamination report; if nothing was compared, that is a finding.

    Checks: No evaluation document has the id or the text of a document in the lists under
        evaluation.training. No row's text shares half or more of its sequences of 8 words with the
        training texts (evidence/training_shingles.safetensors). That comparison uses no ids or
        hashes, so replacing them hides nothing. A warning says which texts were not compared
        because they are withheld or too short.
    Why: The first evaluation of SolshineCode's Gemma-3-1B pair had 4 of 10 rows from its own
        training data. A pair that was measured on its own training rows, with new ids and digests,
        once passed every rule.
    Fix: Hold out other documents, or remove these from evaluation.data, and measure again. For the
        warning, name training_shingles.safetensors under evaluation.training. `nla-release train
        build` writes it, and so does `nla-release data` from the training texts.
    Example: 15 of 60 rows share half or more of their word sequences with a training text
    Waive: Never: calibration.json has the cosine without these rows under contamination, and the
        pair can be measured properly.
    """
    found = measurement.recomputed.contamination
    assert found is not None  # only published calibrations of format 1 lack it
    path, ids, texts = measurement.evidence_folder / RUN_FILE, found.documents, found.texts
    compared = [
        (each, what)
        for each, what in ((ids, "documents have the id"), (texts, "rows have the text"))
        if isinstance(each, Ratio)
    ]
    if any(each.hits for each, _ in compared):
        hits = ", and ".join(f"{each.hits} of {each.n} {what}" for each, what in compared)
        yield Problem(path, f"{hits} of a training document")
    yield from _texts_compared(measurement, found.shingles)


def _texts_compared(
    measurement: MeasurementFolder, found: ShingleOverlap | Inconclusive | None
) -> Iterator[Problem]:
    """The rows' own texts against the training texts."""
    path = measurement.evidence_folder / ROWS_FILE
    if found is None or isinstance(found, Inconclusive):
        why = found.inconclusive if found else "the evidence has an earlier format"
        yield Problem(path, f"no text was compared with the training texts: {why}", "warning")
        return
    if isinstance(found.near, Ratio) and found.near.hits:
        yield Problem(
            path,
            f"{found.near.hits} of {found.near.n} rows share half or more of their word sequences"
            " with a training text",
        )
    elif found.contaminated:
        yield Problem(
            path,
            f"all rows together share {found.shared:.2f} of their word sequences with the training"
            " texts",
        )
    if found.uncompared_documents:
        yield Problem(
            path,
            f"{found.uncompared_documents} documents were not compared with the training texts:"
            f" {found.withheld} rows have no text, and {found.too_short} texts are too short",
            "warning",
        )


@rule("NLA613", "warning", "every retrieval result could have been different", each=MEASURED)
def retrievals_vary(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """The permutation null of each ranking.

    Checks: Assigning candidates at random changes the number of hits: for reconstructions among
        activations, for explanations among source documents, and for factual texts among
        activations.
    Why: SolshineCode/gpu-poor-nla calls a null distribution without variance a broken metric: if
        every assignment scores the same, the score says nothing about the pair.
    Fix: Find what is identical: explanations that share no word with any source text, the same
        source text for every document, or one reconstruction for everything.
    Example: Explanation leads to its source document, by words: every chance assignment gives the
        same 0 hits, so that hits decide nothing
    Waive: The warning may stand if explanations and source texts are in two languages: no word can
        match, and an encoder is needed.
    """
    found = rankings(measurement.recomputed.probes)
    if not found:
        yield _TOO_FEW
    for name, ranking in found.items():
        if ranking.permutation == UNEQUAL:
            yield Skip(f"{name}: {UNEQUAL.inconclusive}")
        elif isinstance(ranking.permutation, Inconclusive):
            yield Problem(
                measurement.calibration_path, f"{name}: {ranking.permutation.inconclusive}"
            )


@rule("NLA614", "warning", "the marker's script does not leak into the explanations", each=MEASURED)
def script_does_not_leak(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """The share of outputs with CJK characters, against that of source texts.

    Checks: At most gates.max_cjk of the AV's outputs (0.2 by default) contain Chinese, Japanese or
        Korean characters, unless as many source texts do.
    Why: An AV that reads the marker instead of the vector answers in the marker's script: 24% to
        35% of the outputs of one pair were Chinese (yulonglin's proxies). The reference tells its
        users to look for it (kitft/natural_language_autoencoders, docs/inference.md).
    Fix: Check the scale (NLA102), marker and neighbours (NLA201), then train longer, or with a
        larger scale.
    Example: 29 of 100 outputs have CJK characters, and 0 of 100 source texts
    Waive: If the explanations are meant to be in one of these languages.
    """
    found = measurement.recomputed.probes.of(InjectionControls)
    if found is None:
        yield _TOO_FEW
        return
    yield from _too_many(
        measurement,
        found.cjk["real"],
        measurement.gates.max_cjk,
        "outputs have CJK characters",
        found.cjk.get("source"),
        "source texts",
    )


def _too_many(
    measurement: MeasurementFolder,
    found: Ratio,
    most: float,
    words: str,
    baseline: Ratio | None,
    compared: str,
) -> Iterator[Problem]:
    """A finding if a share is larger than a gate allows and than its baseline."""
    if found.share > most and (baseline is None or baseline.share < found.share):
        given = f", and {baseline.hits} of {baseline.n} {compared}" if baseline else ""
        yield Problem(
            measurement.evidence_folder / ROWS_FILE, f"{found.hits} of {found.n} {words}{given}"
        )


@rule("NLA615", "warning", "explanations are not shared between documents", each=MEASURED)
def texts_belong_to_documents(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """Duplicates across documents, against those of the labels.

    Checks: At most gates.max_duplicates of the explanations (0.5 by default) are identical to one
        of another document, unless the labels repeat as often.
    Why: Of 580 outputs behind the retrieval of SolshineCode/gpu-poor-nla only 378 were different. A
        text that several documents share cannot retrieve any of them.
    Fix: Use more specific labels. A text that several documents share is a category and cannot
        distinguish them.
    Example: 61 of 100 explanations are also those of another document, and 12 of 100 labels
    Waive: The warning may stand for a pair whose card calls its explanations categories.
    """
    found = measurement.recomputed.probes.of(Templates)
    if found is None:
        yield _TOO_FEW
        return
    yield from _too_many(
        measurement,
        found.duplicates,
        measurement.gates.max_duplicates,
        "explanations are also those of another document",
        found.gold_duplicates,
        "labels",
    )


@rule("NLA626", "warning", "explanations share words with their document", each=MEASURED)
def words_lead_to_documents(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """Lexical and encoder retrieval of the source documents.

    Checks: If the evidence holds source texts, explanations find their document by shared words, or
        by an encoder if one is named, more often than chance: top-1 and percentile by their 95% CIs
        (probes.text_retrieval).
    Why: A pair whose AV and AR share a private code, where every word stands for another, is
        row-level by its reconstructions, but no reader can use what it says. Such a pair retrieved
        0 of 307 documents by words, and no rule reported it.
    Fix: Read some explanations next to their source texts. After reinforcement learning, go back to
        a checkpoint whose words still mean what they say, or add a penalty that keeps them so. If
        explanations and sources are in two languages, name an encoder for both: evaluation.encoder.
    Example: only the pair's own AR reads the explanations: they do not lead to their document by
        words (0 of 307, chance 0.017)
    Waive: If an explanation is not meant to repeat what its document says, for example one about
        grammar. The card keeps the limitation.
    """
    matched = measurement.recomputed.probes.of(TextRetrieval)
    if matched is None:
        yield Skip("source texts are withheld, or there are too few rows")
    elif not measurement.recomputed.denominators.ok:
        yield NO_TEXT
    elif not any(map(above_chance, (found := text_retrieval.rankings(matched)).values())):
        numbers = ", ".join(
            f"{each.hits} of {each.n}, chance {number(each.chance)}" for each in found.values()
        )
        yield Problem(
            measurement.evidence_folder / ROWS_FILE,
            "only the pair's own AR reads the explanations: they do not lead to their document by"
            f" {'words' if len(found) == 1 else 'words or an encoder'} ({numbers})",
        )
