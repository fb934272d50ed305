"""What a card says of the probes: tables of numbers, and the sentences that follow from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from nla_release.calibration.blocks import Inconclusive, Ranking
from nla_release.calibration.probes.ceiling import Ceiling
from nla_release.calibration.probes.claims import ClaimControlName, Claims
from nla_release.calibration.probes.discrimination import Discrimination
from nla_release.calibration.probes.injection import Injection, OutputName, VectorName
from nla_release.calibration.probes.paraphrase import Paraphrase, Rewording, RewordingName
from nla_release.calibration.probes.retrieval import Retrieval
from nla_release.calibration.probes.structural import Structural, StructuralName
from nla_release.calibration.probes.templates import Templates
from nla_release.calibration.probes.text_controls import TextControlName, TextControls
from nla_release.calibration.probes.text_retrieval import Skipped, TextRetrieval
from nla_release.calibration.report import Probes
from nla_release.cards.markdown import code_cell, inline
from nla_release.cards.probe_rows import (
    Row,
    against_chance_row,
    ranking_rows,
    row,
    share_row,
    unsigned,
)
from nla_release.cards.probe_sentences import (
    ceiling_sentence,
    claims_sentence,
    discrimination_sentence,
    permutation_sentence,
    rewording_sentence,
    structural_sentence,
    templates_sentence,
)
from nla_release.text.numbers import count, number, signed

OF_THE_DIFFERENCE = "95% interval of the difference"
OF_THE_SHARE = "95% interval of the share"

_PROBES = {
    "text_controls": "text controls",
    "injection": "injection",
    "retrieval": "retrieval",
    "text_retrieval": "text retrieval",
    "claims": "claims",
    "paraphrase": "paraphrase",
    "structural": "structural share",
    "discrimination": "discrimination",
    "templates": "templates",
    "ceiling": "ceiling",
}
_TEXTS: dict[TextControlName, str] = {
    "gibberish": "gibberish of equal length",
    "word_shuffled": "its words in another order",
    "source_text": "the source text",
}
_REWORDINGS: dict[RewordingName, str] = {
    "paraphrase": "a paraphrase of it",
    "sentence_shuffled": "its sentences in another order",
}
_STRUCTURES: dict[StructuralName, str] = {
    "predict_mean": "The mean training direction",
    "empty": "The empty explanation",
    "shuffled": "Another row's explanation",
}
_CLAIMS: dict[ClaimControlName, str] = {
    "unrelated_claim": "a claim of another document, put in and left out again",
    "other_activation": "the same claim, missed by another document's activation",
}
_VECTORS: dict[VectorName | OutputName, str] = {
    "real": "the activation",
    "random_vector": "a random direction",
    "zero_vector": "the zero vector",
    "half_scale": "the activation at half scale",
    "double_scale": "the activation at double scale",
}


@dataclass(frozen=True)
class Table:
    """Numbers of one kind, each beside its control, and what follows from them."""

    title: str
    bounds: str
    rows: list[Row]
    sentences: list[str]


def probe_tables(probes: Probes) -> list[Table]:
    """One table per kind of number, without the kinds of which nothing was measured."""
    tables = (_texts(probes), _shares(probes), _claims(probes), _ranks(probes), _counts(probes))
    return [table for table in tables if table.rows or table.sentences]


def without_numbers(probes: Probes) -> list[str]:
    """Sentences on the probes, and parts of them, that give no number, each with its reason."""
    why: dict[str, list[str]] = {}
    for name, words in _PROBES.items():
        if isinstance(report := getattr(probes, name), Inconclusive):
            why.setdefault(report.inconclusive, []).append(words)
    said = [
        f"{', '.join(names).capitalize()}: inconclusive, {code_cell(reason)}."
        for reason, names in why.items()
    ]
    if isinstance(probes.paraphrase, Paraphrase):
        said += [
            f"{_REWORDINGS[name].capitalize()}: inconclusive, {code_cell(found.inconclusive)}."
            for name, found in probes.paraphrase.rewordings.items()
            if isinstance(found, Inconclusive)
        ]
    matched = probes.text_retrieval
    if isinstance(matched, TextRetrieval) and isinstance(matched.encoder, Skipped):
        said.append(f"Text retrieval by an encoder: skipped, {code_cell(matched.encoder.skipped)}.")
    absent = [words for name, words in _PROBES.items() if getattr(probes, name) is None]
    return [*said, *([f"Not run: {', '.join(absent)}."] if absent else [])]


def _texts(probes: Probes) -> Table:
    rows, sentences = [], []
    read, reworded, told = probes.text_controls, probes.paraphrase, probes.discrimination
    if isinstance(read, TextControls):
        for text in get_args(TextControlName):
            if control := read.controls.get(text):
                failed = f" ({count(control.failed, 'row')} without one)" if control.failed else ""
                beside = f"{number(control.mean)}: {_TEXTS[text]}{failed}"
                rows.append(
                    row(
                        "Explanation",
                        number(read.real),
                        beside,
                        control.difference,
                        control.interval,
                        control.n,
                    )
                )
    if isinstance(reworded, Paraphrase):
        for name in get_args(RewordingName):
            if isinstance(found := reworded.rewordings.get(name), Rewording):
                beside = f"{number(found.mean)}: {_REWORDINGS[name]}"
                own = number(found.mean + found.difference)
                rows.append(
                    row(
                        "Explanation, where rewording changed it",
                        own,
                        beside,
                        found.difference,
                        found.interval,
                        found.n,
                    )
                )
                sentences.append(inline(found.sentence))
        if said := rewording_sentence(reworded):
            sentences.append(said)
    if isinstance(told, Discrimination):
        beside = f"{number(told.gibberish)}: gibberish of equal length"
        rows.append(
            row(
                "Source text, one per document",
                number(told.factual),
                beside,
                told.difference,
                told.interval,
                told.n,
            )
        )
        sentences.append(discrimination_sentence(told))
    return Table("Other texts through the AR, cosine", OF_THE_DIFFERENCE, rows, sentences)


def _shares(probes: Probes) -> Table:
    found = probes.structural
    if not isinstance(found, Structural):
        return Table("", "", [], [])
    rows = [
        (
            _STRUCTURES[name],
            number(given.share),
            "1: the explanation itself",
            signed(given.share - 1),
            unsigned(given.interval),
            str(given.n),
        )
        for name in get_args(StructuralName)
        if (given := found.shares.get(name))
    ]
    title = "Share of the cosine that is there without this explanation"
    return Table(title, OF_THE_SHARE, rows, [structural_sentence(found)])


def _claims(probes: Probes) -> Table:
    found = probes.claims
    if not isinstance(found, Claims):
        return Table("", "", [], [])
    rows = [
        row(
            "A claim left out",
            signed(found.change),
            "0: nothing left out",
            found.change,
            found.interval,
            found.n,
        )
    ]
    for name in get_args(ClaimControlName):
        if control := found.controls.get(name):
            beside = f"{signed(control.mean)}: {_CLAIMS[name]}"
            rows.append(
                row(
                    "A claim left out",
                    signed(found.change),
                    beside,
                    control.difference,
                    control.interval,
                    control.n,
                )
            )
    title = "Change of the error, 2 (1 - cos), by a claim"
    return Table(title, OF_THE_DIFFERENCE, rows, [claims_sentence(found)])


def _ranks(probes: Probes) -> Table:
    rows: list[Row] = []
    sentences = []

    def rank(name: str, found: Ranking) -> None:
        rows.extend(ranking_rows(name, found))
        sentences.append(permutation_sentence(name, found.permutation))

    if isinstance(found := probes.retrieval, Retrieval):
        rank("Reconstruction to activation", found.all)
        if found.drawn.candidates < found.all.candidates:
            rank(f"The same, worst of {found.draws} draws", found.drawn)
        if found.margin:
            name = "Cosine to the own activation above that to the nearest other"
            rows.append(against_chance_row(name, found.margin))
    if isinstance(matched := probes.text_retrieval, TextRetrieval):
        rank("Explanation to source document, by words (TF-IDF)", matched.lexical)
        if isinstance(matched.encoder, Ranking):
            rank("Explanation to source document, by an encoder", matched.encoder)
    if isinstance(told := probes.discrimination, Discrimination):
        rank("Source text through the AR to activation", told.cross_row)
    return Table("Retrieval of the own one among others", OF_THE_DIFFERENCE, rows, sentences)


def _counts(probes: Probes) -> Table:
    rows: list[Row] = []
    sentences = []
    if isinstance(injected := probes.injection, Injection):
        rows.extend(_said(injected))
    if isinstance(said := probes.templates, Templates):
        labels = said.gold_duplicates.share if said.gold_duplicates else None
        name = "Explanation said of another document too"
        rows.append(share_row(name, said.duplicates, labels, "of the labels"))
        sentences.append(templates_sentence(said))
    if isinstance(raw := probes.ceiling, Ceiling):
        near, chance = "Nearest activation is of the same document", "chance"
        for name, seen, guess in (
            (f"{near}, for raw activations", raw.nearest, raw.nearest_chance),
            (f"{near}, for reconstructions", raw.nearest_of_reconstructions, raw.nearest_chance),
            ("Document told by a linear map of raw activations", raw.probe, raw.probe_chance),
        ):
            rows.append(share_row(name, seen, guess, chance))
        sentences.append(ceiling_sentence(raw))
    return Table("Counts", OF_THE_SHARE, rows, sentences)


def _said(injected: Injection) -> Iterator[Row]:
    """What the AV says of other vectors, and what should not be in what it says."""
    source = injected.cjk["source"].share if "source" in injected.cjk else None
    for vector in get_args(VectorName):
        if same := injected.same_text.get(vector):
            yield share_row(f"Explained word for word as {_VECTORS[vector]} is", same)
    for output in get_args(OutputName):
        if seen := injected.cjk.get(output):
            name = f"Chinese, Japanese or Korean characters for {_VECTORS[output]}"
            yield share_row(name, seen, source, "in the source texts")
    for output in get_args(OutputName):
        if seen := injected.marker.get(output):
            yield share_row(f"The marker shown or described for {_VECTORS[output]}", seen)
