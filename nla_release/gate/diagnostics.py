"""NLA611 to NLA615 and NLA626: what the diagnostics say of the pair, where they ran."""

from collections.abc import Iterator

from nla_release.calibration.contamination import ShingleOverlap
from nla_release.calibration.label import above_chance
from nla_release.calibration.tables import rankings
from nla_release.diagnostics import text_retrieval
from nla_release.diagnostics.injection import InjectionControls
from nla_release.diagnostics.templates import Templates
from nla_release.diagnostics.text_retrieval import TextRetrieval
from nla_release.gate.findings import Page, Problem, Skip
from nla_release.gate.model import MEASURED, rule
from nla_release.gate.subject import MeasurementFolder
from nla_release.io.layout import ROWS_FILE, RUN_FILE
from nla_release.statistics.blocks import Inconclusive, Ratio
from nla_release.statistics.measures import UNEQUAL
from nla_release.text.numbers import number, unsigned

_TOO_FEW = Skip("too few rows for the diagnostic, see NLA608")
_NO_TEXT = Skip("no row has an explanation, see NLA609")


@rule(
    "NLA611",
    "warning",
    "labels reconstruct at least as well as the pair's explanations",
    each=MEASURED,
    page=Page(
        checks="If the data has labelled explanations, the 95% CI of cosine(AV's explanation) -"
        " cosine(label), over the rows with an explanation, is not entirely above 0. Failed"
        " rows are left out, because every label does better there.",
        why="A label is what the AV was trained to say, and the positive control of the AR: the"
        " reference paper compares with it (kitft/natural_language_autoencoders). An AR that"
        " does better on the AV's words than on good ones has learned a private code of the"
        " pair.",
        fix="Explain it in the notes. Look for a private code with the diagnostic paraphrase."
        " Check whether the labels have another form than the AV's text, or belong to other"
        " rows.",
        example="label 0.712, the pair's own text 0.790: difference 0.078, 95% interval 0.051 to"
        " 0.104",
        waive="The warning may stand if the notes explain it, for example after reinforcement"
        " learning, where the AV may say more than its labels did.",
    ),
)
def labels_reconstruct(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """The gold-text control."""
    survivors = measurement.recomputed.cosine_survivors
    control = survivors.gold_text
    if control is None:
        labelled = "gold_text" in measurement.recomputed.controls
        yield _NO_TEXT if labelled else Skip("not every row has a labelled explanation")
    elif control.interval is None:
        yield Skip("explanations of so few documents give no interval, see NLA608")
    elif control.interval[0] > 0:
        yield Problem(
            measurement.calibration_path,
            f"label {number(control.mean)}, the pair's own text {number(survivors.mean)}:"
            f" difference {number(control.difference)}, 95% interval {unsigned(control.interval)}",
        )


@rule(
    "NLA612",
    "error",
    "no evaluation data was used in training",
    each=MEASURED,
    page=Page(
        checks="No evaluation document has the id or the text of a document in the lists under"
        " evaluation.training. No row's text shares half or more of its sequences of 8 words"
        " with the training texts (evidence/training_shingles.safetensors). That comparison"
        " uses no ids or hashes, so replacing them hides nothing. A warning says which texts"
        " were not compared because they are withheld or too short.",
        why="The first evaluation of SolshineCode's Gemma-3-1B pair had 4 of 10 rows from its own"
        " training data. A pair that was measured on its own training rows, with new ids and"
        " digests, once passed every rule.",
        fix="Hold out other documents, or remove these from evaluation.data, and measure again."
        " For the warning, name training_shingles.safetensors under evaluation.training."
        " `nla-release train build` writes it, and so does `nla-release data` from the"
        " training texts.",
        example="15 of 60 rows share half or more of their word sequences with a training text",
        waive="Never: calibration.json has the cosine without these rows under contamination, and"
        " the pair can be measured properly.",
    ),
)
def nothing_trained_on(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """The contamination report; nothing compared is not a pass."""
    found = measurement.recomputed.contamination
    assert found is not None  # only earlier formats leave it out
    path, ids, texts = measurement.evidence_folder / RUN_FILE, found.documents, found.texts
    compared = [
        (each, what)
        for each, what in ((ids, "documents have the id"), (texts, "rows the text"))
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
        why = found.inconclusive if found else "the evidence is of an earlier format"
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
            f" {found.withheld} rows have no text, {found.too_short} are too short",
            "warning",
        )


@rule(
    "NLA613",
    "warning",
    "every retrieval result could have been different",
    each=MEASURED,
    page=Page(
        checks="Assigning candidates at random changes the number of hits: for reconstructions"
        " among activations, for explanations among source documents, and for factual texts"
        " among activations.",
        why="SolshineCode/gpu-poor-nla calls a null distribution without variance a broken"
        " metric: if every assignment scores the same, the score says nothing about the pair.",
        fix="Look for what is identical: explanations that share no word with any source text,"
        " the same source text for every document, or one reconstruction for everything.",
        example="Explanation leads to its source document, by words: every chance assignment gives"
        " the same 0 hits, so that hits decide nothing",
        waive="The warning may stand if explanations and source texts are in two languages: no"
        " word can match, and an encoder is needed.",
    ),
)
def retrievals_vary(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """The permutation null of each ranking."""
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


@rule(
    "NLA614",
    "warning",
    "the marker's script does not leak into the explanations",
    each=MEASURED,
    page=Page(
        checks="At most gates.max_cjk of the AV's outputs (0.2 by default) contain Chinese,"
        " Japanese or Korean characters, unless as many source texts do.",
        why="An AV that reads the marker instead of the vector answers in the marker's script:"
        " 24% to 35% of the outputs of one pair were Chinese (yulonglin's proxies). The"
        " reference tells its users to look for it (kitft/natural_language_autoencoders,"
        " docs/inference.md).",
        fix="Check the scale (NLA102), marker and neighbours (NLA201), then train longer, or with"
        " a larger scale.",
        example="29 of 100 outputs hold CJK characters, and 0 of 100 source texts",
        waive="If the explanations are meant to be in one of these languages.",
    ),
)
def script_does_not_leak(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """The CJK shares of outputs and of source texts."""
    found = measurement.recomputed.probes.of(InjectionControls)
    if found is None:
        yield _TOO_FEW
        return
    said, source = found.cjk["real"], found.cjk.get("source")
    if said.share > measurement.gates.max_cjk and (source is None or source.share < said.share):
        given = f", and {source.hits} of {source.n} source texts" if source else ""
        yield Problem(
            measurement.evidence_folder / ROWS_FILE,
            f"{said.hits} of {said.n} outputs hold CJK characters{given}",
        )


@rule(
    "NLA615",
    "warning",
    "explanations are not shared between documents",
    each=MEASURED,
    page=Page(
        checks="At most gates.max_duplicates of the explanations (0.5 by default) are word for"
        " word those of another document too, unless the labels repeat as often.",
        why="Of 580 outputs behind the retrieval of SolshineCode/gpu-poor-nla only 378 were"
        " different. A text that several documents share cannot retrieve any of them.",
        fix="Use more specific labels. A text that several documents share is a category and"
        " cannot distinguish them.",
        example="61 of 100 explanations are said of another document too, and 12 of 100 labels",
        waive="The warning may stand for a pair whose card calls its explanations categories.",
    ),
)
def texts_belong_to_documents(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """Duplicates across documents, beside those of the labels."""
    found = measurement.recomputed.probes.of(Templates)
    if found is None:
        yield _TOO_FEW
        return
    said, labels = found.duplicates, found.gold_duplicates
    if said.share > measurement.gates.max_duplicates and (
        labels is None or labels.share < said.share
    ):
        given = f", and {labels.hits} of {labels.n} labels" if labels else ""
        yield Problem(
            measurement.evidence_folder / ROWS_FILE,
            f"{said.hits} of {said.n} explanations are said of another document too{given}",
        )


@rule(
    "NLA626",
    "warning",
    "explanations share words with their document",
    each=MEASURED,
    page=Page(
        checks="If the evidence holds source texts, explanations find their document by shared"
        " words, or by an encoder if one is named, more often than chance: top-1 and"
        " percentile by their 95% CIs (probes.text_retrieval).",
        why="A pair whose AV and AR share a private code, where every word stands for another, is"
        " row-level by its reconstructions, but no reader can use what it says. Such a pair"
        " retrieved 0 of 307 documents by words, and no rule reported it.",
        fix="Read some explanations next to their source texts. After reinforcement learning, go"
        " back to a checkpoint whose words still mean what they say, or add a penalty that"
        " keeps them so. If explanations and sources are in two languages, name an encoder"
        " for both: evaluation.encoder.",
        example="read by its own AR only: explanations are not shown to find their document by"
        " words (0 of 307, chance 0.017)",
        waive="If an explanation is not meant to repeat what its document says, for example one"
        " about grammar. The card keeps the limitation.",
    ),
)
def words_lead_to_documents(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """Lexical and encoder retrieval of the source documents."""
    matched = measurement.recomputed.probes.of(TextRetrieval)
    if matched is None:
        yield Skip("source texts are withheld, or of too few rows")
    elif not measurement.recomputed.denominators.ok:
        yield _NO_TEXT
    elif not any(map(above_chance, (found := text_retrieval.rankings(matched)).values())):
        numbers = ", ".join(
            f"{each.hits} of {each.n}, chance {number(each.chance)}" for each in found.values()
        )
        yield Problem(
            measurement.evidence_folder / ROWS_FILE,
            "read by its own AR only: explanations are not shown to find their document by"
            f" {'words' if len(found) == 1 else 'words or an encoder'} ({numbers})",
        )
