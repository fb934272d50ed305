"""Whether an explanation leads to the document of its activation, by text alone.

The AR takes no part: this measures what a reader gets from the words. TF-IDF matches words in
common; an encoder, when one is named, matches meaning. Rows of one document share their candidate,
so the permutation test exchanges whole documents.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from nla_release.diagnostics.model import (
    Diagnostic,
    DiagnosticEvidence,
    DiagnosticInputs,
    Plan,
    Texts,
    permutation_sentence,
    ranking_rows,
)
from nla_release.evidence.parts import Evidence, longest_texts
from nla_release.evidence.records import EvidenceRow
from nla_release.io.schema import Strict
from nla_release.statistics.blocks import Inconclusive, Ranking, too_few
from nla_release.statistics.formulas import Floats, row_blocks
from nla_release.statistics.measures import FORMAT_3, Measures
from nla_release.statistics.places import cosine_blocks, places
from nla_release.statistics.row import Row

_WORD = re.compile(r"\w\w+")


# [N, e] each, of the encoder's own width.
_EXPLANATION, _SOURCE = "encoder_explanation", "encoder_source"


class Skipped(Strict):
    """Why a part of a diagnostic was not run."""

    skipped: str = Field(description="the reason")


class TextRetrieval(Strict):
    """Explanations to source documents."""

    lexical: Ranking = Field(description="by cosine of TF-IDF weights")
    encoder: Ranking | Skipped = Field(description="by cosine of an encoder's vectors")


def report(evidence: Evidence, measures: Measures = FORMAT_3) -> TextRetrieval | Inconclusive:
    """Among the documents with a source text, each at its longest; other rows are left out."""
    source = longest_texts(evidence.rows)
    rows = np.array(
        [i for i, row in enumerate(evidence.rows) if row.document in source], dtype=np.intp
    )
    documents = [evidence.documents[i] for i in rows]
    if few := too_few(documents, "rows with a source text"):
        return few
    names = sorted(source)
    position = {name: candidate for candidate, name in enumerate(names)}
    own = np.array([position[document] for document in documents], dtype=np.intp)
    lexical = tfidf_blocks(
        [evidence.rows[i].explanation for i in rows],
        [evidence.rows[source[name]].text or "" for name in names],
    )
    return TextRetrieval(
        lexical=measures.ranking(places(lexical, own), documents, names),
        encoder=_encoder(evidence, measures, rows, [source[name] for name in names], own),
    )


def _encoder(
    evidence: Evidence,
    measures: Measures,
    rows: npt.NDArray[np.intp],
    sources: Sequence[int],
    own: npt.NDArray[np.intp],
) -> Ranking | Skipped:
    """The ranking of the longest sources, by position, for each explained row."""
    if _EXPLANATION not in evidence.vectors:
        return Skipped(skipped=_why_not(evidence))
    failed = evidence.failed("real")[rows][:, np.newaxis]
    said = np.where(failed, 0, evidence.vectors[_EXPLANATION][rows])
    found = places(cosine_blocks(said, evidence.vectors[_SOURCE][sources]), own)
    documents, names = ([evidence.documents[at] for at in some] for some in (rows, sources))
    return measures.ranking(found, documents, names)


def _why_not(evidence: Evidence) -> str:
    reasons = [probe.skipped for probe in evidence.run.probes if probe.name == "text-retrieval"]
    return next((reason for reason in reasons if reason), "no encoder was named")


def tfidf_blocks(queries: Sequence[str], documents: Sequence[str]) -> Iterator[Floats]:
    """Cosines [q, D] of the TF-IDF vectors of queries and documents, in blocks of queries.

    A word's weight in a text is its count times `ln((1 + n) / (1 + df)) + 1`, where df of the n
    documents contain it.

    Source: Manning, Raghavan and Schuetze, Introduction to Information Retrieval (2008), section
    6.2; the smoothed idf and the numbers are those of scikit-learn's TfidfVectorizer.
    """
    counts = [_words(document) for document in documents]
    holding = Counter(word for words in counts for word in words)
    weight = {
        word: math.log((1 + len(documents)) / (1 + found)) + 1 for word, found in holding.items()
    }
    listed: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for position, words in enumerate(counts):
        for word, value in _unit(words, weight).items():
            listed[word].append((position, value))
    postings = {
        word: (np.array([at for at, _ in found]), np.array([value for _, value in found]))
        for word, found in listed.items()
    }
    for rows in row_blocks(len(queries), len(documents)):
        cosines = np.zeros((rows.stop - rows.start, len(documents)))
        for row, query in zip(cosines, queries[rows], strict=True):
            for word, value in _unit(_words(query), weight).items():
                positions, values = postings[word]
                row[positions] += value * values
        yield cosines


def _words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.lower()))


def _unit(words: Counter[str], weight: dict[str, float]) -> dict[str, float]:
    """The weights of the words that any document holds, at length 1."""
    known = {word: count * weight[word] for word, count in words.items() if word in weight}
    norm = math.sqrt(math.fsum(value**2 for value in known.values()))
    return {word: value / norm for word, value in sorted(known.items())}


def rankings(found: TextRetrieval) -> dict[str, Ranking]:
    """By words, and by an encoder when one was named."""
    shown = {"Explanation leads to its source document, by words": found.lexical}
    if isinstance(found.encoder, Ranking):
        shown["Explanation leads to its source document, by an encoder"] = found.encoder
    return shown


def _rows(found: TextRetrieval) -> Iterator[Row]:
    for name, ranking in rankings(found).items():
        yield from ranking_rows(name, ranking)


def _sentences(found: TextRetrieval) -> Iterator[str]:
    for name, ranking in rankings(found).items():
        yield permutation_sentence(name, ranking)
    if isinstance(found.encoder, Skipped):
        yield f"Text retrieval by an encoder: skipped, {found.encoder.skipped}."


def ask(inputs: DiagnosticInputs) -> Plan:
    """The encoder embeds explanations and source texts."""
    if inputs.no_encoder:
        return Plan(skipped=inputs.no_encoder)
    if None in inputs.data.texts:
        return Plan(skipped="rows of the data have no source text")
    explained: Texts = [text for _, text in inputs.rows()]
    return Plan(
        dict(inputs.encoder), encoded={_EXPLANATION: explained, _SOURCE: list(inputs.data.texts)}
    )


def _misfit(rows: Sequence[EvidenceRow], tensors: Collection[str]) -> str | None:
    if _SOURCE in tensors and (bare := [row.id for row in rows if row.text is None]):
        return f"holds {_SOURCE}, but row {bare[0]!r} has no text"
    return None


DIAGNOSTIC = Diagnostic(
    name="text-retrieval",
    title="text retrieval",
    meaning="explanations to source documents",
    records=TextRetrieval,
    report=report,
    rows=_rows,
    sentences=_sentences,
    ask=ask,
    recorded=DiagnosticEvidence({_EXPLANATION: len, _SOURCE: len}, free_width=True, misfit=_misfit),
    rankings=rankings,
)
