"""The probes in a few lines, for a card; all of their tables are in RELEASE_CALIBRATION.md."""

from collections.abc import Iterator

from nla_release.calibration.blocks import Ranking, Ratio
from nla_release.calibration.probes.ceiling import Ceiling
from nla_release.calibration.probes.claims import Claims
from nla_release.calibration.probes.injection import Injection
from nla_release.calibration.probes.paraphrase import Paraphrase, Rewording
from nla_release.calibration.probes.retrieval import Retrieval
from nla_release.calibration.probes.structural import Structural
from nla_release.calibration.probes.text_controls import TextControlName, TextControls
from nla_release.calibration.probes.text_retrieval import TextRetrieval
from nla_release.calibration.report import Probes
from nla_release.cards.numbers import number, signed
from nla_release.cards.probe_rows import Row, against_chance_row, first_row, row, share_row
from nla_release.cards.probe_sentences import ceiling_sentence, structural_sentence

_TEXTS: dict[TextControlName, str] = {
    "gibberish": "gibberish of equal length",
    "word_shuffled": "its words in another order",
}


def telling_rows(probes: Probes) -> list[Row]:
    """The line of each probe that tells most; intervals are of the difference unless they say."""
    return [
        *_retrieved(probes),
        *_found_by_words(probes),
        *_other_texts(probes),
        *_paraphrased(probes),
        *_claims(probes),
        *_injected(probes),
        *_ceiling(probes),
    ]


def telling_sentences(probes: Probes) -> list[str]:
    """What must be known to read a cosine, and a low score."""
    said = []
    if isinstance(found := probes.structural, Structural):
        said.append(structural_sentence(found))
    if isinstance(raw := probes.ceiling, Ceiling):
        said.append(ceiling_sentence(raw))
    return said


def _retrieved(probes: Probes) -> Iterator[Row]:
    found = probes.retrieval
    if not isinstance(found, Retrieval):
        return
    if found.drawn.candidates < found.all.candidates:
        name = f"Own activation first, worst of {found.draws} draws of {found.drawn.candidates}"
        yield first_row(name, found.drawn)
    else:
        yield against_chance_row("Own activation: mean of 1 / rank", found.all.mrr)


def _found_by_words(probes: Probes) -> Iterator[Row]:
    found = probes.text_retrieval
    if isinstance(found, TextRetrieval):
        yield first_row("Source document found from the explanation's words", found.lexical)
        if isinstance(found.encoder, Ranking):
            yield first_row("Source document found from its meaning, by an encoder", found.encoder)


def _other_texts(probes: Probes) -> Iterator[Row]:
    read = probes.text_controls
    if not isinstance(read, TextControls):
        return
    for name, words in _TEXTS.items():
        if control := read.controls.get(name):
            beside = f"{number(control.mean)}: {words}"
            yield row(
                "Cosine with the explanation",
                number(read.real),
                beside,
                control.difference,
                control.interval,
                control.n,
            )


def _paraphrased(probes: Probes) -> Iterator[Row]:
    reworded = probes.paraphrase
    found = reworded.rewordings.get("paraphrase") if isinstance(reworded, Paraphrase) else None
    if isinstance(found, Rewording):
        yield row(
            "Cosine with the explanation, where rewording changed it",
            number(found.mean + found.difference),
            f"{number(found.mean)}: a paraphrase of it",
            found.difference,
            found.interval,
            found.n,
        )


def _claims(probes: Probes) -> Iterator[Row]:
    found = probes.claims
    if isinstance(found, Claims):
        control = found.controls["other_activation"]
        yield row(
            "Error added by leaving a claim out",
            signed(found.change),
            f"{signed(control.mean)}: for another document's activation",
            control.difference,
            control.interval,
            control.n,
        )


def _injected(probes: Probes) -> Iterator[Row]:
    found = probes.injection
    if isinstance(found, Injection) and (same := found.same_text.get("random_vector")):
        yield _share("Explained word for word as noise is", same)


def _ceiling(probes: Probes) -> Iterator[Row]:
    raw = probes.ceiling
    if isinstance(raw, Ceiling):
        alone = "Raw activations alone:"
        nearest = f"{alone} nearest is of the same document"
        yield _share(nearest, raw.nearest, raw.nearest_chance, "chance")
        told = f"{alone} document told by a linear map"
        yield _share(told, raw.probe, raw.probe_chance, "chance")


def _share(name: str, found: Ratio, control: float | None = None, words: str = "") -> Row:
    """A share with its own interval, which the cell says."""
    *cells, bounds, n = share_row(name, found, control, words)
    first, value, beside, apart = cells
    return first, value, beside, apart, f"{bounds}, of the value", n
